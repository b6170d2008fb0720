//! Handing over the ownership: by two people, each of whom has proven lately who they are.

use chrono::{DateTime, Duration, Utc};
use serde_json::{Value, json};
use tenantry::clock::Clock;

use super::{MEMBER, detail, said};
use crate::{
    api_keys::key_of,
    identity::{PASSWORD, person_with_password, sign_in},
    support::app::{Reply, TestApp, TestTenant, TestUser},
};

const OFFER: &str = "ownershipTransfer { id state fromMemberId toMemberId }";

/// A server whose clock the test moves.
async fn at_a_fixed_time() -> (TestTenant, Clock) {
    let clock = Clock::fixed(DateTime::<Utc>::from_timestamp(1_795_000_000, 0).expect("a time"));
    let database = TestApp::isolated().await.database;
    let app = TestApp::on(database, clock.clone(), |_| {}).await;
    (app.tenant().await, clock)
}

/// Somebody with a password, signed in, with this role.
async fn with_password(tenant: &TestTenant, role: &str) -> TestUser {
    let (user, email) = person_with_password(&tenant.app).await;
    let member = super::add(tenant, user, role, None).await;
    let token = sign_in(&tenant.app, &email, PASSWORD).await.payload("signIn").at("/accessToken");
    TestUser { app: tenant.app.clone(), user, email, token, tenant: Some(tenant.slug.clone()), member: Some(member) }
}

async fn signed_in_again(user: &TestUser) -> TestUser {
    user.with_token(&sign_in(&user.app, &user.email, PASSWORD).await.payload("signIn").at("/accessToken"))
}

fn to(tenant: &TestTenant, user: &TestUser) -> Value {
    json!({ "toMemberId": user.member, "confirm": tenant.slug })
}

async fn pending(user: &TestUser) -> Value {
    user.query("{ ownershipTransfer { id state } }", json!({})).await.data()["ownershipTransfer"].clone()
}

async fn roles_of(tenant: &TestTenant, user: &TestUser) -> Vec<String> {
    let client = tenant.app.database.connect("tenantry").await;
    let sql = "SELECT r.key FROM role_grants g JOIN roles r ON r.tenant_id = g.tenant_id AND r.id = g.role_id \
               WHERE g.member_id::text = $1 ORDER BY 1";
    let member = tenantry::ids::Id::uuid(user.member.expect("a member")).to_string();
    client.query(sql, &[&member]).await.expect("rows").iter().map(|row| row.get(0)).collect()
}

async fn reauthenticate(user: &TestUser, password: &str) -> Reply {
    user.try_mutate("reauthenticate", "authenticatedAt", json!({ "password": password })).await
}

#[tokio::test]
async fn the_ownership_passes_when_both_have_said_so() {
    let tenant = TestApp::start().await.tenant().await;
    let (heir, admin) = (tenant.member("developer").await, tenant.member("admin").await);
    let made = tenant.owner.mutate("ownershipTransferRequest", OFFER, to(&tenant, &heir)).await;
    let id = made.at("/ownershipTransfer/id");
    assert_eq!(made.0["ownershipTransfer"]["state"], "PENDING");
    // Nothing has changed, and nobody but owners and the heir knows.
    assert_eq!(
        (roles_of(&tenant, &tenant.owner).await, roles_of(&tenant, &heir).await),
        (vec!["owner".into()], vec!["developer".into()])
    );
    for (user, sees) in [(&tenant.owner, true), (&heir, true), (&admin, false)] {
        assert_eq!(pending(user).await["id"] == json!(id), sees);
    }
    for field in ["ownershipTransferAccept", "ownershipTransferCancel"] {
        let theirs = admin.try_mutate(field, OFFER, json!({ "id": id })).await;
        let unknown = admin.try_mutate(field, OFFER, json!({ "id": "otr_01h455vb4pex5vsknk084sn02q" })).await;
        assert_eq!(theirs.payload(field).user_errors(), ["NOT_FOUND at input.id"]);
        assert_eq!(said(&theirs, &id), said(&unknown, "otr_01h455vb4pex5vsknk084sn02q"));
    }
    let itself = tenant.owner.try_mutate("ownershipTransferAccept", OFFER, json!({ "id": id })).await;
    assert_eq!(itself.payload("ownershipTransferAccept").user_errors(), ["NOT_FOUND at input.id"]);

    let done = heir.mutate("ownershipTransferAccept", OFFER, json!({ "id": id })).await;
    assert_eq!(done.0["ownershipTransfer"]["state"], "ACCEPTED");
    assert_eq!(roles_of(&tenant, &heir).await, ["developer", "owner"]);
    assert_eq!(roles_of(&tenant, &tenant.owner).await, ["admin"]);
    assert!(pending(&heir).await.is_null());
    // The next request knows: the old owner owns no more.
    let refused = tenant.owner.try_mutate("ownershipTransferRequest", OFFER, to(&tenant, &heir)).await;
    assert_eq!(refused.codes(), ["FORBIDDEN"]);
    let told = detail(&tenant, "ownership_transfer.accept").await;
    assert_eq!(told["targetId"], json!(id));
    assert_eq!(told["detail"], json!({ "fromMemberId": tenant.owner.member, "toMemberId": heir.member }));
    let again = heir.try_mutate("ownershipTransferAccept", OFFER, json!({ "id": id })).await;
    assert_eq!(again.payload("ownershipTransferAccept").user_errors(), ["NOT_FOUND at input.id"]);
    let audit = tenant.audit().await;
    for (action, outcome) in
        [("request", "success"), ("request", "denied"), ("accept", "success"), ("accept", "error"), ("cancel", "error")]
    {
        assert!(audit.contains(&(format!("ownership_transfer.{action}"), outcome.to_owned())), "{action} {outcome}");
    }
}

#[tokio::test]
async fn what_is_wrong_with_an_offer_is_said() {
    let tenant = TestApp::start().await.tenant().await;
    let (heir, admin) = (tenant.member("member").await, tenant.member("admin").await);
    let second = tenant.member("owner").await;
    let out = tenant.member("member").await;
    tenant.owner.mutate("memberSuspend", MEMBER, json!({ "id": out.member })).await;
    for (input, expected) in [
        (json!({ "toMemberId": heir.member, "confirm": "other" }), "CONFIRMATION_MISMATCH at input.confirm"),
        (
            json!({ "toMemberId": "mbr_01h455vb4pex5vsknk084sn02q", "confirm": tenant.slug }),
            "NOT_FOUND at input.toMemberId",
        ),
        (to(&tenant, &tenant.owner), "SELF_ACTION_FORBIDDEN at input.toMemberId"),
        (to(&tenant, &second), "INVALID_STATE at input.toMemberId"),
        (to(&tenant, &out), "INVALID_STATE at input.toMemberId"),
    ] {
        let refused = tenant.owner.try_mutate("ownershipTransferRequest", OFFER, input).await;
        assert_eq!(refused.payload("ownershipTransferRequest").user_errors(), [expected]);
    }
    assert_eq!(admin.try_mutate("ownershipTransferRequest", OFFER, to(&tenant, &heir)).await.codes(), ["FORBIDDEN"]);
    // A key, even an owner's with every scope that there is, neither offers nor accepts.
    let (key, _) = key_of(&tenant.owner, &["members:write", "roles:grant", "tenant:delete"]).await;
    assert_eq!(key.try_mutate("ownershipTransferRequest", OFFER, to(&tenant, &heir)).await.codes(), ["FORBIDDEN"]);
    assert!(pending(&key).await.is_null());

    let made = tenant.owner.mutate("ownershipTransferRequest", OFFER, to(&tenant, &heir)).await;
    let open = second.try_mutate("ownershipTransferRequest", OFFER, to(&tenant, &admin)).await;
    assert_eq!(open.payload("ownershipTransferRequest").user_errors(), ["INVALID_STATE at input"]);
    // Another owner takes it back; the heir could have declined it.
    let cancel = json!({ "id": made.at("/ownershipTransfer/id") });
    let cancelled = second.mutate("ownershipTransferCancel", OFFER, cancel.clone()).await;
    assert_eq!(cancelled.0["ownershipTransfer"]["state"], "CANCELLED");
    let late = heir.try_mutate("ownershipTransferAccept", OFFER, cancel).await;
    assert_eq!(late.payload("ownershipTransferAccept").user_errors(), ["NOT_FOUND at input.id"]);
    let made = tenant.owner.mutate("ownershipTransferRequest", OFFER, to(&tenant, &heir)).await;
    heir.mutate("ownershipTransferCancel", OFFER, json!({ "id": made.at("/ownershipTransfer/id") })).await;
    // An offer ends with the membership, or the suspension, of either.
    for end in ["memberSuspend", "memberRemove"] {
        let heir = tenant.member("member").await;
        tenant.owner.mutate("ownershipTransferRequest", OFFER, to(&tenant, &heir)).await;
        tenant.owner.mutate(end, "userErrors { code }", json!({ "id": heir.member })).await;
        assert!(pending(&tenant.owner).await.is_null(), "{end}");
    }
    // One whose maker owns no more gives nothing.
    let made = second.mutate("ownershipTransferRequest", OFFER, to(&tenant, &heir)).await;
    let member = tenantry::ids::Id::uuid(second.member.expect("a member"));
    tenant.app.database.run("tenantry", &format!("DELETE FROM role_grants WHERE member_id = '{member}'")).await;
    let id = json!({ "id": made.at("/ownershipTransfer/id") });
    let refused = heir.try_mutate("ownershipTransferAccept", OFFER, id).await;
    assert_eq!(refused.payload("ownershipTransferAccept").user_errors(), ["INVALID_STATE at input.id"]);
}

#[tokio::test]
async fn both_must_have_proven_lately_who_they_are() {
    let (tenant, clock) = at_a_fixed_time().await;
    let (owner, heir) = (with_password(&tenant, "owner").await, with_password(&tenant, "member").await);
    clock.advance(Duration::minutes(10));
    let refused = owner.try_mutate("ownershipTransferRequest", OFFER, to(&tenant, &heir)).await;
    assert_eq!(refused.codes(), ["REAUTHENTICATION_REQUIRED"], "{refused:?}");
    assert_eq!(refused.body["errors"][0]["extensions"]["maxAgeSeconds"], 600);

    let proven = reauthenticate(&owner, PASSWORD).await.payload("reauthenticate");
    assert_eq!(proven.user_errors(), Vec::<String>::new());
    assert!(!proven.0["authenticatedAt"].is_null());
    let made = owner.mutate("ownershipTransferRequest", OFFER, to(&tenant, &heir)).await;
    let id = json!({ "id": made.at("/ownershipTransfer/id") });
    let refused = heir.try_mutate("ownershipTransferAccept", OFFER, id.clone()).await;
    assert_eq!(refused.codes(), ["REAUTHENTICATION_REQUIRED"], "{refused:?}");
    // Another session of the same person, freshly signed in, is a proof for itself and not for this one.
    let elsewhere = signed_in_again(&heir).await;
    let refused = heir.try_mutate("ownershipTransferAccept", OFFER, id.clone()).await;
    assert_eq!(refused.codes(), ["REAUTHENTICATION_REQUIRED"]);
    // Renewed tokens are no proof.
    elsewhere.mutate("ownershipTransferAccept", OFFER, id).await;
    let audit = tenant.audit().await;
    assert!(audit.contains(&("session.reauthenticate".to_owned(), "success".to_owned())));
}

#[tokio::test]
async fn an_offer_waits_for_seven_days() {
    let (tenant, clock) = at_a_fixed_time().await;
    let (owner, heir) = (with_password(&tenant, "owner").await, with_password(&tenant, "member").await);
    let made = owner.mutate("ownershipTransferRequest", OFFER, to(&tenant, &heir)).await;
    clock.advance(Duration::days(7));
    let (owner, heir) = (signed_in_again(&owner).await, signed_in_again(&heir).await);
    assert!(pending(&owner).await.is_null());
    let id = json!({ "id": made.at("/ownershipTransfer/id") });
    let late = heir.try_mutate("ownershipTransferAccept", OFFER, id).await;
    assert_eq!(late.payload("ownershipTransferAccept").user_errors(), ["NOT_FOUND at input.id"]);
    // It does not stand in the way of the next one.
    let made = owner.mutate("ownershipTransferRequest", OFFER, to(&tenant, &heir)).await;
    clock.advance(Duration::days(7) - Duration::seconds(1));
    let heir = signed_in_again(&heir).await;
    heir.mutate("ownershipTransferAccept", OFFER, json!({ "id": made.at("/ownershipTransfer/id") })).await;
}

#[tokio::test]
async fn failed_proofs_count_like_failed_sign_ins() {
    let (tenant, clock) = at_a_fixed_time().await;
    let owner = with_password(&tenant, "owner").await;
    for _ in 0..9 {
        let refused = reauthenticate(&owner, "not this one at all").await.payload("reauthenticate");
        assert_eq!(refused.user_errors(), ["INVALID_CREDENTIALS at input"]);
    }
    let locked = reauthenticate(&owner, "not this one at all").await.payload("reauthenticate");
    assert_eq!(locked.user_errors(), ["ACCOUNT_LOCKED at input"]);
    // Locked for the right password, too, and for signing in.
    let locked = reauthenticate(&owner, PASSWORD).await.payload("reauthenticate");
    assert_eq!(locked.user_errors(), ["ACCOUNT_LOCKED at input"]);
    let sign_in_refused = sign_in(&tenant.app, &owner.email, PASSWORD).await.payload("signIn");
    assert_eq!(sign_in_refused.user_errors(), ["ACCOUNT_LOCKED at input"]);
    clock.advance(Duration::minutes(15));
    let owner = signed_in_again(&owner).await;
    assert_eq!(reauthenticate(&owner, PASSWORD).await.payload("reauthenticate").user_errors(), Vec::<String>::new());
    let audit = tenant.audit().await;
    assert!(audit.contains(&("session.reauthenticate".to_owned(), "error".to_owned())));
    // Whoever has no password cannot prove anything with one; a key has no session.
    let refused = reauthenticate(&tenant.owner.with_token(&owner.token), "wrong").await;
    assert_eq!(refused.payload("reauthenticate").user_errors(), ["INVALID_CREDENTIALS at input"]);
    let (key, _) = key_of(&owner, &["tasks:read"]).await;
    assert_eq!(reauthenticate(&key, PASSWORD).await.codes(), ["FORBIDDEN"]);
}
