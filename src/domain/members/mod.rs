//! People inside a tenant.

pub mod service;
