//! What a client sees when something breaks in mid-request, and what is left behind.
//!
//! Each test has a database of its own, so that what PostgreSQL says about sessions and locks is about its server alone.
//! Requests are stopped at a known place by locks that the test holds.

mod client;
mod connection;
mod pool;
mod restart;
pub mod stage;
