/** What a first visitor sees; it runs as it is once a token and a tenant are filled in above. */
export const defaultQuery = `# Welcome to Tenantry.
#
# 1. Above: an access token or API key,
#    and a tenant.
# 2. Ctrl+Enter (⌘+Enter) runs this.
# 3. Ctrl+Space completes; the book on
#    the left holds the schema.

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
