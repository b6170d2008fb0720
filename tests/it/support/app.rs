//! A server under test: the whole of it, on a real socket, over a migrated database.
//!
//! Every test has its own server with a small pool, and fresh tenants in a database that the tests share, so that the
//! suite itself keeps checking isolation. Tests that change global things ask for [`TestApp::isolated`].

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicU32, Ordering},
};

use serde_json::{Value, json};
use tenantry::{
    app::{App, server::Listeners},
    clock::Clock,
    config::{Key32, Keys, RateSettings, Settings},
    context::Tenant,
    domain::{
        identity::{self, types::NewUser},
        platform::{self, types::NewTenant},
    },
    ids::{MemberId, TenantId, UserId, WorkspaceId},
    telemetry::Metrics,
};
use tokio::sync::OnceCell;

use super::{cluster::TestDatabase, database::migrated};

static SHARED: OnceCell<Arc<TestDatabase>> = OnceCell::const_new();

/// A running server.
#[derive(Clone)]
pub struct TestApp {
    /// Its parts, for looking inside.
    pub app: Arc<App>,
    /// Its database.
    pub database: Arc<TestDatabase>,
    /// Where it listens.
    pub url: String,
    /// Where health and metrics listen.
    pub admin_url: String,
    http: reqwest::Client,
}

/// The secrets of all servers under test.
pub fn keys() -> Keys {
    static KEYS: OnceLock<Keys> = OnceLock::new();
    let fresh = || Key32::generate().expect("the machine has random bytes");
    KEYS.get_or_init(|| Keys { token: fresh(), cursor: fresh(), cookie: fresh() }).clone()
}

fn recorder() -> Metrics {
    static RECORDER: OnceLock<Metrics> = OnceLock::new();
    RECORDER.get_or_init(|| Metrics::install().expect("nobody else records metrics here")).clone()
}

/// Limits that no test runs into but those of the limits, which set their own.
fn generous(rates: &mut RateSettings) {
    for figure in [
        &mut rates.rate_tenant_points,
        &mut rates.rate_tenant_refill,
        &mut rates.rate_principal_points,
        &mut rates.rate_principal_refill,
        &mut rates.rate_address_points,
        &mut rates.rate_address_refill,
        &mut rates.sign_in_account_burst,
        &mut rates.sign_in_account_per_minute,
        &mut rates.sign_in_address_burst,
        &mut rates.sign_in_address_per_minute,
    ] {
        *figure = 1_000_000_000;
    }
    rates.tenant_concurrency = Some(10_000);
}

/// A name that no other test of this process has.
pub fn unique(prefix: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    format!("{prefix}-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

impl TestApp {
    /// A server on the shared database.
    pub async fn start() -> Self {
        Self::with(|_| {}).await
    }

    /// A server on the shared database with other settings.
    pub async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let database = SHARED.get_or_init(async || Arc::new(migrated().await)).await;
        Self::on(Arc::clone(database), Clock::system(), change).await
    }

    /// A server with a database of its own.
    pub async fn isolated() -> Self {
        Self::on(Arc::new(migrated().await), Clock::system(), |_| {}).await
    }

    /// A server on this database.
    pub async fn on(database: Arc<TestDatabase>, clock: Clock, change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Settings::default();
        settings.pool.pool_size = 4;
        // Requests run on the test's own runtime and end with it.
        settings.server.workers = 0;
        settings.server.base_domain = Some("tenantry.test".to_owned());
        settings.server.show_sql_figures = true;
        generous(&mut settings.rates);
        change(&mut settings);
        let url = database.url("tenantry_app").into();
        let platform = database.url("tenantry_platform").into();
        let app = App::new(&settings, &keys(), &url, Some(&platform), clock).await.expect("the parts fit");
        let any = "127.0.0.1:0".parse().expect("an address");
        let listeners = Listeners::bind(any, any).expect("free ports");
        let (api, admin) = (listeners.api_address, listeners.admin_address);
        let serving = Arc::clone(&app);
        tokio::spawn(async move {
            serving
                .serve(&settings, &url, recorder(), listeners, std::future::pending())
                .await
                .unwrap_or_else(|error| panic!("the server does not begin: {error}"));
        });
        let http = reqwest::Client::builder().no_proxy().build().expect("a client");
        Self { app, database, url: format!("http://{api}"), admin_url: format!("http://{admin}"), http }
    }

    /// The same through another server on the same database.
    pub fn through(&self, url: &str, admin_url: &str) -> Self {
        Self { url: url.to_owned(), admin_url: admin_url.to_owned(), ..self.clone() }
    }

    /// A line of the metrics: the number behind this name with these labels; 0 if it is not there.
    pub async fn metric(&self, name: &str) -> f64 {
        let reply = self.http.get(format!("{}/metrics", self.admin_url)).send().await.expect("an answer");
        let text = reply.text().await.expect("a text");
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.map_or(0.0, |number| number.parse().expect("a number"))
    }

    /// A person without any tenant, signed in.
    pub async fn person(&self) -> TestUser {
        let name = unique("person");
        let new = NewUser {
            email: format!("{name}@example.test"),
            display_name: name.clone(),
            password: None,
            is_verified: true,
        };
        let email = new.email.clone();
        let services = &self.app.services;
        let ctx = platform::service::operator(services, "test", None);
        let user = identity::service::create_user(services, &ctx, new).await.expect("a person");
        let ctx = platform::service::operator(services, "test", None);
        let tokens = identity::service::create_session_for(services, &ctx, user).await.expect("a session");
        use secrecy::ExposeSecret;
        let token = tokens.access.expose_secret().to_owned();
        TestUser { app: self.clone(), user, email, token, tenant: None, member: None }
    }

    /// A fresh tenant with an owner.
    pub async fn tenant(&self) -> TestTenant {
        let owner = self.person().await;
        let slug = unique("tenant");
        let new = NewTenant {
            slug: slug.clone(),
            name: format!("Demo {slug}"),
            owner: owner.user,
            plan: "enterprise".to_owned(),
        };
        let made = platform::service::tenant_create(&self.app.services, "test", new).await.expect("a tenant");
        let owner = TestUser { tenant: Some(slug.clone()), member: Some(made.owner), ..owner };
        TestTenant { app: self.clone(), id: made.tenant, slug, workspace: made.workspace, owner }
    }

    /// Sends a request as it is.
    pub async fn send(&self, path: &str, headers: &[(&str, &str)], body: &Value) -> Reply {
        let mut request = self.http.post(format!("{}{path}", self.url)).json(body);
        request = request.header("accept", "application/graphql-response+json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send().await.expect("an answer");
        let status = response.status().as_u16();
        let headers = (response.headers().iter())
            .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
            .collect();
        let text = response.text().await.expect("a body");
        let body = serde_json::from_str(&text).unwrap_or_else(|_| panic!("no JSON: {text}"));
        Reply { status, headers, body }
    }
}

/// A tenant of a test.
#[derive(Clone)]
pub struct TestTenant {
    /// Where it lives.
    pub app: TestApp,
    /// Its id.
    pub id: TenantId,
    /// Its slug.
    pub slug: String,
    /// Its default workspace.
    pub workspace: WorkspaceId,
    /// Its owner.
    pub owner: TestUser,
}

impl TestTenant {
    /// The tenant as services want it.
    pub async fn named(&self) -> Tenant {
        platform::service::tenant_named(&self.app.app.services, &self.slug).await.expect("it exists")
    }

    /// A new member with this built-in role in the whole tenant.
    pub async fn member(&self, role: &str) -> TestUser {
        self.member_on(role, None).await
    }

    /// A new member with this role, tenant-wide or on one workspace.
    pub async fn member_on(&self, role: &str, workspace: Option<WorkspaceId>) -> TestUser {
        self.member_with(vec![role.to_owned()], workspace).await
    }

    /// A new member with these roles, which may be none.
    pub async fn member_with(&self, roles: Vec<String>, workspace: Option<WorkspaceId>) -> TestUser {
        let person = self.app.person().await;
        let services = &self.app.app.services;
        let member = platform::service::member_add(services, "test", self.named().await, person.user, roles, workspace)
            .await
            .expect("a member");
        TestUser { tenant: Some(self.slug.clone()), member: Some(member), ..person }
    }

    /// A new project in the default workspace; its id.
    pub async fn project(&self, name: &str) -> String {
        let input = json!({ "workspaceId": self.workspace, "name": name });
        self.owner.mutate("projectCreate", "project { id }", input).await.at("/project/id")
    }

    /// A new task; its id.
    pub async fn task(&self, project: &str, title: &str) -> String {
        let input = json!({ "projectId": project, "title": title });
        self.owner.mutate("taskCreate", "task { id }", input).await.at("/task/id")
    }

    /// What the audit log holds, oldest first, once the queue of refusals is empty.
    pub async fn audit(&self) -> Vec<(String, String)> {
        self.app.app.services.refusals.drained().await;
        let client = self.app.database.connect("tenantry").await;
        let rows = client
            .query(
                "SELECT action, outcome FROM audit_logs WHERE tenant_id::text = $1 ORDER BY id",
                &[&tenantry::ids::Id::uuid(self.id).to_string()],
            )
            .await
            .expect("rows");
        rows.iter().map(|row| (row.get(0), row.get(1))).collect()
    }
}

/// Somebody with a credential.
#[derive(Clone)]
pub struct TestUser {
    /// Where they live.
    pub app: TestApp,
    /// Who it is.
    pub user: UserId,
    /// Their address.
    pub email: String,
    /// Their credential: an access token, or an API key.
    pub token: String,
    /// The tenant they speak to.
    pub tenant: Option<String>,
    /// What they are in it.
    pub member: Option<MemberId>,
}

impl TestUser {
    /// The same person with another credential.
    pub fn with_token(&self, token: &str) -> Self {
        Self { token: token.to_owned(), ..self.clone() }
    }

    /// The same person, speaking to another tenant or to none.
    pub fn at(&self, tenant: Option<&str>) -> Self {
        Self { tenant: tenant.map(str::to_owned), ..self.clone() }
    }

    /// The same person through another server.
    pub fn through(&self, app: &TestApp) -> Self {
        Self { app: app.clone(), ..self.clone() }
    }

    /// Sends a document.
    pub async fn query(&self, document: &str, variables: Value) -> Reply {
        self.query_with(document, variables, &[]).await
    }

    /// Sends a document with further headers.
    pub async fn query_with(&self, document: &str, variables: Value, headers: &[(&str, &str)]) -> Reply {
        let bearer = format!("Bearer {}", self.token);
        let mut all = vec![("authorization", bearer.as_str())];
        all.extend(self.tenant.as_deref().map(|tenant| ("x-tenant", tenant)));
        all.extend(headers);
        self.app.send("/graphql", &all, &json!({ "query": document, "variables": variables })).await
    }

    /// Runs one mutation that must be done, and gives its payload.
    pub async fn mutate(&self, field: &str, selection: &str, input: Value) -> Payload {
        let reply = self.try_mutate(field, selection, input).await;
        let payload = reply.payload(field);
        assert_eq!(payload.user_errors(), Vec::<String>::new(), "{field}: {reply:?}");
        payload
    }

    /// Runs one mutation, whatever comes of it.
    pub async fn try_mutate(&self, field: &str, selection: &str, input: Value) -> Reply {
        let kind = field[..1].to_uppercase() + &field[1..] + "Input";
        let document = format!(
            "mutation($input: {kind}!) {{ {field}(input: $input) {{ {selection} userErrors {{ code message path params }} }} }}"
        );
        self.query(&document, json!({ "input": input })).await
    }
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The headers.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Value,
}

impl Reply {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The codes of `errors`; one after the other, the same code counts once.
    pub fn codes(&self) -> Vec<&str> {
        let errors = self.body["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
        let mut codes: Vec<_> =
            errors.iter().map(|error| error["extensions"]["code"].as_str().unwrap_or("none")).collect();
        codes.dedup();
        codes
    }

    /// The data, where nothing failed.
    pub fn data(&self) -> &Value {
        assert!(self.body.get("errors").is_none(), "{:#}", self.body);
        &self.body["data"]
    }

    /// The payload of a mutation.
    pub fn payload(&self, field: &str) -> Payload {
        Payload(self.data()[field].clone())
    }

    /// The answer without what is different in every answer.
    pub fn comparable(&self) -> String {
        let id = self.header("x-request-id").unwrap_or("none");
        let mut body = self.body.clone();
        if let Some(cost) = body.pointer_mut("/extensions/cost").and_then(Value::as_object_mut) {
            cost.retain(|name, _| name != "tenant" && name != "principal");
        }
        body.to_string().replace(id, "REQUEST")
    }
}

/// The payload of a mutation.
#[derive(Clone, Debug)]
pub struct Payload(pub Value);

impl Payload {
    /// The text at this JSON pointer.
    pub fn at(&self, pointer: &str) -> String {
        let found = self.0.pointer(pointer).and_then(Value::as_str);
        found.unwrap_or_else(|| panic!("nothing at {pointer}: {:#}", self.0)).to_owned()
    }

    /// `CODE at path` of every user error.
    pub fn user_errors(&self) -> Vec<String> {
        let errors = self.0["userErrors"].as_array().map(Vec::as_slice).unwrap_or_default();
        let path = |error: &Value| {
            let parts = error["path"].as_array().map(Vec::as_slice).unwrap_or_default();
            parts.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(".")
        };
        errors.iter().map(|error| format!("{} at {}", error["code"].as_str().unwrap_or("none"), path(error))).collect()
    }
}
