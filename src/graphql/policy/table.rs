//! What the schema declares, read back from its text once at start.

use std::collections::{HashMap, HashSet};

use async_graphql::{
    Positioned, Value,
    parser::{
        parse_schema,
        types::{BaseType, ConstDirective, FieldDefinition, Type, TypeKind, TypeSystemDefinition},
    },
};

use crate::access::{PermissionSet, UnknownPermission};

/// What is wrong with a declaration in the schema.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{at}: {problem}")]
pub struct PolicyTableError {
    /// The type, or type and field.
    pub at: String,
    /// What is wrong and how to mend it.
    pub problem: String,
}

/// Who may ask for something.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Access {
    /// Whoever may ask for the parent.
    #[default]
    Inherited,
    /// Anybody.
    Public,
    /// Anybody with a valid credential.
    Authenticated,
    /// Who holds all permissions of one of these sets.
    Scopes(Box<[PermissionSet]>),
}

/// What a field or an object needs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Requirement {
    /// Who may ask for it.
    pub access: Access,
    /// Whether the request must name a tenant.
    pub tenant_scoped: bool,
}

impl Requirement {
    pub(super) fn is_empty(&self) -> bool {
        self.access == Access::Inherited && !self.tenant_scoped
    }
}

/// How long a list gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ListSize {
    pub(super) assumed: Option<u64>,
    /// The arguments that say it, with their defaults.
    pub(super) slicing: Box<[(Box<str>, Option<Value>)]>,
}

/// What the schema declares about a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldPolicy {
    /// What it needs, besides what its parent and its type need.
    pub requirement: Requirement,
    /// The action it is audited with.
    pub audited: Option<Box<str>>,
    /// Whether its value is masked in logs and audit.
    pub is_sensitive: bool,
    pub(super) type_index: usize,
    pub(super) is_list: bool,
    pub(super) cost: Option<u64>,
    pub(super) list_size: Option<ListSize>,
}

/// What the schema declares about a type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypePolicy {
    /// Its name.
    pub name: Box<str>,
    /// What is needed to see anything of it; on objects only.
    pub requirement: Requirement,
    /// Its fields.
    pub fields: HashMap<Box<str>, FieldPolicy>,
    pub(super) kind: Kind,
    pub(super) weight: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Leaf,
    Object,
    Abstract,
}

/// Everything the schema declares, ready for the pass.
#[derive(Debug, Clone)]
pub struct PolicyTable {
    pub(super) types: Vec<TypePolicy>,
    by_name: HashMap<Box<str>, usize>,
    pub(super) query: usize,
    pub(super) mutation: Option<usize>,
    pub(super) subscription: Option<usize>,
}

impl PolicyTable {
    /// Reads the declarations from the schema's text.
    ///
    /// # Errors
    /// Everything that is wrong, not only the first: a root field without exactly one of `@public`, `@authenticated` and
    /// `@requiresScopes`, an unknown permission, a size that names no argument, a field that its interface would open.
    pub fn from_sdl(sdl: &str) -> Result<PolicyTable, Vec<PolicyTableError>> {
        let mut builder = Builder::default();
        match parse_schema(sdl) {
            Ok(document) => builder.read(&document.definitions),
            Err(error) => builder.problem("schema", format!("cannot be read: {error}")),
        }
        builder.finish()
    }

    /// The type with this name.
    pub fn type_named(&self, name: &str) -> Option<&TypePolicy> {
        self.by_name.get(name).map(|index| &self.types[*index])
    }

    /// Every field of every object and interface, as type and field with its declarations, in no particular order.
    pub fn fields(&self) -> impl Iterator<Item = (&TypePolicy, &str, &FieldPolicy)> {
        let all =
            self.types.iter().flat_map(|ty| ty.fields.iter().map(move |(name, field)| (ty, name.as_ref(), field)));
        all.filter(|(ty, ..)| !ty.name.starts_with("__"))
    }

    /// The type that a field returns.
    pub fn type_of(&self, field: &FieldPolicy) -> &TypePolicy {
        &self.types[field.type_index]
    }
}

#[derive(Default)]
struct Builder {
    types: Vec<TypePolicy>,
    by_name: HashMap<Box<str>, usize>,
    errors: Vec<PolicyTableError>,
    /// Object, interface it implements.
    implements: Vec<(usize, Box<str>)>,
    roots: [Option<Box<str>>; 3],
}

const BUILT_IN_SCALARS: [&str; 5] = ["Int", "Float", "String", "Boolean", "ID"];

impl Builder {
    fn problem(&mut self, at: impl Into<String>, problem: impl Into<String>) {
        self.errors.push(PolicyTableError { at: at.into(), problem: problem.into() });
    }

    fn read(&mut self, definitions: &[TypeSystemDefinition]) {
        for name in BUILT_IN_SCALARS {
            self.add_type(name, Kind::Leaf, 0);
        }
        for definition in definitions {
            match definition {
                TypeSystemDefinition::Schema(schema) => {
                    let roots = [&schema.node.query, &schema.node.mutation, &schema.node.subscription];
                    self.roots = roots.map(|name| name.as_ref().map(|name| name.node.as_str().into()));
                }
                TypeSystemDefinition::Type(ty) => {
                    let (kind, weight) = match &ty.node.kind {
                        TypeKind::Object(_) => (Kind::Object, 1),
                        TypeKind::Interface(_) | TypeKind::Union(_) => (Kind::Abstract, 1),
                        TypeKind::Scalar | TypeKind::Enum(_) | TypeKind::InputObject(_) => (Kind::Leaf, 0),
                    };
                    self.add_type(ty.node.name.node.as_str(), kind, weight);
                }
                TypeSystemDefinition::Directive(_) => {}
            }
        }
        for definition in definitions {
            let TypeSystemDefinition::Type(ty) = definition else { continue };
            let name = ty.node.name.node.as_str();
            let Some(index) = self.by_name.get(name).copied() else { continue };
            let fields = match &ty.node.kind {
                TypeKind::Object(object) => {
                    let interfaces = object.implements.iter().map(|interface| (index, interface.node.as_str().into()));
                    self.implements.extend(interfaces);
                    &object.fields
                }
                TypeKind::Interface(interface) => &interface.fields,
                _ => continue,
            };
            self.types[index].requirement = self.requirement(name, &ty.node.directives);
            if let Some(weight) = self.cost(name, &ty.node.directives) {
                self.types[index].weight = weight;
            }
            for field in fields {
                let policy = self.field(name, &field.node);
                self.types[index].fields.insert(field.node.name.node.as_str().into(), policy);
            }
        }
    }

    fn add_type(&mut self, name: &str, kind: Kind, weight: u64) -> usize {
        if let Some(index) = self.by_name.get(name) {
            return *index;
        }
        let index = self.types.len();
        let policy =
            TypePolicy { name: name.into(), requirement: Requirement::default(), fields: HashMap::new(), kind, weight };
        self.types.push(policy);
        self.by_name.insert(name.into(), index);
        index
    }

    fn field(&mut self, parent: &str, field: &FieldDefinition) -> FieldPolicy {
        let at = format!("{parent}.{}", field.name.node);
        let (type_name, is_list) = named_type(&field.ty.node);
        let type_index = self.by_name.get(type_name).copied().unwrap_or_else(|| {
            self.problem(&at, format!("has the type {type_name}, which is not in the schema"));
            0
        });
        let audited = directive(&field.directives, "audited").map(|found| match found.get_argument("action") {
            Some(Positioned { node: Value::String(action), .. }) => action.as_str().into(),
            _ => {
                self.problem(&at, "@audited needs an action");
                Box::default()
            }
        });
        FieldPolicy {
            requirement: self.requirement(&at, &field.directives),
            audited,
            is_sensitive: directive(&field.directives, "sensitive").is_some(),
            type_index,
            is_list,
            cost: self.cost(&at, &field.directives),
            list_size: self.list_size(&at, field),
        }
    }

    fn requirement(&mut self, at: &str, directives: &[Positioned<ConstDirective>]) -> Requirement {
        let mut found = Vec::new();
        if directive(directives, "public").is_some() {
            found.push(Access::Public);
        }
        if directive(directives, "authenticated").is_some() {
            found.push(Access::Authenticated);
        }
        if let Some(scopes) = directive(directives, "requiresScopes") {
            found.push(self.scopes(at, scopes));
        }
        if found.len() > 1 {
            self.problem(at, "declares more than one of @public, @authenticated and @requiresScopes");
        }
        Requirement {
            // Of several the last: a permission is more than a credential, a credential more than none.
            access: found.pop().unwrap_or_default(),
            tenant_scoped: directive(directives, "tenantScoped").is_some(),
        }
    }

    fn scopes(&mut self, at: &str, directive: &ConstDirective) -> Access {
        let mut sets = Vec::new();
        let Some(Value::List(outer)) = directive.get_argument("scopes").map(|scopes| &scopes.node) else {
            self.problem(at, "@requiresScopes needs a list of lists of permissions");
            return Access::Scopes(Box::default());
        };
        for inner in outer {
            let Value::List(names) = inner else {
                self.problem(at, "@requiresScopes needs a list of lists of permissions");
                continue;
            };
            let mut set = PermissionSet::EMPTY;
            for name in names {
                let parsed = match name {
                    Value::String(text) => text.parse(),
                    other => Err(UnknownPermission(other.to_string())),
                };
                match parsed {
                    Ok(permission) => set.insert(permission),
                    Err(error) => self.problem(at, error.to_string()),
                }
            }
            // An empty list would be open to everybody.
            if names.is_empty() {
                self.problem(at, "@requiresScopes has an empty list; use @authenticated");
            }
            sets.push(set);
        }
        if sets.is_empty() {
            self.problem(at, "@requiresScopes names no permission; use @authenticated");
        }
        Access::Scopes(sets.into())
    }

    fn cost(&mut self, at: &str, directives: &[Positioned<ConstDirective>]) -> Option<u64> {
        let cost = directive(directives, "cost")?;
        let weight = cost.get_argument("weight").and_then(|weight| size(&weight.node));
        if weight.is_none() {
            self.problem(at, "@cost needs a weight that is not negative");
        }
        weight
    }

    fn list_size(&mut self, at: &str, field: &FieldDefinition) -> Option<ListSize> {
        let declared = directive(&field.directives, "listSize")?;
        let assumed = declared.get_argument("assumedSize").and_then(|assumed| size(&assumed.node));
        let mut slicing = Vec::new();
        if let Some(Value::List(names)) = declared.get_argument("slicingArguments").map(|names| &names.node) {
            for name in names {
                let Value::String(name) = name else { continue };
                match field.arguments.iter().find(|argument| argument.node.name.node == name.as_str()) {
                    Some(argument) => {
                        let default = argument.node.default_value.as_ref().map(|default| default.node.clone());
                        slicing.push((name.as_str().into(), default));
                    }
                    None => self.problem(at, format!("@listSize names the argument {name}, which it does not have")),
                }
            }
        }
        if assumed.is_none() && declared.get_argument("slicingArguments").is_none() {
            self.problem(at, "@listSize needs an assumedSize or slicingArguments");
        }
        Some(ListSize { assumed, slicing: slicing.into() })
    }

    fn finish(mut self) -> Result<PolicyTable, Vec<PolicyTableError>> {
        let roots = std::mem::take(&mut self.roots);
        let [query, mutation, subscription] = roots.map(|name| name.and_then(|name| self.by_name.get(&name).copied()));
        for root in [query, mutation, subscription].into_iter().flatten() {
            self.check_root(root);
        }
        self.check_interfaces();
        let Some(query) = query else {
            if self.errors.is_empty() {
                self.problem("schema", "has no query type");
            }
            return Err(self.errors);
        };
        if !self.errors.is_empty() {
            self.errors.sort_by(|a, b| (&a.at, &a.problem).cmp(&(&b.at, &b.problem)));
            return Err(self.errors);
        }
        Ok(PolicyTable { types: self.types, by_name: self.by_name, query, mutation, subscription })
    }

    fn check_root(&mut self, root: usize) {
        let root = &self.types[root];
        let undeclared: Vec<_> = (root.fields.iter())
            .filter(|(_, field)| field.requirement.access == Access::Inherited)
            .map(|(name, _)| format!("{}.{name}", root.name))
            .collect();
        for at in undeclared {
            self.problem(at, "declares none of @public, @authenticated and @requiresScopes");
        }
    }

    /// A field of an object can be asked for through its interface, so both must say the same.
    fn check_interfaces(&mut self) {
        let mut wrong = HashSet::new();
        for (object, interface) in &self.implements {
            let Some(interface) = self.by_name.get(interface).map(|index| &self.types[*index]) else { continue };
            let object = &self.types[*object];
            for (name, declared) in &interface.fields {
                let own = object.fields.get(name).map(|field| &field.requirement);
                if own.is_some_and(|own| *own != declared.requirement) {
                    wrong.insert((format!("{}.{name}", object.name), interface.name.clone()));
                }
            }
        }
        for (at, interface) in wrong {
            self.problem(at, format!("declares another access than the same field of the interface {interface}"));
        }
    }
}

fn directive<'a>(directives: &'a [Positioned<ConstDirective>], name: &str) -> Option<&'a ConstDirective> {
    directives.iter().map(|directive| &directive.node).find(|directive| directive.name.node == name)
}

fn named_type(ty: &Type) -> (&str, bool) {
    match &ty.base {
        BaseType::Named(name) => (name.as_str(), false),
        BaseType::List(inner) => (named_type(inner).0, true),
    }
}

fn size(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number) => number.as_u64(),
        _ => None,
    }
}
