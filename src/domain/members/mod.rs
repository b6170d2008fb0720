//! People inside a tenant.
//!
//! What must always hold: a member is one person in one tenant; removed members are absent everywhere but in the audit
//! log; who sees members of some workspaces only, sees nobody else. A person's own rows are global, so they are read
//! through a join that begins at the tenant's members. Start reading at [`service`].

pub mod graphql;
pub mod loaders;
pub mod service;
pub(super) mod store;
pub mod types;
