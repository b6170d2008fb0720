//! Tenantry: a multi-tenant backend that serves an isolated GraphQL API over PostgreSQL.
//!
//! The way of a request: [`http`] takes it in, [`context`] finds out who asks in which tenant, the policy pass of
//! [`graphql`] decides before any SQL, the slices under [`domain`] do the work, [`db`] lends them transactions that
//! know the tenant. [`access`] decides about rights and knows nobody; [`app`] alone knows every slice.
//!
//! Start reading at [`db`] (what a tenant's data can be reached through) or at `domain::tasks` (what a slice looks like).

pub mod access;
pub mod app;
pub mod cache;
pub mod clock;
pub mod config;
pub mod context;
pub mod db;
pub mod domain;
pub mod graphql;
pub mod http;
pub mod ids;
pub mod kv;
pub mod limits;
pub mod telemetry;
