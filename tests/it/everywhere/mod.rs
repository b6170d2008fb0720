//! Rules that hold for every field, checked by walking the schema: a field that is added later is covered without
//! anybody remembering. What is excepted stands in `exceptions.rs` and is reviewed like code.

mod access;
mod audit;
mod exceptions;
mod fixture;
mod foreign_ids;
mod paging;
mod plans;
mod schema;
mod statements;
pub mod walk;
mod walls;
