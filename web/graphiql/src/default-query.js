/** What a first visitor sees; it runs as it is once a token and a tenant are filled in above. */
export const defaultQuery = `# Welcome to Tenantry.
#
# 1. Paste an access token or an API key above, and name a tenant.
# 2. Run this query: Ctrl+Enter (⌘+Enter on a Mac).
# 3. Ctrl+Space completes; the book on the left holds the whole schema.

query Start {
  viewer {
    user {
      id
      displayName
    }
  }
  tenant {
    id
    slug
    name
  }
}
`;
