//! The transport by itself: real sockets, a real engine behind them, and none of Tenantry's own schema.

mod admin;
mod graphiql;
mod limits;
mod media_types;
mod methods;
mod shutdown;
mod surroundings;
mod telemetry;

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_graphql::{
    Context, EmptySubscription, Object, Request, Schema,
    parser::{parse_query, types::OperationType},
};
use futures::future::BoxFuture;
use serde_json::{Value, json};
use tenantry::{
    clock::Clock,
    graphql::ErrorCode,
    http::{
        endpoint::{GraphqlService, IncomingRequest, OutgoingResponse, Refusal, Transport},
        router::{Settings, router},
        server::{self, Drained, Times},
    },
    telemetry::SqlFigures,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{Notify, oneshot},
    task::JoinHandle,
};

/// A server on a port of its own.
pub struct Server {
    pub address: SocketAddr,
    pub service: Arc<Service>,
    stop: Option<oneshot::Sender<()>>,
    ended: Option<JoinHandle<Drained>>,
}

impl Server {
    pub async fn start() -> Self {
        Self::with(Settings::default(), Times::default()).await
    }

    pub async fn with(settings: Settings, times: Times) -> Self {
        let service = Arc::new(Service::default());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let app = router(service.clone(), Clock::system(), &settings);
        let (stop, stopped) = oneshot::channel::<()>();
        let ended = tokio::spawn(server::serve(listener, app, times, None, async move {
            let _ = stopped.await;
        }));
        Self { address, service, stop: Some(stop), ended: Some(ended) }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// A POST with the body that every test starts from.
    pub fn post(&self, query: &str) -> reqwest::RequestBuilder {
        reqwest::Client::new().post(self.url("/graphql")).json(&json!({ "query": query }))
    }

    pub fn tell_to_stop(&mut self) {
        let _ = self.stop.take().unwrap().send(());
    }

    pub async fn ended(&mut self) -> Drained {
        self.ended.take().unwrap().await.unwrap()
    }

    /// Sends these bytes and reads until the server closes the connection.
    pub async fn raw(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    }
}

/// What a test looks at in an answer.
pub struct Answer {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub body: Value,
}

impl Answer {
    pub async fn to(request: reqwest::RequestBuilder) -> Self {
        let reply = request.send().await.unwrap();
        let (status, headers) = (reply.status().as_u16(), reply.headers().clone());
        let text = reply.text().await.unwrap();
        let body = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text:?}"));
        Self { status, headers, body }
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub fn code(&self) -> &str {
        self.body["errors"][0]["extensions"]["code"].as_str().unwrap_or("")
    }

    /// Status and code, which is what most rules are about.
    pub fn verdict(&self) -> (u16, &str) {
        (self.status, self.code())
    }
}

/// A small API behind the transport.
pub struct Service {
    schema: Schema<Query, Mutation, EmptySubscription>,
    pub seen: std::sync::Mutex<Vec<Transport>>,
    pub gates: Arc<Gates>,
}

/// Where a slow field waits, and what became of it.
#[derive(Default)]
pub struct Gates {
    pub waiting: Notify,
    pub open: Notify,
    pub mutations: AtomicUsize,
    pub dropped: Notify,
}

impl Default for Service {
    fn default() -> Self {
        let gates = Arc::new(Gates::default());
        let schema = Schema::build(Query, Mutation, EmptySubscription).data(gates.clone()).finish();
        Self { schema, seen: Default::default(), gates }
    }
}

impl GraphqlService for Service {
    fn execute(&self, request: IncomingRequest) -> BoxFuture<'_, OutgoingResponse> {
        Box::pin(async move {
            self.seen.lock().unwrap().push(request.transport.clone());
            let query = request.body.query.unwrap_or_default();
            assert!(!query.contains("panicBeforeTheEngine"), "asked to");
            let document = match parse_query(&query) {
                Ok(document) => document,
                Err(error) => return Refusal::new(ErrorCode::GraphqlParseFailed, error.to_string()).into(),
            };
            let mutates = document.operations.iter().any(|(_, operation)| operation.node.ty == OperationType::Mutation);
            if request.transport.method_is_get && mutates {
                return Refusal::mutation_over_get().into();
            }
            let mut engine = Request::new(query).variables(request.body.variables);
            engine.operation_name = request.body.operation_name;
            engine.set_parsed_query(document);
            let mut response = OutgoingResponse::from(self.schema.execute(engine).await);
            response.sql = Some(SqlFigures { statements: 3, flights: 2, ..SqlFigures::default() });
            response.headers.push((http_header("x-tenant"), "acme".parse().unwrap()));
            response
        })
    }
}

fn http_header(name: &'static str) -> axum::http::HeaderName {
    axum::http::HeaderName::from_static(name)
}

struct Query;

#[Object]
impl Query {
    async fn hello(&self, name: Option<String>) -> String {
        format!("hello {}", name.unwrap_or("world".into()))
    }

    async fn fails(&self) -> Option<async_graphql::Result<i32>> {
        Some(Err(async_graphql::Error::new("it failed")))
    }

    /// Takes `data` with it.
    async fn fails_whole(&self) -> async_graphql::Result<i32> {
        Err(async_graphql::Error::new("it failed"))
    }

    async fn panics(&self, #[graphql(default = true)] really: bool) -> Option<i32> {
        assert!(!really, "secret detail of a panic");
        None
    }

    /// Answers when the test opens the gate.
    async fn waits(&self, ctx: &Context<'_>) -> i32 {
        struct Dropped(Arc<Gates>, bool);
        impl Drop for Dropped {
            fn drop(&mut self) {
                if !self.1 {
                    self.0.dropped.notify_one();
                }
            }
        }
        let gates = ctx.data_unchecked::<Arc<Gates>>();
        let mut guard = Dropped(gates.clone(), false);
        gates.waiting.notify_one();
        gates.open.notified().await;
        guard.1 = true;
        1
    }
}

struct Mutation;

#[Object]
impl Mutation {
    async fn count(&self, ctx: &Context<'_>) -> usize {
        ctx.data_unchecked::<Arc<Gates>>().mutations.fetch_add(1, Ordering::SeqCst) + 1
    }
}

/// Short times, for tests that wait for one to pass.
pub fn hurried() -> Times {
    Times { grace: Duration::from_millis(300), ..Times::default() }
}
