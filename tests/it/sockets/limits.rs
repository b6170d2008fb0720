//! What one client may take up.

use serde_json::json;

use super::{TASKS, as_another_process, listening, until};
use crate::support::{
    app::TestApp,
    socket::{Heard, Socket, hello},
};

#[tokio::test]
async fn a_socket_carries_so_many_subscriptions_and_no_more() {
    let app = TestApp::with(|settings| settings.sockets.socket_subscriptions = 3).await;
    let tenant = app.tenant().await;
    let mut socket = Socket::of(&tenant.owner).await;
    let ids = [
        socket.subscribe(TASKS, json!({})).await,
        socket.subscribe(TASKS, json!({})).await,
        socket.subscribe(TASKS, json!({})).await,
    ];
    listening(&tenant, 3).await;
    let fourth = socket.subscribe(TASKS, json!({})).await;
    assert_eq!(socket.refused(&fourth).await, ["CONCURRENCY_LIMITED"]);
    socket.say(json!({ "type": "complete", "id": ids[0] })).await;
    listening(&tenant, 2).await;
    let fifth = socket.subscribe(TASKS, json!({})).await;
    listening(&tenant, 3).await;
    let project = tenant.project("Atlas").await;
    tenant.task(&project, "Draw").await;
    for id in [&ids[1], &ids[2], &fifth] {
        assert_eq!(socket.next(id).await["taskChanged"]["kind"], "CREATED");
    }
}

#[tokio::test]
async fn a_principal_has_so_many_sockets_and_no_more() {
    let app = TestApp::with(|settings| settings.sockets.sockets_per_principal = 2).await;
    let tenant = app.tenant().await;
    let first = Socket::of(&tenant.owner).await;
    let _second = Socket::of(&tenant.owner).await;
    let (_, heard) = Socket::init(&app, hello(&tenant.owner)).await;
    let Heard::Closed(4429, reason) = heard else { panic!("{heard:?}") };
    assert!(reason.starts_with("Too many sockets: 2"), "{reason}");
    // Somebody else's are their own.
    let member = tenant.member("developer").await;
    Socket::of(&member).await;
    drop(first);
    let again = async || matches!(Socket::init(&app, hello(&tenant.owner)).await.1, Heard::Message(_));
    until("the place of a closed socket is free", again).await;
}

#[tokio::test]
async fn a_client_that_does_not_read_is_closed_and_others_get_everything() {
    const EVENTS: usize = 2_000;
    let app = TestApp::with(|settings| {
        settings.sockets.socket_queue = 8;
        settings.sockets.socket_patience_ms = 500;
    })
    .await;
    let tenant = app.tenant().await;
    let project = tenant.project("Atlas").await;
    let input = json!({ "projectId": project, "title": "Long", "description": "x".repeat(10_000) });
    tenant.owner.mutate("taskCreate", "task { id }", input).await;
    let query = "subscription { taskChanged { eventId task { description } } }";
    let mut slow = Socket::of(&tenant.owner).await;
    slow.subscribe(query, json!({})).await;
    let mut quick = Socket::of(&tenant.member("developer").await).await;
    let id = quick.subscribe(query, json!({})).await;
    listening(&tenant, 2).await;

    // More than the line and every buffer on it can hold: 20 MB.
    let sql = format!(
        "INSERT INTO events (tenant_id, id, type, api_version, workspace_id, subject_id, payload, actor_kind, occurred_at)
         SELECT e.tenant_id, app.uuid_v7(now()), 'task.updated', e.api_version, e.workspace_id, e.subject_id, e.payload,
                e.actor_kind, now()
         FROM events e, generate_series(1, {EVENTS})
         WHERE e.tenant_id = app.tenant_id() AND e.type = 'task.created'"
    );
    as_another_process(&app, &tenant, &sql).await;
    for number in 0..EVENTS {
        let event = quick.next(&id).await;
        assert!(event["taskChanged"]["task"]["description"].is_string(), "{number}: {event}");
    }
    listening(&tenant, 1).await;
    let mut before = 0;
    let code = loop {
        match slow.hear().await {
            Heard::Message(_) => before += 1,
            Heard::Closed(code, _) => break Some(code),
            Heard::Gone => break None,
        }
    };
    // The close frame stands behind what the line held; it arrives if the client reads in time.
    assert!(matches!(code, Some(4429) | None), "{code:?}");
    assert!(before < EVENTS, "it got everything, so it was not slow");
}

#[tokio::test]
async fn a_subscription_is_paid_for_like_every_operation() {
    let app = TestApp::with(|settings| {
        (settings.rates.rate_principal_points, settings.rates.rate_principal_refill) = (10, 1);
    })
    .await;
    let tenant = app.tenant().await;
    let mut socket = Socket::of(&tenant.owner).await;
    let mut refused = None;
    for _ in 0..15 {
        let id = socket.subscribe("subscription { nothing }", json!({})).await;
        let codes = socket.refused(&id).await;
        if codes == ["RATE_LIMITED"] {
            refused = Some(id);
            break;
        }
    }
    assert!(refused.is_some(), "what cannot run is asked for again and again for nothing");
}

#[tokio::test]
async fn credentials_are_not_tried_for_nothing() {
    let app = TestApp::with(|settings| {
        (settings.rates.rate_address_points, settings.rates.rate_address_refill) = (10, 1);
    })
    .await;
    let tenant = app.tenant().await;
    let guess = hello(&tenant.owner.with_token("nonsense"));
    for _ in 0..20 {
        match Socket::init(&app, guess.clone()).await.1 {
            Heard::Closed(4401, _) => {}
            Heard::Closed(4429, reason) => {
                assert!(reason.starts_with("RATE_LIMITED"), "{reason}");
                return;
            }
            other => panic!("{other:?}"),
        }
    }
    panic!("a credential was tried twenty times");
}
