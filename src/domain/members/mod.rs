//! People inside a tenant.
//!
//! What must always hold: a member is one person in one tenant; removed members are absent everywhere but in the audit
//! log; who sees members of some workspaces only, sees nobody else. A person's own rows are global, so they are read
//! through a join that begins at the tenant's members.
//!
//! Who is removed or leaves takes along what stood on the membership, in the same transaction: grants, places in
//! groups and workspaces, API keys (revoked, and the reason says so), an offer of ownership. Open tasks, active projects
//! and service accounts lose their assignee or owner, so that somebody else is found for them; what is done keeps the name
//! of whoever did it, and service accounts go on working. The person stays, and can be added again: as a new member, with
//! nothing of the old one.
//!
//! That an owner is left, and that nobody joins without a seat, is held by constraints on counters (`tenant_counters`) and
//! by no count of ours. Start reading at [`service`], then [`changes`].

pub mod changes;
pub mod graphql;
pub mod loaders;
pub mod service;
pub(super) mod store;
pub mod types;
