//! Why sockets are closed, and by which code.

use std::borrow::Cow;

use tokio::sync::watch;

use super::super::reply::Refusal;
use crate::graphql::{ErrorCode, error::code_of};

/// A close frame: code and reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Close {
    /// The code (RFC 6455, section 7.4; from 4000 on those of graphql-transport-ws and ours).
    pub code: u16,
    /// The same for people, 123 bytes at most.
    pub reason: Cow<'static, str>,
}

/// The server is going away.
pub const GOING_AWAY: u16 = 1001;
/// A message that is longer than allowed.
pub const TOO_LARGE: u16 = 1009;
/// Something failed on our side.
pub const INTERNAL: u16 = 1011;
/// The server cannot answer at present.
pub const TRY_AGAIN_LATER: u16 = 1013;
/// A message that is none, or cannot be accepted.
pub const BAD_REQUEST: u16 = 4400;
/// No credential, a bad one, or one that has ended.
pub const UNAUTHORIZED: u16 = 4401;
/// Membership or a right is missing, or was lost.
pub const FORBIDDEN: u16 = 4403;
/// The client speaks another protocol.
pub const SUBPROTOCOL: u16 = 4406;
/// `connection_init` did not come in time.
pub const INIT_TIMEOUT: u16 = 4408;
/// Two subscriptions with one id.
pub const DUPLICATE_ID: u16 = 4409;
/// The tenant is suspended or deleted.
pub const SUSPENDED: u16 = 4423;
/// Too much: a second `connection_init`, too many sockets, or a client that does not keep up.
pub const TOO_MANY: u16 = 4429;

impl Close {
    /// With this code and reason.
    pub fn new(code: u16, reason: impl Into<Cow<'static, str>>) -> Self {
        let mut reason = reason.into();
        if reason.len() > 123 {
            let end = (0..=123).rev().find(|at| reason.is_char_boundary(*at)).unwrap_or_default();
            reason.to_mut().truncate(end);
        }
        Self { code, reason }
    }

    /// How a socket is closed to which a request with its credential and tenant would be refused.
    pub fn of(refusal: &Refusal) -> Self {
        let code = match refusal.code {
            ErrorCode::Unauthenticated => UNAUTHORIZED,
            ErrorCode::TenantNotFound | ErrorCode::AddressNotAllowed | ErrorCode::Forbidden => FORBIDDEN,
            ErrorCode::TenantSuspended | ErrorCode::TenantDeleted => SUSPENDED,
            ErrorCode::RateLimited | ErrorCode::ConcurrencyLimited => TOO_MANY,
            ErrorCode::Unavailable | ErrorCode::Timeout => TRY_AGAIN_LATER,
            ErrorCode::Internal => INTERNAL,
            _ => BAD_REQUEST,
        };
        let error = refusal.errors.first();
        let name = error.and_then(code_of).unwrap_or(refusal.code);
        Self::new(code, format!("{name}: {}", error.map_or("", |error| error.message.as_str())))
    }
}

/// Closes one socket; the first reason counts.
#[derive(Clone, Debug)]
pub struct Closer(watch::Sender<Option<Close>>);

impl Default for Closer {
    fn default() -> Self {
        Self(watch::Sender::new(None))
    }
}

impl Closer {
    /// Closes the socket, if it is not being closed.
    pub fn close(&self, close: Close) {
        self.0.send_if_modified(|known| {
            let is_first = known.is_none();
            if is_first {
                *known = Some(close);
            }
            is_first
        });
    }

    /// Waits until somebody closes the socket.
    pub async fn closed(&self) -> Close {
        let mut receiver = self.0.subscribe();
        match receiver.wait_for(Option::is_some).await.map(|close| close.clone()) {
            Ok(Some(close)) => close,
            // The sender is ours, so it is there.
            _ => std::future::pending().await,
        }
    }

    /// Whether somebody has closed it.
    pub fn is_closed(&self) -> bool {
        self.0.borrow().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_fits_into_a_frame() {
        let long = Close::new(FORBIDDEN, "ä".repeat(100));
        assert_eq!(long.reason, "ä".repeat(61));
    }

    #[tokio::test]
    async fn the_first_reason_counts() {
        let closer = Closer::default();
        closer.close(Close::new(FORBIDDEN, "first"));
        closer.close(Close::new(TOO_MANY, "second"));
        assert_eq!(closer.closed().await.code, FORBIDDEN);
    }
}
