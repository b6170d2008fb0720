//! The messages of graphql-transport-ws.
//!
//! Source: PROTOCOL.md of the package graphql-ws, version 6.

use async_graphql::{Response as GraphqlResponse, ServerError};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Close, close};
use crate::http::{body::GraphqlBody, endpoint::Transport};

/// The longest id of a subscription.
const MAX_ID: usize = 128;

/// What a client says.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum ClientMessage {
    ConnectionInit {
        #[serde(default)]
        payload: Option<Value>,
    },
    Ping {
        #[serde(default)]
        payload: Option<Value>,
    },
    Pong {},
    Subscribe {
        id: String,
        payload: Value,
    },
    Complete {
        id: String,
    },
}

impl ClientMessage {
    /// Reads a message; whatever is none closes the socket.
    pub(super) fn read(text: &str) -> Result<Self, Close> {
        let bad = |what: String| Close::new(close::BAD_REQUEST, what);
        let message: Self = serde_json::from_str(text).map_err(|error| match error.classify() {
            serde_json::error::Category::Data => bad("This is no message of graphql-transport-ws".to_owned()),
            _ => bad("A message is not JSON".to_owned()),
        })?;
        match &message {
            Self::Subscribe { id, .. } | Self::Complete { id } if id.is_empty() || id.len() > MAX_ID => {
                Err(bad(format!("An id has 1 to {MAX_ID} bytes")))
            }
            _ => Ok(message),
        }
    }
}

/// The GraphQL request in the payload of `subscribe`.
pub(super) fn request(payload: &Value) -> Result<GraphqlBody, Close> {
    let bytes = serde_json::to_vec(payload).unwrap_or_default();
    GraphqlBody::from_json(&bytes).map_err(|error| Close::new(close::BAD_REQUEST, error.to_string()))
}

/// Puts the credential and the tenant of `connection_init` to what the upgrade said.
pub(super) fn introduce(transport: &mut Transport, payload: Option<Value>) -> Result<(), Close> {
    let bad = |what: String| Err(Close::new(close::BAD_REQUEST, what));
    let payload = match payload {
        None | Some(Value::Null) => return Ok(()),
        Some(Value::Object(payload)) => payload,
        Some(_) => return bad("The payload of connection_init must be an object".to_owned()),
    };
    for (name, value) in payload {
        // Clients that send headers elsewhere spell it as one.
        let place = match name.to_ascii_lowercase().as_str() {
            "authorization" => &mut transport.authorization,
            "tenant" => &mut transport.init_tenant,
            _ => continue,
        };
        let text = match value {
            Value::Null => continue,
            Value::String(text) => text,
            _ => return bad(format!("{name} in the payload of connection_init must be a string")),
        };
        if place.replace(text).is_some() {
            return bad(format!("{name} is given twice in the payload of connection_init"));
        }
    }
    Ok(())
}

/// What we say.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum ServerMessage<'a> {
    ConnectionAck,
    Pong {
        #[serde(skip_serializing_if = "Option::is_none")]
        payload: Option<Value>,
    },
    Next {
        id: &'a str,
        payload: &'a GraphqlResponse,
    },
    Error {
        id: &'a str,
        payload: &'a [ServerError],
    },
    Complete {
        id: &'a str,
    },
}

impl ServerMessage<'_> {
    pub(super) fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_else(|error| {
            // Only a scalar of ours that serialises to something that is not JSON could bring us here.
            tracing::error!(error = %error, "a message could not be written");
            r#"{"type":"pong"}"#.to_owned()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_message_is_refused() {
        for wrong in [
            "",
            "hello",
            "{}",
            "[]",
            r#"{"type":"start"}"#,
            r#"{"type":"subscribe"}"#,
            r#"{"type":"subscribe","id":1,"payload":{}}"#,
            r#"{"type":"subscribe","id":"","payload":{}}"#,
            r#"{"type":"complete"}"#,
        ] {
            assert_eq!(ClientMessage::read(wrong).expect_err(wrong).code, 4400, "{wrong}");
        }
        assert!(matches!(ClientMessage::read(r#"{"type":"pong","payload":{"a":1}}"#), Ok(ClientMessage::Pong {})));
        assert!(request(&serde_json::json!({ "query": "{a}" })).is_ok());
        assert_eq!(request(&serde_json::json!([])).expect_err("no request").code, 4400);
    }
}
