//! What the walks cannot know by themselves, and what they leave out, each with its reason.

/// Which kind of object an ID argument or input field means: `(name, prefix)`. A name that is missing here fails the
/// walk: add it.
pub const ID_NAMES: &[(&str, &str)] = &[
    ("assigneeId", "mbr"),
    ("apiKeyId", "key"),
    ("memberId", "mbr"),
    ("ownerId", "mbr"),
    ("parentId", "wsp"),
    ("projectId", "prj"),
    ("roleId", "rol"),
    ("inheritsRoleId", "rol"),
    ("replacementRoleId", "rol"),
    ("groupId", "grp"),
    ("memberIds", "mbr"),
    ("serviceAccountId", "sva"),
    ("workspaceId", "wsp"),
    // Audit entries point to anything; a task stands for all.
    ("actorId", "mbr"),
    ("targetId", "tsk"),
    ("ids", "tsk"),
    // Where a subscription is resumed.
    ("after", "aud"),
    ("toMemberId", "mbr"),
];

/// The kind that `id` means, where the field's name does not say it: `(root field, prefix)`.
pub const ID_OF_FIELD: &[(&str, &str)] = &[
    ("node", "tsk"),
    ("auditLog", "aud"),
    ("apiKey", "key"),
    ("ownershipTransferAccept", "otr"),
    ("ownershipTransferCancel", "otr"),
];

/// Mutations without an entry in the tenant's audit log, with the reason.
pub const NOT_AUDITED_IN_A_TENANT: &[(&str, &str)] = &[
    ("signIn", "anonymous: the person is not known before; tests of identity look at what it records"),
    ("tokenRefresh", "anonymous: the refresh token is its only credential"),
    ("signOut", "ends the session that the walk itself uses; tests of identity look at what it records"),
    ("reauthenticate", "the people of the walk have no password; tests of members look at what it records"),
    ("memberLeave", "ends the membership that the walk itself uses; tests of members look at what it records"),
    ("ownershipTransferRequest", "asks for a confirmation; tests of members look at what it records"),
    ("ownershipTransferAccept", "takes two people; tests of members look at what it records"),
    ("ownershipTransferCancel", "nobody but two people sees an offer; tests of members look at what it records"),
];

/// Root fields that nobody in a tenant is admitted to, with the reason.
pub const NOT_FOR_TENANTS: &[(&str, &str)] = &[];

/// What must have been done before a mutation can be done: `(mutation, mutation on the same id before it)`.
pub const BEFORE: &[(&str, &str)] = &[
    ("workspaceRestore", "workspaceArchive"),
    ("groupMembersRemove", "groupMembersAdd"),
    ("serviceAccountEnable", "serviceAccountDisable"),
    ("memberReactivate", "memberSuspend"),
    ("workspaceMemberRemove", "workspaceMemberAdd"),
];
