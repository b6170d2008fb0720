//! `docs/permissions.md`: the catalogue, the built-in roles and what the schema asks for, from the code and the schema.

use std::{collections::BTreeMap, fmt::Write};

use async_graphql::{
    Positioned,
    parser::types::{ConstDirective, TypeKind},
};
use tenantry::access::{BuiltinRole, Permission, PermissionLevel, RoleLevel};

use super::generated::hold;
use crate::everywhere::walk::Walk;

const DOCUMENT: &str = "docs/permissions.md";

fn level(permission: Permission) -> &'static str {
    match permission.level() {
        PermissionLevel::Tenant => "tenant",
        PermissionLevel::Workspace => "workspace",
        PermissionLevel::Platform => "platform",
    }
}

#[test]
fn the_catalogue_is_that_of_the_code() {
    let mut table = String::from("| Permission | Level | Gives also | Allows to |\n| --- | --- | --- | --- |\n");
    for permission in Permission::ALL {
        let implied: Vec<_> = permission.implies().iter().map(|one| format!("`{}`", one.name())).collect();
        let (name, text) = (permission.name(), permission.description());
        writeln!(table, "| `{name}` | {} | {} | {text} |", level(*permission), implied.join(" ")).expect("a text");
    }
    hold(DOCUMENT, "catalogue", &table);
}

/// A role × permission table for people: what each built-in role holds, implications counted in.
#[test]
fn the_table_of_roles_is_that_of_the_code() {
    let mut table = String::from("| |");
    for role in BuiltinRole::ALL {
        write!(table, " {} |", role.name()).expect("a text");
    }
    table.push_str("\n| --- |");
    table.push_str(&" :-: |".repeat(BuiltinRole::ALL.len()));
    table.push('\n');
    for permission in Permission::ALL.iter().filter(|one| one.level() != PermissionLevel::Platform) {
        write!(table, "| `{}` |", permission.name()).expect("a text");
        for role in BuiltinRole::ALL {
            let given_here = role.level() == RoleLevel::Tenant || permission.level() == PermissionLevel::Workspace;
            let holds = given_here && role.permissions().closure().contains(*permission);
            table.push_str(if holds { " ● |" } else { " |" });
        }
        table.push('\n');
    }
    hold(DOCUMENT, "roles", &table);

    let mut list = String::new();
    for role in BuiltinRole::ALL {
        let place = if role.level() == RoleLevel::Tenant { "tenant" } else { "workspace" };
        writeln!(list, "- **{}** (`{}`, {place}): {}", role.name(), role.key(), role.description()).expect("a text");
    }
    hold(DOCUMENT, "role descriptions", &list);
}

/// Which fields and types ask for which permission.
#[test]
fn the_fields_are_those_of_the_schema() {
    let mut asked: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for definition in Walk::new().types() {
        let name = definition.name.node.as_str();
        if let Some(scopes) = scopes_of(&definition.directives) {
            asked.entry(scopes).or_default().push(format!("`{name}`"));
        }
        let TypeKind::Object(object) = &definition.kind else { continue };
        for field in &object.fields {
            if let Some(scopes) = scopes_of(&field.node.directives) {
                asked.entry(scopes).or_default().push(format!("`{name}.{}`", field.node.name.node));
            }
        }
    }
    let mut table = String::from("| Permission | Asked for by |\n| --- | --- |\n");
    for (permission, mut places) in asked {
        places.sort();
        writeln!(table, "| {permission} | {} |", places.join(" ")).expect("a text");
    }
    hold(DOCUMENT, "fields", &table);
}

/// What `@requiresScopes` asks for, in words.
fn scopes_of(directives: &[Positioned<ConstDirective>]) -> Option<String> {
    let directive = directives.iter().find(|directive| directive.node.name.node == "requiresScopes")?;
    let scopes = directive.node.get_argument("scopes").expect("it has scopes").node.clone().into_json().expect("JSON");
    let sets: Vec<Vec<String>> = serde_json::from_value(scopes).expect("lists of permissions");
    let all = |set: &Vec<String>| set.iter().map(|one| format!("`{one}`")).collect::<Vec<_>>().join(" and ");
    Some(sets.iter().map(all).collect::<Vec<_>>().join(", or "))
}
