//! Groups: members who hold roles together.
//!
//! What must always hold: a role given to a group is held by everybody in it, and by nobody who has left; who is put into
//! a group gets no more than whoever puts them there holds. Start reading at [`service`].

pub mod graphql;
pub mod loaders;
pub mod service;
pub(super) mod store;
pub mod types;
