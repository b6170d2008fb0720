//! Something between a server and PostgreSQL that writes down which statements are prepared: their texts as they are
//! really sent, with the types of their values.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy},
    net::{UnixListener, UnixStream},
};

use super::cluster::TestDatabase;

/// Statements: the text, and the OID of the type of each value.
pub type Statements = BTreeMap<String, Vec<u32>>;

/// A tap on a socket of its own.
pub struct Tap {
    /// The database, reached through the tap.
    pub database: Arc<TestDatabase>,
    heard: Arc<Mutex<Statements>>,
    // Deleted with the tap.
    _folder: tempfile::TempDir,
}

impl Tap {
    /// Before this database; what others than this login prepare is passed on and not written down.
    pub fn before(database: &TestDatabase, login: &'static str) -> Self {
        const NAME: &str = ".s.PGSQL.5432";
        let folder = tempfile::tempdir_in("/tmp").expect("a folder");
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("our own folder");
        let real = database.socket().join(NAME);
        let listener = UnixListener::bind(folder.path().join(NAME)).expect("a socket");
        let heard = Arc::new(Mutex::new(Statements::new()));
        let written = Arc::clone(&heard);
        tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.expect("a connection");
                let server = UnixStream::connect(&real).await.expect("PostgreSQL");
                let ((from_client, mut to_client), (mut from_server, to_server)) =
                    (client.into_split(), server.into_split());
                let written = Arc::clone(&written);
                tokio::spawn(async move {
                    tokio::select! {
                        _ = listen(from_client, to_server, login, &written) => {}
                        _ = copy(&mut from_server, &mut to_client) => {}
                    }
                });
            }
        });
        Self { database: Arc::new(database.through(folder.path())), heard, _folder: folder }
    }

    /// What was prepared so far.
    pub fn statements(&self) -> Statements {
        self.heard.lock().expect("nobody fails while writing down").clone()
    }
}

/// Passes on what the client says and writes down its `Parse` messages.
///
/// PostgreSQL manual, "Message Formats": a message is a type byte, its length with itself, and the rest; the first one
/// of a connection has no type, and says who logs in.
async fn listen(
    mut from: impl tokio::io::AsyncRead + Unpin,
    mut to: impl tokio::io::AsyncWrite + Unpin,
    login: &str,
    heard: &Mutex<Statements>,
) -> std::io::Result<()> {
    let login = [b"user\0", login.as_bytes(), b"\0"].concat();
    let mut is_meant = None;
    loop {
        let kind = if is_meant.is_none() { None } else { Some(from.read_u8().await?) };
        let length = from.read_u32().await?;
        let mut rest = vec![0; length as usize - 4];
        from.read_exact(&mut rest).await?;
        let is_meant = *is_meant.get_or_insert_with(|| rest.windows(login.len()).any(|part| part == login));
        if is_meant && kind == Some(b'P') {
            let (text, types) = parsed(&rest);
            heard.lock().expect("nobody fails while writing down").insert(text, types);
        }
        let message = [kind.as_slice(), &length.to_be_bytes(), &rest].concat();
        to.write_all(&message).await?;
    }
}

/// The text and the types of a `Parse` message: name, text, number of types, types.
fn parsed(message: &[u8]) -> (String, Vec<u32>) {
    let mut parts = message.splitn(3, |byte| *byte == 0);
    let (_, text, rest) = (parts.next(), parts.next().expect("a text"), parts.next().expect("types"));
    let types = rest[2..].chunks_exact(4).map(|oid| u32::from_be_bytes(oid.try_into().expect("four bytes")));
    (String::from_utf8(text.to_vec()).expect("a text"), types.collect())
}
