//! GraphiQL, from files inside the binary: the page asks no other host for anything.
//!
//! `web/graphiql/build` makes the files; a binary that was compiled without them says how to get them.

use axum::{body::Body, extract::Path, response::Response};
use http::{HeaderValue, StatusCode, header};
use rust_embed::{EmbeddedFile, RustEmbed};

#[derive(RustEmbed)]
#[folder = "web/graphiql/dist"]
struct Bundle;

/// Our own origin only. The editor sets styles from script (`'unsafe-inline'` for styles, never for scripts) and
/// carries its fonts and a few pictures as data.
const POLICY: &str = "default-src 'none'; script-src 'self'; worker-src 'self'; connect-src 'self'; \
    style-src 'self' 'unsafe-inline'; font-src 'self' data:; img-src 'self' data:; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const ABSENT: &str = r#"<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>GraphiQL is not in this build · Tenantry</title>
<h1>GraphiQL is not in this build</h1>
<p>The API at <code>/graphql</code> works without it. To have this page:</p>
<ol>
<li>Install Node.js 20 or newer, with npm.</li>
<li>In the source folder run <code>web/graphiql/build</code>.</li>
<li>Build and start the server again: <code>cargo build</code>, or <code>bin/dev</code>.</li>
</ol>
</html>
"#;

/// Whether the bundle was there when the binary was compiled.
pub fn is_bundled() -> bool {
    Bundle::get("index.html").is_some()
}

pub(super) async fn page() -> Response {
    match Bundle::get("index.html") {
        // It names the hashed files, so it must not be older than they are.
        Some(page) => embedded(page, "no-cache"),
        None => respond(StatusCode::OK, "text/html; charset=utf-8", "no-cache", Body::from(ABSENT)),
    }
}

pub(super) async fn file(Path(path): Path<String>) -> Response {
    match Bundle::get(&path) {
        // Vite puts a hash of the content into the names below assets/: what has a name never changes.
        Some(file) if path.starts_with("assets/") => embedded(file, "public, max-age=31536000, immutable"),
        Some(file) => embedded(file, "no-cache"),
        None => respond(StatusCode::NOT_FOUND, "text/plain; charset=utf-8", "no-cache", Body::from("no such file\n")),
    }
}

fn embedded(file: EmbeddedFile, caching: &'static str) -> Response {
    let kind = file.metadata.mimetype();
    let text = kind.starts_with("text/") && !kind.contains("charset");
    let kind = if text { format!("{kind}; charset=utf-8") } else { kind.to_owned() };
    let body = match file.data {
        std::borrow::Cow::Borrowed(bytes) => Body::from(bytes),
        std::borrow::Cow::Owned(bytes) => Body::from(bytes),
    };
    respond(StatusCode::OK, &kind, caching, body)
}

fn respond(status: StatusCode, kind: &str, caching: &'static str, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    let kind = HeaderValue::from_str(kind).unwrap_or(HeaderValue::from_static("application/octet-stream"));
    headers.insert(header::CONTENT_TYPE, kind);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(caching));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    response
}
