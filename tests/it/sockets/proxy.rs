//! Something between a server and PostgreSQL that can be cut, or made silent.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{UnixListener, UnixStream},
    sync::watch,
};

use crate::support::cluster::TestDatabase;

/// A proxy on a socket of its own.
pub struct Proxy {
    folder: tempfile::TempDir,
    url: String,
    cut: watch::Sender<bool>,
    is_silent: Arc<AtomicBool>,
}

impl Proxy {
    /// Before this database.
    pub async fn before(database: &TestDatabase) -> Self {
        let folder = tempfile::tempdir_in("/tmp").expect("a folder");
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("our own folder");
        let url = database.url("tenantry_app");
        // postgres://role@%2Ffolder%2Fof%2Fthe%2Fsocket/database
        let host = url.split_once('@').and_then(|(_, rest)| rest.split_once('/')).expect("a URL").0;
        const NAME: &str = ".s.PGSQL.5432";
        let real = PathBuf::from(host.replace("%2F", "/")).join(NAME);
        assert!(real.exists(), "PostgreSQL has no socket at {}", real.display());
        let ours = folder.path().join(NAME);
        let url = url.replace(host, &folder.path().to_str().expect("a path").replace('/', "%2F"));
        let (cut, _) = watch::channel(false);
        let is_silent = Arc::new(AtomicBool::new(false));
        let listener = UnixListener::bind(ours).expect("a socket");
        let (mut stopped, silent) = (cut.subscribe(), Arc::clone(&is_silent));
        tokio::spawn(async move {
            loop {
                let accepted = tokio::select! {
                    accepted = listener.accept() => accepted,
                    _ = stopped.wait_for(|cut| *cut) => return,
                };
                let (client, _) = accepted.expect("a connection");
                let server = UnixStream::connect(&real).await.expect("PostgreSQL");
                let (mut stopped, silent) = (stopped.clone(), Arc::clone(&silent));
                tokio::spawn(async move {
                    let ((from_client, to_client), (from_server, to_server)) =
                        (client.into_split(), server.into_split());
                    tokio::select! {
                        () = forward(from_client, to_server, &silent) => {}
                        () = forward(from_server, to_client, &silent) => {}
                        _ = stopped.wait_for(|cut| *cut) => {}
                    }
                });
            }
        });
        Self { folder, url, cut, is_silent }
    }

    /// The URL of the database through this proxy.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Cuts every connection, and takes no other.
    pub fn cut(&self) {
        for entry in fs::read_dir(self.folder.path()).expect("our own folder").flatten() {
            fs::remove_file(entry.path()).expect("our own file");
        }
        self.cut.send_replace(true);
    }

    /// Keeps the connections, and lets nothing through.
    pub fn silence(&self) {
        self.is_silent.store(true, Ordering::SeqCst);
    }
}

async fn forward(
    mut from: impl tokio::io::AsyncRead + Unpin,
    mut to: impl tokio::io::AsyncWrite + Unpin,
    is_silent: &AtomicBool,
) {
    let mut buffer = [0; 4096];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        if is_silent.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}
