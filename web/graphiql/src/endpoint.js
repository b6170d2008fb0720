/**
 * Where this page sends its queries: always its own origin.
 *
 * Opened as /t/{slug}/graphiql the tenant stands in the path, and a second source beside it could only disagree.
 */
export function endpointOf(pathname) {
  const slug = /^\/t\/([^/]+)\/graphiql\/?$/.exec(pathname)?.[1];
  return slug ? { path: `/t/${slug}/graphql`, slug: decodeURIComponent(slug) } : { path: '/graphql', slug: null };
}

/** A fetcher in GraphiQL's sense: one POST per operation, with the credential and the tenant of the page. */
export function makeFetcher(path, { token, tenant }) {
  return async (parameters, options) => {
    const headers = {
      accept: 'application/graphql-response+json, application/json;q=0.9',
      'content-type': 'application/json',
      ...(token && { authorization: `Bearer ${token}` }),
      ...(tenant && { 'x-tenant': tenant }),
      ...options?.headers,
    };
    const { query, operationName, variables, extensions } = parameters;
    const body = JSON.stringify({ query, operationName, variables, extensions });
    const reply = await fetch(path, { method: 'POST', headers, body, cache: 'no-store' });
    const text = await reply.text();
    try {
      return JSON.parse(text);
    } catch {
      throw new Error(`The server answered ${reply.status} without JSON: ${text.slice(0, 200)}`);
    }
  };
}
