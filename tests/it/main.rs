//! Every integration test, in one binary: it links once, and its tests share one private PostgreSQL.

mod access;
mod api_keys;
mod database;
mod docs;
mod everywhere;
mod faults;
mod firstrun;
mod graphql;
mod http;
mod identity;
mod limits;
mod load;
mod members;
mod pooling;
mod sockets;
mod stories;
mod support;
mod transactions;
