//! Service accounts: what a program is in a tenant. Its API keys act for it, so they outlive the people who made them.
//!
//! What must always hold: an account holds nothing but the roles that were given to it; while it is disabled all its keys
//! are refused; its keys have no scope that their maker did not hold. Start reading at [`service`].

pub mod graphql;
pub mod loaders;
pub mod service;
pub(super) mod store;
pub mod types;
