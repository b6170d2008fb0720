//! Sockets: the way of a subscription, and who may go on listening.
//!
//! A socket is admitted like a request with the same credential and tenant, and admitted again, by the same function,
//! whenever something may have changed: on a notice, once a second, and at every event. Between these, caches answer, so
//! that it costs no SQL; they end after four seconds, so that a loss is seen within five even if every notice is lost.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_graphql::{
    Request, ServerError,
    parser::types::{ExecutableDocument, OperationType},
};
use futures::{StreamExt, future::BoxFuture};
use tokio::{
    sync::{broadcast::error::RecvError, watch},
    task::JoinHandle,
};
use tracing::Instrument;

use super::{
    App,
    documents::Parsed,
    metering::{self, Payer},
};
use crate::{
    access::Permission,
    context::{Door, Principal, RequestContext},
    db::Stats,
    domain::{
        api_keys,
        live::{Change, Subscriber},
        reading::Reading,
    },
    graphql::{
        ApiError, ErrorCode,
        error::{code_of, finish},
        policy::{Plan, document},
    },
    http::{
        endpoint::{GraphqlBody, Refusal, Transport},
        socket::{Close, Closer, Responses, SocketService, SocketSession, close},
    },
    ids::{RequestId, TenantId},
};

/// How often a socket is admitted again when nothing is heard.
const AGAIN: Duration = Duration::from_secs(1);
/// How soon an event that found the tenant's lane full tries again.
const NEXT_TURN: Duration = Duration::from_millis(50);

/// Sockets of each principal.
#[derive(Clone, Default)]
struct Principals(Arc<Mutex<HashMap<String, usize>>>);

impl Principals {
    /// One more, unless there are as many as there may be.
    fn enter(&self, name: String, most: usize) -> Option<Place> {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(name.clone()).or_default();
        if *count >= most {
            return None;
        }
        *count += 1;
        Some(Place { of: self.clone(), name })
    }
}

/// One socket of a principal.
struct Place {
    of: Principals,
    name: String,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.of.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.name) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.name);
            }
        }
    }
}

/// Takes sockets in.
pub struct AppSockets {
    app: Arc<App>,
    principals: Principals,
    most: usize,
}

impl AppSockets {
    /// For this app; each principal may have so many sockets.
    pub fn new(app: Arc<App>, most: usize) -> Self {
        Self { app, principals: Principals::default(), most }
    }
}

impl SocketService for AppSockets {
    fn open(&self, transport: Transport, closer: Closer) -> BoxFuture<'_, Result<Arc<dyn SocketSession>, Close>> {
        Box::pin(async move {
            let ctx = match admit(&self.app, &transport).await {
                Ok(ctx) => ctx,
                Err(refusal) => {
                    let payer = self.app.metering.address(transport.client_addr);
                    return Err(Close::of(&*charged(&self.app, refusal, &payer).await));
                }
            };
            if !ctx.principal.is_authenticated() {
                let reason = "UNAUTHENTICATED: send authorization in the payload of connection_init";
                return Err(Close::new(close::UNAUTHORIZED, reason));
            }
            let Ok(tenant) = ctx.tenant() else {
                let reason = "TENANT_REQUIRED: name the tenant in the payload of connection_init, by host or by path";
                return Err(Close::new(close::BAD_REQUEST, reason));
            };
            let span = tracing::Span::current();
            span.record("actor.id", tracing::field::display(ctx.principal.key()));
            span.record("tenant.id", tracing::field::display(tenant.id));
            let tenant = tenant.id;
            let place = self.principals.enter(ctx.principal.key(), self.most).ok_or_else(|| {
                Close::new(close::TOO_MANY, format!("Too many sockets: {} at most for each principal", self.most))
            })?;
            if let Principal::ApiKey { key, .. } = ctx.principal {
                api_keys::service::touch(&self.app.services, tenant, key, &ctx);
            }
            let listener = Arc::new(Listener {
                app: Arc::clone(&self.app),
                transport,
                closer,
                principal: ctx.principal.clone(),
                tenant,
                rights: watch::Sender::new(Arc::new(ctx)),
                running: Mutex::default(),
            });
            let looking = tokio::spawn(Arc::clone(&listener).keep_looking().instrument(span));
            Ok(Arc::new(Session { listener, looking, _place: place }) as Arc<dyn SocketSession>)
        })
    }
}

/// A refusal costs a point, as by POST: nobody tries credentials or has documents read for nothing.
async fn charged(app: &App, refusal: Box<Refusal>, payer: &Payer) -> Box<Refusal> {
    if matches!(refusal.code, ErrorCode::Unavailable | ErrorCode::Internal | ErrorCode::Timeout) {
        return refusal;
    }
    match app.metering.pay_for_refusal(payer).await {
        Ok(_) => refusal,
        Err(over) => metering::refused(over, 1).0,
    }
}

/// Who asks, in which tenant, with which rights, as a request that comes now.
async fn admit(app: &App, transport: &Transport) -> Result<RequestContext, Box<Refusal>> {
    let stats = Arc::new(Stats::default());
    let (principal, tenant, membership) = app.admit(transport, &stats).await?;
    let clock = app.services.clock.clone();
    Ok(RequestContext {
        principal,
        tenant,
        membership,
        request: RequestId::new(clock.now()),
        clock,
        stats,
        client_address: Some(transport.client_addr),
        user_agent: transport.user_agent.clone(),
        operation_name: None,
        idempotency: None,
        door: Door::Api,
    })
}

/// An operation that runs.
struct Running {
    document: Arc<Parsed>,
    name: Option<String>,
    variables: async_graphql::Variables,
}

/// The one who listens on a socket.
struct Listener {
    app: Arc<App>,
    transport: Transport,
    closer: Closer,
    principal: Principal,
    tenant: TenantId,
    rights: watch::Sender<Arc<RequestContext>>,
    running: Mutex<HashMap<usize, Arc<Running>>>,
}

impl Listener {
    /// Admits the socket again: what it is by now, or `None` when it is being closed. Waits while the database is away,
    /// because nobody can say then.
    async fn admitted(&self) -> Option<Arc<RequestContext>> {
        loop {
            if self.closer.is_closed() {
                return None;
            }
            match admit(&self.app, &self.transport).await {
                Ok(ctx) if self.is_the_same(&ctx) => {
                    let ctx = Arc::new(ctx);
                    self.take(&ctx);
                    return (!self.closer.is_closed()).then_some(ctx);
                }
                // A slug or host that has come to mean another tenant.
                Ok(_) => {
                    self.closer.close(Close::new(close::FORBIDDEN, "TENANT_MISMATCH: the tenant has another name now"));
                    return None;
                }
                Err(refusal) if matches!(refusal.code, ErrorCode::Unavailable | ErrorCode::Timeout) => {
                    tokio::time::sleep(AGAIN).await;
                }
                Err(refusal) => {
                    self.closer.close(Close::of(&refusal));
                    return None;
                }
            }
        }
    }

    fn is_the_same(&self, ctx: &RequestContext) -> bool {
        ctx.principal == self.principal && ctx.tenant().is_ok_and(|tenant| tenant.id == self.tenant)
    }

    /// Tells the subscriptions when the rights may be others, after looking whether each may still run.
    fn take(&self, ctx: &Arc<RequestContext>) {
        let is_known = |known: &Arc<RequestContext>| match (&known.membership, &ctx.membership) {
            // Two may look at once, and the one who began earlier may come later.
            (Some(known), Some(now)) => Arc::ptr_eq(known, now) || now.rights.version < known.rights.version,
            _ => false,
        };
        if is_known(&self.rights.borrow()) {
            return;
        }
        let running: Vec<_> =
            self.running.lock().unwrap_or_else(PoisonError::into_inner).values().map(Arc::clone).collect();
        for operation in running {
            let name = operation.name.as_deref();
            if let Err(refusal) = self.app.check(ctx, &operation.document, name, &operation.variables) {
                self.closer.close(Close::of(&refusal));
                return;
            }
        }
        self.rights.send_replace(Arc::clone(ctx));
    }

    /// Admits the socket again and again, until it is closed.
    async fn keep_looking(self: Arc<Self>) {
        let mut changes = self.app.services.live.changes();
        let mut often = tokio::time::interval(AGAIN);
        often.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = often.tick() => {}
                change = changes.recv() => match change {
                    Ok(change) if !self.is_concerned(change) => continue,
                    Ok(_) | Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return,
                },
            }
            if self.admitted().await.is_none() {
                return;
            }
        }
    }

    fn is_concerned(&self, change: Change) -> bool {
        match (change, &self.principal) {
            (Change::Everything, _) => true,
            (Change::Tenant(tenant), _) => tenant == self.tenant,
            (Change::Session(ended), Principal::Person { session, .. }) => ended == *session,
            (Change::User(changed), Principal::Person { user, .. }) => changed == *user,
            (Change::Session(_) | Change::User(_), _) => false,
        }
    }
}

impl Subscriber for Listener {
    fn current(&self, version: i64) -> BoxFuture<'_, Option<Arc<RequestContext>>> {
        Box::pin(async move {
            let ctx = self.admitted().await?;
            if ctx.membership.as_ref().is_some_and(|membership| membership.rights.version >= version) {
                return Some(ctx);
            }
            // The rows are newer than the rights that are cached: their change has committed before these rows.
            self.app.services.hearing.rights_changed(self.tenant, version);
            self.admitted().await
        })
    }

    fn rights(&self) -> watch::Receiver<Arc<RequestContext>> {
        self.rights.subscribe()
    }

    fn turn(&self) -> BoxFuture<'_, Box<dyn Send>> {
        Box::pin(async move {
            loop {
                let tenant = self.rights.borrow().tenant.clone();
                match self.app.metering.turn(tenant.as_ref()).await {
                    Ok(turn) => return Box::new(turn) as Box<dyn Send>,
                    // The lane is full of requests. An event is not refused: it waits.
                    Err(_) => tokio::time::sleep(NEXT_TURN).await,
                }
            }
        })
    }

    fn lost(&self, permission: Permission) {
        self.closer.close(Close::new(close::FORBIDDEN, format!("FORBIDDEN: this needs the permission {permission}")));
    }

    fn fell_behind(&self) {
        self.closer.close(Close::new(close::TOO_MANY, "The client is more than an hour behind"));
    }
}

/// An admitted socket.
struct Session {
    listener: Arc<Listener>,
    looking: JoinHandle<()>,
    _place: Place,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.looking.abort();
    }
}

impl SocketSession for Session {
    fn subscribe(&self, body: GraphqlBody) -> BoxFuture<'_, Result<Responses, Vec<ServerError>>> {
        Box::pin(async move {
            let listener = &self.listener;
            // Closed in the meantime: the close frame says why.
            let Some(ctx) = listener.admitted().await else { return Err(Vec::new()) };
            let request = ctx.request.to_string();
            listener.run(ctx, body).await.map_err(|refusal| {
                metrics::counter!(
                    "tenantry_requests_total", "operation" => "subscription", "outcome" => refusal.code.as_str()
                )
                .increment(1);
                let mut errors = refusal.errors;
                finish(&mut errors, &request);
                errors
            })
        })
    }
}

impl Listener {
    /// What a request goes through before it is executed, then the engine. A subscription pays its price once, when it
    /// begins; what its events cost is bounded by their number.
    async fn run(self: &Arc<Self>, ctx: Arc<RequestContext>, body: GraphqlBody) -> Result<Responses, Box<Refusal>> {
        let app = &self.app;
        let from = self.transport.client_addr;
        let payer = match (&ctx.tenant, &ctx.membership) {
            (Some(tenant), Some(membership)) => app.metering.member(tenant, &ctx.principal, membership, from),
            _ => app.metering.alone(&ctx.principal, from),
        };
        let (plan, running) = match self.plan(&ctx, body) {
            Ok(planned) => planned,
            Err(refusal) => return Err(charged(app, refusal, &payer).await),
        };
        let paid = app.metering.pay(&payer, &plan, &ctx.principal, from).await;
        paid.map_err(|over| metering::refused(over, plan.cost).0)?;
        metrics::counter!("tenantry_requests_total", "operation" => "subscription", "outcome" => "ok").increment(1);
        Ok(self.execute(&ctx, &plan, running))
    }

    /// What the document asks for, if it may.
    fn plan(&self, ctx: &RequestContext, mut body: GraphqlBody) -> Result<(Plan, Running), Box<Refusal>> {
        let app = &self.app;
        let document = app.parse(&mut body)?;
        let GraphqlBody { operation_name, variables, .. } = body;
        if let Ok((_, chosen)) = document::operation(&document, operation_name.as_deref())
            && chosen.node.ty != OperationType::Subscription
        {
            let message = "Only subscriptions run on a socket. Send queries and mutations by POST to /graphql.";
            return Err(Box::new(Refusal::new(ErrorCode::BadRequest, message)));
        }
        let plan = app.check(ctx, &document, operation_name.as_deref(), &variables)?;
        if plan.root_fields.len() != 1 {
            // GraphQL specification, section 5.2.3.1; the engine would run them all.
            let error = ApiError::new(ErrorCode::GraphqlValidationFailed, "A subscription asks for exactly one field.");
            return Err(Box::new(error.into()));
        }
        Ok((plan, Running { document, name: operation_name, variables }))
    }

    fn execute(self: &Arc<Self>, ctx: &RequestContext, plan: &Plan, running: Running) -> Responses {
        let app = &self.app;
        let mut ctx = ctx.clone();
        ctx.operation_name = plan.operation_name.as_ref().map(ToString::to_string);
        let request = ctx.request.to_string();
        let reading = Arc::new(Reading::new(app.services.db.clone(), Arc::new(ctx)));
        let mut engine = Request::new("")
            .variables(running.variables.clone())
            .data(Arc::clone(&app.services))
            .data(Arc::clone(&reading))
            .data(Arc::clone(self) as Arc<dyn Subscriber>);
        engine.operation_name.clone_from(&running.name);
        engine.set_parsed_query(ExecutableDocument::clone(&running.document));
        let noted = Noted::note(self, running);
        let events = app.schema.execute_stream(engine);
        let responses = Arc::clone(&reading).drive_all(events).map(move |mut response| {
            let _noted = &noted;
            // Each event has its own reads; what they hold goes back before the event is sent.
            reading.close();
            for error in &response.errors {
                if code_of(error).is_none_or(|code| code == ErrorCode::Internal) {
                    tracing::warn!(error = error.message, "an event could not be shown in full");
                }
            }
            finish(&mut response.errors, &request);
            response
        });
        responses.boxed()
    }
}

/// Keeps an operation on the list of those that run.
struct Noted {
    listener: Arc<Listener>,
    key: usize,
}

impl Noted {
    fn note(listener: &Arc<Listener>, running: Running) -> Self {
        let running = Arc::new(running);
        // The address is unique as long as the operation is on the list.
        let key = Arc::as_ptr(&running) as usize;
        listener.running.lock().unwrap_or_else(PoisonError::into_inner).insert(key, running);
        Self { listener: Arc::clone(listener), key }
    }
}

impl Drop for Noted {
    fn drop(&mut self) {
        self.listener.running.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}
