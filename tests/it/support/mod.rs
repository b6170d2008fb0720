//! What the tests share.

pub mod app;
pub mod cluster;
pub mod database;
pub mod process;
pub mod redis;
pub mod socket;
pub mod wire;
