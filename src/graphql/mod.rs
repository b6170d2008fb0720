//! The kit the slices build their part of the API from, and the policy pass over each document.
//!
//! - [`codes`], [`error`], [`user_error`]: what can go wrong, in one list, and how it is told;
//! - [`ids`], [`scalars`]: what goes in and out;
//! - [`connection`], [`cursor`]: pages; [`inline`]: objects that are answered without a future for each field;
//! - [`directives`]: how a field declares who may see it and what it costs; [`policy`] enforces exactly that.
//!
//! The kit knows no slice; `app` puts the schema together. Start reading at [`directives`] to write a field, at [`policy`]
//! to see what happens to a request.

pub mod codes;
pub mod connection;
pub mod cursor;
pub mod directives;
pub mod error;
pub mod ids;
pub mod inline;
pub mod inputs;
pub mod policy;
pub mod scalars;
pub mod user_error;

pub use codes::{ErrorCode, UserErrorCode};
pub use connection::{Page, PageArgs, PageRequest};
pub use error::ApiError;
pub use user_error::UserError;
