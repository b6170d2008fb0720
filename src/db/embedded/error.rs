use std::{io, path::PathBuf};

/// Why the private PostgreSQL does not run: what happened, why, and the next step.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddedError {
    /// No server programs of a supported version.
    #[error(
        "PostgreSQL {oldest} or newer was not found (looked in {looked_in}). \
         Debian/Ubuntu: `sudo apt-get install -y postgresql`. Or use your own server: `tenantry dev --database-url …`."
    )]
    NotInstalled {
        /// The oldest major version that will do.
        oldest: u32,
        /// The places that were searched.
        looked_in: String,
    },
    /// The data was written by a version whose programs are not installed.
    #[error(
        "the data in {} is of PostgreSQL {data}, but the installed version is {installed}, and a server reads only \
         data of its own major version. Install PostgreSQL {data} again to keep the data, or start over with an empty \
         database: `tenantry dev --reset`.",
        folder.display()
    )]
    OtherVersion {
        /// The major version that wrote the data.
        data: u32,
        /// The major versions found.
        installed: String,
        /// The folder with the data.
        folder: PathBuf,
    },
    /// Another process holds the folder.
    #[error(
        "a `tenantry` with this folder is already running{}. Use that one, stop it first{}, or start this one in \
         another folder.",
        running_at(.url.as_deref()),
        kill_hint(*.pid)
    )]
    AlreadyRunning {
        /// Its process id, when the lock file tells.
        pid: Option<u32>,
        /// Where it serves, when it already does.
        url: Option<String>,
    },
    /// Neither the user `postgres` nor `nobody` exists, and PostgreSQL does not run as root.
    #[error(
        "PostgreSQL refuses to run as root, and this machine has neither the user `postgres` nor `nobody` to run it \
         as. Create one (`useradd --system postgres`) or run `tenantry` as a plain user."
    )]
    NoUser,
    /// The folder belongs to somebody else, and we are not root.
    #[error(
        "{} belongs to another user (id {owner}), probably because `tenantry` was run with sudo before. Run it as \
         that user again, or hand the folder over: `sudo chown -R $(id -u) {}`.",
        folder.display(),
        folder.display()
    )]
    NotOurs {
        /// The folder.
        folder: PathBuf,
        /// The id of the user it belongs to.
        owner: u32,
    },
    /// A socket folder that cannot be used.
    #[error("{} cannot hold the database's socket: {why}. Name another folder of at most {longest} bytes.", folder.display())]
    SocketFolder {
        /// The folder.
        folder: PathBuf,
        /// What is wrong with it.
        why: &'static str,
        /// How long its path may be.
        longest: usize,
    },
    /// `initdb` failed.
    #[error("the database could not be created in {}: {output} ({status})", folder.display())]
    Initdb {
        /// The folder that was to hold the data.
        folder: PathBuf,
        /// The end of what `initdb` said.
        output: String,
        /// How it ended.
        status: String,
    },
    /// The server ended, or did not answer, before it was ready.
    #[error("PostgreSQL did not start: {what}. The end of its log ({}):\n{tail}", log.display())]
    DidNotStart {
        /// Ended, or still silent.
        what: String,
        /// The log file.
        log: PathBuf,
        /// Its last five lines.
        tail: String,
    },
    /// A statement of the set-up failed.
    #[error("the private PostgreSQL refused a step of its set-up ({step})")]
    Sql {
        /// The step.
        step: &'static str,
        /// The cause, with the server's message in its own chain.
        source: tokio_postgres::Error,
    },
    /// A file or folder could not be read or written.
    #[error("{doing} {}", path.display())]
    Io {
        /// What was tried, for example `cannot create`.
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

impl EmbeddedError {
    /// For `map_err`: the failure of doing something with this path.
    pub(super) fn io(doing: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { doing, path, source }
    }
}

fn running_at(url: Option<&str>) -> String {
    url.map_or_else(|| " (it is still starting)".to_owned(), |url| format!(" at {url}"))
}

fn kill_hint(pid: Option<u32>) -> String {
    pid.map_or_else(String::new, |pid| format!(" (`kill {pid}`)"))
}
