use std::collections::HashMap;

use chrono::{DateTime, Utc};
use proptest::prelude::*;

use super::*;
use crate::{
    access::{BuiltinRole, Permission as P, RoleGrant, RoleSays, resolve},
    ids::{Id, RoleGrantId, RoleId},
};

const NOTHING: Says = Says::NOTHING;

fn workspace(n: u8) -> WorkspaceId {
    WorkspaceId::from_uuid(uuid::Uuid::from_u128(n.into()))
}

fn role(n: u8) -> RoleId {
    RoleId::from_uuid(uuid::Uuid::from_u128(n.into()))
}

fn allow(permissions: &[P]) -> Says {
    Says { allow: PermissionSet::of(permissions), deny: PermissionSet::EMPTY }
}

fn deny(permissions: &[P]) -> Says {
    Says { allow: PermissionSet::EMPTY, deny: PermissionSet::of(permissions) }
}

/// Workspace 2 lies below 1; 3 stands beside them.
const TREE: [(u8, Option<u8>); 3] = [(1, None), (2, Some(1)), (3, None)];

fn rights(grants: &[(Option<u8>, Says)]) -> EffectiveRights {
    rights_beside(grants, &[])
}

/// Rights where some workspaces are private.
fn rights_beside(grants: &[(Option<u8>, Says)], private: &[u8]) -> EffectiveRights {
    let policy = |n: usize, says: &Says| {
        (role(n as u8), RolePolicy::of([RoleSays { role: role(n as u8), allow: says.allow, deny: says.deny }]))
    };
    let policies: HashMap<_, _> = grants.iter().enumerate().map(|(n, (_, says))| policy(n, says)).collect();
    let grants: Vec<_> = grants.iter().enumerate().map(|(n, (at, _))| grant(n as u8, *at)).collect();
    let private: Vec<_> = private.iter().copied().map(workspace).collect();
    resolve(&grants, &policies, &tree(), &private, DateTime::<Utc>::UNIX_EPOCH, 1)
}

fn grant(n: u8, at: Option<u8>) -> RoleGrant {
    let id = RoleGrantId::from_uuid(uuid::Uuid::from_u128(n.into()));
    RoleGrant { id, role: role(n), group: None, workspace: at.map(workspace), expires_at: None }
}

fn tree() -> Vec<(WorkspaceId, Option<WorkspaceId>)> {
    TREE.iter().map(|(id, parent)| (workspace(*id), parent.map(workspace))).collect()
}

fn below(n: u8) -> HashSet<WorkspaceId> {
    if n == 1 { HashSet::from([workspace(1), workspace(2)]) } else { HashSet::from([workspace(n)]) }
}

#[test]
fn an_administrator_gives_what_an_administrator_holds_and_no_more() {
    let admin = rights(&[(None, Says { allow: BuiltinRole::Admin.permissions(), ..NOTHING })]);
    let owner = Says { allow: BuiltinRole::Owner.permissions(), ..NOTHING };
    let developer = Says { allow: BuiltinRole::Developer.permissions(), ..NOTHING };
    assert!(missing(&admin, NOTHING, developer, Place::Tenant).is_empty());
    let lacking = missing(&admin, NOTHING, owner, Place::Tenant);
    assert!(lacking.contains(P::TenantDelete) && lacking.contains(P::BillingWrite));
    // On a workspace nobody gets more than a workspace can give.
    assert!(missing(&admin, NOTHING, owner, Place::Workspaces(&below(1))).is_empty());
}

#[test]
fn what_is_held_in_one_workspace_is_given_there_only() {
    let editor = rights(&[(Some(1), allow(&[P::TasksWrite, P::RolesGrant]))]);
    let role = allow(&[P::TasksWrite]);
    assert!(missing(&editor, NOTHING, role, Place::Workspaces(&below(1))).is_empty());
    assert!(missing(&editor, NOTHING, role, Place::Workspaces(&below(2))).is_empty());
    assert!(!missing(&editor, NOTHING, role, Place::Workspaces(&below(3))).is_empty());
    assert_eq!(missing(&editor, NOTHING, role, Place::Tenant), PermissionSet::of(&[P::TasksWrite, P::TasksRead]));
}

#[test]
fn what_is_denied_below_is_not_given_from_above() {
    let caller = rights(&[(None, allow(&[P::TasksWrite])), (Some(2), deny(&[P::TasksWrite]))]);
    let role = allow(&[P::TasksWrite]);
    assert!(!missing(&caller, NOTHING, role, Place::Tenant).is_empty());
    assert!(!missing(&caller, NOTHING, role, Place::Workspaces(&below(1))).is_empty());
    assert!(missing(&caller, NOTHING, role, Place::Workspaces(&below(3))).is_empty());
}

#[test]
fn a_denial_is_lifted_by_those_who_hold_what_it_denies() {
    let says = deny(&[P::TasksWrite]);
    let without = rights(&[(None, allow(&[P::RolesGrant]))]);
    let with = rights(&[(None, allow(&[P::TasksWrite]))]);
    let expected = PermissionSet::of(&[P::TasksWrite, P::TasksRead]);
    assert_eq!(missing(&without, says, NOTHING, Place::Tenant), expected);
    assert!(missing(&with, says, NOTHING, Place::Tenant).is_empty());
    // Putting one denial in the place of another is weighed the same.
    assert!(!missing(&without, says, deny(&[P::TasksDelete]), Place::Tenant).is_empty());
    assert!(missing(&without, says, deny(&[P::TasksWrite, P::TasksRead]), Place::Tenant).is_empty());
}

#[test]
fn what_a_role_denies_itself_it_does_not_give() {
    let caller = rights(&[(None, allow(&[P::TasksRead]))]);
    let says = Says { allow: PermissionSet::of(&[P::TasksRead, P::SsoWrite]), deny: P::SsoWrite.into() };
    assert!(missing(&caller, NOTHING, says, Place::Tenant).is_empty());
    let opened = Says { deny: PermissionSet::EMPTY, ..says };
    assert_eq!(missing(&caller, says, opened, Place::Tenant), P::SsoWrite.into());
}

#[test]
fn a_key_gives_no_more_than_its_scopes() {
    let owner = rights(&[(None, Says { allow: BuiltinRole::Owner.permissions(), ..NOTHING })]);
    let key = owner.restricted_to(PermissionSet::of(&[P::RolesGrant, P::TasksRead]), None);
    assert!(missing(&key, NOTHING, allow(&[P::TasksRead]), Place::Tenant).is_empty());
    assert!(!missing(&key, NOTHING, allow(&[P::TasksWrite]), Place::Tenant).is_empty());
    let narrow = owner.restricted_to(PermissionSet::of(&[P::TasksRead]), Some(&below(1)));
    assert!(!missing(&narrow, NOTHING, allow(&[P::TasksRead]), Place::Tenant).is_empty());
}

#[test]
fn who_cannot_enter_a_private_workspace_gives_nothing_that_reaches_it() {
    let caller = rights_beside(&[(None, allow(&[P::TasksWrite]))], &[3]);
    assert!(!missing(&caller, NOTHING, allow(&[P::TasksWrite]), Place::Tenant).is_empty());
    assert!(missing(&caller, NOTHING, allow(&[P::TasksWrite]), Place::Workspaces(&below(1))).is_empty());
    // Managing all workspaces opens the private ones to whatever else somebody holds.
    let manager = rights_beside(&[(None, allow(&[P::WorkspacesUpdate, P::TasksWrite]))], &[3]);
    assert!(missing(&manager, NOTHING, allow(&[P::TasksWrite]), Place::Tenant).is_empty());
    assert!(!missing(&manager, NOTHING, allow(&[P::WorkspacesUpdate]), Place::Tenant).is_empty());
}

/// Few permissions that meet often.
const SAMPLE: &[P] = &[
    P::TasksRead,
    P::TasksWrite,
    P::TasksDelete,
    P::RolesRead,
    P::RolesGrant,
    P::MembersRead,
    P::SsoWrite,
    P::WorkspacesUpdate,
    P::WorkspacesRead,
];

fn some_permissions() -> impl Strategy<Value = PermissionSet> {
    (0u32..1 << SAMPLE.len()).prop_map(|bits| {
        (SAMPLE.iter().enumerate()).filter(|(n, _)| bits & 1 << n != 0).map(|(_, permission)| *permission).collect()
    })
}

prop_compose! {
    fn says()(allow in some_permissions(), deny in proptest::option::weighted(0.4, some_permissions())) -> Says {
        Says { allow, deny: deny.unwrap_or_default() }
    }
}

fn grants() -> impl Strategy<Value = Vec<(Option<u8>, Says)>> {
    proptest::collection::vec((proptest::option::of(1u8..4), says()), 0..4)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    /// The promise itself: if nothing is missing, then whatever somebody else can do after the change and could not do
    /// before, the caller can do there, too.
    #[test]
    fn nobody_gains_what_the_caller_lacks(
        caller in grants(), somebody in grants(), before in says(), after in says(), at in proptest::option::of(1u8..4),
        full in proptest::bool::weighted(0.5), private in proptest::collection::vec(1u8..4, 0..2),
    ) {
        // Somebody who holds much, so that a good part of the changes is allowed.
        let much = Says { allow: PermissionSet::of(SAMPLE), deny: PermissionSet::EMPTY };
        let caller = if full { [caller, vec![(None, much)]].concat() } else { caller };
        let caller = rights_beside(&caller, &private);
        let reach = at.map(below);
        let place = reach.as_ref().map_or(Place::Tenant, Place::Workspaces);
        if !missing(&caller, before, after, place).is_empty() {
            return Ok(());
        }
        let with = |says: Says| {
            let mut all = somebody.clone();
            all.push((at, says));
            rights_beside(&all, &private)
        };
        let (old, new) = (with(before), with(after));
        for permission in SAMPLE {
            for on in [On::Tenant].into_iter().chain((1..5).map(|n| On::Workspace(workspace(n)))) {
                prop_assert!(
                    !new.allows(*permission, on) || old.allows(*permission, on) || caller.allows(*permission, on),
                    "{permission} on {on:?}"
                );
            }
        }
    }

    /// The other side: the rule does not refuse what changes nothing for anybody.
    #[test]
    fn more_denials_and_fewer_permissions_need_nothing(
        caller in grants(), before in says(), less in some_permissions(), more in some_permissions(),
    ) {
        let after = Says { allow: before.allow.minus(less), deny: before.deny.union(more) };
        prop_assert!(missing(&rights(&caller), before, after, Place::Tenant).is_empty());
    }
}
