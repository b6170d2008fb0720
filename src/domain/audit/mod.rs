//! Who did what, when, to what: one entry for every mutation, refused ones included.
//!
//! What must always hold: a change and its entry commit together; entries are never changed or deleted by the runtime
//! login; an entry holds ids, never personal data or secrets. Refusals have no transaction to ride in, so they go
//! through a bounded queue into a short one of their own after the answer; what overflows is counted.
//!
//! Start reading at [`Entry`] (what is written), then [`refusals`], then [`service`] (what is read).

mod action;
mod entry;
pub mod feed;
pub mod graphql;
pub mod loaders;
pub mod refusals;
pub mod service;
pub mod store;
pub mod subscription;
pub mod types;

pub use self::{
    action::Action,
    entry::{AccessChange, Entry, Event, Target},
    refusals::RefusalQueue,
    types::{AuditOutcome as Outcome, SubjectKind},
};
