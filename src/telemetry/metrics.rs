//! What is counted, and the names it is counted under.
//!
//! | name | labels | |
//! | --- | --- | --- |
//! | `tenantry_requests_total` | `operation`, `outcome` | GraphQL requests; outcome is `ok`, `errors` (some fields failed), `cancelled` (the client went away) or the code of the refusal |
//! | `tenantry_request_seconds` | `operation` | from the head of the request to its answer |
//! | `tenantry_sql_seconds` | `operation` | how long a request waited for PostgreSQL |
//! | `tenantry_sql_statements` | `operation` | SQL statements per request |
//! | `tenantry_sql_flights` | `operation` | times that a request waited for PostgreSQL |
//! | `tenantry_pool_connections` | `pool`, `state` | connections to PostgreSQL |
//! | `tenantry_pool_wait_seconds` | `pool` | how long somebody waited for a connection |
//! | `tenantry_pool_exhausted_total` | `pool` | requests that found none in time |
//! | `tenantry_cache_total` | `cache`, `level`, `outcome` | look-ups of a cache level (`memory`, `redis`): `hit`, `miss` |
//! | `tenantry_cache_changes_total` | `cache`, `level`, `what` | entries: `stored`, `dropped` |
//! | `tenantry_limited_total` | `limit` | requests refused with 429 |
//! | `tenantry_limits_local_total` | | requests that were limited by this server's own buckets because Redis is gone |
//! | `tenantry_redis_up` | | whether Redis answers |
//! | `tenantry_redis_failures_total` | `reason` | calls that Redis did not answer (`gone`) or refused (`refused`) |

use std::{
    cell::RefCell,
    collections::HashMap,
    sync::{
        Arc, OnceLock, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use metrics::{Counter, Histogram, SharedString, Unit};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

use super::Error;

const REQUESTS: &str = "tenantry_requests_total";
const SECONDS: &str = "tenantry_request_seconds";
const SQL_SECONDS: &str = "tenantry_sql_seconds";
const FLIGHTS: &str = "tenantry_sql_flights";
const STATEMENTS: &str = "tenantry_sql_statements";
const CONNECTIONS: &str = "tenantry_pool_connections";
const POOL_WAIT: &str = "tenantry_pool_wait_seconds";
const POOL_EXHAUSTED: &str = "tenantry_pool_exhausted_total";
const CACHE: &str = "tenantry_cache_total";
const CACHE_CHANGES: &str = "tenantry_cache_changes_total";
const LIMITED: &str = "tenantry_limited_total";
const LIMITS_LOCAL: &str = "tenantry_limits_local_total";
const REDIS_UP: &str = "tenantry_redis_up";
const REDIS_FAILURES: &str = "tenantry_redis_failures_total";

const TIMES: &[f64] = &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
const COUNTS: &[f64] = &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 7.0, 10.0, 15.0, 20.0, 30.0, 50.0, 100.0];

/// What a request cost the database.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SqlFigures {
    /// SQL statements sent, without `BEGIN`, `SET LOCAL` and `COMMIT`.
    pub statements: u32,
    /// Times the request had to wait for PostgreSQL: statements that left together count once.
    pub flights: u32,
    /// Rows that came back.
    pub rows: u32,
    /// How long it waited for PostgreSQL.
    pub waited: Duration,
    /// How long it waited for free connections.
    pub queued: Duration,
}

/// What has been counted so far in this process.
#[derive(Clone)]
pub struct Metrics(PrometheusHandle);

impl Metrics {
    /// Counts from now on, for the whole process. Called again, it gives the same.
    pub fn install() -> Result<Self, Error> {
        static INSTALLED: OnceLock<Result<Metrics, String>> = OnceLock::new();
        INSTALLED.get_or_init(|| Self::first().map_err(|error| error.to_string())).clone().map_err(Error::MetricsTaken)
    }

    fn first() -> Result<Self, Box<dyn std::error::Error>> {
        let recorder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Full(SECONDS.into()), TIMES)?
            .set_buckets_for_metric(Matcher::Full(SQL_SECONDS.into()), TIMES)?
            .set_buckets_for_metric(Matcher::Full(STATEMENTS.into()), COUNTS)?
            .set_buckets_for_metric(Matcher::Full(FLIGHTS.into()), COUNTS)?
            .set_buckets_for_metric(
                Matcher::Full(POOL_WAIT.into()),
                &[0.0001, 0.0005, 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0],
            )?
            .build_recorder();
        let handle = recorder.handle();
        metrics::set_global_recorder(recorder)?;
        IS_INSTALLED.store(true, Relaxed);
        metrics::describe_counter!(REQUESTS, "GraphQL requests by operation and outcome");
        metrics::describe_histogram!(SECONDS, Unit::Seconds, "Time from the head of a request to its answer");
        metrics::describe_histogram!(SQL_SECONDS, Unit::Seconds, "Time that a GraphQL request waited for PostgreSQL");
        metrics::describe_histogram!(STATEMENTS, "SQL statements per GraphQL request");
        metrics::describe_histogram!(FLIGHTS, "Times that a GraphQL request waited for PostgreSQL");
        metrics::describe_gauge!(CONNECTIONS, "Connections to PostgreSQL by pool and state");
        metrics::describe_histogram!(POOL_WAIT, Unit::Seconds, "Time until a connection to PostgreSQL was free");
        metrics::describe_counter!(POOL_EXHAUSTED, "Requests that found no free connection in time");
        metrics::describe_counter!(CACHE, "Cache look-ups by cache, level and outcome");
        metrics::describe_counter!(CACHE_CHANGES, "Entries stored in and dropped from caches");
        metrics::describe_counter!(LIMITED, "Requests refused for a rate or concurrency limit");
        metrics::describe_counter!(LIMITS_LOCAL, "Requests limited by local buckets because Redis is gone");
        metrics::describe_gauge!(REDIS_UP, "Whether Redis answers");
        metrics::describe_counter!(REDIS_FAILURES, "Calls that Redis did not answer or refused");

        // Histograms keep each value until somebody adds them up; without this they would grow between two scrapes.
        let upkeep = handle.clone();
        std::thread::Builder::new().name("metrics-upkeep".into()).spawn(move || {
            loop {
                std::thread::sleep(Duration::from_secs(5));
                upkeep.run_upkeep();
            }
        })?;
        Ok(Self(handle))
    }

    /// Everything, in Prometheus' text form.
    pub fn render(&self) -> String {
        self.0.render()
    }
}

/// Handles of what is counted with every request, few on each thread: to find one takes longer than to count with it.
struct Handles<K, H>(RefCell<Vec<(K, H)>>);

impl<K, H> Default for Handles<K, H> {
    fn default() -> Self {
        Self(RefCell::default())
    }
}

impl<K: PartialEq, H> Handles<K, H> {
    fn with(&self, key: K, find: impl FnOnce() -> H, count: impl FnOnce(&H)) {
        // One that was found before somebody counts would count for nobody.
        if !IS_INSTALLED.load(Relaxed) {
            return count(&find());
        }
        let mut known = self.0.borrow_mut();
        let at = known.iter().position(|(known, _)| *known == key).unwrap_or_else(|| {
            known.push((key, find()));
            known.len() - 1
        });
        count(&known[at].1);
    }
}

static IS_INSTALLED: AtomicBool = AtomicBool::new(false);

/// Sets how many connections of a pool are in this state, for example `idle` or `busy`.
pub fn pool_connections(pool: &'static str, state: &'static str, connections: usize) {
    metrics::gauge!(CONNECTIONS, "pool" => pool, "state" => state).set(connections as f64);
}

/// Counts how long somebody waited for a connection of this pool, whatever came of it.
pub fn pool_wait(pool: &'static str, waited: Duration) {
    thread_local!(static KNOWN: Handles<&'static str, Histogram> = Handles::default());
    let found = || metrics::histogram!(POOL_WAIT, "pool" => pool);
    KNOWN.with(|known| known.with(pool, found, |wait| wait.record(waited.as_secs_f64())));
}

/// Counts that no connection of this pool became free in time.
pub fn pool_exhausted(pool: &'static str) {
    metrics::counter!(POOL_EXHAUSTED, "pool" => pool).increment(1);
}

/// Counts a look-up in a level (`memory` or `redis`) of a cache.
pub fn cache(cache: &'static str, level: &'static str, hit: bool) {
    thread_local!(static KNOWN: Handles<(&'static str, &'static str, bool), Counter> = Handles::default());
    let outcome = if hit { "hit" } else { "miss" };
    let found = || metrics::counter!(CACHE, "cache" => cache, "level" => level, "outcome" => outcome);
    KNOWN.with(|known| known.with((cache, level, hit), found, |count| count.increment(1)));
}

/// Counts what happened to entries of a cache: `stored` or `dropped`.
pub fn cache_changed(cache: &'static str, level: &'static str, what: &'static str, entries: u64) {
    metrics::counter!(CACHE_CHANGES, "cache" => cache, "level" => level, "what" => what).increment(entries);
}

/// The operation names that have a line of their own in the metrics.
///
/// A name comes from the client, and every new one costs memory here and in Prometheus. So a name is taken only if it
/// is a GraphQL name of at most 64 characters, only once an operation of that name has run, and only while fewer than
/// [`MAX_NAMES`] are known; the rest counts as `other`, and an operation without a name as `anonymous`.
#[derive(Debug, Default)]
pub struct OperationNames(RwLock<HashMap<Arc<str>, Operation>>);

/// How many operation names are told apart.
pub const MAX_NAMES: usize = 200;

const OTHER: &str = "other";
/// The outcome of a request without errors.
const OK: &str = "ok";
const ANONYMOUS: &str = "anonymous";

/// A label with its histograms, which are looked up once for each label and not with each request.
#[derive(Clone, Debug)]
struct Operation {
    label: SharedString,
    seconds: Histogram,
    sql_seconds: Histogram,
    statements: Histogram,
    flights: Histogram,
    /// Requests of this operation that went well.
    ok: Counter,
}

impl Operation {
    fn new(label: SharedString) -> Self {
        Self {
            seconds: metrics::histogram!(SECONDS, "operation" => label.clone()),
            sql_seconds: metrics::histogram!(SQL_SECONDS, "operation" => label.clone()),
            statements: metrics::histogram!(STATEMENTS, "operation" => label.clone()),
            flights: metrics::histogram!(FLIGHTS, "operation" => label.clone()),
            ok: metrics::counter!(REQUESTS, "operation" => label.clone(), "outcome" => OK),
            label,
        }
    }

    fn count(&self, sql: &SqlFigures) {
        self.sql_seconds.record(sql.waited.as_secs_f64());
        self.statements.record(f64::from(sql.statements));
        self.flights.record(f64::from(sql.flights));
    }
}

impl OperationNames {
    /// The operation that ran.
    fn ran(&self, name: Option<&str>) -> Operation {
        let Some(name) = name else { return self.fixed(ANONYMOUS) };
        if let Some(known) = self.find(name) {
            return known;
        }
        if !is_name(name) {
            return self.fixed(OTHER);
        }
        let mut names = self.0.write().unwrap_or_else(PoisonError::into_inner);
        // The two labels of ours take no name's place.
        if names.keys().filter(|known| ![OTHER, ANONYMOUS].contains(&&***known)).count() >= MAX_NAMES {
            drop(names);
            return self.fixed(OTHER);
        }
        let name: Arc<str> = name.into();
        names.entry(Arc::clone(&name)).or_insert_with(|| Operation::new(name.into())).clone()
    }

    /// The operation that was refused: it has a label of its own if an operation of that name once ran.
    fn refused(&self, name: Option<&str>) -> Operation {
        match name {
            None => self.fixed(ANONYMOUS),
            Some(name) => self.find(name).unwrap_or_else(|| self.fixed(OTHER)),
        }
    }

    fn find(&self, name: &str) -> Option<Operation> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// One of the two labels of ours; an operation of that name shares it.
    fn fixed(&self, label: &'static str) -> Operation {
        self.find(label).unwrap_or_else(|| {
            let mut names = self.0.write().unwrap_or_else(PoisonError::into_inner);
            names.entry(label.into()).or_insert_with(|| Operation::new(label.into())).clone()
        })
    }
}

/// Whether this is a `Name` (GraphQL specification, section 2.1.9) of reasonable length.
pub(super) fn is_name(text: &str) -> bool {
    text.len() <= 64
        && text.bytes().enumerate().all(|(position, byte)| {
            byte == b'_' || byte.is_ascii_alphabetic() || (position > 0 && byte.is_ascii_digit())
        })
        && !text.is_empty()
}

/// Counts one GraphQL request, also one whose client went away before the answer.
#[derive(Debug)]
pub struct RequestRecord<'n> {
    names: &'n OperationNames,
    started: Instant,
    counted: Option<(Operation, &'static str)>,
}

impl<'n> RequestRecord<'n> {
    /// A request whose head arrived at `started`.
    pub fn start(names: &'n OperationNames, started: Instant) -> Self {
        Self { names, started, counted: None }
    }

    /// The operation ran.
    pub fn executed(&mut self, operation: Option<&str>, outcome: &'static str) {
        self.counted = Some((self.names.ran(operation), outcome));
        self.name_span();
    }

    /// The operation did not run, for the reason with this code.
    pub fn refused(&mut self, operation: Option<&str>, code: &'static str) {
        self.counted = Some((self.names.refused(operation), code));
        self.name_span();
    }

    /// The answer is there, and cost the database this.
    pub fn finish(self, sql: Option<SqlFigures>) {
        if let (Some((operation, _)), Some(sql)) = (&self.counted, sql) {
            operation.count(&sql);
        }
    }

    fn name_span(&self) {
        if let Some((operation, outcome)) = &self.counted {
            let span = tracing::Span::current();
            span.record("graphql.operation.name", operation.label.as_ref()).record("graphql.outcome", outcome);
        }
    }
}

impl Drop for RequestRecord<'_> {
    fn drop(&mut self) {
        let (operation, outcome) = self.counted.take().unwrap_or_else(|| (self.names.fixed(OTHER), "cancelled"));
        operation.seconds.record(self.started.elapsed().as_secs_f64());
        if outcome == OK {
            operation.ok.increment(1);
        } else {
            metrics::counter!(REQUESTS, "operation" => operation.label, "outcome" => outcome).increment(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(operation: &Operation) -> &str {
        &operation.label
    }

    #[test]
    fn a_flood_of_names_does_not_grow_the_metrics() {
        let names = OperationNames::default();
        assert_eq!(label(&names.refused(Some("Tasks"))), "other", "a name that never ran");
        assert_eq!(label(&names.ran(Some("Tasks"))), "Tasks");
        assert_eq!(label(&names.refused(Some("Tasks"))), "Tasks");
        assert_eq!(label(&names.ran(None)), "anonymous");
        for number in 0..10 * MAX_NAMES {
            names.ran(Some(&format!("Flood{number}")));
        }
        assert_eq!(names.0.read().unwrap().len(), MAX_NAMES + 2, "and `other` and `anonymous`");
        assert_eq!(label(&names.ran(Some("Late"))), "other");
        assert_eq!(label(&names.ran(Some("Tasks"))), "Tasks");
    }

    #[test]
    fn only_graphql_names_are_taken() {
        let names = OperationNames::default();
        for wrong in ["", "1a", "a b", "ä", "a\"}", &"x".repeat(65)] {
            assert_eq!(label(&names.ran(Some(wrong))), "other", "{wrong}");
        }
        assert_eq!(label(&names.ran(Some("_a1"))), "_a1");
    }
}
