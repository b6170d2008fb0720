//! Workspaces: the parts of a tenant, in trees of at most five levels, one of them the default.
//!
//! What must always hold: a slug is unique in its tenant and derived from the name if nothing is said; the default
//! workspace is never archived (a CHECK), the tree has no circle (a trigger), the plan's limit holds (a CHECK on the
//! counters); nobody sees a private workspace that no grant of theirs reaches, unless the tenant's workspaces are theirs
//! to manage. Who sees what is decided in [`sight`] alone. Start reading at [`service`].

pub mod graphql;
pub mod loaders;
pub mod roster;
pub mod service;
pub mod sight;
pub mod slug;
pub(super) mod store;
pub mod types;
