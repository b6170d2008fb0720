//! Who may do what: permissions, roles and how grants become rights. Pure: no SQL, no GraphQL, no clock of its own.
//!
//! What always holds:
//! - a grant for the whole tenant holds in every workspace; a grant on a workspace holds there and in its descendants;
//! - what a tenant-wide grant allows stops at a private workspace, unless it gives `workspaces:update`;
//! - a denial in any grant that applies to the place beats every permission to do it there;
//! - a grant on a workspace never gives what only a tenant can give, and no role of a tenant gives a right of the platform;
//! - a grant past its end counts for nothing, neither what it allows nor what it denies;
//! - nobody gives, creates or uncovers a right that they do not hold there themselves ([`escalation`]);
//! - implications (`tasks:write` gives `tasks:read`) come after the denials: what is denied stays denied, and passes
//!   nothing on.
//!
//! A worked example. Ada is `member` of acme and `workspace_editor` on *atlas*; *atlas-research* is a child of *atlas*,
//! *borealis* stands beside it. [`EffectiveRights::allows`] answers for `tasks:write`: on the tenant no, on *atlas* yes, on
//! *atlas-research* yes (inherited), on *borealis* no, [anywhere](On::Anywhere) yes. The policy pass over a document asks
//! "anywhere", because it does not know yet which task it is about; the service asks for the very workspace. When somebody
//! gives Ada a role on *atlas-research* that denies `tasks:write`, she still writes in *atlas* and reads in both.
//! [`EffectiveRights::decide`] tells each of these with its reasons.
//!
//! Start reading at [`rights`].

pub mod builtin_roles;
pub mod escalation;
pub mod permission;
pub mod rights;

pub use builtin_roles::{BuiltinRole, PlatformRole, RoleLevel};
pub use permission::{Permission, PermissionLevel, PermissionSet, UnknownPermission};
pub use rights::{Decision, EffectiveRights, On, Reach, RoleGrant, RolePolicy, RoleSays, Step, Through, resolve};
