//! Rules about the schema itself.

use std::collections::BTreeSet;

use async_graphql::parser::types::TypeKind;
use tenantry::ids::PREFIXES;

use super::walk::{Walk, base, directive};

/// Types that the engine adds and nobody describes.
const BUILT_IN: &[&str] = &["Boolean", "Float", "ID", "Int", "String"];

#[test]
fn everything_has_a_description() {
    let walk = Walk::new();
    let mut bare = BTreeSet::new();
    for definition in walk.types() {
        let name = definition.name.node.as_str();
        if BUILT_IN.contains(&name) || ["Query", "Mutation", "Subscription"].contains(&name) {
            continue;
        }
        let mut look = |at: String, described: bool| {
            if !described {
                bare.insert(at);
            }
        };
        look(name.to_owned(), definition.description.is_some());
        let fields = match &definition.kind {
            TypeKind::Object(object) => object.fields.as_slice(),
            TypeKind::Interface(interface) => interface.fields.as_slice(),
            _ => &[],
        };
        for field in fields {
            let field = &field.node;
            look(format!("{name}.{}", field.name.node), field.description.is_some());
            for argument in &field.arguments {
                let argument = &argument.node;
                look(format!("{name}.{}({})", field.name.node, argument.name.node), argument.description.is_some());
            }
        }
        match &definition.kind {
            TypeKind::InputObject(object) => {
                for field in &object.fields {
                    look(format!("{name}.{}", field.node.name.node), field.node.description.is_some());
                }
            }
            TypeKind::Enum(of) => {
                for value in &of.values {
                    look(format!("{name}.{}", value.node.value.node), value.node.description.is_some());
                }
            }
            _ => {}
        }
    }
    assert_eq!(bare, BTreeSet::new(), "these have no description");
}

#[test]
fn root_fields_declare_their_access_and_can_fail_alone() {
    let walk = Walk::new();
    for root in walk.roots() {
        let declared = ["public", "authenticated", "requiresScopes"];
        let count = declared.into_iter().filter(|name| directive(&root, name).is_some()).count();
        assert_eq!(count, 1, "{} declares its access {count} times", root.name);
        assert_eq!(root.is_nullable(), root.name != "viewer", "{} is nullable or not", root.name);
    }
}

#[test]
fn mutations_have_one_input_and_a_payload_with_user_errors() {
    let walk = Walk::new();
    for root in walk.roots().into_iter().filter(|root| root.operation == "mutation") {
        let kind = root.name[..1].to_uppercase() + &root.name[1..];
        assert_eq!(root.type_name(), format!("{kind}Payload"), "{}", root.name);
        if root.arguments() != ["input"] {
            assert_eq!(root.arguments(), Vec::<String>::new(), "{} takes more than an input", root.name);
        }
        let payload = walk.types().find(|definition| definition.name.node == root.type_name()).expect("the payload");
        let TypeKind::Object(object) = &payload.kind else { panic!("{} is no object", root.type_name()) };
        for field in &object.fields {
            let is_list_of_errors = field.node.name.node == "userErrors";
            assert_eq!(is_list_of_errors, base(&field.node.ty.node) == "UserError", "{kind}Payload");
        }
        assert!(object.fields.iter().any(|field| field.node.name.node == "userErrors"), "{kind}Payload");
    }
}

#[test]
fn connections_are_all_alike() {
    let walk = Walk::new();
    let mut count = 0;
    for definition in walk.types().filter(|definition| definition.name.node.ends_with("Connection")) {
        let TypeKind::Object(object) = &definition.kind else { panic!("{} is no object", definition.name.node) };
        let names: Vec<_> = object.fields.iter().map(|field| field.node.name.node.to_string()).collect();
        assert_eq!(names, ["edges", "nodes", "pageInfo", "totalCount"], "{}", definition.name.node);
        count += 1;
    }
    assert!(count >= 6, "there are {count} connections");
}

#[test]
fn every_node_has_a_prefix() {
    let walk = Walk::new();
    for definition in walk.types() {
        let TypeKind::Object(object) = &definition.kind else { continue };
        if object.implements.iter().any(|interface| interface.node == "Node") {
            let wanted = format!("{}Id", definition.name.node);
            assert!(PREFIXES.iter().any(|(_, name)| *name == wanted), "{wanted} has no prefix");
        }
    }
}

#[test]
fn the_committed_schema_is_the_served_one() {
    let served = tenantry::app::schema::sdl(&tenantry::app::schema::build());
    let committed = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/schema.graphql")).expect("the file");
    assert!(served == committed, "schema.graphql is not what is served. Run: cargo run -- schema --write");
}
