//! What a field declares about itself, in the schema's own text: who may see it, what it costs, what it leaves behind.
//!
//! The directive is the only declaration. It is written on the resolver, exported into `schema.graphql`, and [`super::policy`]
//! reads it back from there and enforces it before anything runs. Every root field carries exactly one of `@public`,
//! `@authenticated` and `@requiresScopes`; a field that needs more than its parent carries its own; an object that can be
//! reached by several ways (`node(id:)`) carries it itself.
//!
//! On a field, of an `#[Object]` as of a `SimpleObject`; as many as needed, joined by commas:
//!
//! ```text
//! use crate::access::Permission::*;
//! use crate::graphql::directives::*;
//!
//! #[graphql(directive = requires_scopes::apply(TasksRead), directive = tenant_scoped::apply(), directive = list_size::apply(PAGED))]
//! async fn tasks(…) -> Option<Result<TaskConnection>> { … }
//!
//! #[graphql(directive = requires_scopes::apply(TasksWrite), directive = audited::apply("task.create"))]
//! async fn task_create(…) -> Option<Result<TaskCreatePayload>> { … }
//! ```
//!
//! `requires_scopes::apply` takes one permission, `[A, B]` for both, or [`any_of`]`([A, B])` for either.
//!
//! On an object: `#[Object(directive = tenant_scoped::apply())]`, `#[graphql(directive = …)]` on a `SimpleObject`. On an
//! argument or input field, `#[graphql(directive = sensitive::apply())]`.
//!
//! A mutation costs 10 points and a field with `list_size` is priced by its size without a `cost` of their own.

use std::borrow::Cow;

use async_graphql::{
    TypeDirective,
    registry::{MetaDirectiveInvocation, Registry, location_traits},
};

use crate::access::Permission;

/// What the macro of async-graphql makes; it leaves its structs undocumented, so each has a documented twin outside.
mod exported {
    use super::*;

    /// Anybody may ask for this, without a credential.
    #[TypeDirective(name = "public", location = "FieldDefinition")]
    pub fn public() {}

    /// Anybody with a valid credential may ask for this.
    #[TypeDirective(name = "authenticated", location = "FieldDefinition", location = "Object")]
    pub fn authenticated() {}

    /// Lives inside one tenant: the request must name a tenant by host, path, header or key.
    #[TypeDirective(name = "tenantScoped", location = "FieldDefinition", location = "Object")]
    pub fn tenant_scoped() {}

    /// Holds something that is masked in logs and in the audit log.
    #[TypeDirective(
        name = "sensitive",
        location = "FieldDefinition",
        location = "InputFieldDefinition",
        location = "ArgumentDefinition"
    )]
    pub fn sensitive() {}

    /// What selecting this costs, in points, instead of the default.
    #[TypeDirective(name = "cost", location = "FieldDefinition", location = "Object")]
    pub fn cost(#[graphql(desc = "The points.")] weight: i32) {}

    /// Leaves an entry with this action in the audit log, also when it is refused.
    #[TypeDirective(name = "audited", location = "FieldDefinition")]
    pub fn audited(#[graphql(desc = "The action of the entry.")] action: String) {}

    /// Needs permissions: one of the inner lists must be held in full.
    #[TypeDirective(name = "requiresScopes", location = "FieldDefinition", location = "Object")]
    pub fn requires_scopes(
        #[graphql(desc = "Any one of these lists is enough; of a list, every permission is needed.")] scopes: Vec<
            Vec<Permission>,
        >,
    ) {
    }

    /// How long the list can get, for its price.
    #[TypeDirective(name = "listSize", location = "FieldDefinition")]
    pub fn list_size(
        #[graphql(desc = "The length when no slicing argument is given.")] assumed_size: Option<i32>,
        #[graphql(desc = "The arguments that limit the length; the largest given one counts.")]
        slicing_arguments: Option<Vec<String>>,
    ) {
    }
}

macro_rules! directives {
    ($($(#[doc = $doc:literal])* $name:ident at $($location:ident),*;)*) => {
        $(
            $(#[doc = $doc])*
            #[allow(non_camel_case_types, reason = "written where async-graphql wants a path to a directive")]
            pub struct $name;

            impl async_graphql::TypeDirective for $name {
                fn name(&self) -> Cow<'static, str> {
                    async_graphql::TypeDirective::name(&exported::$name)
                }

                fn register(&self, registry: &mut Registry) {
                    async_graphql::TypeDirective::register(&exported::$name, registry);
                }
            }

            $(impl location_traits::$location for $name {})*
        )*
    };
}

directives! {
    /// `@public`: anybody may ask for this, without a credential.
    public at Directive_At_FIELD_DEFINITION;
    /// `@authenticated`: anybody with a valid credential may ask for this.
    authenticated at Directive_At_FIELD_DEFINITION, Directive_At_OBJECT;
    /// `@tenantScoped`: the request must name a tenant.
    tenant_scoped at Directive_At_FIELD_DEFINITION, Directive_At_OBJECT;
    /// `@sensitive`: masked in logs and in the audit log.
    sensitive at Directive_At_FIELD_DEFINITION, Directive_At_INPUT_FIELD_DEFINITION, Directive_At_ARGUMENT_DEFINITION;
    /// `@cost`: what selecting this costs.
    cost at Directive_At_FIELD_DEFINITION, Directive_At_OBJECT;
    /// `@audited`: leaves an entry in the audit log, also when it is refused.
    audited at Directive_At_FIELD_DEFINITION;
    /// `@requiresScopes`: needs permissions.
    requires_scopes at Directive_At_FIELD_DEFINITION, Directive_At_OBJECT;
    /// `@listSize`: how long the list can get, for its price.
    list_size at Directive_At_FIELD_DEFINITION;
}

impl public {
    /// Declares it.
    pub fn apply() -> MetaDirectiveInvocation {
        exported::public::apply()
    }
}

impl authenticated {
    /// Declares it.
    pub fn apply() -> MetaDirectiveInvocation {
        exported::authenticated::apply()
    }
}

impl tenant_scoped {
    /// Declares it.
    pub fn apply() -> MetaDirectiveInvocation {
        exported::tenant_scoped::apply()
    }
}

impl sensitive {
    /// Declares it.
    pub fn apply() -> MetaDirectiveInvocation {
        exported::sensitive::apply()
    }
}

impl cost {
    /// So many points, not negative.
    pub fn apply(weight: i32) -> MetaDirectiveInvocation {
        exported::cost::apply(weight)
    }
}

impl audited {
    /// With this action, for example `task.create`.
    pub fn apply(action: &str) -> MetaDirectiveInvocation {
        exported::audited::apply(action.to_owned())
    }
}

impl requires_scopes {
    /// Needs this permission, `[these, all]`, or [`any_of`]`([these])`.
    pub fn apply(scopes: impl Into<Scopes>) -> MetaDirectiveInvocation {
        exported::requires_scopes::apply(scopes.into().0)
    }
}

/// Permissions in the form of `@requiresScopes`: outer list or, inner list and.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scopes(Vec<Vec<Permission>>);

impl From<Permission> for Scopes {
    fn from(permission: Permission) -> Self {
        Scopes(vec![vec![permission]])
    }
}

impl<const N: usize> From<[Permission; N]> for Scopes {
    fn from(all: [Permission; N]) -> Self {
        Scopes(vec![all.into()])
    }
}

/// Any one of these is enough.
pub fn any_of<const N: usize>(permissions: [Permission; N]) -> Scopes {
    Scopes(permissions.into_iter().map(|permission| vec![permission]).collect())
}

impl list_size {
    /// A list that the schema itself bounds (`apply(20)`), a connection (`apply(PAGED)`), or one whose argument is a list
    /// (`apply(BY_IDS)`).
    pub fn apply(size: impl Into<ListSize>) -> MetaDirectiveInvocation {
        let ListSize { assumed, arguments } = size.into();
        let arguments: Vec<_> = arguments.iter().map(|name| (*name).to_owned()).collect();
        exported::list_size::apply(assumed, (!arguments.is_empty()).then_some(arguments))
    }
}

/// How long a list can get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListSize {
    assumed: Option<i32>,
    arguments: &'static [&'static str],
}

/// The length of a connection: what `first` or `last` say, else the default of a page.
pub const PAGED: ListSize =
    ListSize { assumed: Some(super::connection::DEFAULT_PAGE_SIZE as i32), arguments: &["first", "last"] };

/// A list with one item for each item of the argument `ids`.
pub const BY_IDS: ListSize = ListSize { assumed: None, arguments: &["ids"] };

impl From<i32> for ListSize {
    fn from(assumed: i32) -> Self {
        ListSize { assumed: Some(assumed), arguments: &[] }
    }
}

#[cfg(test)]
#[path = "directives_tests.rs"]
mod tests;
