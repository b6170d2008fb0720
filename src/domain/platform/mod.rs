//! What operators do: create, list, suspend and resume tenants, create people and make them members.
//!
//! What must always hold: an operator acts through the platform login, inside one tenant at a time, and leaves an entry
//! in that tenant's audit log (actor `operator`, source `cli`); what spans tenants is recorded in `platform_audit`.
//! The console's platform API will call the same use cases. Start reading at [`service`].

pub mod service;
mod store;
pub mod types;
