//! The policy pass: what happens to a document between its text and its execution.
//!
//! 1. [`document::parse`] counts tokens and nesting before the parser sees the text, parses, and refuses documents whose
//!    fragments repeat themselves or multiply. What it returns may be cached by the hash of the text.
//! 2. [`document::complete_variables`] fills in the defaults of variables. The engine forgets them in `@skip` and
//!    `@include` (async-graphql 7.0.19), and pass and engine must see the same selection.
//! 3. [`check`] walks the selected operation once, against the [`PolicyTable`] that was built from the schema's own text at
//!    start: scopes, tenant, depth, width, price. The answer is a [`Plan`] or a [`Refusal`]; no SQL has run.
//!
//! What always holds:
//! - the directives in the schema are the only declaration, and a root field without one stops the server at start;
//! - a field that the engine would run has been checked: only what the engine leaves out too (`@skip`, `@include`) is
//!   not looked at;
//! - a permission is asked for "somewhere in this tenant"; the service asks again for the very object;
//! - any text is answered in bounded time and stack, before validation has said that it is sound. Unknown fields, types
//!   and fragments are left to validation, which runs next.
//!
//! What a field needs is what it declares, what the object it returns declares, and what the object of each type condition
//! declares, so that `node(id:) { ... on Task { … } }` is no way around. `node(id:)` without a type condition shows nothing
//! but the id, and its resolver asks for the rights on the decoded type.

mod bill;
pub mod document;
mod pass;
mod table;

use std::fmt;

use async_graphql::{Name, ServerError, Value, parser::types::OperationType};

use super::codes::ErrorCode;
use crate::access::Permission;

pub use bill::Item;
pub use pass::check;
pub use table::{Access, FieldPolicy, PolicyTable, PolicyTableError, Requirement, TypePolicy};

/// How large a document and its operation may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Names, values and punctuation in the text.
    pub tokens: u32,
    /// Fields inside each other.
    pub depth: u32,
    /// Aliases in the operation, each as often as its fragment is used.
    pub aliases: u32,
    /// Fields at the root of the operation.
    pub root_fields: u32,
    /// Mutations in one operation.
    pub mutations: u32,
    /// Directives on one field, fragment or spread.
    pub directives: u32,
    /// Points that one operation may cost.
    pub cost: u64,
    /// Fields inside each other below `__schema` and `__type`.
    pub introspection_depth: u32,
}

impl Default for Limits {
    /// The limits of a tenant without a plan of its own.
    fn default() -> Self {
        Self {
            tokens: 5_000,
            depth: 12,
            aliases: 30,
            root_fields: 20,
            mutations: 10,
            directives: 20,
            cost: 2_000,
            introspection_depth: 20,
        }
    }
}

/// Who asks, as far as the pass wants to know.
#[derive(Clone, Copy)]
pub struct Caller<'a> {
    /// Whether there is a valid credential.
    pub is_authenticated: bool,
    /// Whether the request names a tenant.
    pub has_tenant: bool,
    /// Whether `__schema` and `__type` may be asked for.
    pub may_introspect: bool,
    /// Whether the caller holds a permission somewhere in this tenant, or on the platform.
    pub allows: &'a dyn Fn(Permission) -> bool,
}

impl fmt::Debug for Caller<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = (self.is_authenticated, self.has_tenant, self.may_introspect);
        write!(f, "Caller{known:?}")
    }
}

/// A field at the root of an operation that is going to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootField {
    /// Its key in the response: the alias or the name.
    pub key: Name,
    /// Its name.
    pub name: Name,
    /// The action it is audited with, if it declares one.
    pub audited: Option<Box<str>>,
    /// Proves who somebody is: each attempt is counted.
    pub signs_in: bool,
    /// `input.email` of one that does, as it was sent.
    pub account: Option<Box<str>>,
}

/// Mutations that prove who somebody is, by a password, a token or a code: what a guesser would call.
pub const SIGN_IN_LIKE: &[&str] = &["signIn", "tokenRefresh", "reauthenticate"];

/// What an operation is going to do; the pass found nothing against it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Query, mutation or subscription.
    pub operation_type: OperationType,
    /// Its name, if it has one.
    pub operation_name: Option<Name>,
    /// The points it may cost at most.
    pub cost: u64,
    /// What it asks for at the root, in order.
    pub root_fields: Vec<RootField>,
    /// Asks about the schema and nothing else; runs under the schema object for introspection.
    pub is_introspection_only: bool,
    /// What the price is made of, in the shape of the answer.
    pub items: Vec<Item>,
}

impl Plan {
    /// What the operation cost, by its answer: the same prices with the lists as long as they are. At least one point, at
    /// most what was asked for.
    pub fn actual_cost(&self, data: &Value) -> u64 {
        let schema = if self.is_introspection_only { pass::INTROSPECTION } else { 0 };
        bill::total(&self.items, data).saturating_add(schema).min(self.cost).max(1)
    }

    /// The fields of the root that leave an audit entry, with its action.
    pub fn audited(&self) -> impl Iterator<Item = (&Name, &str)> {
        self.root_fields.iter().filter_map(|field| Some((&field.key, field.audited.as_deref()?)))
    }
}

/// Why an operation does not run. Nothing of it has run.
#[derive(Debug, Clone, PartialEq)]
pub struct Refusal {
    /// The code that all errors have; decides the HTTP status.
    pub code: ErrorCode,
    /// What is wrong, one error for each place.
    pub errors: Vec<ServerError>,
    /// The audited actions that were asked for as far as the pass got, for the record of the refusal.
    pub audited: Vec<Box<str>>,
}

#[cfg(test)]
mod tests;
