//! Handing over the ownership of a tenant.
//!
//! An owner offers it to another member, who accepts: two people, two decisions, each by somebody who has proven lately
//! who they are. On acceptance the other gets the role `owner`, and whoever offered it becomes `admin`, in one transaction:
//! never none, never a moment with both.
//!
//! What must always hold: one open offer in a tenant at most (a unique index); an API key neither offers nor accepts; an
//! offer ends with the membership or the ownership of whoever made it, and by itself after [`types::OPEN_FOR`]. Start
//! reading at [`service`].

pub mod graphql;
pub mod service;
mod store;
pub mod types;
