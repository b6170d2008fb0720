//! Tasks of a project: the sample slice that shows the pattern and carries the benchmarks.
//!
//! What must always hold: a task stands in the workspace of its project (a composite foreign key); its assignee is a
//! member of the tenant (another one); a done task has a time of completion (a CHECK); nobody sees or changes a task in
//! a workspace where they lack the right. Start reading at [`service`].

pub mod feed;
pub mod graphql;
pub mod loaders;
pub mod service;
pub(super) mod store;
pub mod types;
