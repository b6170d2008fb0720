//! What a server tells about the load of its database: which tenant, which operation, which statement, and why.

mod operations;
mod shares;
mod statements;
