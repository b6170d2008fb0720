//! One socket: a writer with a bounded queue, and a reader that begins and ends subscriptions.

use std::{collections::HashMap, sync::Arc, time::Duration};

use async_graphql::{Response as GraphqlResponse, ServerError};
use axum::extract::ws::{CloseFrame, Message, WebSocket};
use futures::{
    SinkExt, StreamExt,
    stream::{SplitSink, SplitStream},
};
use tokio::{
    sync::mpsc,
    task::{AbortHandle, Id, JoinSet},
    time::Instant,
};

use super::{
    Close, Closer, Limits, Responses, SocketSession, Sockets, close,
    protocol::{ClientMessage, ServerMessage, introduce, request},
};
use crate::{
    graphql::{ApiError, ErrorCode},
    http::endpoint::Transport,
};

/// How long a close frame may take; behind what the client has not read yet it may never arrive.
const LAST_WORD: Duration = Duration::from_secs(2);

/// Serves a socket to its end.
pub(super) async fn drive(socket: WebSocket, transport: Transport, sockets: Sockets) {
    let _counted = sockets.count();
    let speaks_ours = socket.protocol().is_some();
    let (sink, stream) = socket.split();
    let closer = Closer::default();
    let (out, queue) = mpsc::channel(sockets.limits.queue);
    let writer = tokio::spawn(write(sink, queue, closer.clone(), sockets.limits));
    if !speaks_ours {
        closer.close(Close::new(close::SUBPROTOCOL, "Subprotocol not acceptable: speak graphql-transport-ws"));
    }
    let mut stop = sockets.stop.subscribe();
    let mut reader = Reader {
        out,
        closer: closer.clone(),
        limits: sockets.limits,
        transport: Some(transport),
        session: None,
        ids: HashMap::new(),
        tasks: JoinSet::new(),
        names: HashMap::new(),
    };
    let ended = tokio::select! {
        biased;
        close = closer.closed() => Some(close),
        _ = stop.wait_for(|stop| *stop) => Some(Close::new(close::GOING_AWAY, "The server is going away")),
        ended = reader.read(stream, &sockets) => ended,
    };
    // Subscriptions end before the last word is said, so that none outlives the right to it.
    reader.tasks.shutdown().await;
    drop(reader.session.take());
    let label = match &ended {
        Some(close) => {
            tracing::info!(socket.code = close.code, socket.reason = %close.reason, "a socket was closed");
            close.code.to_string()
        }
        None => "client".to_owned(),
    };
    metrics::counter!("tenantry_socket_closes_total", "code" => label).increment(1);
    if let Some(close) = ended {
        closer.close(close);
    }
    // With the last sender gone, the writer ends as well when nobody closes.
    drop(reader);
    let _ = writer.await;
}

/// Writes what is queued, asks for signs of life, and says the last word.
async fn write(
    mut sink: SplitSink<WebSocket, Message>,
    mut queue: mpsc::Receiver<Message>,
    closer: Closer,
    limits: Limits,
) {
    let mut pings = tokio::time::interval_at(Instant::now() + limits.ping, limits.ping);
    loop {
        let message = tokio::select! {
            biased;
            _ = closer.closed() => break,
            message = queue.recv() => match message {
                Some(message) => message,
                None => return,
            },
            _ = pings.tick() => Message::Ping(Default::default()),
        };
        // A frame that was begun stays in the sink's buffer and goes out whole, whatever ends the waiting.
        let sent = tokio::select! {
            sent = tokio::time::timeout(limits.patience, sink.send(message)) => sent,
            _ = closer.closed() => break,
        };
        match sent {
            Ok(Ok(())) => {}
            // The client has gone; the reader notices it, too.
            Ok(Err(_)) => return,
            Err(_) => {
                closer.close(Close::new(close::TOO_MANY, "The client does not keep up with its events"));
                break;
            }
        }
    }
    let close = closer.closed().await;
    let frame = CloseFrame { code: close.code, reason: close.reason.into_owned().into() };
    let last = async {
        if sink.send(Message::Close(Some(frame))).await.is_ok() {
            let _ = sink.close().await;
        }
    };
    let _ = tokio::time::timeout(LAST_WORD, last).await;
}

/// How a subscription ended.
enum End {
    /// There is nothing more.
    Complete,
    /// Its last message said why.
    Failed,
}

struct Reader {
    out: mpsc::Sender<Message>,
    closer: Closer,
    limits: Limits,
    /// What the upgrade said, until `connection_init` has come.
    transport: Option<Transport>,
    session: Option<Arc<dyn SocketSession>>,
    /// Running subscriptions by the client's ids.
    ids: HashMap<String, AbortHandle>,
    names: HashMap<Id, String>,
    tasks: JoinSet<End>,
}

impl Reader {
    /// Reads until the socket ends: the close frame that we send, or `None` if the client has gone.
    async fn read(&mut self, mut stream: SplitStream<WebSocket>, sockets: &Sockets) -> Option<Close> {
        let silence = self.limits.ping * 2 + Duration::from_secs(1);
        let init_until = Instant::now() + self.limits.init;
        loop {
            let read = tokio::select! {
                Some(ended) = self.tasks.join_next_with_id() => {
                    let (task, end) = match ended {
                        Ok((task, end)) => (task, Some(end)),
                        // Ended by the client, or by a panic, which the hook has logged.
                        Err(error) if error.is_cancelled() => (error.id(), None),
                        Err(error) => {
                            self.names.remove(&error.id());
                            return Some(Close::new(close::INTERNAL, "Something failed on our side"));
                        }
                    };
                    if let Some(id) = self.names.remove(&task)
                        && let Some(end) = end
                    {
                        self.ids.remove(&id);
                        if let End::Complete = end {
                            self.say(&ServerMessage::Complete { id: &id }).await;
                        }
                    }
                    continue;
                }
                () = tokio::time::sleep_until(init_until), if self.session.is_none() => {
                    return Some(Close::new(close::INIT_TIMEOUT, "Connection initialisation timeout"));
                }
                read = tokio::time::timeout(silence, stream.next()) => read,
            };
            let text = match read {
                Ok(Some(Ok(Message::Text(text)))) if text.as_str().len() <= self.limits.max_message_bytes => text,
                Ok(Some(Ok(Message::Text(_)))) => {
                    let reason = format!("A message may have at most {} bytes", self.limits.max_message_bytes);
                    return Some(Close::new(close::TOO_LARGE, reason));
                }
                Ok(Some(Ok(Message::Ping(_) | Message::Pong(_)))) => continue,
                Ok(Some(Ok(Message::Binary(_)))) => {
                    return Some(Close::new(close::BAD_REQUEST, "Messages are texts"));
                }
                Ok(Some(Ok(Message::Close(_))) | None) => return None,
                Ok(Some(Err(error))) => {
                    tracing::debug!(error = %error, "a socket broke off");
                    return None;
                }
                Err(_) => return Some(Close::new(close::GOING_AWAY, "The client gives no sign of life")),
            };
            let heard = match ClientMessage::read(text.as_str()) {
                Ok(message) => self.heed(message, sockets).await,
                Err(close) => Err(close),
            };
            if let Err(close) = heard {
                return Some(close);
            }
        }
    }

    async fn heed(&mut self, message: ClientMessage, sockets: &Sockets) -> Result<(), Close> {
        match message {
            ClientMessage::ConnectionInit { payload } => {
                let Some(mut transport) = self.transport.take() else {
                    return Err(Close::new(close::TOO_MANY, "Too many initialisation requests"));
                };
                introduce(&mut transport, payload)?;
                self.session = Some(sockets.service.open(transport, self.closer.clone()).await?);
                self.say(&ServerMessage::ConnectionAck).await;
            }
            ClientMessage::Ping { payload } => self.say(&ServerMessage::Pong { payload }).await,
            ClientMessage::Pong {} => {}
            ClientMessage::Complete { id } => {
                if let Some(task) = self.ids.remove(&id) {
                    task.abort();
                }
            }
            ClientMessage::Subscribe { id, payload } => {
                let Some(session) = self.session.clone() else {
                    return Err(Close::new(close::UNAUTHORIZED, "Unauthorized: say connection_init first"));
                };
                if self.ids.contains_key(&id) {
                    return Err(Close::new(close::DUPLICATE_ID, format!("Subscriber for {id} already exists")));
                }
                let body = request(&payload)?;
                if self.ids.len() >= self.limits.subscriptions {
                    let message = format!("A socket carries at most {} subscriptions.", self.limits.subscriptions);
                    let error = ApiError::new(ErrorCode::ConcurrencyLimited, message);
                    self.say(&ServerMessage::Error { id: &id, payload: &[error.into_server_error(None)] }).await;
                    return Ok(());
                }
                match session.subscribe(body).await {
                    Ok(responses) => {
                        let task = self.tasks.spawn(forward(id.clone(), responses, self.out.clone()));
                        self.names.insert(task.id(), id.clone());
                        self.ids.insert(id, task);
                    }
                    Err(errors) => self.say(&ServerMessage::Error { id: &id, payload: &errors }).await,
                }
            }
        }
        Ok(())
    }

    /// Queues a message. Waits for room; what closes the socket ends the waiting from outside.
    async fn say(&self, message: &ServerMessage<'_>) {
        // Without a writer there is nobody to say it to.
        let _ = self.out.send(Message::text(message.text())).await;
    }
}

/// Sends what a subscription gives.
async fn forward(id: String, mut responses: Responses, out: mpsc::Sender<Message>) -> End {
    metrics::gauge!("tenantry_socket_subscriptions").increment(1.0);
    let _open = OnDrop(|| metrics::gauge!("tenantry_socket_subscriptions").decrement(1.0));
    // Without tokio's budget, as in the pipeline: a level's look-ups must fall into one batch.
    while let Some(response) = tokio::task::unconstrained(responses.next()).await {
        let failed = failure(&response);
        let text = match &failed {
            Some(errors) => ServerMessage::Error { id: &id, payload: errors }.text(),
            None => {
                metrics::counter!("tenantry_socket_events_total").increment(1);
                ServerMessage::Next { id: &id, payload: &response }.text()
            }
        };
        if out.send(Message::text(text)).await.is_err() || failed.is_some() {
            return End::Failed;
        }
    }
    End::Complete
}

/// The errors of a response that has nothing but errors: the subscription does not go on.
fn failure(response: &GraphqlResponse) -> Option<Vec<ServerError>> {
    let failed = !response.errors.is_empty() && response.data == async_graphql::Value::Null;
    failed.then(|| response.errors.clone())
}

struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}
