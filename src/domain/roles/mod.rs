//! Roles of a tenant and who holds them.
//!
//! What must always hold: built-in roles are locked (a trigger); a role and its grants stay inside one tenant (composite
//! keys); a grant past its end counts for nothing and is not shown. Start reading at [`service`].

pub mod graphql;
pub mod loaders;
pub mod service;
pub(super) mod store;
pub mod types;
