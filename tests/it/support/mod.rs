//! What the tests share.

pub mod cluster;
pub mod database;
pub mod demo;
