//! What one axum process can answer at best: the same rows in the same kind of transaction, without GraphQL, rights,
//! limits and tokens. The operation's name picks fixed statements; `BEGIN`, the tenant, the statements and `COMMIT` leave
//! in one flight.
//!
//! `floor rows` fetches rows and writes the JSON here. `floor json` lets PostgreSQL write it, one statement for each request.

mod json;
mod rows;

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode, header::CONTENT_TYPE},
    response::IntoResponse,
    routing::post,
};
use chrono::{DateTime, Utc};
use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, RecyclingMethod};
use serde::Deserialize;
use tokio_postgres::{Row, types::ToSql};
use uuid::Uuid;

type Failure = Box<dyn std::error::Error + Send + Sync>;
type Parameter<'a> = dyn ToSql + Sync + 'a;

#[derive(Deserialize)]
struct Request<'a> {
    #[serde(borrow, rename = "operationName")]
    operation: &'a str,
    variables: Variables<'a>,
}

#[derive(Deserialize)]
struct Variables<'a> {
    w: Option<Uuid>,
    p: Option<Uuid>,
    m: Option<Uuid>,
    #[serde(borrow)]
    after: Option<&'a str>,
}

#[derive(Clone)]
struct Server {
    pool: Pool,
    rows: bool,
}

/// The statements of one request in their order, sent at once within one transaction.
struct Flight<'c> {
    connection: &'c Object,
    tenant: &'c str,
    read_only: bool,
}

impl Flight<'_> {
    async fn send<const N: usize>(&self, statements: [(&str, &[&Parameter<'_>]); N]) -> Result<[Vec<Row>; N], Failure> {
        let connection = self.connection;
        let begin = if self.read_only { "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY" } else { "BEGIN" };
        let begin = connection.prepare_cached(begin).await?;
        let set = connection.prepare_cached("SELECT set_config('app.tenant_id', $1, true)").await?;
        let commit = connection.prepare_cached("COMMIT").await?;
        let mut prepared = Vec::with_capacity(N);
        for (text, _) in &statements {
            prepared.push(connection.prepare_cached(text).await?);
        }
        let of_tenant: &[&Parameter<'_>] = &[&self.tenant];
        let queries = prepared.iter().zip(&statements).map(|(statement, (_, with))| connection.query(statement, with));
        // Polled in this order, so they leave in this order.
        let (begun, set, found, committed) = tokio::join!(
            biased;
            connection.execute(&begin, &[]),
            connection.execute(&set, of_tenant),
            futures_util::future::try_join_all(queries),
            connection.execute(&commit, &[])
        );
        begun?;
        set?;
        let found = found?;
        committed?;
        <[Vec<Row>; N]>::try_from(found).map_err(|_| "a statement has no answer".into())
    }
}

/// The place behind which a page goes on: `microseconds_uuid`.
fn place(cursor: Option<&str>) -> Option<(DateTime<Utc>, Uuid)> {
    let (at, id) = cursor?.split_once('_')?;
    Some((DateTime::from_timestamp_micros(at.parse().ok()?)?, id.parse().ok()?))
}

async fn answer(server: &Server, headers: &HeaderMap, body: &[u8]) -> Result<String, Failure> {
    let tenant = headers.get("x-tenant-id").ok_or("no tenant")?.to_str()?;
    let request: Request<'_> = serde_json::from_slice(body)?;
    let connection = server.pool.get().await?;
    let read_only = request.operation != "Q4";
    let flight = Flight { connection: &connection, tenant, read_only };
    if server.rows { rows::answer(&flight, &request).await } else { json::answer(&flight, &request).await }
}

async fn graphql(State(server): State<Server>, headers: HeaderMap, body: Bytes) -> impl IntoResponse {
    match answer(&server, &headers, &body).await {
        Ok(text) => (StatusCode::OK, [(CONTENT_TYPE, "application/json")], text),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, [(CONTENT_TYPE, "text/plain")], error.to_string()),
    }
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let url: tokio_postgres::Config = std::env::var("DATABASE_URL")?.parse()?;
    let settings = ManagerConfig { recycling_method: RecyclingMethod::Fast };
    let manager = Manager::from_config(url, tokio_postgres::NoTls, settings);
    let pool = Pool::builder(manager).max_size(std::env::var("POOL")?.parse()?).build()?;
    let server = Server { pool, rows: std::env::args().nth(1).as_deref() == Some("rows") };
    let port: u16 = std::env::var("PORT")?.parse()?;
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    axum::serve(listener, Router::new().route("/graphql", post(graphql)).with_state(server)).await?;
    Ok(())
}
