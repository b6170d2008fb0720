//! The roles every tenant starts with, and those of the platform.
//!
//! Built-in roles are copied into each tenant when it is created, locked, so that every reference to a role stays inside
//! the tenant. The rows say what this table says; a migration that changes it updates them.

use super::permission::{Permission as P, PermissionSet};

/// Where a role is meant to be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RoleLevel {
    /// For a whole tenant.
    Tenant,
    /// On a workspace, with its descendants.
    Workspace,
}

impl RoleLevel {
    /// The text in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            RoleLevel::Tenant => "tenant",
            RoleLevel::Workspace => "workspace",
        }
    }
}

macro_rules! roles {
    ($(#[$doc:meta])* $enum:ident: $($variant:ident $key:literal $name:literal $level:ident $description:literal $set:expr;)*) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $enum {
            $(#[doc = $description] $variant,)*
        }

        impl $enum {
            /// Every one, in the order people know them.
            pub const ALL: &'static [$enum] = &[$($enum::$variant),*];

            /// The key that stands in the database and in the API.
            pub const fn key(self) -> &'static str { match self { $($enum::$variant => $key,)* } }

            /// The name for people.
            pub const fn name(self) -> &'static str { match self { $($enum::$variant => $name,)* } }

            /// What it is for, one sentence.
            pub const fn description(self) -> &'static str { match self { $($enum::$variant => $description,)* } }

            /// Where it is meant to be given.
            pub const fn level(self) -> RoleLevel { match self { $($enum::$variant => RoleLevel::$level,)* } }

            /// What it allows, implications not spelled out.
            pub const fn permissions(self) -> PermissionSet { match self { $($enum::$variant => $set,)* } }

            /// The role with this key.
            pub fn by_key(key: &str) -> Option<Self> { Self::ALL.iter().copied().find(|role| role.key() == key) }
        }
    };
}

roles! {
    /// A role that every tenant has from its creation; its rights cannot be changed.
    BuiltinRole:
    Owner "owner" "Owner" Tenant
        "Everything; a tenant always has at least one owner, and only an owner makes another."
        PermissionSet::TENANT;
    Admin "admin" "Administrator" Tenant
        "Everything except deleting or exporting the tenant, paying for it, its security rules and legal holds."
        PermissionSet::TENANT.minus(PermissionSet::of(&[
            P::TenantDelete, P::TenantExport, P::BillingWrite, P::SecurityUpdate, P::LegalHoldsWrite,
        ]));
    BillingAdmin "billing_admin" "Billing administrator" Tenant
        "Subscription, invoices and use."
        PermissionSet::of(&[P::TenantRead, P::BillingRead, P::BillingWrite, P::UsageRead, P::MembersRead]);
    SecurityAdmin "security_admin" "Security administrator" Tenant
        "Security rules, single sign-on, sessions, audit, compliance and privacy."
        PermissionSet::of(&[
            P::SecurityUpdate, P::SsoWrite, P::ScimWrite, P::SessionsRevoke, P::AuditLogsRead, P::AuditLogsExport,
            P::AuditStreamsWrite, P::ComplianceRead, P::ComplianceWrite, P::PrivacyRead, P::PrivacyWrite, P::ApiKeysRead,
            P::ApiKeysRevoke, P::AccessExplain,
        ]);
    Auditor "auditor" "Auditor" Tenant
        "Reads the audit log and what is needed to understand it; changes nothing."
        PermissionSet::of(&[
            P::AuditLogsRead, P::AuditLogsExport, P::ComplianceRead, P::PrivacyRead, P::MembersRead, P::RolesRead,
            P::ApiKeysRead, P::AccessExplain,
        ]);
    Developer "developer" "Developer" Tenant
        "API keys, webhooks, projects and tasks; may also be given on a workspace."
        PermissionSet::of(&[
            P::ApiKeysRead, P::ApiKeysCreate, P::ApiKeysRotate, P::ApiKeysRevoke, P::WebhooksRead, P::WebhooksWrite,
            P::WebhooksRotate, P::WebhooksReplay, P::UsageRead, P::WorkspacesRead, P::ProjectsRead, P::ProjectsWrite,
            P::ProjectsDelete, P::TasksRead, P::TasksWrite, P::TasksDelete,
        ]);
    Member "member" "Member" Tenant
        "Belongs to the tenant: sees it, its members and its workspaces."
        PermissionSet::of(&[P::TenantRead, P::MembersRead, P::WorkspacesRead]);
    Guest "guest" "Guest" Workspace
        "Reads projects and tasks of the granted workspaces and nothing else, not even who the members are."
        PermissionSet::of(&[P::WorkspacesRead, P::ProjectsRead, P::TasksRead]);
    WorkspaceAdmin "workspace_admin" "Workspace administrator" Workspace
        "Everything inside a workspace and its descendants."
        PermissionSet::WORKSPACE;
    // The catalogue of roles names projects, tasks, files and reports only. Without `workspaces:read` an editor could not
    // open the workspace, and without `members:read` nobody could be chosen as the assignee of a task.
    WorkspaceEditor "workspace_editor" "Workspace editor" Workspace
        "Works on projects, tasks and files of a workspace and its descendants."
        PermissionSet::of(&[
            P::WorkspacesRead, P::MembersRead, P::ProjectsRead, P::ProjectsWrite, P::ProjectsDelete, P::TasksRead,
            P::TasksWrite, P::TasksDelete, P::FilesRead, P::FilesWrite, P::ReportsRead,
        ]);
    WorkspaceViewer "workspace_viewer" "Workspace viewer" Workspace
        "Sees what an editor sees and changes nothing."
        PermissionSet::of(&[P::WorkspacesRead, P::MembersRead, P::ProjectsRead, P::TasksRead, P::FilesRead, P::ReportsRead]);
}

macro_rules! platform_roles {
    ($($variant:ident $key:literal $description:literal $set:expr;)*) => {
        /// A role of the people who run the installation; kept apart from every tenant's roles.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum PlatformRole {
            $(#[doc = $description] $variant,)*
        }

        impl PlatformRole {
            /// Every one.
            pub const ALL: &'static [PlatformRole] = &[$(PlatformRole::$variant),*];

            /// The key that stands in `platform_grants`.
            pub const fn key(self) -> &'static str { match self { $(PlatformRole::$variant => $key,)* } }

            /// What it is for, one sentence.
            pub const fn description(self) -> &'static str { match self { $(PlatformRole::$variant => $description,)* } }

            /// What it allows.
            pub const fn permissions(self) -> PermissionSet { match self { $(PlatformRole::$variant => $set,)* } }

            /// The role with this key.
            pub fn by_key(key: &str) -> Option<Self> { Self::ALL.iter().copied().find(|role| role.key() == key) }
        }
    };
}

platform_roles! {
    Owner "platform_owner" "Everything on the platform." PermissionSet::PLATFORM;
    Support "platform_support" "Finds tenants and helps people, each time with a reason and a time limit."
        PermissionSet::of(&[P::PlatformTenantsRead, P::PlatformSupportRead, P::PlatformImpersonate]);
    Analyst "platform_analyst" "Sees figures across tenants." PermissionSet::of(&[P::PlatformTenantsRead, P::PlatformAnalyticsRead]);
    Billing "platform_billing" "Changes plans and sees tenants." PermissionSet::of(&[P::PlatformTenantsRead, P::PlatformPlansWrite]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_role_of_a_tenant_holds_a_right_of_the_platform() {
        for role in BuiltinRole::ALL {
            assert!(PermissionSet::TENANT.contains_all(role.permissions()), "{}", role.key());
            assert_eq!(BuiltinRole::by_key(role.key()), Some(*role));
        }
        for role in PlatformRole::ALL {
            assert!(PermissionSet::PLATFORM.contains_all(role.permissions()), "{}", role.key());
        }
    }

    #[test]
    fn workspace_roles_hold_only_what_a_workspace_can_give() {
        for role in BuiltinRole::ALL.iter().filter(|role| role.level() == RoleLevel::Workspace) {
            assert!(PermissionSet::WORKSPACE.contains_all(role.permissions()), "{}", role.key());
        }
    }

    #[test]
    fn a_guest_does_not_see_the_members() {
        assert!(!BuiltinRole::Guest.permissions().closure().contains(P::MembersRead));
    }
}
