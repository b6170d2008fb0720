//! API keys of a tenant: `tnk_live_…`, for programs.
//!
//! What must always hold:
//! - A key is shown once, when it is made. Stored are its SHA-256, in the global index that finds the tenant, and its last
//!   four characters, so that people can tell their keys apart.
//! - A key's rights are its scopes, cut by what its owner may do now. Nobody makes a key with scopes they do not hold, nor
//!   gets hold of one by rotating it; a key makes none that outlives it, reaches further or is used from elsewhere.
//! - A key of a workspace is seen and handled by those who hold the right there; a key of the whole tenant by those who
//!   hold it tenant-wide.
//! - What cannot be a key is refused by its checksum, before any SQL.
//!
//! Start reading at [`key`] (what a key looks like), then [`service`]. A request with a key comes in through [`door`]; its
//! rights are put together in `context::membership`.

pub mod door;
pub mod graphql;
pub mod key;
pub mod loaders;
pub mod service;
pub(super) mod store;
pub mod types;
