//! The catalogue of permissions and sets of them.
//!
//! One table below makes everything: the enum, the spelling `resource:action` in schema, keys and SDK, the level and the
//! text that `permissionCatalogue` shows. A new permission is one line here and one row in a migration; a test compares.

use std::{fmt, str::FromStr};

/// Where a permission can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PermissionLevel {
    /// Holds for a whole tenant only; a grant on a workspace never gives it.
    Tenant,
    /// May also be granted on one workspace, where it holds in that workspace and its descendants.
    Workspace,
    /// For the operators of the installation; never part of a tenant's role.
    Platform,
}

/// A text that names no permission.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no permission {0:?}; names look like tasks:read")]
pub struct UnknownPermission(
    /// The text, cut to a printable length.
    pub String,
);

macro_rules! permissions {
    ($($variant:ident $name:literal $level:ident $description:literal;)*) => {
        /// One right to do one kind of thing, spelled `resource:action`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Permission {
            $(#[doc = concat!("`", $name, "`: ", $description)] $variant,)*
        }

        impl Permission {
            /// Every permission, in the order of the catalogue.
            pub const ALL: &'static [Permission] = &[$(Permission::$variant),*];

            /// The spelling in schema, keys and SDK, for example `tasks:read`.
            pub const fn name(self) -> &'static str {
                match self { $(Permission::$variant => $name,)* }
            }

            /// Where it can hold.
            pub const fn level(self) -> PermissionLevel {
                match self { $(Permission::$variant => PermissionLevel::$level,)* }
            }

            /// What it allows, one sentence for people.
            pub const fn description(self) -> &'static str {
                match self { $(Permission::$variant => $description,)* }
            }
        }

        impl FromStr for Permission {
            type Err = UnknownPermission;

            fn from_str(text: &str) -> Result<Self, UnknownPermission> {
                match text {
                    $($name => Ok(Permission::$variant),)*
                    _ => Err(UnknownPermission(text.chars().take(60).collect())),
                }
            }
        }
    };
}

permissions! {
    TenantRead "tenant:read" Tenant "See the tenant's name, slug and state.";
    TenantUpdate "tenant:update" Tenant "Change the tenant's name and slug.";
    TenantDelete "tenant:delete" Tenant "Delete the tenant with everything in it.";
    TenantExport "tenant:export" Tenant "Export all data of the tenant.";
    SettingsRead "settings:read" Tenant "See the tenant's settings.";
    SettingsUpdate "settings:update" Tenant "Change the tenant's settings.";
    SecurityUpdate "security:update" Tenant "Change the rules for sign-in, sessions and network addresses.";
    MembersRead "members:read" Workspace "See who is a member.";
    MembersWrite "members:write" Workspace "Change what the tenant says about a member.";
    MembersRemove "members:remove" Workspace "Remove a member.";
    MembersSuspend "members:suspend" Tenant "Suspend and reactivate a member.";
    InvitationsRead "invitations:read" Workspace "See open invitations.";
    InvitationsCreate "invitations:create" Workspace "Invite people.";
    InvitationsRevoke "invitations:revoke" Workspace "Take an invitation back.";
    SessionsRevoke "sessions:revoke" Tenant "End the sessions of other members in this tenant.";
    RolesRead "roles:read" Tenant "See roles and what they allow.";
    RolesCreate "roles:create" Tenant "Create roles.";
    RolesUpdate "roles:update" Tenant "Change roles.";
    RolesDelete "roles:delete" Tenant "Delete roles.";
    RolesGrant "roles:grant" Workspace "Give and take roles, within one's own rights.";
    GroupsRead "groups:read" Tenant "See groups and their members.";
    GroupsWrite "groups:write" Tenant "Change groups and their members.";
    ServiceAccountsWrite "service_accounts:write" Tenant "Create, change and delete service accounts.";
    AccessExplain "access:explain" Tenant "Ask why somebody has or lacks a right.";
    WorkspacesRead "workspaces:read" Workspace "See workspaces.";
    WorkspacesCreate "workspaces:create" Tenant "Create workspaces.";
    WorkspacesUpdate "workspaces:update" Workspace "Change workspaces.";
    WorkspacesArchive "workspaces:archive" Workspace "Archive and restore workspaces.";
    WorkspacesDelete "workspaces:delete" Workspace "Delete workspaces.";
    WorkspaceMembersWrite "workspace_members:write" Workspace "Add members to a workspace and take them out.";
    ProjectsRead "projects:read" Workspace "See projects.";
    ProjectsWrite "projects:write" Workspace "Create, change and archive projects.";
    ProjectsDelete "projects:delete" Workspace "Delete projects.";
    TasksRead "tasks:read" Workspace "See tasks.";
    TasksWrite "tasks:write" Workspace "Create, change, assign and complete tasks.";
    TasksDelete "tasks:delete" Workspace "Delete tasks.";
    BillingRead "billing:read" Tenant "See subscription and invoices.";
    BillingWrite "billing:write" Tenant "Change the subscription and how it is paid.";
    UsageRead "usage:read" Tenant "See use and limits.";
    BrandingRead "branding:read" Tenant "See drafts of the tenant's look.";
    BrandingWrite "branding:write" Workspace "Change the look of the tenant or of a workspace.";
    DomainsRead "domains:read" Tenant "See custom domains.";
    DomainsWrite "domains:write" Tenant "Add, verify and remove custom domains.";
    EmailTemplatesWrite "email_templates:write" Tenant "Change the texts of outgoing mail.";
    ApiKeysRead "api_keys:read" Workspace "See API keys, never their secrets.";
    ApiKeysCreate "api_keys:create" Workspace "Create API keys, within one's own rights.";
    ApiKeysRotate "api_keys:rotate" Workspace "Replace the secret of an API key.";
    ApiKeysRevoke "api_keys:revoke" Workspace "Revoke API keys.";
    WebhooksRead "webhooks:read" Workspace "See webhook endpoints and deliveries.";
    WebhooksWrite "webhooks:write" Workspace "Create, change and delete webhook endpoints.";
    WebhooksRotate "webhooks:rotate" Workspace "Replace the signing secret of a webhook endpoint.";
    WebhooksReplay "webhooks:replay" Workspace "Deliver past events again.";
    AuditLogsRead "audit_logs:read" Workspace "Read the audit log.";
    AuditLogsExport "audit_logs:export" Tenant "Export the audit log.";
    AuditStreamsWrite "audit_streams:write" Tenant "Send the audit log to another system.";
    ComplianceRead "compliance:read" Tenant "Read compliance reports.";
    ComplianceWrite "compliance:write" Tenant "Create compliance reports.";
    PrivacyRead "privacy:read" Tenant "See requests about personal data.";
    PrivacyWrite "privacy:write" Tenant "Handle requests about personal data.";
    LegalHoldsWrite "legal_holds:write" Tenant "Set and lift legal holds.";
    AnalyticsRead "analytics:read" Workspace "See figures about use.";
    ReportsRead "reports:read" Workspace "See reports.";
    ReportsWrite "reports:write" Workspace "Create, change and schedule reports.";
    ExportsCreate "exports:create" Workspace "Export data to a file.";
    SsoWrite "sso:write" Tenant "Set up single sign-on.";
    ScimWrite "scim:write" Tenant "Set up provisioning from a directory.";
    FilesRead "files:read" Workspace "Download files.";
    FilesWrite "files:write" Workspace "Upload and delete files.";
    PlatformTenantsRead "platform:tenants_read" Platform "See every tenant of the installation.";
    PlatformTenantsWrite "platform:tenants_write" Platform "Create and change tenants.";
    PlatformTenantsSuspend "platform:tenants_suspend" Platform "Suspend and resume tenants.";
    PlatformAnalyticsRead "platform:analytics_read" Platform "See figures across tenants.";
    PlatformBulkRun "platform:bulk_run" Platform "Run one operation over many tenants.";
    PlatformImpersonate "platform:impersonate" Platform "Act as a person, with a reason and a time limit.";
    PlatformPlansWrite "platform:plans_write" Platform "Change plans and prices.";
    PlatformSupportRead "platform:support_read" Platform "Read inside a tenant, with a reason and a time limit.";
    PlatformGrantsWrite "platform:grants_write" Platform "Give and take platform roles.";
    PlatformAuditRead "platform:audit_read" Platform "Read the audit log of the platform.";
}

const COUNT: usize = Permission::ALL.len();
const _: () = assert!(COUNT <= 128, "PermissionSet has 128 bits");

/// What each permission implies, itself excluded: any action on x implies `x:read`, where there is one.
const IMPLIED: [PermissionSet; COUNT] = {
    let mut table = [PermissionSet::EMPTY; COUNT];
    let mut i = 0;
    while i < COUNT {
        let mut j = 0;
        while j < COUNT {
            if i != j && is_read_of(Permission::ALL[j].name().as_bytes(), Permission::ALL[i].name().as_bytes()) {
                table[i] = PermissionSet(table[i].0 | 1 << j);
            }
            j += 1;
        }
        i += 1;
    }
    table
};

/// Whether `read` is the `:read` of the resource that `other` is about.
const fn is_read_of(read: &[u8], other: &[u8]) -> bool {
    let mut colon = 0;
    while other[colon] != b':' {
        colon += 1;
    }
    let suffix = b":read";
    if read.len() != colon + suffix.len() {
        return false;
    }
    let mut k = 0;
    while k < read.len() {
        let expected = if k < colon { other[k] } else { suffix[k - colon] };
        if read[k] != expected {
            return false;
        }
        k += 1;
    }
    true
}

impl Permission {
    /// What this permission implies, itself excluded: `tasks:write` implies `tasks:read`.
    pub const fn implies(self) -> PermissionSet {
        IMPLIED[self as usize]
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl serde::Serialize for Permission {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.name())
    }
}

impl<'de> serde::Deserialize<'de> for Permission {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(from)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A set of permissions; 16 bytes, copied like a number.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct PermissionSet(u128);

impl PermissionSet {
    /// The set with nothing in it.
    pub const EMPTY: PermissionSet = PermissionSet(0);
    /// Every permission there is, those of the platform included.
    pub const ALL: PermissionSet = PermissionSet(u128::MAX >> (128 - COUNT));
    /// What a grant on a workspace can give.
    pub const WORKSPACE: PermissionSet = Self::of_level(PermissionLevel::Workspace);
    /// What only a tenant-wide grant can give.
    pub const TENANT_ONLY: PermissionSet = Self::of_level(PermissionLevel::Tenant);
    /// What a tenant's roles can hold: everything but the platform's.
    pub const TENANT: PermissionSet = PermissionSet(Self::WORKSPACE.0 | Self::TENANT_ONLY.0);
    /// What only operators of the installation can hold.
    pub const PLATFORM: PermissionSet = Self::of_level(PermissionLevel::Platform);

    const fn of_level(level: PermissionLevel) -> PermissionSet {
        let mut bits = 0;
        let mut i = 0;
        while i < COUNT {
            if Permission::ALL[i].level() as u8 == level as u8 {
                bits |= 1 << i;
            }
            i += 1;
        }
        PermissionSet(bits)
    }

    /// The set of exactly these.
    pub const fn of(permissions: &[Permission]) -> PermissionSet {
        let mut bits = 0;
        let mut i = 0;
        while i < permissions.len() {
            bits |= 1 << permissions[i] as u8;
            i += 1;
        }
        PermissionSet(bits)
    }

    /// Whether the permission is in it.
    pub const fn contains(self, permission: Permission) -> bool {
        self.0 & (1 << permission as u8) != 0
    }

    /// Whether every permission of the other is in it.
    pub const fn contains_all(self, other: PermissionSet) -> bool {
        other.0 & !self.0 == 0
    }

    /// Whether nothing is in it.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// How many are in it.
    pub const fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// Adds one.
    pub const fn insert(&mut self, permission: Permission) {
        self.0 |= 1 << permission as u8;
    }

    /// What is in either.
    pub const fn union(self, other: PermissionSet) -> PermissionSet {
        PermissionSet(self.0 | other.0)
    }

    /// What is in both.
    pub const fn intersection(self, other: PermissionSet) -> PermissionSet {
        PermissionSet(self.0 & other.0)
    }

    /// What is in this one and not in the other.
    pub const fn minus(self, other: PermissionSet) -> PermissionSet {
        PermissionSet(self.0 & !other.0)
    }

    /// This set and everything it implies.
    pub fn closure(self) -> PermissionSet {
        self.closure_without(PermissionSet::EMPTY)
    }

    /// What is left of this set under these denials, with what that implies.
    ///
    /// A denied permission is neither held nor passed on: what only denied ones imply is not implied at all.
    pub fn closure_without(self, denied: PermissionSet) -> PermissionSet {
        let mut held = self.minus(denied);
        loop {
            let mut wider = held;
            for permission in held.iter() {
                wider = wider.union(permission.implies());
            }
            wider = wider.minus(denied);
            if wider == held {
                return held;
            }
            held = wider;
        }
    }

    /// The permissions in it, in the order of the catalogue.
    pub fn iter(self) -> impl Iterator<Item = Permission> {
        let mut bits = self.0;
        std::iter::from_fn(move || {
            let next = Permission::ALL.get(bits.trailing_zeros() as usize)?;
            bits &= bits - 1;
            Some(*next)
        })
    }
}

impl FromIterator<Permission> for PermissionSet {
    fn from_iter<I: IntoIterator<Item = Permission>>(permissions: I) -> Self {
        let mut set = PermissionSet::EMPTY;
        permissions.into_iter().for_each(|permission| set.insert(permission));
        set
    }
}

impl From<Permission> for PermissionSet {
    fn from(permission: Permission) -> Self {
        PermissionSet::of(&[permission])
    }
}

impl fmt::Debug for PermissionSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(Permission::name)).finish()
    }
}

impl serde::Serialize for PermissionSet {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(self.iter())
    }
}

impl<'de> serde::Deserialize<'de> for PermissionSet {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Ok(Vec::<Permission>::deserialize(from)?.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_name_is_resource_and_action_and_reads_back() {
        let mut seen = std::collections::HashSet::new();
        for permission in Permission::ALL {
            let (resource, action) = permission.name().split_once(':').expect("a colon");
            assert!([resource, action].iter().all(|word| word.chars().all(|c| c.is_ascii_lowercase() || c == '_')));
            assert!(seen.insert(permission.name()), "{permission} is there twice");
            assert_eq!(permission.name().parse(), Ok(*permission));
            assert!(permission.description().ends_with('.'));
        }
        assert!("tasks:fly".parse::<Permission>().is_err());
    }

    #[test]
    fn any_action_implies_read_and_nothing_else() {
        assert_eq!(Permission::TasksDelete.implies(), Permission::TasksRead.into());
        assert_eq!(Permission::TasksRead.implies(), PermissionSet::EMPTY);
        assert_eq!(Permission::WorkspaceMembersWrite.implies(), PermissionSet::EMPTY);
        assert_eq!(Permission::SsoWrite.implies(), PermissionSet::EMPTY);
        for permission in Permission::ALL {
            for implied in permission.implies().iter() {
                assert!(implied.name().ends_with(":read"));
            }
        }
    }

    #[test]
    fn levels_part_the_catalogue() {
        let parts = [PermissionSet::WORKSPACE, PermissionSet::TENANT_ONLY, PermissionSet::PLATFORM];
        assert_eq!(parts.iter().map(|part| part.len()).sum::<usize>(), COUNT);
        assert_eq!(parts.iter().fold(PermissionSet::EMPTY, |all, part| all.union(*part)), PermissionSet::ALL);
    }

    #[test]
    fn a_denied_permission_passes_nothing_on() {
        let write = PermissionSet::from(Permission::TasksWrite);
        assert_eq!(write.closure_without(write), PermissionSet::EMPTY);
        assert_eq!(write.closure_without(Permission::TasksRead.into()), write);
        assert!(write.closure().contains(Permission::TasksRead));
    }

    proptest! {
        #[test]
        fn a_set_is_what_was_put_in(bits: u128) {
            let set = PermissionSet(bits).intersection(PermissionSet::ALL);
            prop_assert_eq!(set.iter().collect::<PermissionSet>(), set);
            prop_assert_eq!(set.iter().count(), set.len());
            let text = serde_json::to_string(&set).expect("serialises");
            prop_assert_eq!(serde_json::from_str::<PermissionSet>(&text).expect("reads back"), set);
        }

        #[test]
        fn closure_is_a_closure(a: u128, b: u128) {
            let a = PermissionSet(a).intersection(PermissionSet::ALL);
            let b = PermissionSet(b).intersection(PermissionSet::ALL);
            prop_assert!(a.closure().contains_all(a));
            prop_assert_eq!(a.closure().closure(), a.closure());
            prop_assert!(a.union(b).closure().contains_all(a.closure()));
            prop_assert!(a.closure().contains_all(a.closure_without(b)));
            prop_assert!(a.closure_without(b).intersection(b).is_empty());
        }
    }
}
