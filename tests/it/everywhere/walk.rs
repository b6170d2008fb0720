//! Documents for any field, made from the schema's own text.

use std::collections::{BTreeMap, HashMap};

use async_graphql::parser::{
    parse_schema,
    types::{
        BaseType, ConstDirective, FieldDefinition, InputValueDefinition, Type, TypeDefinition, TypeKind,
        TypeSystemDefinition,
    },
};
use serde_json::{Map, Value, json};

use super::exceptions::{ID_NAMES, ID_OF_FIELD};

/// The schema as text, taken apart.
pub struct Walk {
    types: BTreeMap<String, TypeDefinition>,
}

/// A field at the root.
#[derive(Clone, Debug)]
pub struct Root {
    /// `query`, `mutation` or `subscription`.
    pub operation: &'static str,
    /// Its name.
    pub name: String,
    definition: FieldDefinition,
}

impl Root {
    /// Whether it may be null.
    pub fn is_nullable(&self) -> bool {
        self.definition.ty.node.nullable
    }

    /// The name of its type.
    pub fn type_name(&self) -> &str {
        base(&self.definition.ty.node)
    }

    /// The names of its arguments.
    pub fn arguments(&self) -> Vec<String> {
        self.definition.arguments.iter().map(|argument| argument.node.name.node.to_string()).collect()
    }
}

/// A list that can be paged: a field whose type is a connection.
#[derive(Clone, Debug)]
pub struct List {
    /// The type it is a field of.
    pub on: String,
    /// Its name.
    pub name: String,
    /// The name of the type of its items.
    pub node: String,
    definition: FieldDefinition,
    /// The field at the root that leads to it; none if it stands at the root itself.
    root: Option<Root>,
}

impl List {
    /// As people write it: `Workspace.tasks`.
    pub fn label(&self) -> String {
        format!("{}.{}", self.on, self.name)
    }

    /// Where its page stands in the data of an answer.
    pub fn pointer(&self) -> String {
        match &self.root {
            Some(root) => format!("/{}/{}", root.name, self.name),
            None => format!("/{}", self.name),
        }
    }

    fn argument(&self, name: &str) -> Option<&InputValueDefinition> {
        self.definition.arguments.iter().map(|argument| &argument.node).find(|argument| argument.name.node == name)
    }
}

/// The ids that arguments are filled with, by prefix.
pub type Ids = HashMap<String, String>;

impl Walk {
    /// Of the schema that the program serves.
    pub fn new() -> Self {
        let text = tenantry::app::schema::sdl(&tenantry::app::schema::build());
        let document = parse_schema(text).expect("the exported schema can be parsed");
        let types = (document.definitions.into_iter())
            .filter_map(|definition| match definition {
                TypeSystemDefinition::Type(definition) => Some(definition.node),
                _ => None,
            })
            .map(|definition| (definition.name.node.to_string(), definition))
            .collect();
        Self { types }
    }

    /// Every field at the root.
    pub fn roots(&self) -> Vec<Root> {
        let of = |operation, type_name: &str| {
            let TypeKind::Object(object) = &self.types[type_name].kind else { panic!("{type_name} is no object") };
            (object.fields.iter())
                .map(|field| Root { operation, name: field.node.name.node.to_string(), definition: field.node.clone() })
                .collect::<Vec<_>>()
        };
        [of("query", "Query"), of("mutation", "Mutation"), of("subscription", "Subscription")].concat()
    }

    /// Every type, for checks of the schema itself.
    pub fn types(&self) -> impl Iterator<Item = &TypeDefinition> {
        self.types.values()
    }

    /// Every list that can be paged, wherever it stands.
    pub fn lists(&self) -> Vec<List> {
        let roots = self.roots();
        let mut lists = Vec::new();
        for (on, definition) in &self.types {
            let TypeKind::Object(object) = &definition.kind else { continue };
            for field in object.fields.iter().map(|field| &field.node) {
                let Some(TypeKind::Object(connection)) = self.kind(base(&field.ty.node)) else { continue };
                let Some(nodes) = connection.fields.iter().find(|field| field.node.name.node == "nodes") else {
                    continue;
                };
                let root = (on != "Query").then(|| {
                    let leads = |root: &&Root| root.operation == "query" && root.type_name() == on;
                    roots.iter().find(leads).unwrap_or_else(|| panic!("no field at the root leads to {on}")).clone()
                });
                let node = base(&nodes.node.ty.node).to_owned();
                lists.push(List {
                    on: on.clone(),
                    name: field.name.node.to_string(),
                    node,
                    definition: field.clone(),
                    root,
                });
            }
        }
        lists
    }

    /// Whether a type has this field.
    pub fn has_field(&self, type_name: &str, field: &str) -> bool {
        matches!(self.kind(type_name), Some(TypeKind::Object(of)) if of.fields.iter().any(|of| of.node.name.node == field))
    }

    /// A document that asks for a page of a list, and the variables that say which list; how to page is still open:
    /// `$first`, `$after`, `$last`, `$before`, `$orderBy` and `$filter`.
    pub fn list_document(&self, list: &List, ids: &Ids, selection: &str) -> (String, Value) {
        let mut variables = Map::new();
        let (mut declared, mut of_list, mut of_root) = (Vec::new(), Vec::new(), Vec::new());
        let mut pass = |field: &str, argument: &InputValueDefinition, name: String, passed: &mut Vec<String>| {
            declared.push(format!("${name}: {}", argument.ty.node));
            passed.push(format!("{}: ${name}", argument.name.node));
            if !argument.ty.node.nullable {
                variables.insert(name, self.value(field, argument, ids));
            }
        };
        for argument in list.definition.arguments.iter().map(|argument| &argument.node) {
            pass(&list.name, argument, argument.name.node.to_string(), &mut of_list);
        }
        for argument in list.root.iter().flat_map(|root| &root.definition.arguments).map(|argument| &argument.node) {
            pass(
                &list.root.as_ref().expect("it has arguments").name,
                argument,
                format!("of_{}", argument.name.node),
                &mut of_root,
            );
        }
        let page = format!("{}({}) {{ {selection} }}", list.name, of_list.join(", "));
        let page = match &list.root {
            Some(root) if of_root.is_empty() => format!("{} {{ {page} }}", root.name),
            Some(root) => format!("{}({}) {{ {page} }}", root.name, of_root.join(", ")),
            None => page,
        };
        (format!("query({}) {{ {page} }}", declared.join(", ")), Value::Object(variables))
    }

    /// Every order that a list can have, both ways; `null` where it has one only.
    pub fn orders(&self, list: &List) -> Vec<Value> {
        let fields = list.argument("orderBy").and_then(|argument| {
            let Some(TypeKind::InputObject(order)) = self.kind(base(&argument.ty.node)) else { return None };
            let field = order.fields.iter().find(|field| field.node.name.node == "field")?;
            let Some(TypeKind::Enum(of)) = self.kind(base(&field.node.ty.node)) else { return None };
            Some(of.values.iter().map(|value| value.node.value.node.to_string()).collect::<Vec<_>>())
        });
        let Some(fields) = fields else { return vec![Value::Null] };
        let both = |field| ["ASC", "DESC"].map(|direction| json!({ "field": field, "direction": direction }));
        fields.into_iter().flat_map(both).collect()
    }

    /// Filters of a list, each with one condition: every one that there is, of alternatives each.
    pub fn filters(&self, list: &List, ids: &Ids) -> Vec<Value> {
        let Some(argument) = list.argument("filter") else { return Vec::new() };
        self.conditions(&list.name, base(&argument.ty.node), ids)
    }

    fn conditions(&self, field: &str, type_name: &str, ids: &Ids) -> Vec<Value> {
        let Some(TypeKind::InputObject(of)) = self.kind(type_name) else { return Vec::new() };
        let one = |condition: &InputValueDefinition| {
            let name = condition.name.node.to_string();
            let values = match (base(&condition.ty.node), self.kind(base(&condition.ty.node))) {
                ("Boolean", _) => vec![json!(true), json!(false)],
                (inner, Some(TypeKind::InputObject(_))) if self.is_one_of(inner) => self.conditions(field, inner, ids),
                _ => vec![self.value(field, condition, ids)],
            };
            values.into_iter().map(|value| json!({ (name.clone()): value })).collect::<Vec<_>>()
        };
        of.fields.iter().flat_map(|condition| one(&condition.node)).collect()
    }

    fn kind(&self, name: &str) -> Option<&TypeKind> {
        self.types.get(name).map(|definition| &definition.kind)
    }

    /// A document that runs this field, with its variables. Lists are asked for `page` items.
    pub fn document(&self, root: &Root, ids: &Ids, depth: usize, page: usize) -> (String, Value) {
        let mut variables = Map::new();
        let (mut declared, mut passed) = (Vec::new(), Vec::new());
        for argument in &root.definition.arguments {
            let argument = &argument.node;
            let name = argument.name.node.to_string();
            let value = if name == "first" {
                json!(page)
            } else if argument.ty.node.nullable {
                continue;
            } else {
                self.value(&root.name, argument, ids)
            };
            declared.push(format!("${name}: {}", argument.ty.node));
            passed.push(format!("{name}: ${name}"));
            variables.insert(name, value);
        }
        let declared = if declared.is_empty() { String::new() } else { format!("({})", declared.join(", ")) };
        let passed = if passed.is_empty() { String::new() } else { format!("({})", passed.join(", ")) };
        let selection = self.selection(base(&root.definition.ty.node), depth, page);
        (format!("{} Walk{declared} {{ {}{passed}{selection} }}", root.operation, root.name), Value::Object(variables))
    }

    /// A value for a required argument or input field.
    fn value(&self, field: &str, argument: &InputValueDefinition, ids: &Ids) -> Value {
        self.value_of(field, &argument.name.node, &argument.ty.node, ids)
    }

    fn value_of(&self, field: &str, name: &str, ty: &Type, ids: &Ids) -> Value {
        match &ty.base {
            BaseType::List(item) => json!([self.value_of(field, name, item, ids)]),
            BaseType::Named(type_name) => match type_name.as_str() {
                "ID" => json!(ids.get(id_prefix(field, name)).unwrap_or_else(|| panic!("no id for {field}.{name}"))),
                "String" => json!(text_for(name)),
                "Int" => json!(1),
                "Float" => json!(1.0),
                "Boolean" => json!(true),
                "DateTime" => json!("2031-05-06T07:08:09.000Z"),
                "Date" => json!("2031-05-06"),
                "Permission" => json!("tasks:read"),
                "JSON" => json!({}),
                other => match self.kind(other) {
                    Some(TypeKind::Enum(of)) => json!(of.values[0].node.value.node.to_string()),
                    Some(TypeKind::InputObject(of)) => {
                        // Of alternatives, the first.
                        let first = if self.is_one_of(other) { 1 } else { 0 };
                        let required = (of.fields.iter().enumerate())
                            .filter(|(index, field)| *index < first || !field.node.ty.node.nullable)
                            .map(|(_, field)| field);
                        required
                            .map(|inner| (inner.node.name.node.to_string(), self.value(field, &inner.node, ids)))
                            .collect::<Map<_, _>>()
                            .into()
                    }
                    _ => panic!("no value for the type {other}, of {field}.{name}"),
                },
            },
        }
    }

    /// Whether exactly one field of this input type is given.
    fn is_one_of(&self, name: &str) -> bool {
        self.types
            .get(name)
            .is_some_and(|definition| definition.directives.iter().any(|directive| directive.node.name.node == "oneOf"))
    }

    /// Every place in the arguments of a field that takes an id: a path such as `input.projectId`, and the prefix.
    pub fn id_places(&self, root: &Root) -> Vec<(Vec<String>, String)> {
        let mut places = Vec::new();
        for argument in &root.definition.arguments {
            self.collect_id_places(root, &argument.node, &mut Vec::new(), &mut places);
        }
        places
    }

    fn collect_id_places(
        &self,
        root: &Root,
        argument: &InputValueDefinition,
        path: &mut Vec<String>,
        places: &mut Vec<(Vec<String>, String)>,
    ) {
        let name = argument.name.node.to_string();
        path.push(name.clone());
        let type_name = base(&argument.ty.node);
        if matches!(argument.ty.node.base, BaseType::List(_)) {
            path.push("0".to_owned());
        }
        match self.kind(type_name) {
            _ if type_name == "ID" => places.push((path.clone(), id_prefix(&root.name, &name).to_owned())),
            Some(TypeKind::InputObject(of)) if path.len() < 8 => {
                for field in &of.fields {
                    self.collect_id_places(root, &field.node, path, places);
                }
            }
            _ => {}
        }
        if matches!(argument.ty.node.base, BaseType::List(_)) {
            path.pop();
        }
        path.pop();
    }

    /// The document of a field with one of its ids replaced, at this path.
    pub fn document_with(&self, root: &Root, ids: &Ids, path: &[String], id: &str) -> (String, Value) {
        let (_, mut variables) = self.document(root, ids, 2, 2);
        let map = variables.as_object_mut().expect("variables are an object");
        // The argument itself may be optional: then the document does not have it yet.
        let argument = (root.definition.arguments.iter()).find(|argument| argument.node.name.node == path[0]);
        let argument = &argument.expect("the path begins with an argument").node;
        if !map.contains_key(&path[0]) {
            let empty = match (&argument.ty.node.base, path.len()) {
                (BaseType::Named(_), 1) => Value::Null,
                (BaseType::Named(_), _) => self.value_of(&root.name, &path[0], &argument.ty.node, ids),
                (BaseType::List(_), _) => json!([null]),
            };
            map.insert(path[0].clone(), empty);
        }
        self.clear_alternatives(argument, path, &mut variables[&path[0]]);
        put(&mut variables, path, json!(id));
        let mut declared = Vec::new();
        let mut passed = Vec::new();
        for name in variables.as_object().expect("an object").keys() {
            let argument = (root.definition.arguments.iter()).find(|argument| argument.node.name.node == name.as_str());
            declared.push(format!("${name}: {}", argument.expect("an argument").node.ty.node));
            passed.push(format!("{name}: ${name}"));
        }
        let selection = self.selection(base(&root.definition.ty.node), 2, 2);
        let document = format!(
            "{} Walk({}) {{ {}({}){selection} }}",
            root.operation,
            declared.join(", "),
            root.name,
            passed.join(", ")
        );
        (document, variables)
    }

    /// Takes away the alternatives to what `path` is about to fill.
    fn clear_alternatives(&self, argument: &InputValueDefinition, path: &[String], value: &mut Value) {
        let (mut type_name, mut value) = (base(&argument.ty.node).to_owned(), value);
        for name in &path[1..] {
            if self.is_one_of(&type_name) {
                *value = json!({});
                return;
            }
            let Some(TypeKind::InputObject(of)) = self.kind(&type_name) else { return };
            let Some(field) = of.fields.iter().find(|field| field.node.name.node == name.as_str()) else { return };
            type_name = base(&field.node.ty.node).to_owned();
            if value.get(name).is_none() {
                return;
            }
            value = &mut value[name.as_str()];
        }
    }

    /// Everything of a type that can be selected without arguments, lists with their size, `depth` objects deep.
    pub fn selection(&self, type_name: &str, depth: usize, page: usize) -> String {
        match self.kind(type_name) {
            Some(TypeKind::Object(object)) => {
                let fields: Vec<String> =
                    object.fields.iter().filter_map(|field| self.selected(&field.node, depth, page)).collect();
                if fields.is_empty() { " { __typename }".to_owned() } else { format!(" {{ {} }}", fields.join(" ")) }
            }
            Some(TypeKind::Interface(_)) if depth == 0 => " { id }".to_owned(),
            Some(TypeKind::Interface(_) | TypeKind::Union(_)) => {
                let members: Vec<String> = (self.types.values())
                    .filter_map(|definition| match &definition.kind {
                        TypeKind::Object(object) if object.implements.iter().any(|of| of.node == type_name) => {
                            let name = definition.name.node.as_str();
                            // Members of one interface may type a field differently: only the id is shared by all.
                            Some(format!("... on {name} {{ __typename }}"))
                        }
                        _ => None,
                    })
                    .collect();
                format!(" {{ id {} }}", members.join(" "))
            }
            _ => String::new(),
        }
    }

    /// Selections of a type that follow one relation at each level, `depth` levels deep: every way through the schema,
    /// each on its own.
    pub fn chains(&self, type_name: &str, depth: usize, page: usize) -> Vec<String> {
        let Some(TypeKind::Object(object)) = self.kind(type_name) else { return vec![String::new()] };
        let fields = || object.fields.iter().map(|field| &field.node);
        if let Some(nodes) = fields().find(|field| field.name.node == "nodes") {
            let inside = self.chains(base(&nodes.ty.node), depth, page);
            return inside.into_iter().map(|chain| format!(" {{ totalCount nodes{chain} }}")).collect();
        }
        let is_relation =
            |field: &FieldDefinition| matches!(self.kind(base(&field.ty.node)), Some(TypeKind::Object(_)));
        let leaves: Vec<_> = fields().filter_map(|field| self.selected(field, 0, page)).collect();
        let leaves = if leaves.is_empty() { "__typename".to_owned() } else { leaves.join(" ") };
        let mut chains = Vec::new();
        for field in fields().filter(|field| depth > 0 && is_relation(field)) {
            let sized = field.arguments.iter().any(|argument| argument.node.name.node == "first");
            let size = if sized { format!("(first: {page})") } else { String::new() };
            for chain in self.chains(base(&field.ty.node), depth - 1, page) {
                chains.push(format!(" {{ {leaves} {}{size}{chain} }}", field.name.node));
            }
        }
        if chains.is_empty() { vec![format!(" {{ {leaves} }}")] } else { chains }
    }

    fn selected(&self, field: &FieldDefinition, depth: usize, page: usize) -> Option<String> {
        let name = field.name.node.as_str();
        let type_name = base(&field.ty.node);
        let arguments: Vec<&InputValueDefinition> = field.arguments.iter().map(|argument| &argument.node).collect();
        if arguments.iter().any(|argument| !argument.ty.node.nullable && argument.default_value.is_none()) {
            return None;
        }
        let is_leaf =
            !matches!(self.kind(type_name), Some(TypeKind::Object(_) | TypeKind::Interface(_) | TypeKind::Union(_)));
        let sized = arguments.iter().any(|argument| argument.name.node == "first");
        let size = if sized { format!("(first: {page})") } else { String::new() };
        match (is_leaf, depth) {
            (true, _) => Some(format!("{name}{size}")),
            (false, 0) => None,
            (false, _) => {
                // The wrappers of a page do not count as depth.
                let inside = if ["PageInfo", "UserError"].contains(&type_name) || name == "nodes" || name == "edges" {
                    depth
                } else {
                    depth - 1
                };
                // One way to the items is enough.
                if name == "edges" {
                    return None;
                }
                Some(format!("{name}{size}{}", self.selection(type_name, inside, page)))
            }
        }
    }
}

fn put(into: &mut Value, path: &[String], value: Value) {
    let Some((first, rest)) = path.split_first() else {
        *into = value;
        return;
    };
    if let Ok(index) = first.parse::<usize>() {
        if !into.is_array() {
            *into = json!([null]);
        }
        put(&mut into[index], rest, value);
    } else {
        if !into.is_object() {
            *into = json!({});
        }
        put(&mut into[first.as_str()], rest, value);
    }
}

fn id_prefix<'a>(field: &str, name: &str) -> &'a str {
    let known = |table: &'a [(&str, &'a str)], key: &str| {
        table.iter().find(|(known, _)| *known == key).map(|(_, prefix)| *prefix)
    };
    if name != "id" {
        return known(ID_NAMES, name).unwrap_or_else(|| panic!("which kind of id is {name}? Say it in exceptions.rs"));
    }
    known(ID_OF_FIELD, field).unwrap_or_else(|| {
        let kinds = [
            ("apiKey", "key"),
            ("group", "grp"),
            ("member", "mbr"),
            ("project", "prj"),
            ("roleGrant", "rgr"),
            ("role", "rol"),
            ("serviceAccount", "sva"),
            ("task", "tsk"),
            ("workspace", "wsp"),
        ];
        let found = kinds.into_iter().find(|(kind, _)| field.starts_with(kind));
        found
            .map(|(_, prefix)| prefix)
            .unwrap_or_else(|| panic!("which kind of id does {field} take? Say it in exceptions.rs"))
    })
}

fn text_for(name: &str) -> String {
    match name {
        "email" => "nobody@example.test".to_owned(),
        "slug" => super::super::support::app::unique("walk"),
        // Many names are taken once.
        "name" => super::super::support::app::unique("Demo"),
        "confirm" => "wrong".to_owned(),
        _ => format!("Demo {name}"),
    }
}

/// The name of a type without list and non-null.
pub fn base(ty: &Type) -> &str {
    match &ty.base {
        BaseType::Named(name) => name,
        BaseType::List(item) => base(item),
    }
}

/// The directive of this name, if the field has it.
pub fn directive<'a>(root: &'a Root, name: &str) -> Option<&'a ConstDirective> {
    root.definition.directives.iter().map(|directive| &directive.node).find(|directive| directive.name.node == name)
}
