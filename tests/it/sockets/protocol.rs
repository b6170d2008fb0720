//! The protocol graphql-transport-ws, word for word.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use tenantry::{
    app::sockets::AppSockets,
    clock::Clock,
    http::{
        router::{self, router},
        server::{self, Times},
        socket::{Limits, Sockets},
    },
    ids::{Id, WorkspaceId},
};
use tokio_tungstenite::tungstenite::Message;

use super::{TASKS, listening};
use crate::support::{
    app::TestApp,
    socket::{Heard, Socket, hello},
};

#[tokio::test]
async fn a_whole_conversation() {
    let tenant = TestApp::start().await.tenant().await;
    let project = tenant.project("Atlas").await;
    let mut socket = Socket::of(&tenant.owner).await;
    socket.say(json!({ "type": "ping", "payload": { "n": 1 } })).await;
    assert_eq!(socket.hear().await, Heard::Message(json!({ "type": "pong", "payload": { "n": 1 } })));
    socket.say(json!({ "type": "pong" })).await;

    let id = socket.subscribe(TASKS, json!({})).await;
    listening(&tenant, 1).await;
    let task = tenant.task(&project, "Draw").await;
    let event = socket.next(&id).await["taskChanged"].clone();
    assert!(event["eventId"].as_str().expect("an id").starts_with("evt_"), "{event}");
    assert_eq!(event["kind"], "CREATED");
    assert_eq!((&event["taskIds"], &event["task"]["title"]), (&json!([task]), &json!("Draw")));

    socket.say(json!({ "type": "complete", "id": id })).await;
    listening(&tenant, 0).await;
    tenant.task(&project, "Paint").await;
    socket.ping().await;
    assert!(socket.is_silent(), "an ended subscription goes on");
    // The id is free again.
    socket.say(json!({ "type": "subscribe", "id": id, "payload": { "query": TASKS } })).await;
    listening(&tenant, 1).await;
    tenant.task(&project, "Frame").await;
    assert_eq!(socket.next(&id).await["taskChanged"]["task"]["title"], "Frame");
}

#[tokio::test]
async fn the_tenant_may_be_named_by_the_path_or_the_key() {
    let app = TestApp::start().await;
    let tenant = app.tenant().await;
    let bearer = json!({ "authorization": format!("Bearer {}", tenant.owner.token) });
    let ack = Heard::Message(json!({ "type": "connection_ack" }));
    for path in [format!("/t/{}/graphql/ws", tenant.slug), format!("/graphql/ws?tenant={}", tenant.slug)] {
        let mut socket = Socket::connect(&app, &path, &[]).await.expect("a socket");
        socket.say(json!({ "type": "connection_init", "payload": bearer })).await;
        assert_eq!(socket.hear().await, ack, "{path}");
    }
    let key = json!({ "name": "demo", "scopes": ["tasks:read"] });
    let key = tenant.owner.mutate("apiKeyCreate", "secret", key).await.at("/secret");
    let (_, heard) = Socket::init(&app, json!({ "Authorization": format!("Bearer {key}") })).await;
    assert_eq!(heard, ack);
}

#[tokio::test]
async fn who_is_not_admitted_is_told_why() {
    let app = TestApp::start().await;
    let (ours, theirs) = (app.tenant().await, app.tenant().await);
    let bearer = format!("Bearer {}", ours.owner.token);
    let as_owner = |tenant: &str| json!({ "authorization": bearer, "tenant": tenant });
    let suspended = app.tenant().await;
    let services = &app.app.services;
    let named = suspended.named().await;
    tenantry::domain::platform::service::tenant_suspend(services, "test", named, "a test".to_owned())
        .await
        .expect("suspended");
    let table = [
        (json!(null), 4401, "UNAUTHENTICATED"),
        (json!({ "tenant": ours.slug }), 4401, "UNAUTHENTICATED"),
        (json!({ "authorization": "Bearer nonsense", "tenant": ours.slug }), 4401, "UNAUTHENTICATED"),
        (json!({ "authorization": bearer }), 4400, "TENANT_REQUIRED"),
        (json!({ "authorization": 7 }), 4400, "authorization in the payload"),
        (json!({ "authorization": bearer, "Authorization": bearer }), 4400, "authorization is given twice"),
        (json!([]), 4400, "The payload of connection_init"),
        (as_owner("nobody-at-all"), 4403, "TENANT_NOT_FOUND"),
        (as_owner(&theirs.slug), 4403, "TENANT_NOT_FOUND"),
        (hello(&suspended.owner), 4423, "TENANT_SUSPENDED"),
    ];
    for (payload, code, reason) in table {
        let (_, heard) = Socket::init(&app, payload.clone()).await;
        let Heard::Closed(closed, said) = &heard else { panic!("{payload}: {heard:?}") };
        assert_eq!(*closed, code, "{payload}: {said}");
        assert!(said.to_lowercase().starts_with(&reason.to_lowercase()), "{payload}: {said}");
    }
    let mut socket = Socket::connect(&app, &format!("/t/{}/graphql/ws", theirs.slug), &[]).await.expect("a socket");
    socket.say(json!({ "type": "connection_init", "payload": as_owner(&ours.slug) })).await;
    let Heard::Closed(4400, reason) = socket.hear().await else { panic!("two tenants") };
    assert!(reason.starts_with("TENANT_MISMATCH: The path and the payload of connection_init"), "{reason}");
}

#[tokio::test]
async fn a_broken_conversation_is_closed_with_its_code() {
    let app = TestApp::start().await;
    let tenant = app.tenant().await;
    let subscribe = json!({ "type": "subscribe", "id": "1", "payload": { "query": TASKS } });
    let before_ack: [(Message, u16); 5] = [
        (Message::text("nonsense"), 4400),
        (Message::text(r#"{"type":"start","id":"1","payload":{}}"#), 4400),
        (Message::text(r#"{"type":"connection_terminate"}"#), 4400),
        (Message::binary(vec![1, 2, 3]), 4400),
        (Message::text(subscribe.to_string()), 4401),
    ];
    for (message, code) in before_ack {
        let mut socket = Socket::connect(&app, "/graphql/ws", &[]).await.expect("a socket");
        socket.send(message.clone()).await;
        assert_eq!(socket.closed().await, code, "{message:?}");
    }
    let large = json!({ "type": "subscribe", "id": "1", "payload": { "query": "x".repeat(300_000) } });
    let after_ack: [(Vec<Value>, u16); 5] = [
        (vec![json!({ "type": "connection_init", "payload": hello(&tenant.owner) })], 4429),
        (vec![subscribe.clone(), subscribe.clone()], 4409),
        (vec![json!({ "type": "subscribe", "id": "1" })], 4400),
        (vec![json!({ "type": "subscribe", "id": "1", "payload": { "query": 7 } })], 4400),
        (vec![large], 1009),
    ];
    for (messages, code) in after_ack {
        let mut socket = Socket::of(&tenant.owner).await;
        for message in messages.clone() {
            socket.say(message).await;
        }
        assert_eq!(socket.closed().await, code, "{}", messages[0].to_string().chars().take(200).collect::<String>());
    }
    let mut other = Socket::connect(&app, "/graphql/ws", &[("sec-websocket-protocol", "")]).await.expect("a socket");
    assert_eq!(other.closed().await, 4406);
}

#[tokio::test]
async fn whoever_says_nothing_is_not_waited_for() {
    let app = TestApp::start().await;
    let service = Arc::new(AppSockets::new(Arc::clone(&app.app), 5));
    let sockets = Sockets::new(service, Limits { init: Duration::from_millis(100), ..Limits::default() });
    let settings = router::Settings { sockets: Some(sockets), ..router::Settings::default() };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let routes = router(Arc::clone(&app.app) as _, Clock::system(), &settings);
    tokio::spawn(server::serve(listener, routes, Times::default(), None, std::future::pending()));
    let mut socket = Socket::connect(&app.through(&url, ""), "/graphql/ws", &[]).await.expect("a socket");
    assert_eq!(socket.closed().await, 4408);
}

#[tokio::test]
async fn what_cannot_run_is_an_error_of_its_subscription_alone() {
    let app = TestApp::start().await;
    let (tenant, theirs) = (app.tenant().await, app.tenant().await);
    let viewer = tenant.member_on("workspace_viewer", Some(tenant.workspace)).await;
    let unknown = WorkspaceId::from_uuid(tenantry::ids::uuid_v7(Clock::system().now())).to_string();
    let in_workspace = "subscription($id: ID!) { taskChanged(workspaceId: $id) { eventId } }";
    let table = [
        ("{ viewer { kind } }", json!({}), "BAD_REQUEST"),
        ("mutation { signOut { sessionId } }", json!({}), "BAD_REQUEST"),
        ("subscription {", json!({}), "GRAPHQL_PARSE_FAILED"),
        ("subscription { nothing }", json!({}), "GRAPHQL_VALIDATION_FAILED"),
        ("subscription { auditLogAppended { id } }", json!({}), "FORBIDDEN"),
        (
            "subscription { taskChanged { eventId } viewerPermissionsChanged { eventId } }",
            json!({}),
            "GRAPHQL_VALIDATION_FAILED",
        ),
        ("subscription { taskChanged(after: \"evt_1\") { eventId } }", json!({}), "INVALID_ID"),
        (in_workspace, json!({ "id": "tsk_01h455vb4pex5vsknk084sn02q" }), "INVALID_ID"),
        (in_workspace, json!({ "id": unknown }), "BAD_USER_INPUT"),
        (in_workspace, json!({ "id": theirs.workspace }), "BAD_USER_INPUT"),
    ];
    let mut socket = Socket::of(&viewer).await;
    for (query, variables, code) in table {
        let id = socket.subscribe(query, variables).await;
        assert_eq!(socket.refused(&id).await, [code], "{query}");
    }
    // Unknown and foreign are one answer, to the byte.
    let mut answers = Vec::new();
    for workspace in [unknown, theirs.workspace.to_string()] {
        let id = socket.subscribe(in_workspace, json!({ "id": workspace })).await;
        let mut message = socket.of_subscription(&id).await;
        message["id"] = json!("");
        message["payload"][0]["extensions"]["requestId"] = json!("");
        answers.push(message.to_string().replace(&workspace, "ID"));
    }
    assert_eq!(answers[0], answers[1]);
    // And the socket goes on.
    let id = socket.subscribe(TASKS, json!({})).await;
    listening(&tenant, 1).await;
    let project = tenant.project("Atlas").await;
    tenant.task(&project, "Draw").await;
    assert_eq!(socket.next(&id).await["taskChanged"]["kind"], "CREATED");
}

#[tokio::test]
async fn a_subscription_by_post_is_told_where_to_go() {
    let tenant = TestApp::start().await.tenant().await;
    let reply = tenant.owner.query(TASKS, json!({})).await;
    assert_eq!((reply.status, reply.codes()), (400, vec!["BAD_REQUEST"]));
    assert!(reply.body.to_string().contains("/graphql/ws"), "{reply:?}");
    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    let reply = http.get(format!("{}/graphql/ws", tenant.app.url)).send().await.expect("an answer");
    assert_eq!(reply.status().as_u16(), 426);
}

#[tokio::test]
async fn pages_of_other_origins_are_refused_where_a_list_says_who_may() {
    let app = TestApp::with(|settings| settings.server.cors_origins = vec!["https://app.example.com".to_owned()]).await;
    let own = app.url.clone();
    for (origin, admitted) in [
        ("https://app.example.com", true),
        (own.as_str(), true),
        ("https://evil.example", false),
        ("null", false),
        ("http://app.example.com", false),
    ] {
        let socket = Socket::connect(&app, "/graphql/ws", &[("origin", origin)]).await;
        assert_eq!(
            socket.as_ref().map_err(|refused| refused.status().as_u16()).err(),
            (!admitted).then_some(403),
            "{origin}"
        );
    }
    assert!(Socket::connect(&app, "/graphql/ws", &[]).await.is_ok(), "no browser");
}
