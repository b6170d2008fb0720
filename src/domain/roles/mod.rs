//! Roles of a tenant and who holds them.
//!
//! What must always hold: built-in roles are locked (a trigger); a role and its grants stay inside one tenant (composite
//! keys); a grant past its end counts for nothing; nobody gives, creates or uncovers what they do not hold there themselves
//! ([`weigh`]); owners are made and unmade by owners only. Start reading at [`custom`], then [`grants`].

pub mod custom;
pub mod grants;
pub mod graphql;
pub mod loaders;
pub mod service;
pub(super) mod store;
pub mod types;
pub mod weigh;
