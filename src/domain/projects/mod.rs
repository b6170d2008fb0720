//! Projects of a workspace.

pub mod service;
pub mod types;
