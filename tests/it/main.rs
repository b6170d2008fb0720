<<<<<<< HEAD
fn main() {}
=======
//! Every integration test, in one binary: it links once, and its tests share one private PostgreSQL.

mod firstrun;
mod support;
>>>>>>> 60b4039 (db: supervise a private PostgreSQL for dev and tests)
