//! The way of one GraphQL request: credential, tenant, rights, policy pass, execution.
//!
//! Everything that can refuse a request does so before a field runs, in this order: who asks (401), which tenant (400,
//! 403, 404, 410), whether too much of the tenant runs already (429), the document (400), what it may see and cost (403,
//! 400), the idempotency key (400), whether there is enough in the buckets (429). Only then does the engine run, on one
//! read transaction or on one transaction for each mutation.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use async_graphql::{Request, parser::types::OperationType};
use futures::future::BoxFuture;
use http::{HeaderName, HeaderValue};
use sha2::{Digest, Sha256};

use super::{
    App,
    documents::Parsed,
    metering::{self, Payer},
};
use crate::{
    access::On,
    config::Introspection,
    context::{
        Door, Idempotency, Membership, Principal, RequestContext, Source, Tenant, TenantName, TenantStatus, sources,
    },
    db::Stats,
    domain::{
        api_keys,
        audit::Outcome as AuditOutcome,
        error::db_error,
        identity::{AuthError, Credential},
        rate_limit::Buckets,
        reading::{Reading, TooShort},
    },
    graphql::{
        ApiError, ErrorCode,
        error::code_of,
        policy::{self, Caller, Plan, document},
    },
    http::endpoint::{GraphqlBody, GraphqlService, IncomingRequest, Outcome, OutgoingResponse, Refusal, Transport},
    http::reply::began,
    limits::{Standing, lanes::Turn},
};

const X_TENANT: HeaderName = HeaderName::from_static("x-tenant");
const IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

impl GraphqlService for App {
    fn execute(&self, request: IncomingRequest) -> BoxFuture<'_, OutgoingResponse> {
        Box::pin(self.answer(request))
    }
}

/// A tenant that the request names, and the membership of whoever asks.
pub(super) type Place = (Option<Tenant>, Option<Arc<Membership>>);

/// What is known about a request so far, for what every answer carries, refusals included.
#[derive(Default)]
pub(super) struct Known {
    pub(super) operation: Option<String>,
    pub(super) tenant: Option<Tenant>,
    payer: Payer,
    /// What is in the buckets, once the request was paid for.
    standings: Option<Vec<Standing>>,
    turn: Option<Turn>,
}

impl App {
    async fn answer(&self, request: IncomingRequest) -> OutgoingResponse {
        let stats = self.watch.stats();
        let known = Known { payer: self.metering.address(request.transport.client_addr), ..Known::default() };
        let mut watched = self.watch.begin(&stats, request.transport.request_id, known);
        let mut answer = match self.run(request, &stats, &mut watched.known).await {
            Ok(answer) => answer,
            Err(refusal) => OutgoingResponse::from(*self.charged(refusal, &mut watched.known).await),
        };
        watched.answered();
        let known = &watched.known;
        if let Some(slug) = known.tenant.as_ref().and_then(|tenant| HeaderValue::from_str(&tenant.slug).ok()) {
            answer.headers.push((X_TENANT, slug));
        }
        answer.headers.extend(metering::headers(known.standings.as_deref().unwrap_or_default()));
        answer.operation.clone_from(&known.operation);
        answer.sql = Some(stats.figures());
        answer
    }

    /// A refusal that was not paid for yet costs a point; whoever has none is told so instead.
    async fn charged(&self, refusal: Box<Refusal>, known: &mut Known) -> Box<Refusal> {
        let is_our_fault = matches!(refusal.code, ErrorCode::Unavailable | ErrorCode::Internal | ErrorCode::Timeout);
        if known.standings.is_some() || is_our_fault || refusal.code == ErrorCode::ConcurrencyLimited {
            return refusal;
        }
        match self.metering.pay_for_refusal(&known.payer).await {
            Ok(taken) => {
                known.standings = Some(taken.standings);
                refusal
            }
            Err(over) => {
                let (refusal, standings) = metering::refused(over, 1);
                known.standings = Some(standings);
                refusal
            }
        }
    }

    async fn run(
        &self,
        request: IncomingRequest,
        stats: &Arc<Stats>,
        known: &mut Known,
    ) -> Result<OutgoingResponse, Box<Refusal>> {
        let IncomingRequest { transport, mut body } = request;
        let from = transport.client_addr;
        let (principal, key_tenant) = self.authenticate(&transport, stats).await?;
        known.payer = self.metering.alone(&principal, from);
        let (tenant, membership) = self.place(&transport, &principal, key_tenant, stats, known).await?;
        tracing::Span::current().record("actor.id", tracing::field::display(principal.key()));
        if let Some(tenant) = &tenant {
            tracing::Span::current().record("tenant.id", tracing::field::display(tenant.id));
        }

        let parsed = self.parse(&mut body)?;
        let (text, mut variables) = (body.query.as_deref().unwrap_or_default(), body.variables);
        let mut ctx = RequestContext {
            principal,
            tenant,
            membership,
            clock: self.services.clock.clone(),
            request: transport.request_id,
            stats: Arc::clone(stats),
            client_address: Some(from),
            user_agent: transport.user_agent.clone(),
            operation_name: body.operation_name.clone(),
            idempotency: None,
            door: Door::Api,
        };
        let plan = self.check(&ctx, &parsed, body.operation_name.as_deref(), &variables)?;
        known.operation = plan.operation_name.as_ref().map(ToString::to_string);
        ctx.operation_name.clone_from(&known.operation);
        if plan.operation_type == OperationType::Mutation && transport.method_is_get {
            return Err(Box::new(Refusal::mutation_over_get()));
        }
        if plan.operation_type == OperationType::Subscription {
            let message = "Subscriptions run on a socket, at /graphql/ws, by the protocol graphql-transport-ws.";
            return Err(Box::new(Refusal::new(ErrorCode::BadRequest, message)));
        }
        if let Some(key) = transport.idempotency_key {
            ctx.idempotency = Some(idempotency(key, &ctx, &plan, text, &variables)?);
        }
        let taken = self.metering.pay(&known.payer, &plan, &ctx.principal, from).await.map_err(|over| {
            let (refusal, standings) = metering::refused(over, plan.cost);
            known.standings = Some(standings);
            refusal
        })?;
        // A request that breaks off from here on has paid its full price.
        known.standings = Some(taken.standings.clone());

        let key_used = match ctx.principal {
            Principal::ApiKey { key, .. } => ctx.tenant.as_ref().map(|tenant| (tenant.id, key)),
            _ => None,
        };
        // Validated before; its variables are all that is new.
        let is_known = parsed.is_valid()
            && document::operation(&parsed, body.operation_name.as_deref())
                .is_ok_and(|(_, chosen)| self.inputs.fit(&chosen.node, &variables));
        let ctx = Arc::new(ctx);
        let buckets = Buckets(taken.standings.as_slice().into());
        let schema = if is_known { &self.schema_for_valid_documents } else { &self.schema };
        let mut levels = parsed.levels().filter(|_| plan.operation_type == OperationType::Query);
        let response = loop {
            let reading = Reading::new(self.services.db.clone(), Arc::clone(&ctx)).expecting(levels);
            let reading = Arc::new(reading);
            let mut engine = Request::new("")
                .variables(if levels.is_some() { variables.clone() } else { std::mem::take(&mut variables) })
                .data(Arc::clone(&self.services))
                .data(Arc::clone(&reading))
                .data(buckets.clone());
            engine.operation_name.clone_from(&body.operation_name);
            engine.set_parsed_query(ExecutableDocument::clone(&parsed));
            let driven = reading.drive(schema.execute(engine)).await;
            parsed.has_read(reading.levels());
            reading.close();
            match driven {
                Ok(response) => break response,
                // It has read and done nothing else, so it can begin anew.
                Err(TooShort) => {
                    parsed.missed();
                    levels = None;
                }
            }
        };
        if !is_known && began(&response) {
            parsed.found_valid();
        }
        if let Some((tenant, key)) = key_used {
            api_keys::service::touch(&self.services, tenant, key, &ctx);
        }
        let actual = plan.actual_cost(&response.data);
        let standings = self.metering.settle(taken, actual);
        known.standings = Some(standings.clone());

        if let Some(conflict) = response.errors.iter().find_map(idempotency_conflict) {
            return Err(Box::new(conflict));
        }
        let mut answer = OutgoingResponse::new(Outcome::Executed(response));
        answer.cost = Some(metering::cost(plan.cost, actual, &standings, self.show_sql_figures.then_some(stats)));
        if ctx.idempotency.as_ref().is_some_and(|idempotency| idempotency.replayed.load(Ordering::SeqCst)) {
            answer.headers.push((IDEMPOTENCY_REPLAYED, HeaderValue::from_static("true")));
        }
        Ok(answer)
    }

    /// Who asks, in which tenant, and what they are there, without a turn in the tenant's lane: for a socket, which is
    /// admitted again and again.
    pub(super) async fn admit(
        &self,
        transport: &Transport,
        stats: &Arc<Stats>,
    ) -> Result<(Principal, Option<Tenant>, Option<Arc<Membership>>), Box<Refusal>> {
        let (principal, key_tenant) = self.authenticate(transport, stats).await?;
        let Some(tenant) = self.named_tenant(transport, key_tenant, stats).await? else {
            return Ok((principal, None, None));
        };
        let membership = self.membership(&tenant, transport, &principal, stats).await?;
        in_use(&tenant)?;
        Ok((principal, Some(tenant), membership))
    }

    /// The parsed document of a request, whose variables are completed by their defaults.
    pub(super) fn parse(&self, body: &mut GraphqlBody) -> Result<Arc<Parsed>, Box<Refusal>> {
        let Some(text) = &body.query else {
            let message = "Send the document in `query`; documents by hash alone are not supported.";
            return Err(Box::new(Refusal::new(ErrorCode::PersistedQueryNotFound, message)));
        };
        let parsed = self.documents.parse(text, &self.limits).map_err(refused)?;
        if let Ok((_, chosen)) = document::operation(&parsed, body.operation_name.as_deref()) {
            document::complete_variables(&chosen.node, &mut body.variables);
        }
        Ok(parsed)
    }

    pub(super) async fn authenticate(
        &self,
        transport: &Transport,
        stats: &Arc<Stats>,
    ) -> Result<(Principal, Option<Tenant>), Box<Refusal>> {
        let now = self.services.clock.now();
        let credential =
            self.authenticator.authenticate(&self.services.db, transport.authorization.as_deref(), now, stats).await;
        match credential {
            Ok(Credential::Anonymous) => Ok((Principal::Anonymous, None)),
            Ok(Credential::Person { user, session }) => Ok((Principal::Person { user, session }, None)),
            Ok(Credential::ApiKey { key, tenant }) => Ok((Principal::ApiKey { key, tenant: tenant.id }, Some(tenant))),
            Err(AuthError::Db(error)) => Err(Box::new(db_error(&error).into())),
            Err(error) => Err(Box::new(
                ApiError::new(ErrorCode::Unauthenticated, error.to_string()).reason(error.reason()).into(),
            )),
        }
    }

    /// Finds the tenant that all sources name, and what the principal is in it. Takes its turn in the tenant's lane as soon
    /// as the tenant is known, before the database is asked for anything of it.
    pub(super) async fn place(
        &self,
        transport: &Transport,
        principal: &Principal,
        key_tenant: Option<Tenant>,
        stats: &Arc<Stats>,
        known: &mut Known,
    ) -> Result<Place, Box<Refusal>> {
        let Some(tenant) = self.named_tenant(transport, key_tenant, stats).await? else {
            known.turn = Some(self.metering.turn(None).await?);
            return Ok((None, None));
        };
        // Who sends no credential is in nobody's lane: strangers must not fill a tenant's.
        let lane = principal.is_authenticated().then_some(&tenant);
        known.turn = Some(self.metering.turn(lane).await?);
        let membership = self.membership(&tenant, transport, principal, stats).await?;
        if let Some(membership) = &membership {
            known.payer = self.metering.member(&tenant, principal, membership, transport.client_addr);
            // Whoever belongs to the tenant is told which one was meant; an old slug thus shows the new one.
            known.tenant = Some(tenant.clone());
        }
        in_use(&tenant)?;
        Ok((Some(tenant), membership))
    }

    /// The tenant that all sources name.
    async fn named_tenant(
        &self,
        transport: &Transport,
        key_tenant: Option<Tenant>,
        stats: &Arc<Stats>,
    ) -> Result<Option<Tenant>, Box<Refusal>> {
        let now = self.services.clock.now();
        let names = [
            (Source::Host, transport.host.as_deref().and_then(|host| self.tenant_of_host(host))),
            (Source::Path, transport.path_tenant.as_deref().map(named)),
            (Source::Query, transport.query_tenant.as_deref().map(named)),
            (Source::Header, transport.header_tenant.as_deref().map(named)),
            (Source::Init, transport.init_tenant.as_deref().map(named)),
        ];
        let mut found: Vec<(Source, Tenant)> = Vec::with_capacity(names.len() + 1);
        for (source, name) in names {
            let Some(name) = name else { continue };
            let tenant = self.services.tenants.find(&self.services.db, name, now, stats).await;
            match tenant.map_err(|error| Box::new(db_error(&error).into()))? {
                Some(tenant) => found.push((source, tenant)),
                None => return Err(tenant_not_found()),
            }
        }
        found.extend(key_tenant.map(|tenant| (Source::ApiKey, tenant)));
        let ids: Vec<_> = found.iter().map(|(source, tenant)| (*source, tenant.id)).collect();
        let agreed = sources::agree(&ids).map_err(|mismatch| {
            let message = format!("{mismatch}. Name one tenant only.");
            let message = message[..1].to_uppercase() + &message[1..];
            Box::new(Refusal::new(ErrorCode::TenantMismatch, message))
        })?;
        Ok(agreed.and_then(|id| found.into_iter().map(|(_, tenant)| tenant).find(|tenant| tenant.id == id)))
    }

    async fn membership(
        &self,
        tenant: &Tenant,
        transport: &Transport,
        principal: &Principal,
        stats: &Arc<Stats>,
    ) -> Result<Option<Arc<Membership>>, Box<Refusal>> {
        if !principal.is_authenticated() {
            return Ok(None);
        }
        let scope = crate::db::Scope {
            tenant: tenant.id,
            user: principal.user(),
            actor: None,
            request: transport.request_id,
            stats: Arc::clone(stats),
        };
        let now = self.services.clock.now();
        let found = self.services.memberships.find(&self.services.db, &scope, tenant, principal, now).await;
        let membership = found.map_err(|error| Box::new(db_error(&error).into()))?;
        let Some(membership) = membership else {
            // To a stranger the tenant does not exist; a key whose owner is gone is no credential any more.
            return Err(match principal {
                Principal::ApiKey { .. } => Box::new(
                    ApiError::new(ErrorCode::Unauthenticated, "The API key is not in use any more.")
                        .reason("key_revoked")
                        .into(),
                ),
                _ => tenant_not_found(),
            });
        };
        if !membership.allows_address(Some(canonical(transport.client_addr))) {
            return Err(Box::new(Refusal::new(
                ErrorCode::AddressNotAllowed,
                "This API key does not accept requests from your network address.",
            )));
        }
        Ok(Some(membership))
    }

    /// The tenant that a host names; `None` where hosts name nobody.
    fn tenant_of_host(&self, host: &str) -> Option<TenantName> {
        let base = self.base_domain.as_deref()?;
        let host = host.trim_end_matches('.').to_lowercase();
        let name = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
            _ => &host,
        };
        let is_address = name.starts_with('[') || name.parse::<IpAddr>().is_ok();
        if is_address || name == "localhost" || name == base || self.public_host.as_deref() == Some(name) {
            return None;
        }
        match name.strip_suffix(base).and_then(|rest| rest.strip_suffix('.')) {
            Some(slug) if !slug.contains('.') => Some(TenantName::Slug(slug.to_owned())),
            _ => Some(TenantName::Host(name.to_owned())),
        }
    }

    /// The policy pass. A refused mutation leaves a record in the tenant's audit log.
    pub(super) fn check(
        &self,
        ctx: &RequestContext,
        parsed: &ExecutableDocument,
        operation_name: Option<&str>,
        variables: &async_graphql::Variables,
    ) -> Result<Plan, Box<Refusal>> {
        let caller = Caller {
            is_authenticated: ctx.principal.is_authenticated(),
            has_tenant: ctx.membership.is_some(),
            may_introspect: match self.introspection {
                Introspection::All => true,
                Introspection::Auth => ctx.principal.is_authenticated(),
                Introspection::Off => false,
            },
            allows: &|permission| ctx.can(permission, On::Anywhere),
        };
        policy::check(&self.table, parsed, operation_name, variables, &caller, &self.limits).map_err(|refusal| {
            if refusal.code == ErrorCode::Forbidden {
                for action in &refusal.audited {
                    let detail = serde_json::json!({ "code": refusal.code.as_str() });
                    self.services.refusals.record(ctx, action, AuditOutcome::Denied, detail);
                }
            }
            refused(refusal)
        })
    }
}

use async_graphql::parser::types::ExecutableDocument;

fn refused(refusal: policy::Refusal) -> Box<Refusal> {
    Box::new(Refusal { code: refusal.code, status: None, errors: refusal.errors, headers: Vec::new() })
}

/// Refuses what concerns a tenant that is closed.
fn in_use(tenant: &Tenant) -> Result<(), Box<Refusal>> {
    match tenant.status {
        TenantStatus::Suspended => Err(Box::new(Refusal::new(
            ErrorCode::TenantSuspended,
            "The tenant is suspended. Ask whoever operates this service.",
        ))),
        TenantStatus::Deleting => Err(Box::new(Refusal::new(ErrorCode::TenantDeleted, "The tenant was deleted."))),
        TenantStatus::Provisioning => Err(tenant_not_found()),
        TenantStatus::Active | TenantStatus::ReadOnly => Ok(()),
    }
}

fn tenant_not_found() -> Box<Refusal> {
    let message = "There is no such tenant, or you do not belong to it.";
    Box::new(Refusal::new(ErrorCode::TenantNotFound, message))
}

/// A name in path, query or header: an id if it looks like one, else a slug.
fn named(text: &str) -> TenantName {
    match text.parse() {
        Ok(id) => TenantName::Id(id),
        Err(_) => TenantName::Slug(text.to_owned()),
    }
}

/// An IPv4 address that came over an IPv6 socket, as the IPv4 address that people write in their lists.
fn canonical(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

/// The key of a request that must happen once.
fn idempotency(
    key: String,
    ctx: &RequestContext,
    plan: &Plan,
    text: &str,
    variables: &async_graphql::Variables,
) -> Result<Idempotency, Box<Refusal>> {
    let bad = |message: &'static str| Box::new(Refusal::new(ErrorCode::BadRequest, message));
    if !(16..=128).contains(&key.len()) || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(bad("Idempotency-Key has 16 to 128 visible ASCII characters."));
    }
    if plan.operation_type != OperationType::Mutation || plan.root_fields.len() != 1 {
        return Err(bad("Idempotency-Key goes with exactly one mutation field."));
    }
    if ctx.membership.is_none() {
        return Err(Box::new(Refusal::new(
            ErrorCode::TenantRequired,
            "Idempotency-Key is kept for each tenant: name the tenant of the request.",
        )));
    }
    let variables = serde_json::to_vec(variables).unwrap_or_default();
    let mut hash = Sha256::new();
    for part in [text.as_bytes(), plan.operation_name.as_deref().unwrap_or_default().as_bytes(), &variables] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    Ok(Idempotency { key, request_hash: hash.finalize().into(), replayed: Arc::new(AtomicBool::new(false)) })
}

/// A conflict about the idempotency key is told by the status, as if it had been found before the execution.
fn idempotency_conflict(error: &async_graphql::ServerError) -> Option<Refusal> {
    let code = code_of(error)?;
    let retry = match code {
        ErrorCode::IdempotencyInProgress => Some((http::header::RETRY_AFTER, HeaderValue::from_static("1"))),
        ErrorCode::IdempotencyKeyReused => None,
        _ => return None,
    };
    let mut error = error.clone();
    error.path = Vec::new();
    Some(Refusal { code, status: None, errors: vec![error], headers: retry.into_iter().collect() })
}
