use proptest::prelude::*;

use super::*;
use crate::{
    access::{Permission as P, builtin_roles::BuiltinRole},
    ids::Id,
};

fn role(n: u8) -> RoleId {
    RoleId::from_uuid(uuid::Uuid::from_u128(n.into()))
}
fn workspace(n: u8) -> WorkspaceId {
    WorkspaceId::from_uuid(uuid::Uuid::from_u128(n.into()))
}
fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(second, 0).expect("in range")
}

const ATLAS: u8 = 1;
const ATLAS_RESEARCH: u8 = 2;
const BOREALIS: u8 = 3;

fn tree() -> Vec<(WorkspaceId, Option<WorkspaceId>)> {
    vec![(workspace(ATLAS), None), (workspace(ATLAS_RESEARCH), Some(workspace(ATLAS))), (workspace(BOREALIS), None)]
}

/// Rights from (role number, where, what it allows, what it denies).
fn rights_of(grants: &[(u8, Option<u8>, PermissionSet, PermissionSet)]) -> EffectiveRights {
    rights_beside(grants, &[])
}

/// The same, where some workspaces are private.
fn rights_beside(grants: &[(u8, Option<u8>, PermissionSet, PermissionSet)], private: &[u8]) -> EffectiveRights {
    let policies = grants.iter().map(|(n, _, allow, deny)| (role(*n), policy(*n, *allow, *deny))).collect();
    let grants: Vec<_> = (grants.iter()).map(|(n, place, ..)| grant(*n, place.map(workspace), None)).collect();
    let private: Vec<_> = private.iter().copied().map(workspace).collect();
    resolve(&grants, &policies, &tree(), &private, at(0), 7)
}

fn policy(n: u8, allow: PermissionSet, deny: PermissionSet) -> RolePolicy {
    RolePolicy::of([RoleSays { role: role(n), allow, deny }])
}

fn grant(n: u8, workspace: Option<WorkspaceId>, expires_at: Option<DateTime<Utc>>) -> RoleGrant {
    let id = RoleGrantId::from_uuid(uuid::Uuid::from_u128(n.into()));
    RoleGrant { id, role: role(n), group: None, workspace, expires_at }
}

fn through(n: u8, place: Option<u8>) -> Through {
    Through { grant: grant(n, place.map(workspace), None), says: role(n) }
}

const NOTHING: PermissionSet = PermissionSet::EMPTY;

#[test]
fn a_workspace_grant_reaches_the_children_and_nobody_else() {
    let ada = rights_of(&[
        (1, None, BuiltinRole::Member.permissions(), NOTHING),
        (2, Some(ATLAS), BuiltinRole::WorkspaceEditor.permissions(), NOTHING),
    ]);
    assert!(!ada.allows(P::TasksWrite, On::Tenant));
    assert!(ada.allows(P::TasksWrite, On::Workspace(workspace(ATLAS))));
    assert!(ada.allows(P::TasksWrite, On::Workspace(workspace(ATLAS_RESEARCH))));
    assert!(!ada.allows(P::TasksWrite, On::Workspace(workspace(BOREALIS))));
    assert!(ada.allows(P::TasksWrite, On::Anywhere));
    assert_eq!(ada.workspaces_with(P::TasksWrite), Reach::Only(vec![workspace(ATLAS), workspace(ATLAS_RESEARCH)]));
    assert_eq!(ada.workspaces_with(P::WorkspacesRead), Reach::All);
    assert_eq!(ada.workspaces_with(P::BillingRead), Reach::None);
    let decision = ada.decide(P::TasksWrite, On::Workspace(workspace(ATLAS_RESEARCH)));
    assert_eq!(decision.steps, [Step::Granted { through: through(2, Some(ATLAS)), by: P::TasksWrite }]);
}

#[test]
fn a_denial_below_cuts_one_branch() {
    let ada = rights_of(&[
        (1, None, PermissionSet::of(&[P::TasksWrite]), NOTHING),
        (2, Some(ATLAS_RESEARCH), NOTHING, P::TasksWrite.into()),
    ]);
    assert!(ada.allows(P::TasksWrite, On::Workspace(workspace(ATLAS))));
    assert!(!ada.allows(P::TasksWrite, On::Workspace(workspace(ATLAS_RESEARCH))));
    assert_eq!(ada.workspaces_with(P::TasksWrite), Reach::AllExcept(vec![workspace(ATLAS_RESEARCH)]));
    // What only the denied right implied falls with it.
    assert!(!ada.allows(P::TasksRead, On::Workspace(workspace(ATLAS_RESEARCH))));
    let denied = Step::Denied { through: through(2, Some(ATLAS_RESEARCH)), denied: P::TasksWrite };
    assert_eq!(ada.decide(P::TasksWrite, On::Workspace(workspace(ATLAS_RESEARCH))).steps, [denied]);
    assert_eq!(ada.decide(P::TasksRead, On::Workspace(workspace(ATLAS_RESEARCH))).steps, [denied]);
}

#[test]
fn a_workspace_grant_never_gives_a_right_of_the_tenant() {
    let eve = rights_of(&[(1, Some(ATLAS), PermissionSet::ALL, NOTHING)]);
    assert_eq!(eve.tenant, NOTHING);
    assert_eq!(eve.on_workspace(workspace(ATLAS)), PermissionSet::WORKSPACE);
    // roles:grant can be given on a workspace, roles:read, which it implies, cannot.
    let granter = rights_of(&[(1, Some(ATLAS), P::RolesGrant.into(), NOTHING)]);
    assert!(!granter.allows(P::RolesRead, On::Anywhere));
    let steps = granter.decide(P::RolesRead, On::Workspace(workspace(ATLAS))).steps;
    assert_eq!(steps, [Step::TenantOnly { through: through(1, Some(ATLAS)) }]);
}

#[test]
fn no_tenant_role_gives_a_right_of_the_platform() {
    assert_eq!(rights_of(&[(1, None, PermissionSet::ALL, NOTHING)]).tenant, PermissionSet::TENANT);
}

#[test]
fn a_grant_ends_at_its_instant() {
    let policies = HashMap::from([(role(1), policy(1, P::TasksRead.into(), NOTHING))]);
    let grant = grant(1, None, Some(at(10)));
    assert!(resolve(&[grant], &policies, &[], &[], at(9), 0).allows(P::TasksRead, On::Tenant));
    assert!(!resolve(&[grant], &policies, &[], &[], at(10), 0).allows(P::TasksRead, On::Tenant));
}

#[test]
fn a_key_for_one_workspace_does_nothing_elsewhere() {
    let owner = rights_of(&[(1, None, BuiltinRole::Owner.permissions(), NOTHING)]);
    let within = HashSet::from([workspace(ATLAS), workspace(ATLAS_RESEARCH)]);
    let key = owner.restricted_to(PermissionSet::of(&[P::TasksWrite, P::TenantRead]), Some(&within));
    assert!(key.allows(P::TasksRead, On::Workspace(workspace(ATLAS_RESEARCH))));
    assert!(!key.allows(P::TasksRead, On::Workspace(workspace(BOREALIS))));
    assert!(!key.allows(P::TenantRead, On::Anywhere));
    assert_eq!(key.decide(P::ProjectsRead, On::Workspace(workspace(ATLAS))).steps, [Step::OutsideScopes]);
    assert_eq!(key.decide(P::TasksRead, On::Workspace(workspace(BOREALIS))).steps, [Step::OutsideWorkspaces]);
    assert_eq!(key.decide(P::TasksRead, On::Workspace(workspace(ATLAS))).steps.len(), 1);
}

#[test]
fn a_grant_in_the_whole_tenant_stops_at_a_private_workspace() {
    let developer = (1, None, BuiltinRole::Developer.permissions(), NOTHING);
    let bo = rights_beside(&[developer], &[ATLAS]);
    for closed in [ATLAS, ATLAS_RESEARCH] {
        assert!(!bo.allows(P::TasksRead, On::Workspace(workspace(closed))), "{closed}");
        let steps = bo.decide(P::TasksRead, On::Workspace(workspace(closed))).steps;
        assert_eq!(steps, [Step::Private { through: through(1, None) }]);
    }
    assert!(bo.allows(P::TasksRead, On::Workspace(workspace(BOREALIS))));
    assert_eq!(bo.workspaces_with(P::TasksRead), Reach::AllExcept(vec![workspace(ATLAS), workspace(ATLAS_RESEARCH)]));

    let ada = rights_beside(&[developer, (2, Some(ATLAS), BuiltinRole::Guest.permissions(), NOTHING)], &[ATLAS]);
    assert!(ada.allows(P::TasksRead, On::Workspace(workspace(ATLAS_RESEARCH))));
    assert!(!ada.allows(P::TasksWrite, On::Workspace(workspace(ATLAS))), "what the tenant-wide role allows stops");

    let dee = rights_beside(&[(1, None, BuiltinRole::Admin.permissions(), NOTHING)], &[ATLAS]);
    assert_eq!(dee.workspaces_with(P::TasksWrite), Reach::All);
    let denied = (3, None, NOTHING, P::TasksRead.into());
    let eve = rights_beside(&[denied, (2, Some(ATLAS), BuiltinRole::Guest.permissions(), NOTHING)], &[ATLAS]);
    assert!(!eve.allows(P::TasksRead, On::Workspace(workspace(ATLAS))), "what it denies does not");
}

#[test]
fn a_reason_names_the_role_that_says_so() {
    let line = [
        RoleSays { role: role(1), allow: P::TasksRead.into(), deny: NOTHING },
        RoleSays { role: role(2), allow: P::ProjectsWrite.into(), deny: P::TasksDelete.into() },
    ];
    let policies = HashMap::from([(role(1), RolePolicy::of(line))]);
    let rights = resolve(&[grant(1, None, None)], &policies, &[], &[], at(0), 0);
    let inherited = Through { grant: grant(1, None, None), says: role(2) };
    assert_eq!(
        rights.decide(P::ProjectsRead, On::Tenant).steps,
        [Step::Granted { through: inherited, by: P::ProjectsWrite }]
    );
    let denied = rights.decide(P::TasksDelete, On::Tenant).steps;
    assert_eq!(denied, [Step::Denied { through: inherited, denied: P::TasksDelete }]);
}

#[test]
fn a_loop_in_the_tree_does_not_hang() {
    let looped = [(workspace(1), Some(workspace(2))), (workspace(2), Some(workspace(1)))];
    let policies = HashMap::from([(role(1), policy(1, P::TasksRead.into(), NOTHING))]);
    let grant = grant(1, Some(workspace(1)), None);
    let rights = resolve(&[grant], &policies, &looped, &[workspace(2)], at(0), 0);
    assert!(rights.allows(P::TasksRead, On::Workspace(workspace(2))));
}

/// Few permissions that meet often: with reads and what implies them, of both levels.
const SAMPLE: &[P] = &[
    P::TasksRead,
    P::TasksWrite,
    P::TasksDelete,
    P::RolesRead,
    P::RolesGrant,
    P::BrandingRead,
    P::BrandingWrite,
    P::MembersRead,
    P::MembersSuspend,
    P::TenantRead,
    P::WorkspacesUpdate,
    P::SsoWrite,
    P::PlatformImpersonate,
];

fn some_permissions() -> impl Strategy<Value = PermissionSet> {
    proptest::sample::subsequence(SAMPLE, 0..=SAMPLE.len()).prop_map(|list| list.into_iter().collect())
}

#[derive(Debug, Clone)]
struct World {
    grants: Vec<RoleGrant>,
    policies: HashMap<RoleId, RolePolicy>,
    tree: Vec<(WorkspaceId, Option<WorkspaceId>)>,
    private: Vec<WorkspaceId>,
}

impl World {
    fn rights(&self) -> EffectiveRights {
        resolve(&self.grants, &self.policies, &self.tree, &self.private, at(5), 1)
    }
}

/// Every question that can be asked about these rights.
fn questions() -> impl Iterator<Item = (P, On)> {
    let places = [On::Tenant, On::Anywhere].into_iter().chain((0..7).map(|n| On::Workspace(workspace(n))));
    places.flat_map(|on| SAMPLE.iter().map(move |permission| (*permission, on)))
}

prop_compose! {
    fn world()(
        policies in proptest::collection::vec((some_permissions(), proptest::option::weighted(0.3, some_permissions())), 1..5),
        grants in proptest::collection::vec((0u8..5, proptest::option::of(0u8..6), proptest::option::of(0i64..10)), 0..7),
        parents in proptest::collection::vec(proptest::option::of(0u8..6), 6),
        private in proptest::collection::vec(0u8..6, 0..3),
    ) -> World {
        World {
            policies: (policies.into_iter().enumerate())
                .map(|(n, (allow, deny))| (role(n as u8), policy(n as u8, allow, deny.unwrap_or_default())))
                .collect(),
            grants: (grants.into_iter())
                .map(|(n, place, end)| grant(n, place.map(workspace), end.map(at)))
                .collect(),
            tree: (parents.into_iter().enumerate())
                .map(|(n, parent)| (workspace(n as u8), parent.map(workspace)))
                .collect(),
            private: private.into_iter().map(workspace).collect(),
        }
    }
}

fn is_no_wider(narrow: &EffectiveRights, wide: &EffectiveRights) -> Result<(), TestCaseError> {
    for (permission, on) in questions() {
        if narrow.allows(permission, on) {
            prop_assert!(wide.allows(permission, on), "{permission} on {on:?}");
        }
    }
    Ok(())
}

/// The rules in words, one question at a time, without sets; to compare [`resolve`] with.
fn allowed_by_the_book(world: &World, permission: P, on: On) -> bool {
    let mut line = Vec::new();
    match on {
        On::Anywhere => {
            let places = std::iter::once(On::Tenant).chain((0..6).map(|n| On::Workspace(workspace(n))));
            return places.into_iter().any(|place| allowed_by_the_book(world, permission, place));
        }
        On::Tenant => {}
        On::Workspace(asked) => {
            let mut next = Some(asked);
            while let Some(place) = next.filter(|place| !line.contains(place)) {
                line.push(place);
                next = world.tree.iter().find(|(id, _)| *id == place).and_then(|(_, parent)| *parent);
            }
        }
    }
    let live = world.grants.iter().filter(|grant| grant.expires_at.is_none_or(|end| at(5) < end));
    let applying: Vec<_> = (live.filter(|grant| grant.workspace.is_none_or(|place| line.contains(&place))))
        .filter_map(|grant| world.policies.get(&grant.role).map(|policy| (grant.workspace, policy)))
        .collect();
    let is_denied = |one: P| applying.iter().any(|(_, policy)| policy.deny.contains(one));
    if is_denied(permission) {
        return false;
    }
    let in_private = line.iter().any(|place| world.private.contains(place));
    let is_closed = in_private && !allowed_by_the_book(world, P::WorkspacesUpdate, On::Tenant);
    applying.iter().any(|(place, policy)| {
        if is_closed && place.is_none() {
            return false;
        }
        let can_give = if place.is_some() { PermissionSet::WORKSPACE } else { PermissionSet::TENANT };
        can_give.contains(permission)
            && policy.allow.iter().any(|one| {
                can_give.contains(one) && !is_denied(one) && (one == permission || one.implies().contains(permission))
            })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn resolution_is_what_the_rules_say(world in world()) {
        let rights = world.rights();
        for (permission, on) in questions() {
            prop_assert_eq!(rights.allows(permission, on), allowed_by_the_book(&world, permission, on), "{} on {:?}", permission, on);
        }
    }

    #[test]
    fn the_decision_is_the_answer_and_its_reasons_fit(world in world(), scopes in some_permissions(), cut in any::<bool>(),
        within in proptest::option::of(proptest::collection::hash_set((0u8..6).prop_map(workspace), 0..4))) {
        let mut rights = world.rights();
        if cut {
            rights = rights.restricted_to(scopes, within.as_ref());
        }
        for (permission, on) in questions() {
            let decision = rights.decide(permission, on);
            prop_assert_eq!(decision.allowed, rights.allows(permission, on));
            prop_assert!(!decision.steps.is_empty(), "no reason for {} on {:?}", permission, on);
            let only_grants = decision.steps.iter().all(|step| matches!(step, Step::Granted { .. }));
            prop_assert_eq!(only_grants, decision.allowed, "{} on {:?}: {:?}", permission, on, decision.steps);
        }
    }

    #[test]
    fn another_denial_never_widens(world in world(), denied in some_permissions(), place in proptest::option::of(0u8..6)) {
        let before = world.rights();
        let mut after = world.clone();
        after.policies.insert(role(99), policy(99, PermissionSet::EMPTY, denied));
        after.grants.push(grant(99, place.map(workspace), None));
        is_no_wider(&after.rights(), &before)?;
        for policy in after.policies.values_mut() {
            policy.deny = policy.deny.union(denied);
        }
        is_no_wider(&after.rights(), &before)?;
    }

    #[test]
    fn restricting_never_widens(world in world(), scopes in some_permissions(), more in some_permissions(),
        within in proptest::option::of(proptest::collection::hash_set((0u8..6).prop_map(workspace), 0..4))) {
        let rights = world.rights();
        let key = rights.restricted_to(scopes, within.as_ref());
        is_no_wider(&key, &rights)?;
        is_no_wider(&key.restricted_to(more, None), &key)?;
        for (permission, on) in questions() {
            prop_assert!(!key.allows(permission, on) || scopes.closure().contains(permission));
        }
    }

    #[test]
    fn rights_read_back_as_they_were_written(world in world(), scopes in proptest::option::of(some_permissions()),
                                             within in proptest::option::of(proptest::collection::hash_set(0u8..6, 0..4))) {
        let mut rights = world.rights();
        if scopes.is_some() || within.is_some() {
            let within = within.map(|within| within.into_iter().map(workspace).collect());
            rights = rights.restricted_to(scopes.unwrap_or(PermissionSet::ALL), within.as_ref());
        }
        let text = serde_json::to_string(&rights).expect("they can be written");
        prop_assert_eq!(serde_json::from_str::<EffectiveRights>(&text).expect("and read"), rights);
        // A release that knows more permissions has written it.
        let newer = text.replace("tasks:read", "tasks:fly");
        prop_assert!(newer == text || serde_json::from_str::<EffectiveRights>(&newer).is_err());
    }

    #[test]
    fn an_expired_grant_counts_for_nothing(world in world()) {
        let mut live = world.clone();
        live.grants.retain(|grant| grant.expires_at.is_none_or(|end| at(5) < end));
        prop_assert_eq!(world.rights(), live.rights());
    }

    #[test]
    fn the_reach_is_where_it_is_allowed(world in world()) {
        let rights = world.rights();
        for permission in SAMPLE {
            let reach = rights.workspaces_with(*permission);
            for n in 0..7 {
                let inside = match &reach {
                    Reach::All => true,
                    Reach::AllExcept(list) => !list.contains(&workspace(n)),
                    Reach::Only(list) => list.contains(&workspace(n)),
                    Reach::None => false,
                };
                prop_assert_eq!(inside, rights.allows(*permission, On::Workspace(workspace(n))));
            }
        }
    }
}

/// Small numbers without end, the same for the same seed: what a library makes takes longer than what is tested here.
struct Dice(u64);

impl Dice {
    /// SplitMix64 (Steele, Lea and Flood, 2014).
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % sides
    }

    fn small(&mut self, sides: u64) -> u8 {
        self.roll(sides) as u8
    }

    fn permissions(&mut self) -> PermissionSet {
        let bits = self.roll(1 << SAMPLE.len());
        SAMPLE.iter().enumerate().filter(|(n, _)| bits >> n & 1 == 1).map(|(_, permission)| *permission).collect()
    }

    fn place(&mut self) -> Option<WorkspaceId> {
        (self.roll(3) > 0).then(|| workspace(self.small(5)))
    }

    fn world(&mut self) -> World {
        let denials = |dice: &mut Self| if dice.roll(3) == 0 { dice.permissions() } else { NOTHING };
        World {
            policies: (0..3).map(|n| (role(n), policy(n, self.permissions(), denials(self)))).collect(),
            grants: (0..self.roll(5))
                .map(|_| {
                    let end = (self.roll(4) == 0).then(|| at(self.roll(10) as i64));
                    grant(self.small(4), self.place(), end)
                })
                .collect(),
            tree: (0..5).map(|n| (workspace(n), (self.roll(2) == 0).then(|| workspace(self.small(5))))).collect(),
            private: (0..self.roll(3)).map(|_| workspace(self.small(5))).collect(),
        }
    }

    fn question(&mut self) -> (P, On) {
        let on = match self.roll(7) {
            0 => On::Tenant,
            1 => On::Anywhere,
            n => On::Workspace(workspace(n as u8 - 2)),
        };
        (SAMPLE[self.roll(SAMPLE.len() as u64) as usize], on)
    }
}

/// Over this many random policies the decision is what guards, and one more denial widens nothing.
const POLICIES: u64 = 100_000;

fn one_random_policy(seed: u64) {
    let mut dice = Dice(seed);
    let world = dice.world();
    let mut rights = world.rights();
    if dice.roll(3) == 0 {
        let within: HashSet<_> = (0..dice.roll(4)).map(|_| workspace(dice.small(5))).collect();
        rights = rights.restricted_to(dice.permissions(), (dice.roll(2) == 0).then_some(&within));
    }
    for _ in 0..6 {
        let (permission, on) = dice.question();
        let decision = rights.decide(permission, on);
        assert_eq!(decision.allowed, rights.allows(permission, on), "seed {seed}: {permission} on {on:?}");
        assert!(!decision.steps.is_empty(), "seed {seed}: no reason for {permission} on {on:?}");
    }
    let (before, mut denied) = (world.rights(), world);
    denied.policies.insert(role(99), policy(99, NOTHING, dice.permissions()));
    denied.grants.push(grant(99, dice.place(), None));
    let after = denied.rights();
    for _ in 0..6 {
        let (permission, on) = dice.question();
        assert!(
            !after.allows(permission, on) || before.allows(permission, on),
            "seed {seed}: a denial gave {permission} on {on:?}"
        );
    }
}

#[test]
fn decisions_and_guards_agree_on_a_hundred_thousand_random_policies() {
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get) as u64;
    std::thread::scope(|scope| {
        for thread in 0..threads {
            scope.spawn(move || (thread..POLICIES).step_by(threads as usize).for_each(one_random_policy));
        }
    });
}
