//! Every mutation leaves exactly one entry in the audit log, whether it is done or refused.

use tenantry::domain::audit::Action;

use super::{
    exceptions::{BEFORE, NOT_AUDITED_IN_A_TENANT},
    fixture,
    walk::{Walk, directive},
};
use crate::support::app::TestApp;

#[tokio::test]
async fn every_mutation_leaves_one_entry() {
    let app = TestApp::start().await;
    let walk = Walk::new();
    for root in walk.roots().into_iter().filter(|root| root.operation == "mutation") {
        let action = directive(&root, "audited").unwrap_or_else(|| panic!("{} is not @audited", root.name));
        let action = action.get_argument("action").expect("it has an action").node.to_string();
        let action = action.trim_matches('"').to_owned();
        assert!(
            Action::ALL.iter().any(|known| known.name() == action),
            "{} names the unknown action {action}",
            root.name
        );
        if NOT_AUDITED_IN_A_TENANT.iter().any(|(name, _)| *name == root.name) {
            continue;
        }
        let tenant = app.tenant().await;
        let own = fixture::one_of_each(&tenant).await;
        let guest = tenant.member_on("guest", Some(tenant.workspace)).await;

        if let Some((_, before)) = BEFORE.iter().find(|(name, _)| *name == root.name) {
            let before = walk.roots().into_iter().find(|root| root.name == *before).expect("the mutation before it");
            let (document, variables) = walk.document(&before, &own, 1, 1);
            assert_eq!(tenant.owner.query(&document, variables).await.codes(), Vec::<&str>::new());
        }
        for (what, caller, ids, outcome) in [
            ("done", &tenant.owner, &own, "success"),
            ("refused for its input", &tenant.owner, &fixture::unknown(), "error"),
            ("refused for want of a right", &guest, &own, "denied"),
        ] {
            let before = tenant.audit().await.len();
            let (document, variables) = walk.document(&root, ids, 1, 1);
            let reply = caller.query(&document, variables.clone()).await;
            let entries = tenant.audit().await.split_off(before);
            // A mutation that asks for no id has no unknown one: it is done twice.
            let takes_ids = ids.values().any(|id| variables.to_string().contains(id.as_str()));
            let outcome = if outcome == "error" && !takes_ids { "success" } else { outcome };
            assert_eq!(entries, [(action.clone(), outcome.to_owned())], "{} {what}: {reply:?}", root.name);
        }
    }
}

#[test]
fn every_action_is_declared_once() {
    let names: std::collections::HashSet<_> = Action::ALL.iter().map(|action| action.name()).collect();
    assert_eq!(names.len(), Action::ALL.len());
}
