//! The walk over the selected operation: one visit per selection. What it allocates is the bill: one item for each field
//! that costs something.

use async_graphql::{
    Name, PathSegment, Pos, Positioned, ServerError, Value, Variables,
    parser::types::{
        Directive, ExecutableDocument, Field, OperationDefinition, OperationType, Selection, SelectionSet,
    },
};
use async_graphql_value::Value as Literal;

use super::{
    Caller, Item, Limits, Plan, PolicyTable, Refusal, RootField, SIGN_IN_LIKE,
    document::{self, MAX_SELECTIONS, loops, too_many_selections, too_nested},
    table::{Access, FieldPolicy, Kind, ListSize, Requirement, TypePolicy},
};
use crate::{
    access::PermissionSet,
    graphql::{codes::ErrorCode, connection::MAX_PAGE_SIZE, error::ApiError},
};

/// Selections inside each other, fragments included; the engine's own limit.
pub(super) const MAX_SELECTION_NESTING: u32 = 32;
/// How long a list of objects is taken to be when nothing is declared.
const UNDECLARED_LIST: u64 = 10;
/// What a mutation costs when nothing is declared.
const MUTATION: u64 = 10;
/// What a connection costs besides its items when nothing is declared.
const CONNECTION: u64 = 2;
/// What it costs to ask about the schema.
pub(super) const INTROSPECTION: u64 = 100;
/// Lists inside each other below `__schema` and `__type`; further ones multiply the answer without saying anything new.
const MAX_INTROSPECTION_LISTS: u32 = 3;
/// How many offences are named.
const MAX_OFFENCES: usize = 100;

/// Decides whether an operation may run and what it may cost; runs nothing.
///
/// The variables must have been [completed](document::complete_variables).
///
/// # Errors
/// `OPERATION_NOT_FOUND`; the limits, each as soon as it is passed; then, with every place in the document that is
/// concerned, `UNAUTHENTICATED` for anonymous callers, else `TENANT_REQUIRED` without a tenant, else `FORBIDDEN`; then
/// `GRAPHQL_VALIDATION_FAILED` for required variables without a value; at last `QUERY_TOO_COMPLEX` for the price.
pub fn check(
    table: &PolicyTable,
    document: &ExecutableDocument,
    operation_name: Option<&str>,
    variables: &Variables,
    caller: &Caller<'_>,
    limits: &Limits,
) -> Result<Plan, Refusal> {
    let (name, operation) = document::operation(document, operation_name).map_err(|error| Refusal::of(error, None))?;
    let mut walk = Walk {
        table,
        document,
        operation: &operation.node,
        variables,
        caller,
        limits,
        visits: 0,
        aliases: 0,
        root_fields: Vec::new(),
        offences: Vec::new(),
        schema_fields: 0,
        spreads: Vec::new(),
    };
    match walk.run(operation.pos) {
        Ok((cost, items)) => Ok(Plan {
            operation_type: operation.node.ty,
            operation_name: name.cloned(),
            cost,
            is_introspection_only: walk.schema_fields > 0,
            items,
            root_fields: walk.root_fields,
        }),
        Err(mut refusal) => {
            refusal.audited = walk.root_fields.into_iter().filter_map(|field| field.audited).collect();
            Err(refusal)
        }
    }
}

impl Refusal {
    /// A refusal with one error.
    pub fn of(error: ApiError, at: Option<Pos>) -> Self {
        Self { code: error.code, errors: vec![error.into_server_error(at)], audited: Vec::new() }
    }
}

/// The way to a field in the response, kept on the stack.
#[derive(Clone, Copy)]
struct Path<'p> {
    parent: Option<&'p Path<'p>>,
    key: &'p str,
}

impl Path<'_> {
    fn segments(&self) -> Vec<PathSegment> {
        let mut segments: Vec<_> = std::iter::successors(Some(self), |path| path.parent)
            .map(|path| PathSegment::Field(path.key.to_owned()))
            .collect();
        segments.reverse();
        segments
    }
}

/// Where a selection set stands.
#[derive(Clone, Copy)]
struct Place<'p> {
    path: Option<&'p Path<'p>>,
    /// Fields around it.
    depth: u32,
    /// Selection sets around it.
    nesting: u32,
    /// How long the lists in it are, when it belongs to a connection.
    page: Option<u64>,
    /// Lists around it below `__schema` or `__type`.
    schema_lists: Option<u32>,
}

struct Offence {
    code: ErrorCode,
    at: Pos,
    path: Vec<PathSegment>,
    needs: Box<[PermissionSet]>,
}

struct Walk<'a> {
    table: &'a PolicyTable,
    document: &'a ExecutableDocument,
    operation: &'a OperationDefinition,
    variables: &'a Variables,
    caller: &'a Caller<'a>,
    limits: &'a Limits,
    visits: u64,
    aliases: u32,
    root_fields: Vec<RootField>,
    offences: Vec<Offence>,
    schema_fields: u32,
    /// The fragments being walked, to notice one that uses itself.
    spreads: Vec<&'a str>,
}

impl<'a> Walk<'a> {
    fn run(&mut self, at: Pos) -> Result<(u64, Vec<Item>), Refusal> {
        let root = match self.operation.ty {
            OperationType::Query => Some(self.table.query),
            OperationType::Mutation => self.table.mutation,
            OperationType::Subscription => self.table.subscription,
        };
        let root = root.map(|index| &self.table.types[index]);
        self.directives(&self.operation.directives, at)?;
        let place = Place { path: None, depth: 0, nesting: 0, page: None, schema_lists: None };
        let mut items = Vec::new();
        let cost = self.selections(&self.operation.selection_set.node, root, place, &mut items)?;
        self.mixed_introspection(at)?;
        self.refuse_offences()?;
        self.required_variables()?;
        let cost = cost.saturating_add(if self.schema_fields > 0 { INTROSPECTION } else { 0 });
        if cost > self.limits.cost {
            let message = format!("The operation costs {cost} points, more than {}.", self.limits.cost);
            let error = ApiError::new(ErrorCode::QueryTooComplex, message);
            return Err(Refusal::of(error.with("cost", cost).with("limit", self.limits.cost), Some(at)));
        }
        // Nothing is free: even an answer without an object has to be read and written.
        Ok((cost.max(1), items))
    }

    /// The cost of a selection set, and what it is made of. `ty` is `None` below something that the schema does not have.
    fn selections(
        &mut self,
        set: &'a SelectionSet,
        ty: Option<&'a TypePolicy>,
        place: Place<'_>,
        items: &mut Vec<Item>,
    ) -> Result<u64, Refusal> {
        let mut cost: u64 = 0;
        for item in &set.items {
            self.visits += 1;
            if self.visits > MAX_SELECTIONS {
                return Err(too_many_selections(item.pos));
            }
            if place.nesting > MAX_SELECTION_NESTING {
                return Err(too_nested(item.pos));
            }
            let directives = item.node.directives();
            if !directives.is_empty() {
                self.directives(directives, item.pos)?;
                if self.is_left_out(directives) {
                    continue;
                }
            }
            let inner = Place { nesting: place.nesting + 1, ..place };
            cost = cost.saturating_add(match &item.node {
                Selection::Field(field) => self.field(field, ty, place, items)?,
                Selection::InlineFragment(fragment) => {
                    let condition = fragment.node.type_condition.as_ref().map(|condition| &condition.node.on);
                    let ty = match condition {
                        Some(on) => self.narrowed(ty, on, place),
                        None => ty,
                    };
                    self.selections(&fragment.node.selection_set.node, ty, inner, items)?
                }
                Selection::FragmentSpread(spread) => {
                    let name = spread.node.fragment_name.node.as_str();
                    let Some(fragment) = self.document.fragments.get(name) else { continue };
                    if self.spreads.contains(&name) {
                        return Err(loops(name, item.pos));
                    }
                    self.directives(&fragment.node.directives, fragment.pos)?;
                    let ty = self.narrowed(ty, &fragment.node.type_condition.node.on, place);
                    self.spreads.push(name);
                    let cost = self.selections(&fragment.node.selection_set.node, ty, inner, items)?;
                    self.spreads.pop();
                    cost
                }
            });
        }
        Ok(cost)
    }

    /// The type inside a fragment, and what it needs if that is not known from outside.
    fn narrowed(
        &mut self,
        outside: Option<&'a TypePolicy>,
        on: &'a Positioned<Name>,
        place: Place<'_>,
    ) -> Option<&'a TypePolicy> {
        match outside {
            // An object stays what it is: through an interface its own declarations count, and any other object is
            // impossible here, which validation will say.
            Some(object) if object.kind == Kind::Object => Some(object),
            _ => {
                let inside = self.table.type_named(on.node.as_str());
                if let Some(inside) = inside
                    && inside.kind == Kind::Object
                {
                    self.require(&inside.requirement, place.path, on.pos);
                }
                inside
            }
        }
    }

    fn field(
        &mut self,
        item: &'a Positioned<Field>,
        parent: Option<&'a TypePolicy>,
        place: Place<'_>,
        items: &mut Vec<Item>,
    ) -> Result<u64, Refusal> {
        let field = &item.node;
        if field.alias.is_some() {
            self.aliases += 1;
            if self.aliases > self.limits.aliases {
                return Err(too_wide("aliases", self.limits.aliases, item.pos));
            }
        }
        let name = field.name.node.as_str();
        let path = Path { parent: place.path, key: field.response_key().node.as_str() };
        let depth = place.depth + 1;
        let policy = parent.and_then(|parent| parent.fields.get(name));
        if place.depth == 0 {
            self.root_field(field, policy, item.pos)?;
        }
        let limit = if place.schema_lists.is_some() { self.limits.introspection_depth } else { self.limits.depth };
        if depth > limit {
            return Err(too_deep(limit, &path, item.pos));
        }
        let mut inner = Place {
            path: Some(&path),
            depth,
            nesting: place.nesting + 1,
            page: None,
            schema_lists: place.schema_lists,
        };
        if place.depth == 0 && matches!(name, "__schema" | "__type") {
            self.schema_fields += 1;
            inner.schema_lists = Some(0);
        }
        if let Some(lists) = inner.schema_lists {
            if matches!(name, "fields" | "interfaces" | "possibleTypes" | "inputFields") {
                if lists + 1 >= MAX_INTROSPECTION_LISTS {
                    return Err(too_deep(MAX_INTROSPECTION_LISTS, &path, item.pos));
                }
                inner.schema_lists = Some(lists + 1);
            }
            return self.selections(&field.selection_set.node, None, inner, &mut Vec::new());
        }
        let Some(policy) = policy else {
            // `__typename`, or nothing the schema has. Validation refuses the latter; until then it is walked, so that
            // the limits hold for it as well.
            return self.selections(&field.selection_set.node, None, inner, &mut Vec::new());
        };
        self.require(&policy.requirement, Some(&path), item.pos);
        let ty = &self.table.types[policy.type_index];
        if ty.kind == Kind::Object {
            self.require(&ty.requirement, Some(&path), item.pos);
        }
        let own =
            policy.cost.or((place.depth == 0 && self.operation.ty == OperationType::Mutation).then_some(MUTATION));
        let mut parts = Vec::new();
        let key = &field.response_key().node;
        let mut charge = |own: u64, each: u64, parts: Vec<Item>| {
            if own > 0 || each > 0 || !parts.is_empty() {
                items.push(Item { key: key.clone(), own, each, parts });
            }
        };
        if ty.kind == Kind::Leaf {
            charge(own.unwrap_or(0), 0, parts);
            return Ok(own.unwrap_or(0));
        }
        let size = policy.list_size.as_ref().map(|list| self.size(list, field));
        if policy.is_list {
            let length = size.or(place.page).unwrap_or(UNDECLARED_LIST);
            let below = self.selections(&field.selection_set.node, Some(ty), inner, &mut parts)?;
            charge(own.unwrap_or(0), ty.weight, parts);
            return Ok(own.unwrap_or(0).saturating_add(length.saturating_mul(ty.weight.saturating_add(below))));
        }
        inner.page = size;
        let alone = if size.is_some() { CONNECTION } else { ty.weight };
        let below = self.selections(&field.selection_set.node, Some(ty), inner, &mut parts)?;
        charge(own.unwrap_or(0), if own.is_some() { 0 } else { alone }, parts);
        Ok(own.unwrap_or(alone).saturating_add(below))
    }

    fn root_field(&mut self, field: &'a Field, policy: Option<&'a FieldPolicy>, at: Pos) -> Result<(), Refusal> {
        let signs_in = SIGN_IN_LIKE.contains(&field.name.node.as_str());
        self.root_fields.push(RootField {
            key: field.response_key().node.clone(),
            name: field.name.node.clone(),
            audited: policy.and_then(|policy| policy.audited.clone()),
            signs_in,
            account: if signs_in { self.account(field) } else { None },
        });
        let count = self.root_fields.len() as u32;
        if self.operation.ty == OperationType::Mutation && count > self.limits.mutations {
            return Err(too_wide("mutations", self.limits.mutations, at));
        }
        if count > self.limits.root_fields {
            return Err(too_wide("fields at the root", self.limits.root_fields, at));
        }
        Ok(())
    }

    /// The text in `input.email`, wherever variables stand.
    fn account(&self, field: &Field) -> Option<Box<str>> {
        let text = match &field.get_argument("input")?.node {
            Literal::Variable(variable) => match self.variables.get(variable)? {
                Value::Object(input) => input.get("email").cloned(),
                _ => None,
            },
            Literal::Object(input) => match input.get("email")? {
                Literal::Variable(variable) => self.variables.get(variable).cloned(),
                literal => literal.clone().into_const(),
            },
            _ => None,
        };
        match text? {
            Value::String(text) => Some(text.into()),
            _ => None,
        }
    }

    /// How long a list gets that says so by an argument.
    fn size(&self, list: &ListSize, field: &Field) -> u64 {
        let mut largest = None;
        for (name, default) in &list.slicing {
            let given = match field.get_argument(name).map(|value| &value.node) {
                Some(Literal::Variable(variable)) => self.variables.get(variable).and_then(length_of),
                Some(Literal::Number(number)) => number.as_i64().map(page_length),
                Some(Literal::List(items)) => Some(items.len() as u64),
                Some(Literal::Null) => None,
                Some(_) => Some(1),
                None => default.as_ref().and_then(length_of),
            };
            largest = largest.max(given);
        }
        largest.or(list.assumed).unwrap_or(UNDECLARED_LIST)
    }

    /// Whether the engine leaves this out. In doubt it is looked at.
    fn is_left_out(&self, directives: &[Positioned<Directive>]) -> bool {
        directives.iter().any(|directive| {
            let leaves_out = match directive.node.name.node.as_str() {
                "skip" => true,
                "include" => false,
                _ => return false,
            };
            let condition = match directive.node.get_argument("if").map(|value| &value.node) {
                Some(Literal::Boolean(value)) => Some(*value),
                Some(Literal::Variable(variable)) => match self.variables.get(variable) {
                    Some(Value::Boolean(value)) => Some(*value),
                    _ => None,
                },
                _ => None,
            };
            condition == Some(leaves_out)
        })
    }

    fn directives(&self, directives: &[Positioned<Directive>], at: Pos) -> Result<(), Refusal> {
        match directives.len() as u64 > u64::from(self.limits.directives) {
            true => Err(too_wide("directives in one place", self.limits.directives, at)),
            false => Ok(()),
        }
    }

    fn require(&mut self, needs: &Requirement, path: Option<&Path<'_>>, at: Pos) {
        if needs.is_empty() {
            return;
        }
        let caller = self.caller;
        let mut scopes: &[PermissionSet] = &[];
        let code = match &needs.access {
            Access::Authenticated | Access::Scopes(_) if !caller.is_authenticated => ErrorCode::Unauthenticated,
            _ if needs.tenant_scoped && !caller.has_tenant => ErrorCode::TenantRequired,
            Access::Scopes(sets) => {
                if sets.iter().any(|set| set.iter().all(caller.allows)) {
                    return;
                }
                // Rights of a tenant are held in a tenant; without one the question has no answer yet.
                let of_tenant = sets.iter().any(|set| !set.intersection(PermissionSet::TENANT).is_empty());
                match caller.has_tenant || !of_tenant {
                    true => {
                        scopes = sets;
                        ErrorCode::Forbidden
                    }
                    false => ErrorCode::TenantRequired,
                }
            }
            Access::Inherited | Access::Public | Access::Authenticated => return,
        };
        if self.offences.len() < MAX_OFFENCES {
            let path = path.map(Path::segments).unwrap_or_default();
            self.offences.push(Offence { code, at, path, needs: scopes.into() });
        }
    }

    /// The most basic kind of offence, wherever it occurs: who is not known needs not hear about rights.
    fn refuse_offences(&mut self) -> Result<(), Refusal> {
        if self.schema_fields > 0 && !self.caller.may_introspect {
            let code = if self.caller.is_authenticated { ErrorCode::Forbidden } else { ErrorCode::Unauthenticated };
            let error = ApiError::new(code, "You may not ask about the schema.");
            return Err(Refusal::of(error, None));
        }
        let order = [ErrorCode::Unauthenticated, ErrorCode::TenantRequired, ErrorCode::Forbidden];
        let Some(code) = order.into_iter().find(|code| self.offences.iter().any(|offence| offence.code == *code))
        else {
            return Ok(());
        };
        let errors = self.offences.drain(..).filter(|offence| offence.code == code).map(Offence::into_error).collect();
        Err(Refusal { code, errors, audited: Vec::new() })
    }

    /// The engine (async-graphql 7.0.19) notices a required variable only where an argument uses it, by failing the field.
    fn required_variables(&self) -> Result<(), Refusal> {
        let missing = self.operation.variable_definitions.iter().filter(|definition| {
            let name = &definition.node.name.node;
            let is_given = self.variables.get(name).is_some_and(|value| *value != Value::Null);
            !definition.node.var_type.node.nullable && !is_given && definition.node.default_value.is_none()
        });
        let errors: Vec<_> = missing
            .map(|definition| {
                let (name, ty) = (&definition.node.name.node, &definition.node.var_type.node);
                let message = format!("The variable ${name} has the type {ty} and needs a value.");
                ApiError::new(ErrorCode::GraphqlValidationFailed, message).into_server_error(Some(definition.pos))
            })
            .collect();
        match errors.is_empty() {
            true => Ok(()),
            false => Err(Refusal { code: ErrorCode::GraphqlValidationFailed, errors, audited: Vec::new() }),
        }
    }

    /// Questions about the schema run under limits and a schema object of their own.
    fn mixed_introspection(&self, at: Pos) -> Result<(), Refusal> {
        let others = self.root_fields.iter().any(|field| !field.name.starts_with("__"));
        match self.schema_fields > 0 && others {
            true => Err(Refusal::of(
                ApiError::new(
                    ErrorCode::GraphqlValidationFailed,
                    "Ask for __schema and __type in an operation without other fields.",
                ),
                Some(at),
            )),
            false => Ok(()),
        }
    }
}

impl Offence {
    fn into_error(self) -> ServerError {
        let what = match self.path.last() {
            Some(PathSegment::Field(key)) => key.as_str(),
            _ => "This",
        };
        let error = match self.code {
            ErrorCode::Unauthenticated => {
                ApiError::new(self.code, format!("{what} needs a credential.")).reason("missing")
            }
            ErrorCode::TenantRequired => ApiError::new(
                self.code,
                format!("{what} belongs to a tenant; name one by host, path, X-Tenant header or API key."),
            ),
            code => {
                let sets: Vec<_> = (self.needs.iter())
                    .map(|set| set.iter().map(|one| one.name()).collect::<Vec<_>>().join(" and "))
                    .collect();
                ApiError::new(code, format!("{what} needs {}.", sets.join(", or "))).required_scopes(&self.needs)
            }
        };
        error.into_server_error(Some(self.at)).with_path(self.path)
    }
}

fn length_of(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number) => number.as_i64().map(page_length),
        Value::List(items) => Some(items.len() as u64),
        Value::Null => None,
        _ => Some(1),
    }
}

/// A larger page is refused by the resolver, with a message that says more than the price would.
fn page_length(asked: i64) -> u64 {
    asked.clamp(0, MAX_PAGE_SIZE as i64) as u64
}

fn too_wide(what: &str, limit: u32, at: Pos) -> Refusal {
    let message = format!("The operation has more than {limit} {what}.");
    Refusal::of(ApiError::new(ErrorCode::QueryTooWide, message).with("limit", limit), Some(at))
}

fn too_deep(limit: u32, path: &Path<'_>, at: Pos) -> Refusal {
    let message = format!("The operation nests fields more than {limit} deep.");
    let mut refusal = Refusal::of(ApiError::new(ErrorCode::QueryTooDeep, message).with("limit", limit), Some(at));
    for error in &mut refusal.errors {
        error.path = path.segments();
    }
    refusal
}
