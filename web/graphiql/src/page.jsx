import { useMemo, useState } from 'react';
import { GraphiQL } from 'graphiql';
import { defaultQuery } from './default-query.js';
import { endpointOf, makeFetcher } from './endpoint.js';

// The tab's own storage: a sign-in typed as variables must not outlive the tab, and the token is not stored at all.
const storage = window.sessionStorage;
const TENANT_KEY = 'tenantry:tenant';

/** The bar with credential and tenant, and GraphiQL below it. */
export function Page() {
  const endpoint = useMemo(() => endpointOf(window.location.pathname), []);
  const [typed, setTyped] = useState({ token: '', tenant: endpoint.slug ?? storage.getItem(TENANT_KEY) ?? '' });
  const [used, setUsed] = useState(typed);

  // A new fetcher makes GraphiQL read the schema again, so it is made when a field is left and not on every key.
  const fetcher = useMemo(
    () => makeFetcher(endpoint.path, { token: used.token, tenant: endpoint.slug ? '' : used.tenant }),
    [endpoint, used],
  );

  const change = (field) => (event) => setTyped({ ...typed, [field]: event.target.value });
  const apply = (event) => {
    event?.preventDefault();
    const next = { token: bare(typed.token), tenant: typed.tenant.trim() };
    if (next.token === used.token && next.tenant === used.tenant) return;
    if (!endpoint.slug) storage.setItem(TENANT_KEY, next.tenant);
    setTyped(next);
    setUsed(next);
  };

  return (
    <div className="page">
      <form className="bar" onSubmit={apply} autoComplete="off">
        <strong>Tenantry</strong>
        <code title="Where queries are sent">{endpoint.path}</code>
        <label>
          Tenant
          <input
            name="tenant"
            placeholder="acme or tnt_…"
            title="Sent as X-Tenant"
            value={typed.tenant}
            onChange={change('tenant')}
            onBlur={apply}
            disabled={endpoint.slug !== null}
            spellCheck={false}
          />
        </label>
        <label className="wide">
          Token or API key
          <input
            name="token"
            type="password"
            placeholder="access token or tnk_…"
            title="Sent as Authorization: Bearer; forgotten when the page is left"
            value={typed.token}
            onChange={change('token')}
            onBlur={apply}
            autoComplete="off"
            spellCheck={false}
          />
        </label>
        <button type="submit">Use</button>
      </form>
      <div className="editor">
        <GraphiQL
          fetcher={fetcher}
          storage={storage}
          defaultQuery={defaultQuery}
          shouldPersistHeaders={false}
          showPersistHeadersSettings={false}
          schemaDescription
          inputValueDeprecation
        />
      </div>
    </div>
  );
}

/** The token without the scheme, which people copy along with it. */
function bare(token) {
  return token.trim().replace(/^bearer\s+/i, '');
}
