//! A client of graphql-transport-ws that says what it is told, right or wrong.

use std::time::Duration;

use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        self, Message,
        client::IntoClientRequest,
        http::{HeaderName, HeaderValue, Response},
        protocol::frame::coding::CloseCode,
    },
};

use super::app::{TestApp, TestUser};

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// What came out of a socket.
#[derive(Clone, Debug, PartialEq)]
pub enum Heard {
    /// A message.
    Message(Value),
    /// The server has closed: code and reason.
    Closed(u16, String),
    /// It broke off without a word.
    Gone,
}

/// An open socket.
pub struct Socket {
    stream: WebSocketStream<TcpStream>,
    last: u32,
    /// Messages of other subscriptions than the one that was asked for.
    kept: Vec<Value>,
}

impl Socket {
    /// Connects and says nothing; an empty value takes a header away. An error is the answer of a server that does not let the socket in.
    pub async fn connect(
        app: &TestApp,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Result<Self, Response<Option<Vec<u8>>>> {
        let address = app.url.strip_prefix("http://").expect("a URL");
        let tcp = TcpSocket::new_v4().expect("a socket");
        // The system would take megabytes for a client that does not read.
        tcp.set_recv_buffer_size(64 * 1024).expect("a size");
        let stream = tcp.connect(address.parse().expect("an address")).await.expect("it listens");
        let mut request = format!("ws://{address}{path}").into_client_request().expect("a URL");
        let mut all = vec![("sec-websocket-protocol", "graphql-transport-ws")];
        all.extend(headers);
        for (name, value) in all {
            let name: HeaderName = name.parse().expect("a name");
            if value.is_empty() {
                request.headers_mut().remove(name);
                continue;
            }
            request.headers_mut().insert(name, HeaderValue::from_str(value).expect("a value"));
        }
        match tokio_tungstenite::client_async(request, stream).await {
            Ok((stream, _)) => Ok(Self { stream, last: 0, kept: Vec::new() }),
            Err(tungstenite::Error::Http(response)) => Err(*response),
            Err(error) => panic!("no socket: {error}"),
        }
    }

    /// Connects and introduces itself; what came back.
    pub async fn init(app: &TestApp, payload: Value) -> (Self, Heard) {
        let mut socket = Self::connect(app, "/graphql/ws", &[]).await.expect("a socket");
        socket.say(json!({ "type": "connection_init", "payload": payload })).await;
        let heard = socket.hear().await;
        (socket, heard)
    }

    /// An admitted socket of this person or key, in their tenant.
    pub async fn of(user: &TestUser) -> Self {
        let (socket, heard) = Self::init(&user.app, hello(user)).await;
        assert_eq!(heard, Heard::Message(json!({ "type": "connection_ack" })));
        socket
    }

    /// Says something.
    pub async fn say(&mut self, message: Value) {
        self.send(Message::text(message.to_string())).await;
    }

    /// Sends a frame.
    pub async fn send(&mut self, message: Message) {
        self.stream.send(message).await.expect("it is open");
    }

    /// What comes next.
    pub async fn hear(&mut self) -> Heard {
        let heard = async {
            loop {
                return match self.stream.next().await {
                    Some(Ok(Message::Text(text))) => Heard::Message(serde_json::from_str(&text).expect("JSON")),
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => continue,
                    Some(Ok(Message::Close(Some(frame)))) => {
                        let CloseCode::Library(code) = frame.code else {
                            return Heard::Closed(frame.code.into(), frame.reason.to_string());
                        };
                        Heard::Closed(code, frame.reason.to_string())
                    }
                    Some(Ok(other)) => panic!("unexpected: {other:?}"),
                    Some(Err(_)) | None => Heard::Gone,
                };
            }
        };
        tokio::time::timeout(PATIENCE, heard).await.expect("something comes")
    }

    /// Begins a subscription; its id.
    pub async fn subscribe(&mut self, query: &str, variables: Value) -> String {
        self.last += 1;
        let id = self.last.to_string();
        self.say(json!({ "type": "subscribe", "id": id, "payload": { "query": query, "variables": variables } })).await;
        id
    }

    /// The next message of this subscription.
    pub async fn of_subscription(&mut self, id: &str) -> Value {
        if let Some(at) = self.kept.iter().position(|message| message["id"] == id) {
            return self.kept.remove(at);
        }
        loop {
            match self.hear().await {
                Heard::Message(message) if message["id"] == id => return message,
                Heard::Message(message) => self.kept.push(message),
                other => panic!("subscription {id}: {other:?}"),
            }
        }
    }

    /// The data of the next event of this subscription.
    pub async fn next(&mut self, id: &str) -> Value {
        let message = self.of_subscription(id).await;
        assert_eq!(message["type"], "next", "{message:#}");
        assert!(message["payload"].get("errors").is_none(), "{message:#}");
        message["payload"]["data"].clone()
    }

    /// The codes of the errors with which this subscription is refused, each once.
    pub async fn refused(&mut self, id: &str) -> Vec<String> {
        let message = self.of_subscription(id).await;
        assert_eq!(message["type"], "error", "{message:#}");
        let errors = message["payload"].as_array().expect("a list").iter();
        let mut codes: Vec<_> =
            errors.map(|error| error["extensions"]["code"].as_str().unwrap_or("none").to_owned()).collect();
        codes.dedup();
        codes
    }

    /// Asks for a sign of life: what the server was told before it has dealt with then.
    pub async fn ping(&mut self) {
        self.say(json!({ "type": "ping" })).await;
        loop {
            match self.hear().await {
                Heard::Message(message) if message["type"] == "pong" => return,
                Heard::Message(message) => self.kept.push(message),
                other => panic!("no pong: {other:?}"),
            }
        }
    }

    /// Whether nothing has come but what was asked for.
    pub fn is_silent(&self) -> bool {
        self.kept.is_empty()
    }

    /// Reads until the server closes: the code.
    pub async fn closed(&mut self) -> u16 {
        self.closed_with().await.0
    }

    /// Reads until the server closes: code and reason.
    pub async fn closed_with(&mut self) -> (u16, String) {
        loop {
            match self.hear().await {
                Heard::Message(_) => {}
                Heard::Closed(code, reason) => return (code, reason),
                Heard::Gone => panic!("it broke off"),
            }
        }
    }
}

/// How somebody introduces themselves.
pub fn hello(user: &TestUser) -> Value {
    json!({ "authorization": format!("Bearer {}", user.token), "tenant": user.tenant })
}
