//! What the tests share.

pub mod app;
pub mod child;
pub mod cluster;
pub mod database;
pub mod pgbouncer;
pub mod process;
pub mod redis;
pub mod socket;
pub mod tap;
pub mod wire;
