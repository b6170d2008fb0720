//! Which tenant loads the database, as far as this process has asked it.
//!
//! PostgreSQL's statistics know statements and no tenants, and a metric with a label for each tenant would grow with the
//! tenants. So the last five to ten minutes are added up in memory: for each tenant, and in it for each operation.
//! What must always hold: the memory is bounded, whatever comes in; what does not fit is counted as `others`.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use serde::Serialize;

use super::{SqlFigures, metrics::is_name};
use crate::ids::TenantId;

/// How long a window is; the report has the one that runs and the one before.
const WINDOW: Duration = Duration::from_secs(300);
/// Tenants of a window that are told apart.
const MAX_TENANTS: usize = 5_000;
/// Operations of a tenant that are told apart.
const MAX_OPERATIONS: usize = 16;
/// How many tenants are reported, and how many operations of each.
const TOP: (usize, usize) = (50, 5);

/// What was asked of the database.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Requests.
    pub requests: u64,
    /// SQL statements.
    pub statements: u64,
    /// Rows that came back.
    pub rows: u64,
    /// Time that requests waited for PostgreSQL.
    pub waited: Duration,
}

impl Usage {
    fn add(&mut self, other: &Self) {
        self.requests += other.requests;
        self.statements += other.statements;
        self.rows += other.rows;
        self.waited += other.waited;
    }
}

#[derive(Debug, Default)]
struct Tenant {
    usage: Usage,
    operations: HashMap<Box<str>, Usage>,
}

#[derive(Debug, Default)]
struct Window {
    tenants: HashMap<TenantId, Tenant>,
    others: Usage,
    without_tenant: Usage,
}

impl Window {
    fn add(&mut self, tenant: Option<TenantId>, operation: &str, usage: &Usage) {
        let Some(tenant) = tenant else { return self.without_tenant.add(usage) };
        if self.tenants.len() >= MAX_TENANTS && !self.tenants.contains_key(&tenant) {
            return self.others.add(usage);
        }
        let tenant = self.tenants.entry(tenant).or_default();
        tenant.usage.add(usage);
        let is_full = tenant.operations.len() >= MAX_OPERATIONS;
        let operation = if is_full && !tenant.operations.contains_key(operation) { OTHERS } else { operation };
        match tenant.operations.get_mut(operation) {
            Some(known) => known.add(usage),
            None => _ = tenant.operations.insert(operation.into(), *usage),
        }
    }

    fn merge(&mut self, other: &Self) {
        for (id, tenant) in &other.tenants {
            let mine = self.tenants.entry(*id).or_default();
            mine.usage.add(&tenant.usage);
            for (name, usage) in &tenant.operations {
                mine.operations.entry(name.clone()).or_default().add(usage);
            }
        }
        self.others.add(&other.others);
        self.without_tenant.add(&other.without_tenant);
    }
}

const OTHERS: &str = "other";
const ANONYMOUS: &str = "anonymous";

#[derive(Debug)]
struct Windows {
    /// When the counting began, and when the window that runs did.
    first: Instant,
    began: Instant,
    now: Window,
    before: Window,
}

impl Windows {
    fn roll(&mut self, at: Instant) {
        let age = at.saturating_duration_since(self.began);
        if age >= 2 * WINDOW {
            (self.before, self.now, self.began, self.first) = (Window::default(), Window::default(), at, at);
        } else if age >= WINDOW {
            self.before = std::mem::take(&mut self.now);
            self.began += WINDOW;
        }
    }
}

/// The tenants' shares of what this process asks of the database.
#[derive(Debug)]
pub struct Shares(Mutex<Windows>);

/// The report, for people and scripts of operators.
#[derive(Debug, Serialize)]
pub struct Report {
    /// How much time it is about.
    pub seconds: f64,
    /// How long all requests together waited for PostgreSQL in that time.
    pub sql_seconds: f64,
    /// The tenants that it waited for longest.
    pub tenants: Vec<TenantLine>,
    /// All other tenants together.
    pub others: Line,
    /// Requests of nobody's tenant: sign-ins, people without a tenant, refusals.
    pub without_tenant: Line,
}

/// A tenant's part.
#[derive(Debug, Serialize)]
pub struct TenantLine {
    /// Its id.
    pub tenant: TenantId,
    /// All of it.
    #[serde(flatten)]
    pub line: Line,
    /// Its operations that took longest.
    pub operations: Vec<OperationLine>,
}

/// An operation's part in that of its tenant.
#[derive(Debug, Serialize)]
pub struct OperationLine {
    /// Its name in the document; `anonymous`, or `other` for those beyond the sixteenth.
    pub operation: Box<str>,
    /// All of it.
    #[serde(flatten)]
    pub line: Line,
}

/// A part of the load.
#[derive(Debug, Serialize)]
pub struct Line {
    /// The share of the time that all requests waited for PostgreSQL, from 0 to 1, to four decimals.
    pub share: f64,
    /// That time.
    pub sql_seconds: f64,
    /// Requests.
    pub requests: u64,
    /// SQL statements.
    pub statements: u64,
    /// Rows that came back.
    pub rows: u64,
}

impl Line {
    fn new(usage: &Usage, all: Duration) -> Self {
        let share = if all.is_zero() { 0.0 } else { usage.waited.as_secs_f64() / all.as_secs_f64() };
        Self {
            share: (share * 10_000.0).round() / 10_000.0,
            sql_seconds: usage.waited.as_secs_f64(),
            requests: usage.requests,
            statements: usage.statements,
            rows: usage.rows,
        }
    }
}

impl Shares {
    /// Counts from now on.
    pub fn new(at: Instant) -> Self {
        let windows = Windows { first: at, began: at, now: Window::default(), before: Window::default() };
        Self(Mutex::new(windows))
    }

    /// Adds a request that ended at `at`.
    pub fn add(&self, at: Instant, tenant: Option<TenantId>, operation: Option<&str>, sql: &SqlFigures) {
        let operation = operation.map_or(ANONYMOUS, |name| if is_name(name) { name } else { OTHERS });
        let usage = Usage { requests: 1, statements: sql.statements.into(), rows: sql.rows.into(), waited: sql.waited };
        let mut windows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        windows.roll(at);
        windows.now.add(tenant, operation, &usage);
    }

    /// What was counted in the last minutes.
    pub fn report(&self, at: Instant) -> Report {
        let (seconds, all) = {
            let mut windows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            windows.roll(at);
            let since = windows.first.max(windows.began.checked_sub(WINDOW).unwrap_or(windows.first));
            let mut all = Window::default();
            all.merge(&windows.before);
            all.merge(&windows.now);
            (at.saturating_duration_since(since).as_secs_f64(), all)
        };
        let mut others = all.others;
        let mut tenants: Vec<_> = all.tenants.into_iter().collect();
        tenants.sort_by_key(|(id, tenant)| (std::cmp::Reverse(tenant.usage.waited), *id));
        for (_, tenant) in tenants.iter().skip(TOP.0) {
            others.add(&tenant.usage);
        }
        tenants.truncate(TOP.0);
        let waited = tenants.iter().map(|(_, tenant)| tenant.usage.waited).sum::<Duration>()
            + others.waited
            + all.without_tenant.waited;
        Report {
            seconds,
            sql_seconds: waited.as_secs_f64(),
            tenants: tenants.into_iter().map(|(id, tenant)| tenant_line(id, tenant, waited)).collect(),
            others: Line::new(&others, waited),
            without_tenant: Line::new(&all.without_tenant, waited),
        }
    }
}

fn tenant_line(id: TenantId, tenant: Tenant, all: Duration) -> TenantLine {
    let mut operations: Vec<_> = tenant.operations.into_iter().collect();
    operations.sort_by(|(a, one), (b, other)| other.waited.cmp(&one.waited).then_with(|| a.cmp(b)));
    operations.truncate(TOP.1);
    TenantLine {
        tenant: id,
        line: Line::new(&tenant.usage, all),
        operations: operations
            .into_iter()
            .map(|(operation, usage)| OperationLine { operation, line: Line::new(&usage, all) })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Id;

    fn tenant(number: u128) -> TenantId {
        TenantId::from_uuid(uuid::Uuid::from_u128(number))
    }

    fn took(milliseconds: u64) -> SqlFigures {
        SqlFigures { statements: 2, rows: 10, waited: Duration::from_millis(milliseconds), ..SqlFigures::default() }
    }

    #[test]
    fn shares_are_those_of_the_time_that_was_waited() {
        let start = Instant::now();
        let shares = Shares::new(start);
        let (one, other) = (tenant(1), tenant(2));
        shares.add(start, Some(one), Some("Tasks"), &took(10));
        shares.add(start, Some(other), Some("Export"), &took(60));
        shares.add(start, Some(other), None, &took(10));
        shares.add(start, None, Some("SignIn"), &took(20));
        let report = shares.report(start + Duration::from_secs(60));
        assert_eq!((report.seconds, report.sql_seconds), (60.0, 0.1));
        let lines: Vec<_> = report.tenants.iter().map(|line| (line.tenant, line.line.share)).collect();
        assert_eq!(lines, [(other, 0.7), (one, 0.1)]);
        let operations: Vec<_> =
            report.tenants[0].operations.iter().map(|line| (&*line.operation, line.line.share)).collect();
        assert_eq!(operations, [("Export", 0.6), ("anonymous", 0.1)]);
        assert_eq!((report.without_tenant.share, report.others.requests), (0.2, 0));
        assert_eq!((report.tenants[0].line.requests, report.tenants[0].line.statements), (2, 4));
        assert_eq!(report.tenants[0].line.rows, 20);
    }

    #[test]
    fn what_is_older_than_two_windows_is_forgotten() {
        let start = Instant::now();
        let shares = Shares::new(start);
        shares.add(start, Some(tenant(1)), None, &took(10));
        shares.add(start + WINDOW, Some(tenant(2)), None, &took(10));
        assert_eq!(shares.report(start + WINDOW).tenants.len(), 2);
        let later = shares.report(start + 2 * WINDOW + Duration::from_secs(30));
        assert_eq!(later.tenants.iter().map(|line| line.tenant).collect::<Vec<_>>(), [tenant(2)]);
        assert_eq!(later.seconds, 330.0);
        assert_eq!(shares.report(start + 9 * WINDOW).tenants.len(), 0);
    }

    #[test]
    fn a_flood_of_tenants_and_of_names_does_not_grow_the_memory() {
        let start = Instant::now();
        let shares = Shares::new(start);
        for number in 0..2 * MAX_TENANTS {
            shares.add(start, Some(tenant(number as u128)), Some("Tasks"), &took(1));
        }
        for number in 0..1_000 {
            shares.add(start, Some(tenant(0)), Some(&format!("Flood{number}")), &took(1));
        }
        let windows = shares.0.lock().unwrap();
        assert_eq!(windows.now.tenants.len(), MAX_TENANTS);
        assert_eq!(windows.now.others.requests, MAX_TENANTS as u64);
        let flooding = &windows.now.tenants[&tenant(0)];
        assert_eq!((flooding.usage.requests, flooding.operations.len()), (1_001, MAX_OPERATIONS + 1));
    }
}
