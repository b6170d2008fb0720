//! Projects of a workspace; tasks stand in them.
//!
//! What must always hold: a project stays in its workspace (its tasks refer to both, by a composite foreign key); its owner
//! is a member of the tenant; an archived project, or one in an archived workspace, is read and not changed, and neither
//! are its tasks. Start reading at [`service`].

pub mod graphql;
pub mod loaders;
pub mod service;
pub(super) mod store;
pub mod types;
