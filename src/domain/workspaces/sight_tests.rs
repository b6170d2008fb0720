use std::collections::{HashMap, HashSet};

use chrono::DateTime;
use uuid::Uuid;

use super::*;
use crate::{
    access::{BuiltinRole, PermissionSet, RoleGrant, RolePolicy, RoleSays, resolve},
    ids::{Id, RoleGrantId, RoleId},
};

const ATLAS: u128 = 1;
const RESEARCH: u128 = 2; // below atlas
const BOREALIS: u128 = 3;

fn id(number: u128) -> WorkspaceId {
    WorkspaceId::from_uuid(Uuid::from_u128(number))
}

fn rights(grants: &[(BuiltinRole, Option<u128>)]) -> EffectiveRights {
    let role = |number: usize| RoleId::from_uuid(Uuid::from_u128(number as u128));
    let policies: HashMap<_, _> = (grants.iter().enumerate())
        .map(|(number, (built_in, _))| {
            let says = RoleSays { role: role(number), allow: built_in.permissions(), deny: PermissionSet::EMPTY };
            (role(number), RolePolicy::of([says]))
        })
        .collect();
    let grants: Vec<_> = (grants.iter().enumerate())
        .map(|(number, (_, place))| RoleGrant {
            id: RoleGrantId::from_uuid(Uuid::from_u128(number as u128)),
            role: role(number),
            group: None,
            workspace: place.map(id),
            expires_at: None,
        })
        .collect();
    let tree = [(id(ATLAS), None), (id(RESEARCH), Some(id(ATLAS))), (id(BOREALIS), None)];
    resolve(&grants, &policies, &tree, &[], DateTime::UNIX_EPOCH, 1)
}

fn workspace(number: u128, visibility: Visibility) -> Workspace {
    Workspace {
        id: id(number),
        slug: "a".to_owned(),
        name: "A".to_owned(),
        description: String::new(),
        is_default: false,
        parent_workspace_id: None,
        visibility,
        archived_at: None,
        settings: serde_json::json!({}),
        version: 1,
        created_at: DateTime::UNIX_EPOCH,
        updated_at: DateTime::UNIX_EPOCH,
    }
}

/// Which of atlas, research and borealis are seen: first if they are open, then if they are private.
fn seen(sight: &Sight) -> [Vec<u128>; 2] {
    [Visibility::Tenant, Visibility::Private].map(|visibility| {
        let all = [ATLAS, RESEARCH, BOREALIS].into_iter();
        all.filter(|number| sight.shows(&workspace(*number, visibility))).collect()
    })
}

fn seen_by(grants: &[(BuiltinRole, Option<u128>)]) -> [Vec<u128>; 2] {
    seen(&Sight::of(Some(&rights(grants))))
}

#[test]
fn a_member_sees_open_workspaces_and_private_ones_by_grant() {
    assert_eq!(seen_by(&[(BuiltinRole::Member, None)]), [vec![ATLAS, RESEARCH, BOREALIS], vec![]]);
    let ada = [(BuiltinRole::Member, None), (BuiltinRole::WorkspaceViewer, Some(ATLAS))];
    assert_eq!(seen_by(&ada), [vec![ATLAS, RESEARCH, BOREALIS], vec![ATLAS, RESEARCH]]);
}

#[test]
fn a_guest_sees_the_granted_workspaces_only() {
    assert_eq!(seen_by(&[(BuiltinRole::Guest, Some(BOREALIS))]), [vec![BOREALIS], vec![BOREALIS]]);
    assert_eq!(seen_by(&[(BuiltinRole::Guest, Some(RESEARCH))]), [vec![RESEARCH], vec![RESEARCH]]);
}

#[test]
fn who_manages_all_workspaces_sees_private_ones() {
    assert_eq!(
        seen_by(&[(BuiltinRole::Admin, None)]),
        [vec![ATLAS, RESEARCH, BOREALIS], vec![ATLAS, RESEARCH, BOREALIS]]
    );
    // To manage one workspace is a grant on that one.
    assert_eq!(seen_by(&[(BuiltinRole::WorkspaceAdmin, Some(ATLAS))]), [vec![ATLAS, RESEARCH], vec![ATLAS, RESEARCH]]);
}

#[test]
fn without_rights_nothing_is_seen() {
    assert_eq!(seen(&Sight::of(None)), [vec![], vec![]]);
    assert_eq!(seen_by(&[]), [vec![], vec![]]);
    // A grant that does not give `workspaces:read` opens nothing.
    assert_eq!(seen_by(&[(BuiltinRole::Auditor, None)]), [vec![], vec![]]);
    assert_eq!(seen(&Sight::everything()), [vec![ATLAS, RESEARCH, BOREALIS], vec![ATLAS, RESEARCH, BOREALIS]]);
}

#[test]
fn a_key_sees_what_its_owner_sees_and_never_more() {
    let read = PermissionSet::from(Permission::WorkspacesRead);
    let borealis = HashSet::from([id(BOREALIS)]);
    let sees = |owner: &EffectiveRights, within| seen(&Sight::of(Some(&owner.restricted_to(read, within))));

    let member = rights(&[(BuiltinRole::Member, None)]);
    assert_eq!(sees(&member, None), [vec![ATLAS, RESEARCH, BOREALIS], vec![]]);
    assert_eq!(sees(&member, Some(&borealis)), [vec![BOREALIS], vec![]]);

    let admin = rights(&[(BuiltinRole::Admin, None)]);
    assert_eq!(sees(&admin, None), [vec![ATLAS, RESEARCH, BOREALIS], vec![ATLAS, RESEARCH, BOREALIS]]);
    assert_eq!(sees(&admin, Some(&borealis)), [vec![BOREALIS], vec![BOREALIS]]);

    let guest = rights(&[(BuiltinRole::Guest, Some(ATLAS))]);
    assert_eq!(sees(&guest, Some(&borealis)), [vec![], vec![]]);
}
