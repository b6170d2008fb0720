//! Who somebody is: passwords, signing keys, access tokens, sessions with their refresh tokens, and the credential of a
//! request.
//!
//! What must always hold:
//! - An access token says who and by which session, never in which tenant or with which rights; it lives 15 minutes at
//!   most, and its session is asked for all the same, so that a revoked session ends with the next request.
//! - A refresh token is good once. A second use ends the session, whoever came second.
//! - An unknown address, a wrong password and a lock take the same way and the same time, and have the same answers.
//!   Unknown addresses are locked like known ones; in a fleet every process counts unknown ones for itself.
//! - Of tokens and keys only SHA-256 hashes are stored, of passwords argon2id hashes; secrets are in no log and no error.
//!
//! The record of what happens here: `signIn`, `tokenRefresh` and `signOut` need no tenant. Where the request names one and
//! the person is an active member of it, the entry goes into that tenant's audit log, in the transaction that makes,
//! renews or ends the session. Otherwise there is nobody's log to put it into, and it is in the log of the server only;
//! so is a refused sign-in, because whoever failed to sign in is nobody.
//!
//! One file for each story: [`passwords`], [`keys`], [`tokens`], [`sessions`], [`authenticator`]. Start reading at
//! [`authenticator`] (what happens to a request) or [`service`] (the use cases).

pub mod authenticator;
pub mod graphql;
pub mod keys;
mod parts;
pub mod passwords;
pub mod service;
pub mod sessions;
pub(super) mod store;
pub mod tokens;
pub mod types;

pub use self::{
    authenticator::{AuthError, Authenticator, Credential},
    keys::KeyError,
    parts::Identity,
};
