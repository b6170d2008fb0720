//! Workspaces and the person behind a request.

use serde_json::json;

use crate::support::app::TestApp;

#[tokio::test]
async fn a_workspace_lives_from_create_to_restore() {
    let app = TestApp::start().await;
    let tenant = app.tenant().await;
    let selection = "workspace { id slug version isArchived }";
    let made = tenant.owner.mutate("workspaceCreate", selection, json!({ "name": "Côte d'Azur" })).await;
    assert_eq!(made.0["workspace"]["slug"], "cote-dazur");
    let id = made.at("/workspace/id");
    let taken = json!({ "name": "Another", "slug": "cote-dazur" });
    let taken = tenant.owner.try_mutate("workspaceCreate", selection, taken).await.payload("workspaceCreate");
    assert_eq!(taken.user_errors(), ["TAKEN at input.slug"]);
    let update = json!({ "id": id, "version": 1, "name": "Riviera" });
    let updated = tenant.owner.mutate("workspaceUpdate", selection, update).await;
    assert_eq!(updated.0["workspace"]["version"], 2);
    let archived = tenant.owner.mutate("workspaceArchive", selection, json!({ "id": id })).await;
    assert_eq!(archived.0["workspace"]["isArchived"], true);
    let restored = tenant.owner.mutate("workspaceRestore", selection, json!({ "id": id })).await;
    assert_eq!(restored.0["workspace"]["isArchived"], false);
    let default = json!({ "id": tenant.workspace });
    let default = tenant.owner.try_mutate("workspaceArchive", selection, default).await.payload("workspaceArchive");
    assert_eq!(default.user_errors(), ["INVALID_STATE at input.id"]);
}

#[tokio::test]
async fn the_viewer_sees_their_memberships_across_tenants() {
    let app = TestApp::start().await;
    let (one, two) = (app.tenant().await, app.tenant().await);
    use tenantry::domain::platform::service::member_add;
    let roles = vec!["member".to_owned()];
    member_add(&app.app.services, "test", two.named().await, one.owner.user, roles, None).await.expect("a member");
    let ask =
        "{ viewer { user { id email } memberships { nodes { tenant { slug } } } permissions lastTenant { slug } } }";
    // With a tenant and without one.
    for tenant in [Some(one.slug.as_str()), None] {
        let reply = one.owner.at(tenant).query(ask, json!({})).await;
        let viewer = &reply.data()["viewer"];
        assert_eq!(viewer["user"]["id"], one.owner.user.to_string());
        assert_eq!(viewer["user"]["email"], one.owner.email);
        let mut slugs: Vec<_> = viewer["memberships"]["nodes"]
            .as_array()
            .expect("nodes")
            .iter()
            .map(|node| node["tenant"]["slug"].as_str().expect("a slug").to_owned())
            .collect();
        slugs.sort();
        let mut expected = vec![one.slug.clone(), two.slug.clone()];
        expected.sort();
        assert_eq!(slugs, expected);
        assert_eq!(viewer["permissions"].as_array().expect("a list").is_empty(), tenant.is_none());
    }
}

#[tokio::test]
async fn a_person_signs_in_renews_and_signs_out() {
    let app = TestApp::start().await;
    use tenantry::domain::{
        identity::{service::create_user, types::NewUser},
        platform::service::operator,
    };
    let email = format!("{}@example.test", crate::support::app::unique("ada"));
    let new = NewUser {
        email: email.clone(),
        display_name: "Ada (demo)".to_owned(),
        password: Some("correct horse battery staple".to_owned().into()),
        is_verified: true,
    };
    let ctx = operator(&app.app.services, "test", None);
    create_user(&app.app.services, &ctx, new).await.expect("a person");
    let sign_in =
        "mutation($input: SignInInput!) { signIn(input: $input) { accessToken refreshToken userErrors { code } } }";
    let send = async |document: &str, input: serde_json::Value| {
        app.send("/graphql", &[], &json!({ "query": document, "variables": { "input": input } })).await
    };
    let wrong = send(sign_in, json!({ "email": email, "password": "wrong" })).await;
    let nobody = send(sign_in, json!({ "email": "nobody@example.test", "password": "wrong" })).await;
    assert_eq!(wrong.data(), nobody.data());
    assert_eq!(wrong.data()["signIn"]["userErrors"][0]["code"], "INVALID_CREDENTIALS");
    let right = send(sign_in, json!({ "email": email, "password": "correct horse battery staple" })).await;
    let first = right.payload("signIn");
    let refresh = "mutation($input: TokenRefreshInput!) { tokenRefresh(input: $input) { accessToken refreshToken userErrors { code } } }";
    let renewed = send(refresh, json!({ "refreshToken": first.at("/refreshToken") })).await.payload("tokenRefresh");
    let bearer = format!("Bearer {}", renewed.at("/accessToken"));
    let me = json!({ "query": "{ viewer { user { email } } }" });
    let reply = app.send("/graphql", &[("authorization", &bearer)], &me).await;
    assert_eq!(reply.data()["viewer"]["user"]["email"], email);
    let out = json!({ "query": "mutation { signOut { userErrors { code } } }" });
    app.send("/graphql", &[("authorization", &bearer)], &out).await.data();
    let reply = app.send("/graphql", &[("authorization", &bearer)], &me).await;
    assert_eq!((reply.status, reply.codes()), (401, vec!["UNAUTHENTICATED"]));
    // A token that was used before is stolen: the whole family ends.
    let second =
        send(sign_in, json!({ "email": email, "password": "correct horse battery staple" })).await.payload("signIn");
    let old = json!({ "refreshToken": second.at("/refreshToken") });
    let fresh = send(refresh, old.clone()).await.payload("tokenRefresh");
    assert_eq!(send(refresh, old).await.data()["tokenRefresh"]["userErrors"][0]["code"], "TOKEN_INVALID");
    let bearer = format!("Bearer {}", fresh.at("/accessToken"));
    let reply = app.send("/graphql", &[("authorization", &bearer)], &me).await;
    assert_eq!((reply.status, reply.codes()), (401, vec!["UNAUTHENTICATED"]));
}
