//! Whether variables are what their definitions say, decided without the engine.
//!
//! The engine validates a document with every request, although only its variables differ from one request to the next. A
//! document that was found valid once needs only this. [`Inputs::fit`] says yes to what is certainly right, and no to
//! everything that it does not know (scalars of our own, a single value for a list): then the engine looks, and finds the
//! words for what is wrong.

use std::collections::{HashMap, HashSet};

use async_graphql::{
    Value, Variables,
    parser::{
        parse_schema,
        types::{BaseType, OperationDefinition, Type, TypeKind, TypeSystemDefinition},
    },
};

/// The input types of a schema.
#[derive(Debug, Default)]
pub struct Inputs {
    enums: HashMap<Box<str>, HashSet<Box<str>>>,
    objects: HashMap<Box<str>, HashMap<Box<str>, InputField>>,
}

#[derive(Debug)]
struct InputField {
    ty: Type,
    has_default: bool,
}

impl Inputs {
    /// Reads them from the schema's text; from a text that is no schema, none: then nothing fits.
    pub fn from_sdl(sdl: &str) -> Self {
        let mut inputs = Self::default();
        let Ok(document) = parse_schema(sdl) else { return inputs };
        for definition in document.definitions {
            let TypeSystemDefinition::Type(ty) = definition else { continue };
            let name = ty.node.name.node.as_str().into();
            // Exactly one field of these may be given; the engine knows.
            let is_one_of = ty.node.directives.iter().any(|directive| directive.node.name.node == "oneOf");
            match ty.node.kind {
                TypeKind::Enum(values) => {
                    let values = values.values.into_iter().map(|value| value.node.value.node.as_str().into());
                    inputs.enums.insert(name, values.collect());
                }
                TypeKind::InputObject(object) if !is_one_of => {
                    let fields = object.fields.into_iter().map(|field| {
                        let has_default = field.node.default_value.is_some();
                        (field.node.name.node.as_str().into(), InputField { ty: field.node.ty.node, has_default })
                    });
                    inputs.objects.insert(name, fields.collect());
                }
                _ => {}
            }
        }
        inputs
    }

    /// Whether these variables are certainly of the types that the operation gives them.
    pub fn fit(&self, operation: &OperationDefinition, variables: &Variables) -> bool {
        operation.variable_definitions.iter().all(|definition| {
            let definition = &definition.node;
            match variables.get(&definition.name.node) {
                Some(value) => self.fits(&definition.var_type.node, value),
                None => definition.var_type.node.nullable,
            }
        })
    }

    fn fits(&self, ty: &Type, value: &Value) -> bool {
        match (&ty.base, value) {
            (_, Value::Null) => ty.nullable,
            (BaseType::List(inner), Value::List(items)) => items.iter().all(|item| self.fits(inner, item)),
            (BaseType::List(_), _) => false,
            (BaseType::Named(name), value) => self.is_a(name, value),
        }
    }

    fn is_a(&self, name: &str, value: &Value) -> bool {
        match (name, value) {
            ("ID" | "String", Value::String(_)) | ("Boolean", Value::Boolean(_)) => true,
            ("Int", Value::Number(number)) => number.as_i64().is_some_and(|number| i32::try_from(number).is_ok()),
            (_, Value::String(text)) => self.enums.get(name).is_some_and(|values| values.contains(text.as_str())),
            (_, Value::Object(given)) => self.objects.get(name).is_some_and(|fields| {
                let all_known = given
                    .iter()
                    .all(|(name, value)| fields.get(name.as_str()).is_some_and(|field| self.fits(&field.ty, value)));
                let all_there = || {
                    let given = |name: &str| given.contains_key(name);
                    fields.iter().all(|(name, field)| field.ty.nullable || field.has_default || given(name))
                };
                all_known && all_there()
            }),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use async_graphql::parser::{parse_query, types::DocumentOperations};
    use serde_json::json;

    use super::*;

    const SCHEMA: &str = "type Query { a: Int } enum Color { RED } scalar Day \
        input In { id: ID! name: String n: Int! = 1 in: In colors: [Color!] day: Day }";

    fn fit(definitions: &str, variables: serde_json::Value) -> bool {
        let document = parse_query(format!("query ({definitions}) {{ a }}")).expect("a document");
        let DocumentOperations::Single(operation) = document.operations else { panic!("one operation") };
        Inputs::from_sdl(SCHEMA).fit(&operation.node, &Variables::from_json(variables))
    }

    #[test]
    fn what_is_certainly_right_fits() {
        assert!(fit("$a: ID! $b: Int $c: [String!]!", json!({ "a": "x", "c": ["y"] })));
        assert!(fit("$in: In!", json!({ "in": { "id": "x", "in": { "id": "y", "name": null }, "colors": ["RED"] } })));
        assert!(fit("", json!({ "unknown": 1 })));
    }

    #[test]
    fn what_is_wrong_or_unknown_is_left_to_the_engine() {
        for (definitions, variables) in [
            ("$a: ID!", json!({})),
            ("$a: ID!", json!({ "a": null })),
            ("$a: ID!", json!({ "a": true })),
            ("$a: Int", json!({ "a": 1.5 })),
            ("$a: Int", json!({ "a": 3_000_000_000u32 })),
            ("$a: String", json!({ "a": 1 })),
            ("$a: [Int!]", json!({ "a": 1 })),
            ("$a: [Int!]", json!({ "a": [null] })),
            ("$a: Color", json!({ "a": "GREEN" })),
            ("$a: Day", json!({ "a": "2026-01-01" })),
            ("$a: Nothing", json!({ "a": "x" })),
            ("$a: In", json!({ "a": {} })),
            ("$a: In", json!({ "a": { "id": "x", "other": 1 } })),
            ("$a: In", json!({ "a": { "id": "x", "n": null } })),
            ("$a: In", json!({ "a": { "id": "x", "in": { "id": 1 } } })),
        ] {
            assert!(!fit(definitions, variables.clone()), "{definitions} {variables}");
        }
    }
}
