//! What people do with the API, one file for each story.

mod api_keys;
mod idempotency;
mod limits;
mod operators;
mod paging;
mod tasks;
mod tenant_of_a_request;
mod workspaces;
