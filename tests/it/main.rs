//! Every integration test, in one binary: it links once, and its tests share one private PostgreSQL.

mod firstrun;
mod support;
