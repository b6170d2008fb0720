//! From a fresh machine to a running server.

mod config;
mod embedded;
