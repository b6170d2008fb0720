//! What somebody may do and why: explanations of single rights, and reviews of all of them.
//!
//! What must always hold: the answer comes from the function that guards, on rights that were read by the statements that
//! requests are admitted with; who asks about others needs `access:explain`, everybody may ask about themselves; a review
//! leaves the server once for each ticket, to whoever asked for it. Start reading at [`explain`], then [`review`].

pub mod explain;
pub mod graphql;
pub mod review;
mod rows;
pub(super) mod store;
pub mod tickets;
