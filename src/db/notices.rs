//! What other processes announce: one connection that listens, beside the pools.
//!
//! PostgreSQL sends notifications to whoever has said `LISTEN` on a session, so this connection must be PostgreSQL's own
//! session: a transaction-mode pooler takes the `LISTEN` and never delivers. [`Listener::connect`] therefore proves that
//! it hears before anybody relies on it. Notifications arrive in the order of the commits they come from.
//!
//! Nothing but fixed texts runs on this connection; it reads no table.

use std::{
    pin::Pin,
    time::{Duration, Instant as StdInstant},
};

use futures::{Stream, StreamExt, stream};
use secrecy::{ExposeSecret, SecretString};
use tokio::{sync::mpsc, task::JoinHandle, time::Instant};
use tokio_postgres::{AsyncMessage, Client, Connection, NoTls};

use super::{
    Db, DbError, Stats,
    pool::{self, BadUrl, Tls},
};
use crate::ids::uuid_v7;

/// The channel on which a new connection proves that it hears.
const PROOF: &str = "tenantry_proof";
/// How long a connection, its proof and the answer to a sign of life may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often the connection is asked for a sign of life, and how long it may take to give one.
const BEAT: Duration = Duration::from_secs(1);
/// Notices that may wait. Behind that they wait in the socket.
const CAPACITY: usize = 1024;

/// What somebody announced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// On which channel.
    pub channel: String,
    /// What.
    pub payload: String,
}

/// Why notices cannot be heard.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The URL cannot be used.
    #[error(transparent)]
    BadUrl(#[from] BadUrl),
    /// There is no connection.
    #[error("the database cannot be reached to listen for notifications: {0}")]
    Unreachable(String),
    /// There is one, and what is sent does not arrive on it.
    #[error(
        "notifications of the database do not arrive, although the connection stands. A pooler in transaction mode takes \
         LISTEN and delivers nothing: set TENANTRY_LISTEN_URL to PostgreSQL itself, with the login of DATABASE_URL"
    )]
    Deaf,
    /// The other connection, that should have sent one, failed.
    #[error("the database cannot be used to send a notification")]
    Db(#[from] DbError),
}

/// What a connection that listens has to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Somebody announced something.
    Notice(Notice),
    /// Every notice of what was committed before this instant has been given out.
    Everything(StdInstant),
}

/// The connection was lost; what was announced since its last notice is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost;

/// Where and to what to listen.
#[derive(Clone)]
pub struct Listener {
    config: tokio_postgres::Config,
    tls: Tls,
    listen: String,
}

impl Listener {
    /// Prepares to listen to these channels, without connecting.
    ///
    /// # Errors
    /// [`BadUrl`].
    pub fn new(url: &SecretString, channels: &[&'static str]) -> Result<Self, BadUrl> {
        let (mut config, tls) = pool::parse(url.expose_secret())?;
        config.application_name("tenantry listen").connect_timeout(PATIENCE).keepalives_idle(Duration::from_secs(10));
        let channels: String = channels.iter().chain(&[PROOF]).map(|channel| format!("LISTEN {channel};")).collect();
        // It writes nothing but a notice to itself every second, which need not be on disk.
        Ok(Self { config, tls, listen: format!("SET synchronous_commit = off; {channels}") })
    }

    /// Connects, listens, and waits for a notification that the pool of `db` sends: from then on none is missed until
    /// [`Ears::next`] says so.
    ///
    /// # Errors
    /// [`ListenError`], after 15 s at the latest.
    pub async fn connect(&self, db: &Db) -> Result<Ears, ListenError> {
        let unreachable = |error: tokio_postgres::Error| ListenError::Unreachable(pool::reason(&error));
        let late = |_| ListenError::Unreachable("no answer in time".to_owned());
        let (sender, notices) = mpsc::channel(CAPACITY);
        let mut ears = tokio::time::timeout(PATIENCE, async {
            Ok::<_, ListenError>(match self.tls.clone() {
                Tls::Off => {
                    let (client, connection) = self.config.connect(NoTls).await.map_err(unreachable)?;
                    Ears::new(client, notices, drive(messages(connection), sender))
                }
                Tls::Rustls(tls) => {
                    let (client, connection) = self.config.connect(tls).await.map_err(unreachable)?;
                    Ears::new(client, notices, drive(messages(connection), sender))
                }
            })
        })
        .await
        .map_err(late)??;
        let listened = tokio::time::timeout(PATIENCE, ears.client.batch_execute(&self.listen)).await.map_err(late)?;
        listened.map_err(unreachable)?;

        let nonce = uuid_v7(chrono::DateTime::UNIX_EPOCH).to_string();
        db.notify(PROOF, &nonce).await?;
        let proven = async {
            while let Some(notice) = ears.notices.recv().await {
                if notice.channel == PROOF && notice.payload == nonce {
                    return Ok(());
                }
                // Whoever connects takes everything for changed, so what comes before the proof need not be kept.
            }
            Err(ListenError::Unreachable("the connection broke off".to_owned()))
        };
        tokio::time::timeout(PATIENCE, proven).await.map_err(|_| ListenError::Deaf)??;
        Ok(ears)
    }
}

type Messages = Pin<Box<dyn Stream<Item = Result<AsyncMessage, tokio_postgres::Error>> + Send>>;

fn messages<S, T>(mut connection: Connection<S, T>) -> Messages
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    Box::pin(stream::poll_fn(move |cx| connection.poll_message(cx)))
}

/// Drives the connection; ends with it, or with whoever listens.
fn drive(mut messages: Messages, sender: mpsc::Sender<Notice>) -> JoinHandle<()> {
    tokio::spawn(async move {
        while let Some(Ok(message)) = messages.next().await {
            if let AsyncMessage::Notification(heard) = message {
                let notice = Notice { channel: heard.channel().to_owned(), payload: heard.payload().to_owned() };
                if sender.send(notice).await.is_err() {
                    return;
                }
            }
        }
    })
}

/// A connection that listens. It closes when this is dropped.
pub struct Ears {
    client: Client,
    notices: mpsc::Receiver<Notice>,
    driver: JoinHandle<()>,
    beat: tokio::time::Interval,
    /// The proof that is under way, and when it was asked for.
    proof: Option<(String, StdInstant)>,
}

impl Drop for Ears {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Ears {
    fn new(client: Client, notices: mpsc::Receiver<Notice>, driver: JoinHandle<()>) -> Self {
        let mut beat = tokio::time::interval_at(Instant::now() + BEAT, BEAT);
        beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        Self { client, notices, driver, beat, proof: None }
    }

    /// The next notice, in the order of commits, and every second how far everything was heard. A connection on which no
    /// notice of our own arrives is given up.
    ///
    /// # Errors
    /// [`Lost`]: connect again, and take everything for changed.
    pub async fn next(&mut self) -> Result<Heard, Lost> {
        loop {
            tokio::select! {
                biased;
                notice = self.notices.recv() => match notice {
                    Some(notice) if notice.channel == PROOF => {
                        if let Some((_, asked)) = self.proof.take_if(|(nonce, _)| *nonce == notice.payload) {
                            return Ok(Heard::Everything(asked));
                        }
                    }
                    Some(notice) => return Ok(Heard::Notice(notice)),
                    None => return Err(Lost),
                },
                _ = self.beat.tick() => {
                    if self.proof.is_some() {
                        return Err(Lost);
                    }
                    // PostgreSQL gives out notices in the order of commits: behind this one stands nothing older.
                    let nonce = uuid_v7(chrono::DateTime::UNIX_EPOCH).to_string();
                    let notify = format!("NOTIFY {PROOF}, '{nonce}'");
                    self.proof = Some((nonce, StdInstant::now()));
                    match tokio::time::timeout(BEAT, self.client.batch_execute(&notify)).await {
                        Ok(Ok(())) => {}
                        Ok(Err(_)) | Err(_) => return Err(Lost),
                    }
                }
            }
        }
    }
}

impl Db {
    /// Sends a notification through the runtime pool. One statement.
    async fn notify(&self, channel: &'static str, payload: &str) -> Result<(), DbError> {
        use diesel::sql_types::Text;
        let tx = self.person(None, &std::sync::Arc::new(Stats::default())).await?;
        let sent = tx.call("SELECT pg_notify({}, {})").bind::<Text, _>(channel).bind::<Text, _>(payload.to_owned());
        sent.execute().await?;
        tx.commit().await
    }
}
