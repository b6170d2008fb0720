//! What the server says to PostgreSQL, and in how many flights: a real PostgreSQL behind a listener that reads along.

use std::{
    mem::take,
    path::PathBuf,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, UnixStream},
    sync::watch,
};

use super::cluster::TestDatabase;

/// The messages of each flight of a transaction. A flight ends when PostgreSQL has answered something of it and the server
/// speaks again.
pub type Transaction = Vec<Vec<String>>;

/// Reads along between the login `tenantry_app` and the database.
#[derive(Clone)]
pub struct Wire {
    socket: PathBuf,
    name: String,
    port: u16,
    transactions: Arc<Mutex<Vec<Transaction>>>,
    commits: watch::Sender<bool>,
}

impl Wire {
    /// Listens before this database.
    pub async fn start(database: &TestDatabase) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let socket = database.socket().join(".s.PGSQL.5432");
        let wire = Self {
            socket,
            name: database.name.clone(),
            port,
            transactions: Arc::default(),
            commits: watch::Sender::new(true),
        };
        let carrying = wire.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                client.set_nodelay(true).expect("a socket");
                tokio::spawn(carrying.clone().carry(client));
            }
        });
        wire
    }

    /// The same database, reached through this.
    pub fn database(&self) -> TestDatabase {
        TestDatabase::elsewhere(&format!("postgres://ROLE@127.0.0.1:{}/{}", self.port, self.name))
    }

    /// The transactions inside a tenant that have ended since the last call.
    pub fn take(&self) -> Vec<Transaction> {
        let of_tenant = |transaction: &Transaction| {
            transaction.iter().flatten().any(|message| message.starts_with("SET LOCAL app.tenant_id"))
        };
        take(&mut *self.transactions.lock().expect("nobody panics")).into_iter().filter(of_tenant).collect()
    }

    /// From here on, `COMMIT` is held back, or let through again.
    pub fn let_commits_through(&self, through: bool) {
        self.commits.send_replace(through);
    }

    async fn carry_answers_until_commits_may_pass(
        &self,
        client: &mut TcpStream,
        server: &mut UnixStream,
        answer: &mut [u8],
    ) {
        let mut commits = self.commits.subscribe();
        loop {
            tokio::select! {
                biased;
                () = async { drop(commits.wait_for(|through| *through).await) } => return,
                read = server.read(answer) => {
                    let Ok(length @ 1..) = read else { return };
                    if client.write_all(&answer[..length]).await.is_err() { return }
                }
            }
        }
    }

    async fn carry(self, mut client: TcpStream) {
        let mut server = UnixStream::connect(&self.socket).await.expect("the cluster listens");
        let (mut parser, mut chunk, mut answer) = (Parser::default(), vec![0; 64 * 1024], vec![0; 64 * 1024]);
        let (mut transaction, mut is_answered) = (Transaction::new(), true);
        loop {
            tokio::select! {
                read = client.read(&mut chunk) => {
                    let Ok(length @ 1..) = read else { return };
                    let said = parser.read(&chunk[..length]);
                    let ends = said.iter().any(|message| message == "COMMIT" || message == "ROLLBACK");
                    if !said.is_empty() && take(&mut is_answered) {
                        transaction.push(Vec::new());
                    }
                    if let Some(flight) = transaction.last_mut() {
                        flight.extend(said);
                    }
                    let mut rest = &chunk[..length];
                    if ends {
                        let ended = take(&mut transaction);
                        if parser.is_app {
                            self.transactions.lock().expect("nobody panics").push(ended);
                        }
                        is_answered = true;
                        // What stands before it in the same flight is not held back.
                        if let Some(before) = rest.strip_suffix(COMMIT) {
                            if server.write_all(before).await.is_err() { return }
                            rest = COMMIT;
                            self.carry_answers_until_commits_may_pass(&mut client, &mut server, &mut answer).await;
                        }
                    }
                    if server.write_all(rest).await.is_err() { return }
                }
                read = server.read(&mut answer) => {
                    let Ok(length @ 1..) = read else { return };
                    is_answered = true;
                    if client.write_all(&answer[..length]).await.is_err() { return }
                }
            }
        }
    }
}

/// `COMMIT` as a simple query.
const COMMIT: &[u8] = b"Q\x00\x00\x00\x0bCOMMIT\0";

/// The messages of a frontend (PostgreSQL manual, "Message Formats").
#[derive(Default)]
struct Parser {
    held: Vec<u8>,
    is_started: bool,
    is_app: bool,
}

impl Parser {
    /// What has arrived whole: the text of a simple query without its values, `Parse`, `Execute`.
    fn read(&mut self, bytes: &[u8]) -> Vec<String> {
        self.held.extend_from_slice(bytes);
        let mut said = Vec::new();
        loop {
            let tag = usize::from(self.is_started);
            let Some(length) = self.held.get(tag..tag + 4) else { return said };
            let length = tag + u32::from_be_bytes(length.try_into().expect("four bytes")) as usize;
            if self.held.len() < length {
                return said;
            }
            let message: Vec<u8> = self.held.drain(..length).collect();
            if !self.is_started {
                self.is_started = true;
                self.is_app = message.windows(13).any(|window| window == b"\0tenantry_app");
                continue;
            }
            match message[0] {
                b'Q' => said.push(statement(&message[5..])),
                b'P' => said.push("Parse".to_owned()),
                b'E' => said.push("Execute".to_owned()),
                _ => {}
            }
        }
    }
}

/// The words of a statement up to what may differ from one request to the next.
fn statement(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let text = text.trim_end_matches('\0');
    let end = if text.starts_with("BEGIN") { text.find(' ') } else { text.find(['(', '=']) };
    text[..end.unwrap_or(text.len())].trim_end().to_owned()
}
