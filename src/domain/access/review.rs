//! The review of everybody's rights: a line for every right that somebody holds now, and the grant that gives it.
//!
//! Computed while it is fetched, in one read transaction, from principal to principal: what is held in memory is one page of
//! them. A tenant-wide right is one line for each grant that gives it, with the workspaces where it does not hold; a right
//! on a workspace is a line there. Who is suspended, disabled or revoked holds nothing and is not listed.

use std::collections::{HashMap, HashSet};

use axum::body::Bytes;
use chrono::{DateTime, SecondsFormat, Utc};
use futures::{SinkExt, channel::mpsc};
use uuid::Uuid;

use super::{
    rows::{HEADER, line},
    store::{self, Kind, PersonRow},
};
use crate::{
    access::{EffectiveRights, On, Permission, RoleGrant, Step},
    context::{Asked, Standing, membership},
    db::{Db, DbError, Scope, TenantTx},
    ids::{ApiKeyId, Id, MemberId, RoleId, ServiceAccountId, WorkspaceId},
};

/// So many principals are read at once.
const PAGE: i64 = 20;

/// What is sent: pieces of the file, or the failure that ends it.
pub type Piece = Result<Bytes, std::io::Error>;

/// Writes the review of the scope's tenant into `into`, piece by piece. Ends early when nobody listens any more.
pub async fn write(db: Db, scope: Scope, now: DateTime<Utc>, mut into: mpsc::Sender<Piece>) {
    if let Err(error) = try_write(&db, &scope, now, &mut into).await {
        tracing::warn!(error = %crate::domain::error::chain(&error), "a review of rights was not finished");
        let _ = into.send(Err(std::io::Error::other("the review was not finished"))).await;
    }
}

async fn try_write(db: &Db, scope: &Scope, now: DateTime<Utc>, into: &mut mpsc::Sender<Piece>) -> Result<(), DbError> {
    let tx = db.read(scope).await?;
    let mut text = String::new();
    line(&mut text, HEADER.iter().copied());
    for kind in [Kind::Member, Kind::ServiceAccount, Kind::ApiKey] {
        let mut after = None;
        loop {
            let people = store::next(&tx, kind, after, PAGE).await?;
            let Some(last) = people.last() else { break };
            after = Some(last.id);
            page(&tx, kind, &people, now, &mut text).await?;
            if into.send(Ok(std::mem::take(&mut text).into())).await.is_err() {
                return Ok(());
            }
        }
    }
    if !text.is_empty() {
        let _ = into.send(Ok(text.into())).await;
    }
    tx.finish();
    Ok(())
}

/// The lines of a page of principals: four statements for each of them in one flight, and two for the names.
async fn page(
    tx: &TenantTx,
    kind: Kind,
    people: &[PersonRow],
    now: DateTime<Utc>,
    text: &mut String,
) -> Result<(), DbError> {
    let asked = |person: &PersonRow| match kind {
        Kind::Member => Asked::Member(MemberId::from_uuid(person.id)),
        Kind::ServiceAccount => Asked::ServiceAccount(ServiceAccountId::from_uuid(person.id)),
        Kind::ApiKey => Asked::ApiKey(ApiKeyId::from_uuid(person.id)),
    };
    let standings = people.iter().map(|person| membership::standing(tx, asked(person), now));
    let standings = futures::future::try_join_all(standings).await?;
    let found: Vec<(&PersonRow, Standing, Vec<Held>)> = people
        .iter()
        .zip(standings)
        .filter_map(|(person, standing)| Some((person, standing.filter(|standing| standing.stopped.is_none())?)))
        .map(|(person, standing)| {
            let held = held(&standing.membership.rights);
            (person, standing, held)
        })
        .collect();
    let all = || found.iter().flat_map(|(_, _, held)| held);
    let roles: HashSet<RoleId> = all().map(|held| held.grant.role).collect();
    let places: HashSet<WorkspaceId> =
        all().flat_map(|held| held.workspace.into_iter().chain(held.except.iter().copied())).collect();
    let (roles, slugs) = futures::try_join!(
        store::role_keys(tx, roles.into_iter().collect()),
        store::slugs(tx, places.into_iter().collect()),
    )?;
    let (roles, slugs): (HashMap<_, _>, HashMap<_, _>) = (roles.into_iter().collect(), slugs.into_iter().collect());
    for (person, standing, all) in &found {
        let acts_for = match kind {
            Kind::ApiKey => standing.membership.holder.to_string(),
            Kind::Member | Kind::ServiceAccount => String::new(),
        };
        for held in all {
            write_line(text, (kind, person.id, &person.name), &acts_for, held, &roles, &slugs);
        }
    }
    Ok(())
}

/// A right that somebody holds, and the grant that gives it.
struct Held {
    permission: Permission,
    /// `None` is the whole tenant.
    workspace: Option<WorkspaceId>,
    /// Workspaces where the tenant-wide right does not hold, because something denies it.
    except: Vec<WorkspaceId>,
    /// It does not hold in private workspaces either, unless a line of their own says so.
    except_private: bool,
    grant: RoleGrant,
}

/// Every right that these rights give, one entry for each grant that gives it.
fn held(rights: &EffectiveRights) -> Vec<Held> {
    let mut all = Vec::new();
    let mut places: Vec<_> = rights.workspaces.iter().map(|(id, set)| (*id, *set)).collect();
    places.sort_unstable_by_key(|(id, _)| *id);
    let grants = |permission, on| {
        rights.decide(permission, on).steps.into_iter().filter_map(|step| match step {
            Step::Granted { through, .. } => Some(through.grant),
            _ => None,
        })
    };
    for permission in rights.tenant.iter() {
        let lacking = || places.iter().filter(|(_, set)| !set.contains(permission)).map(|(id, _)| *id);
        let except: Vec<_> = lacking().filter(|id| !rights.is_closed(*id)).collect();
        let except_private = lacking().any(|id| rights.is_closed(id));
        for grant in grants(permission, On::Tenant) {
            all.push(Held { permission, workspace: None, except: except.clone(), except_private, grant });
        }
    }
    for (workspace, set) in places {
        // What is held for the tenant holds here as well and is told there, unless this workspace is closed to it.
        let told = if rights.is_closed(workspace) { set } else { set.minus(rights.tenant) };
        for permission in told.iter() {
            for grant in grants(permission, On::Workspace(workspace)) {
                let workspace = Some(workspace);
                all.push(Held { permission, workspace, except: Vec::new(), except_private: false, grant });
            }
        }
    }
    all
}

fn write_line(
    text: &mut String,
    (kind, id, name): (Kind, Uuid, &str),
    acts_for: &str,
    held: &Held,
    roles: &HashMap<RoleId, String>,
    slugs: &HashMap<WorkspaceId, String>,
) {
    let (kind, id) = match kind {
        Kind::Member => ("member", MemberId::from_uuid(id).to_string()),
        Kind::ServiceAccount => ("service_account", ServiceAccountId::from_uuid(id).to_string()),
        Kind::ApiKey => ("api_key", ApiKeyId::from_uuid(id).to_string()),
    };
    let slug = |id: &WorkspaceId| slugs.get(id).map_or("", String::as_str);
    let place = held.workspace.as_ref().map_or("tenant", slug);
    let workspace = held.workspace.map(|id| id.to_string()).unwrap_or_default();
    let private = held.except_private.then_some("(private workspaces)");
    let except = private.into_iter().chain(held.except.iter().map(slug)).collect::<Vec<_>>().join(" ");
    let role = roles.get(&held.grant.role).map_or("", String::as_str);
    let grant = held.grant.id.to_string();
    let group = held.grant.group.map(|id| id.to_string()).unwrap_or_default();
    let end = held.grant.expires_at.map(|end| end.to_rfc3339_opts(SecondsFormat::Millis, true)).unwrap_or_default();
    let permission = held.permission.name();
    line(text, [kind, &id, name, acts_for, permission, place, &workspace, &except, role, &grant, &group, &end]);
}
