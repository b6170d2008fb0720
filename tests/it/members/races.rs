//! Never without an owner and never over the seats, also when many try at once: through the API, many times.

use futures::future::join_all;
use serde_json::json;
use tenantry::domain::{Error, platform::service::member_add};

use super::{MEMBER, is_in, status};
use crate::support::app::TestApp;

const LEAVE: &str = "mutation { memberLeave { memberId userErrors { code path } } }";

/// The two last owners go in all the ways there are, at once: one of them stays.
#[tokio::test]
async fn of_two_last_owners_one_stays() {
    let app = TestApp::start().await;
    for round in 0..12 {
        let tenant = app.tenant().await;
        let (one, two) = (tenant.owner.clone(), tenant.member("owner").await);
        let (first, second) = match round % 3 {
            0 => tokio::join!(one.query(LEAVE, json!({})), two.query(LEAVE, json!({}))),
            1 => tokio::join!(
                one.try_mutate("memberSuspend", MEMBER, json!({ "id": two.member })),
                two.try_mutate("memberSuspend", MEMBER, json!({ "id": one.member })),
            ),
            _ => tokio::join!(
                one.try_mutate("memberRemove", "memberId", json!({ "id": two.member })),
                two.query(LEAVE, json!({})),
            ),
        };
        let (one_is_in, two_is_in) = (is_in(&one).await, is_in(&two).await);
        // Whoever was first has shut the other out or has gone; two may have wanted the same.
        assert_eq!(i32::from(one_is_in) + i32::from(two_is_in), 1, "round {round}: {first:?} {second:?}");
        let client = app.database.connect("tenantry").await;
        let sql = "SELECT owners FROM tenant_counters WHERE tenant_id::text = $1";
        let owners = client.query_one(sql, &[&tenantry::ids::Id::uuid(tenant.id).to_string()]).await.expect("a row");
        assert_eq!(owners.get::<_, i32>(0), 1, "round {round}");
        for reply in [&first, &second] {
            let refusals: Vec<String> = match reply.codes().first() {
                Some(code) => vec![(*code).to_owned()],
                None => ["memberLeave", "memberSuspend", "memberRemove"]
                    .iter()
                    .filter(|field| !reply.data()[**field].is_null())
                    .flat_map(|field| reply.payload(field).user_errors())
                    .collect(),
            };
            // Nothing but these, in whatever order the two came: never a failure of the server.
            let expected = ["LAST_OWNER at input", "TENANT_NOT_FOUND", "NOT_FOUND at input.id"];
            assert!(refusals.iter().all(|refusal| expected.contains(&refusal.as_str())), "{refusals:?}");
        }
    }
}

#[tokio::test]
async fn the_last_seat_is_given_once() {
    let app = TestApp::start().await;
    let tenant = app.tenant().await;
    let mut waiting = Vec::new();
    for _ in 0..6 {
        let member = tenant.member("member").await.member.expect("a member");
        tenant.owner.mutate("memberSuspend", MEMBER, json!({ "id": member })).await;
        waiting.push(member);
    }
    let mut people = Vec::new();
    for _ in 0..6 {
        people.push(app.person().await.user);
    }
    let limit = "UPDATE tenant_counters SET seats_limit = 2 WHERE tenant_id";
    app.database.run("tenantry", &format!("{limit} = '{}'", tenantry::ids::Id::uuid(tenant.id))).await;
    let named = tenant.named().await;
    let owner = &tenant.owner;
    let back = join_all(waiting.iter().map(|member| async move {
        let reply = owner.try_mutate("memberReactivate", MEMBER, json!({ "id": member })).await;
        reply.payload("memberReactivate").user_errors()
    }));
    let new = join_all(people.iter().map(|user| {
        let roles = vec!["member".to_owned()];
        member_add(&app.app.services, "test", named.clone(), *user, roles, None)
    }));
    let (back, new) = tokio::join!(back, new);
    let mut seated = back.iter().filter(|errors| errors.is_empty()).count();
    assert!(back.iter().flatten().all(|error| error == "SEAT_LIMIT_REACHED at input"), "{back:?}");
    for added in new {
        match added {
            Ok(_) => seated += 1,
            Err(Error::Rejected(problems)) => assert_eq!(problems[0].code, "SEAT_LIMIT_REACHED"),
            Err(error) => panic!("{error:?}"),
        }
    }
    assert_eq!(seated, 1);
}

/// Ten accept at once what was offered to one of them; two owners offer at once. One offer, one acceptance.
#[tokio::test]
async fn an_offer_is_made_once_and_accepted_once() {
    let tenant = TestApp::start().await.tenant().await;
    let (second, heir) = (tenant.member("owner").await, tenant.member("member").await);
    let input = json!({ "toMemberId": heir.member, "confirm": tenant.slug });
    const OFFER: &str = "ownershipTransfer { id }";
    let offers = join_all((0..8).map(|number| {
        let owner = if number % 2 == 0 { &tenant.owner } else { &second };
        owner.try_mutate("ownershipTransferRequest", OFFER, input.clone())
    }))
    .await;
    let made: Vec<_> = offers.iter().map(|reply| reply.payload("ownershipTransferRequest")).collect();
    let id = made
        .iter()
        .filter(|payload| payload.user_errors().is_empty())
        .map(|payload| payload.at("/ownershipTransfer/id"));
    let id: Vec<_> = id.collect();
    assert_eq!(id.len(), 1, "{made:?}");
    let accept = || heir.try_mutate("ownershipTransferAccept", OFFER, json!({ "id": id[0] }));
    let done = join_all((0..8).map(|_| accept())).await;
    let accepted = done.iter().filter(|reply| reply.payload("ownershipTransferAccept").user_errors().is_empty());
    assert_eq!(accepted.count(), 1);
    assert_eq!(status(&tenant, heir.member.expect("a member")).await.as_deref(), Some("ACTIVE"));
}
