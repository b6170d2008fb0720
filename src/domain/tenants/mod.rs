//! The tenant itself, as its members see it, and the one who asks ([`viewer`]).
//!
//! What must always hold: a request sees the one tenant it named; where else its person is a member, only the person
//! learns. Start reading at [`service`].

pub mod graphql;
pub mod loaders;
pub mod service;
pub(super) mod store;
pub mod subscription;
pub mod types;
pub mod viewer;
