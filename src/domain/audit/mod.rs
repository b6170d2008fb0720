//! Who did what, when, to what: one entry for every mutation, refused ones included.
//!
//! What must always hold: a change and its entry commit together; entries are never changed or deleted by the runtime
//! login; an entry holds ids, never personal data or secrets. Refusals have no transaction to ride in, so they go
//! through a bounded queue into a short one of their own after the answer; what overflows is counted.
//!
//! Start reading at [`Entry`], then [`refusals`].

mod action;
mod entry;
pub mod refusals;
pub mod store;

pub use self::{
    action::Action,
    entry::{Entry, Event, Outcome, Target},
    refusals::RefusalQueue,
};
