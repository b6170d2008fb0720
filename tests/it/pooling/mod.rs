//! Connections to PostgreSQL: how many, who waits for them how long, and what may stand before the database.

mod burst;
mod pooler;
mod timeouts;
