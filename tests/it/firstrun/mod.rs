//! From a fresh machine to a running server.

mod cli;
mod config;
mod dev;
mod embedded;
