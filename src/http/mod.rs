//! Takes requests in and gives answers back: GraphQL over HTTP, GraphiQL, health and metrics.
//!
//! What must always hold:
//! - every answer carries `x-request-id`, and a GraphQL answer the same value in `extensions.requestId`;
//! - a request is bounded in size and in time, and a panic ends that one request only;
//! - nothing here knows tenants, rights or SQL: the endpoint hands a checked request to a [`endpoint::GraphqlService`]
//!   and writes down what comes back.
//!
//! Start reading at [`router`] (what is served where), then [`endpoint`] (the way of a GraphQL request).
//! The rules are those of the GraphQL-over-HTTP specification; where it leaves a choice, the comment beside the code
//! says what we chose.

pub mod accept;
pub mod admin;
pub mod around;
pub mod body;
pub mod client;
pub mod endpoint;
pub mod graphiql;
pub mod reply;
pub mod router;
pub mod server;
