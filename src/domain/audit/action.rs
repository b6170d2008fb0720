//! The actions that the audit log knows. The schema's `@audited(action:)` names the same; a test compares.

macro_rules! actions {
    ($($(#[$doc:meta])* $variant:ident $name:literal $(changes $rights:ident)?),* $(,)?) => {
        /// What was done, as stored in `audit_logs.action`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Action { $($(#[$doc])* $variant),* }

        impl Action {
            /// Every action.
            pub const ALL: &[Action] = &[$(Action::$variant),*];

            /// `subject.verb`, as stored and as the schema spells it.
            pub const fn name(self) -> &'static str { match self { $(Action::$variant => $name),* } }

            /// Whether it changes anybody's rights, so that it must wait for the writes in progress.
            pub const fn changes_rights(self) -> bool {
                match self { $(Action::$variant => actions!(@rights $($rights)?)),* }
            }
        }
    };
    (@rights rights) => { true };
    (@rights) => { false };
}

actions! {
    /// A workspace was created.
    WorkspaceCreate "workspace.create" changes rights,
    /// A workspace was changed.
    WorkspaceUpdate "workspace.update" changes rights,
    /// A workspace was archived.
    WorkspaceArchive "workspace.archive",
    /// A workspace was restored from the archive.
    WorkspaceRestore "workspace.restore",
    /// A project was created.
    ProjectCreate "project.create",
    /// A project was changed.
    ProjectUpdate "project.update",
    /// A project was archived.
    ProjectArchive "project.archive",
    /// A task was created.
    TaskCreate "task.create",
    /// A task was changed.
    TaskUpdate "task.update",
    /// A task was given to somebody or taken from them.
    TaskAssign "task.assign",
    /// A task was completed.
    TaskComplete "task.complete",
    /// A task was deleted.
    TaskDelete "task.delete",
    /// Tasks were created in bulk.
    TasksImport "tasks.import",
    /// An API key was issued.
    ApiKeyCreate "api_key.create" changes rights,
    /// An API key got a successor.
    ApiKeyRotate "api_key.rotate" changes rights,
    /// An API key was revoked.
    ApiKeyRevoke "api_key.revoke" changes rights,
    /// An API key was changed.
    ApiKeyUpdate "api_key.update" changes rights,
    /// A person signed in.
    SignIn "session.sign_in",
    /// A person signed out.
    SignOut "session.sign_out",
    /// A session's tokens were renewed.
    TokenRefresh "session.refresh",
    /// A person proved again who they are.
    Reauthenticate "session.reauthenticate",
    /// A tenant was created.
    TenantCreate "tenant.create" changes rights,
    /// A tenant was suspended.
    TenantSuspend "tenant.suspend" changes rights,
    /// A tenant was resumed.
    TenantResume "tenant.resume" changes rights,
    /// A person was made a member.
    MemberAdd "member.add" changes rights,
    /// A role was created.
    RoleCreate "role.create" changes rights,
    /// A role was created as a copy of another.
    RoleCopy "role.copy" changes rights,
    /// A role was changed.
    RoleUpdate "role.update" changes rights,
    /// A role was deleted.
    RoleDelete "role.delete" changes rights,
    /// A role was given to a member, group or service account.
    RoleGrantCreate "role_grant.create" changes rights,
    /// The end or the reason of a grant was changed.
    RoleGrantUpdate "role_grant.update" changes rights,
    /// A role was taken from a member, group or service account.
    RoleGrantDelete "role_grant.delete" changes rights,
    /// A group was created.
    GroupCreate "group.create",
    /// The name or description of a group was changed.
    GroupUpdate "group.update",
    /// A group was deleted, with the roles given to it.
    GroupDelete "group.delete" changes rights,
    /// Members joined a group.
    GroupMembersAdd "group.members_add" changes rights,
    /// Members left a group.
    GroupMembersRemove "group.members_remove" changes rights,
    /// A service account was created.
    ServiceAccountCreate "service_account.create",
    /// A service account was changed.
    ServiceAccountUpdate "service_account.update",
    /// A service account was disabled: its keys are refused.
    ServiceAccountDisable "service_account.disable" changes rights,
    /// A service account was enabled again.
    ServiceAccountEnable "service_account.enable" changes rights,
    /// A service account was deleted, with its roles; its keys were revoked.
    ServiceAccountDelete "service_account.delete" changes rights,
    /// A review of everybody's rights was asked for.
    AccessReviewExport "access_review.export",
    /// A member was changed.
    MemberUpdate "member.update",
    /// A member was shut out for a while.
    MemberSuspend "member.suspend" changes rights,
    /// A suspended member was let in again.
    MemberReactivate "member.reactivate" changes rights,
    /// A member was removed.
    MemberRemove "member.remove" changes rights,
    /// A member left.
    MemberLeave "member.leave" changes rights,
    /// A member was added to a workspace.
    WorkspaceMemberAdd "workspace_member.add" changes rights,
    /// A member was taken out of a workspace.
    WorkspaceMemberRemove "workspace_member.remove" changes rights,
    /// An owner offered the ownership to somebody.
    OwnershipTransferRequest "ownership_transfer.request" changes rights,
    /// The ownership passed to somebody.
    OwnershipTransferAccept "ownership_transfer.accept" changes rights,
    /// The offer of the ownership was taken back or declined.
    OwnershipTransferCancel "ownership_transfer.cancel" changes rights,
}
