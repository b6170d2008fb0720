//! Changes of roles: inputs, payloads, fields.

use async_graphql::{Context, ID, InputObject, MaybeUndefined, Object, Result, SimpleObject};

use super::RoleNode;
use crate::{
    access::{
        Permission,
        Permission::{RolesCreate, RolesDelete, RolesUpdate},
        escalation::Says,
    },
    domain::{
        Error,
        audit::Action,
        gql,
        roles::{
            custom::{self, DeletedRole},
            service,
            types::{Role, RoleChanges, RoleDraft, RoleEdit, RoleLevel, set_of},
        },
    },
    graphql::{
        UserError,
        directives::{audited, requires_scopes, tenant_scoped},
        ids::parse,
    },
    ids::RoleId,
};

/// A new role.
#[derive(Debug, InputObject)]
pub struct RoleCreateInput {
    /// Its name for people, 1 to 80 characters.
    name: String,
    /// Its key for programs: begins with a letter, 2 to 40 of a to z, 0 to 9 and _. Made of the name if nothing is said.
    key: Option<String>,
    /// What it is for, up to 300 characters.
    description: Option<String>,
    /// Where it is meant to be given; `TENANT` if nothing is said. A role for workspaces holds only what a workspace can give.
    level: Option<RoleLevel>,
    /// What it allows. You must hold it yourself in the whole tenant.
    permissions: Option<Vec<Permission>>,
    /// What it denies, whatever else allows it.
    denied_permissions: Option<Vec<Permission>>,
    /// A role whose permissions and denials it has besides its own.
    inherits_role_id: Option<ID>,
}

/// A role to copy, a built-in one or your own.
#[derive(Debug, InputObject)]
pub struct RoleCopyInput {
    /// The role to copy: its level, permissions and denials, and the role it inherits from.
    id: ID,
    /// The name of the copy, 1 to 80 characters.
    name: String,
    /// The key of the copy; made of the name if nothing is said.
    key: Option<String>,
    /// What the copy is for; as the role it comes from if nothing is said.
    description: Option<String>,
}

/// Changes of a role. What is absent stays.
#[derive(Debug, InputObject)]
pub struct RoleUpdateInput {
    /// The role.
    id: ID,
    /// The version you changed; the change is refused if somebody was faster.
    version: i32,
    /// Its name for people, 1 to 80 characters.
    name: Option<String>,
    /// What it is for, up to 300 characters; null empties it.
    description: MaybeUndefined<String>,
    /// What it allows, all of it. What is new you must hold yourself in the whole tenant.
    permissions: Option<Vec<Permission>>,
    /// What it denies, all of it. What is denied no longer you must hold yourself in the whole tenant.
    denied_permissions: Option<Vec<Permission>>,
    /// A role whose permissions and denials it has besides its own; null means none.
    inherits_role_id: MaybeUndefined<ID>,
    /// Why, up to 500 characters.
    reason: Option<String>,
}

/// A role to delete.
#[derive(Debug, InputObject)]
pub struct RoleDeleteInput {
    /// The role.
    id: ID,
    /// The version you saw; refused if somebody was faster.
    version: Option<i32>,
    /// The role that takes its place in grants, for roles that inherit from it, and for new members. Needed while it is in use.
    replacement_role_id: Option<ID>,
    /// Why, up to 500 characters.
    reason: Option<String>,
}

macro_rules! payloads {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(SimpleObject)]
        pub struct $name {
            /// The role; null if nothing was written.
            role: Option<RoleNode>,
            /// What to correct. Empty means that it was done.
            user_errors: Vec<UserError>,
        }

        impl $name {
            fn new(role: Option<Role>, user_errors: Vec<UserError>) -> Self {
                Self { role: role.map(RoleNode), user_errors }
            }
        }
    )*};
}

payloads! {
    /// What `roleCreate` did.
    RoleCreatePayload,
    /// What `roleCopy` did.
    RoleCopyPayload,
    /// What `roleUpdate` did.
    RoleUpdatePayload,
}

/// What `roleDelete` did.
#[derive(SimpleObject)]
pub struct RoleDeletePayload {
    /// The role as it was; null if nothing was written.
    role: Option<RoleNode>,
    /// How many grants became grants of the replacement.
    moved_grants: Option<i64>,
    /// What to correct. Empty means that it was done.
    user_errors: Vec<UserError>,
}

/// Changes of roles.
#[derive(Default)]
pub struct RolesMutation;

#[Object]
impl RolesMutation {
    /// Creates a role.
    #[graphql(
        directive = requires_scopes::apply(RolesCreate),
        directive = tenant_scoped::apply(),
        directive = audited::apply(Action::RoleCreate.name())
    )]
    async fn role_create(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The role.")] input: RoleCreateInput,
    ) -> Option<Result<RoleCreatePayload>> {
        gql::renew(ctx);
        let written = async {
            let draft = RoleDraft {
                key: input.key,
                name: input.name,
                description: input.description,
                level: input.level.unwrap_or(RoleLevel::Tenant),
                says: Says {
                    allow: set_of(input.permissions.unwrap_or_default()),
                    deny: set_of(input.denied_permissions.unwrap_or_default()),
                },
                inherits: input.inherits_role_id.as_ref().map(parse).transpose()?,
            };
            custom::create(gql::services(ctx), gql::request(ctx), draft).await
        };
        gql::payload(written.await, async |id| again(ctx, id).await, RoleCreatePayload::new).await
    }

    /// Creates a role that says what another says; the way to a changed form of a built-in one.
    #[graphql(
        directive = requires_scopes::apply(RolesCreate),
        directive = tenant_scoped::apply(),
        directive = audited::apply(Action::RoleCopy.name())
    )]
    async fn role_copy(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which role, and what the copy is called.")] input: RoleCopyInput,
    ) -> Option<Result<RoleCopyPayload>> {
        gql::renew(ctx);
        let written = async {
            let (services, request) = (gql::services(ctx), gql::request(ctx));
            custom::copy(services, request, parse(&input.id)?, input.name, input.key, input.description).await
        };
        gql::payload(written.await, async |id| again(ctx, id).await, RoleCopyPayload::new).await
    }

    /// Changes a role, for everybody who holds it and for the roles that inherit from it.
    #[graphql(
        directive = requires_scopes::apply(RolesUpdate),
        directive = tenant_scoped::apply(),
        directive = audited::apply(Action::RoleUpdate.name())
    )]
    async fn role_update(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The changes.")] input: RoleUpdateInput,
    ) -> Option<Result<RoleUpdatePayload>> {
        gql::renew(ctx);
        let written = async {
            let edit = RoleEdit {
                row: RoleChanges {
                    name: input.name,
                    description: gql::changed(input.description).map(Option::unwrap_or_default),
                    inherits_role_id: gql::changed_id(input.inherits_role_id)?,
                    ..RoleChanges::default()
                },
                allow: input.permissions.map(set_of),
                deny: input.denied_permissions.map(set_of),
                reason: input.reason,
            };
            custom::update(gql::services(ctx), gql::request(ctx), parse(&input.id)?, input.version, edit).await
        };
        gql::payload(written.await, async |id| again(ctx, id).await, RoleUpdatePayload::new).await
    }

    /// Deletes a role. While it is in use, another has to be named that takes its place.
    #[graphql(
        directive = requires_scopes::apply(RolesDelete),
        directive = tenant_scoped::apply(),
        directive = audited::apply(Action::RoleDelete.name())
    )]
    async fn role_delete(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which role, and what takes its place.")] input: RoleDeleteInput,
    ) -> Option<Result<RoleDeletePayload>> {
        gql::renew(ctx);
        let written = async {
            let replacement = input.replacement_role_id.as_ref().map(parse).transpose()?;
            let (services, request) = (gql::services(ctx), gql::request(ctx));
            custom::delete(services, request, parse(&input.id)?, input.version, replacement, input.reason).await
        };
        // A repetition finds no role: it is gone.
        gql::payload(
            written.await,
            async |_| Ok(None),
            |gone: Option<DeletedRole>, user_errors| {
                let (role, moved) = gone.map(|gone| (RoleNode(gone.role), gone.moved_grants)).unzip();
                RoleDeletePayload { role, moved_grants: moved.and_then(|moved| i64::try_from(moved).ok()), user_errors }
            },
        )
        .await
    }
}

async fn again(ctx: &Context<'_>, id: RoleId) -> Result<Option<Role>, Error> {
    service::find(&gql::scope(ctx), id).await
}
