//! API keys and what is true of them.

use std::net::IpAddr;

use chrono::{DateTime, Utc};
use ipnetwork::IpNetwork;
use secrecy::SecretString;

use crate::{
    access::{Permission, PermissionSet},
    context::GrantHolder,
    domain::{Problem, mutation::Effect, text},
    graphql::codes::UserErrorCode,
    ids::{ApiKeyId, MemberId, ServiceAccountId, WorkspaceId},
    limits::KeyRate,
};

/// Longest name, in characters. The table has the same CHECK.
pub const MAX_NAME_CHARS: usize = 120;
/// Longest reason of a revocation, in characters. The table has the same CHECK.
pub const MAX_REASON_CHARS: usize = 120;
/// Most networks of one key. The table has the same CHECK.
pub const MAX_NETWORKS: usize = 50;
/// How long a replaced key keeps working if nothing is said: a day.
pub const DEFAULT_OVERLAP_SECONDS: i32 = 86_400;
/// How long it can keep working: seven days.
pub const MAX_OVERLAP_SECONDS: i32 = 7 * 86_400;

/// An API key, without its secret.
#[derive(Clone, Debug, PartialEq)]
pub struct ApiKey {
    /// Its id.
    pub id: ApiKeyId,
    /// What people call it.
    pub name: String,
    /// What it begins with: `tnk_live`.
    pub prefix: String,
    /// Its last four characters.
    pub hint: String,
    /// On whose behalf it acts.
    pub owner: GrantHolder,
    /// The workspace it is restricted to; `None` is the whole tenant.
    pub workspace: Option<WorkspaceId>,
    /// What it was issued for, in the order of the catalogue.
    pub scopes: Vec<Permission>,
    /// From where it may be used; empty means from anywhere.
    pub allowed_networks: Vec<IpNetwork>,
    /// A smaller bucket than every principal has.
    pub rate: Option<KeyRate>,
    /// When it ends.
    pub expires_at: Option<DateTime<Utc>>,
    /// When it was last used, to about a minute.
    pub last_used_at: Option<DateTime<Utc>>,
    /// When it was revoked.
    pub revoked_at: Option<DateTime<Utc>>,
    /// Why it was revoked.
    pub revoked_reason: Option<String>,
    /// The key that it replaces.
    pub rotated_from: Option<ApiKeyId>,
    /// Another key replaces it and is the only one from then on.
    pub overlap_until: Option<DateTime<Utc>>,
    /// Grows with every change.
    pub version: i32,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
}

impl ApiKey {
    /// When it ends by itself.
    pub fn ends_at(&self) -> Option<DateTime<Utc>> {
        [self.expires_at, self.overlap_until].into_iter().flatten().min()
    }

    /// Whether it can be used now, as far as the key itself says.
    pub fn is_active(&self, now: DateTime<Utc>) -> bool {
        self.revoked_at.is_none() && self.ends_at().is_none_or(|end| now < end)
    }
}

impl Effect for ApiKey {
    type Key = ApiKeyId;
    fn key(&self) -> ApiKeyId {
        self.id
    }
}

/// A key just made, with the secret to show once; a replay has none.
#[derive(Debug)]
pub struct Issued {
    /// The key.
    pub key: ApiKey,
    /// The whole key.
    pub secret: Option<SecretString>,
}

impl Effect for Issued {
    type Key = ApiKeyId;
    fn key(&self) -> ApiKeyId {
        self.key.id
    }
}

/// What somebody says about a new key.
#[derive(Clone, Debug, Default)]
pub struct ApiKeyDraft {
    /// What people call it.
    pub name: String,
    /// What it is for.
    pub scopes: Vec<Permission>,
    /// The workspace to restrict it to.
    pub workspace: Option<WorkspaceId>,
    /// When it ends.
    pub expires_at: Option<DateTime<Utc>>,
    /// From where it may be used: networks or addresses.
    pub allowed_cidrs: Vec<String>,
    /// A smaller bucket than every principal has: points that it holds, points that flow in within a second.
    pub rate: Option<(i32, i32)>,
    /// On whose behalf it acts; only operators say so, everybody else makes keys of their own.
    pub owner: Option<MemberId>,
    /// The service account that it acts for, instead of whoever makes it.
    pub service_account: Option<ServiceAccountId>,
}

/// A draft whose input is good.
#[derive(Clone, Debug)]
pub struct CheckedDraft {
    pub(super) name: String,
    pub(super) scopes: PermissionSet,
    pub(super) workspace: Option<WorkspaceId>,
    pub(super) expires_at: Option<DateTime<Utc>>,
    pub(super) allowed_networks: Vec<IpNetwork>,
    pub(super) rate: Option<KeyRate>,
    pub(super) owner: Option<MemberId>,
    pub(super) service_account: Option<ServiceAccountId>,
}

impl ApiKeyDraft {
    /// The draft with its texts read.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn check(self, now: DateTime<Utc>, most: KeyRate) -> Result<CheckedDraft, Vec<Problem>> {
        let mut problems = Vec::new();
        let name = self.name.trim().to_owned();
        problems.extend(name_problem(&name));
        let scopes: PermissionSet = self.scopes.iter().copied().collect();
        problems.extend(scopes_problem(scopes, self.workspace));
        problems.extend(self.expires_at.and_then(|end| end_problem(end, now)));
        let allowed_networks = networks(&self.allowed_cidrs, &mut problems);
        let rate = self.rate.map(|(capacity, refill)| KeyRate {
            capacity: figure(capacity, most.capacity, "capacity", &mut problems),
            refill_per_second: figure(refill, most.refill_per_second, "refillPerSecond", &mut problems),
        });
        let (workspace, expires_at, owner) = (self.workspace, self.expires_at, self.owner);
        let service_account = self.service_account;
        match problems.is_empty() {
            true => {
                Ok(CheckedDraft { name, scopes, workspace, expires_at, allowed_networks, rate, owner, service_account })
            }
            false => Err(problems),
        }
    }
}

/// What somebody says about a key that is there. What is absent stays.
#[derive(Clone, Debug, Default)]
pub struct ApiKeyChanges {
    /// What people call it.
    pub name: Option<String>,
    /// From where it may be used: networks or addresses, replaced as a whole.
    pub allowed_cidrs: Option<Vec<String>>,
    /// When it ends: not later than it does now.
    pub expires_at: Option<DateTime<Utc>>,
}

impl ApiKeyChanges {
    /// The key with these changes, one version on.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn apply(self, mut key: ApiKey, now: DateTime<Utc>) -> Result<ApiKey, Vec<Problem>> {
        let mut problems = Vec::new();
        if let Some(name) = self.name {
            key.name = name.trim().to_owned();
            problems.extend(name_problem(&key.name));
        }
        if let Some(texts) = self.allowed_cidrs {
            key.allowed_networks = networks(&texts, &mut problems);
        }
        if let Some(end) = self.expires_at {
            problems.extend(end_problem(end, now));
            // Whoever reads the end of a key in a log or a policy can rely on it. A key that shall live longer is a new one.
            if key.expires_at.is_some_and(|current| current < end) {
                let message = "A key does not end later than it was said to. Create another one.";
                problems.push(
                    Problem::new(UserErrorCode::OutOfRange, "input.expiresAt", message)
                        .params(serde_json::json!({ "max": key.expires_at })),
                );
            }
            key.expires_at = Some(end);
        }
        key.version += 1;
        key.updated_at = now;
        if problems.is_empty() { Ok(key) } else { Err(problems) }
    }
}

fn name_problem(name: &str) -> Option<Problem> {
    text::line(name, "input.name", "A name", MAX_NAME_CHARS)
}

fn end_problem(end: DateTime<Utc>, now: DateTime<Utc>) -> Option<Problem> {
    (end <= now).then(|| {
        Problem::new(UserErrorCode::OutOfRange, "input.expiresAt", "A key ends in the future.")
            .params(serde_json::json!({ "min": now }))
    })
}

fn networks(texts: &[String], problems: &mut Vec<Problem>) -> Vec<IpNetwork> {
    if texts.len() > MAX_NETWORKS {
        let message = format!("A key has at most {MAX_NETWORKS} networks.");
        problems.push(
            Problem::new(UserErrorCode::TooLong, "input.allowedCidrs", message)
                .params(serde_json::json!({ "max": MAX_NETWORKS })),
        );
        return Vec::new();
    }
    let mut networks = Vec::with_capacity(texts.len());
    for (index, text) in texts.iter().enumerate() {
        match network(text) {
            Ok(network) => networks.push(network),
            Err(message) => {
                let path = format!("input.allowedCidrs.{index}");
                problems.push(Problem::new(UserErrorCode::Invalid, &path, message));
            }
        }
    }
    networks
}

/// A figure of a key's own bucket: at most what every principal has.
fn figure(given: i32, most: u32, name: &str, problems: &mut Vec<Problem>) -> u32 {
    let figure = u32::try_from(given).ok().filter(|figure| (1..=most).contains(figure));
    figure.unwrap_or_else(|| {
        let message = format!("A key's own limit is lower than the general one: from 1 to {most}.");
        problems.push(
            Problem::new(UserErrorCode::OutOfRange, &format!("input.rateLimit.{name}"), message)
                .params(serde_json::json!({ "min": 1, "max": most })),
        );
        1
    })
}

fn scopes_problem(scopes: PermissionSet, workspace: Option<WorkspaceId>) -> Option<Problem> {
    let path = "input.scopes";
    if scopes.is_empty() {
        return Some(Problem::new(UserErrorCode::Required, path, "Give the key at least one scope."));
    }
    let allowed = match workspace {
        None => PermissionSet::TENANT,
        Some(_) => PermissionSet::WORKSPACE,
    };
    let refused = scopes.minus(allowed);
    if refused.is_empty() {
        return None;
    }
    let platform = refused.intersection(PermissionSet::PLATFORM);
    let message = match platform.is_empty() {
        true => "These scopes concern the whole tenant, so a key of a workspace cannot have them.",
        false => "These scopes are for operators of the installation; no key can have them.",
    };
    Some(Problem::new(UserErrorCode::Invalid, path, message).params(serde_json::json!({ "refused": refused })))
}

/// A network like `10.0.0.0/8`, or an address as a network of one.
fn network(text: &str) -> Result<IpNetwork, String> {
    let text = text.trim();
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(address.into());
    }
    let expected = "That is no network like 10.0.0.0/8 and no address.";
    let network: IpNetwork = match text.contains('/') {
        true => text.parse().map_err(|_| expected)?,
        false => return Err(expected.to_owned()),
    };
    let whole = IpNetwork::new(network.network(), network.prefix()).map_err(|_| expected)?;
    match whole == network {
        true => Ok(network),
        // Either of two things may be meant, and one of them is much larger.
        false => Err(format!("The address lies inside the network {whole}: write that, or the address alone.")),
    }
}

/// Which keys a list holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize)]
pub struct ApiKeyFind {
    /// Those that can be used now, or those that cannot.
    pub is_active: Option<bool>,
    /// Those of this service account.
    pub service_account: Option<ServiceAccountId>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_795_000_000, 0).expect("a time")
    }

    const MOST: KeyRate = KeyRate { capacity: 5_000, refill_per_second: 50 };

    fn draft() -> ApiKeyDraft {
        ApiKeyDraft { name: "Deploys".to_owned(), scopes: vec![Permission::TasksRead], ..ApiKeyDraft::default() }
    }

    fn problems(draft: ApiKeyDraft) -> Vec<(String, String)> {
        let problems = draft.check(now(), MOST).expect_err("problems");
        problems.into_iter().map(|problem| (problem.path.join("."), problem.code)).collect()
    }

    fn one(path: &str, code: &str) -> Vec<(String, String)> {
        vec![(path.to_owned(), code.to_owned())]
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        assert!(draft().check(now(), MOST).is_ok());
        assert_eq!(problems(ApiKeyDraft { name: "  ".to_owned(), ..draft() }), one("input.name", "REQUIRED"));
        assert_eq!(problems(ApiKeyDraft { name: "x".repeat(121), ..draft() }), one("input.name", "TOO_LONG"));
        assert_eq!(problems(ApiKeyDraft { scopes: Vec::new(), ..draft() }), one("input.scopes", "REQUIRED"));
        let platform = vec![Permission::PlatformTenantsRead];
        assert_eq!(problems(ApiKeyDraft { scopes: platform, ..draft() }), one("input.scopes", "INVALID"));
        assert_eq!(
            problems(ApiKeyDraft { expires_at: Some(now()), ..draft() }),
            one("input.expiresAt", "OUT_OF_RANGE")
        );
        let cidrs = ["10.0.0.0/8", "10.0.0.1/8", "house"].map(str::to_owned).to_vec();
        for (rate, place) in
            [((0, 1), "capacity"), ((5_001, 1), "capacity"), ((1, -1), "refillPerSecond"), ((1, 51), "refillPerSecond")]
        {
            let path = format!("input.rateLimit.{place}");
            assert_eq!(problems(ApiKeyDraft { rate: Some(rate), ..draft() }), one(&path, "OUT_OF_RANGE"));
        }
        let found = problems(ApiKeyDraft { allowed_cidrs: cidrs, ..draft() });
        assert_eq!(found, [one("input.allowedCidrs.1", "INVALID"), one("input.allowedCidrs.2", "INVALID")].concat());
    }

    #[test]
    fn a_key_of_a_workspace_has_no_scope_of_the_tenant() {
        let workspace = Some(WorkspaceId::new(now()));
        let scopes = vec![Permission::TasksRead, Permission::BillingRead];
        assert_eq!(
            problems(ApiKeyDraft { scopes: scopes.clone(), workspace, ..draft() }),
            one("input.scopes", "INVALID")
        );
        assert!(ApiKeyDraft { scopes, ..draft() }.check(now(), MOST).is_ok());
    }

    #[test]
    fn networks_are_whole() {
        assert_eq!(network(" 192.0.2.7 ").expect("an address").to_string(), "192.0.2.7/32");
        assert_eq!(network("2001:db8::/32").expect("a network").to_string(), "2001:db8::/32");
        for wrong in ["192.0.2.7/24", "192.0.2.0/33", "", "/", "192.0.2.0/"] {
            assert!(network(wrong).is_err(), "{wrong}");
        }
    }
}
