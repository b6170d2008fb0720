//! Where a cluster lives on disk and as which user its server runs.

use std::{
    ffi::CString,
    fs::{self, DirBuilder},
    io,
    os::unix::{
        ffi::OsStrExt,
        fs::{DirBuilderExt, MetadataExt, PermissionsExt, lchown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use sha2::{Digest, Sha256};

use super::{ClusterOptions, EmbeddedError, process};

/// The bytes of a unix socket's path that Linux takes (unix(7): 108 with the closing zero).
const LONGEST_SOCKET_PATH: usize = 107;

/// What PostgreSQL adds to the socket folder.
const SOCKET_NAME: &str = "/.s.PGSQL.5432";

/// Root's second choice, when the server's user cannot reach the first.
const FALLBACK: &str = "/var/lib/tenantry";

/// The user that a server runs as when we are root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct User {
    pub(super) uid: u32,
    pub(super) gid: u32,
}

/// The files of one cluster, all paths absolute.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) data: PathBuf,
    pub(super) socket: PathBuf,
    pub(super) log: PathBuf,
    /// The user to run as; `None` is ourselves.
    pub(super) user: Option<User>,
    pub(super) notices: Vec<String>,
}

impl Place {
    /// Makes the folders, as far as they are needed before the server programs run.
    pub(super) fn prepare(options: &ClusterOptions) -> Result<Self, EmbeddedError> {
        let mut notices = Vec::new();
        let wanted = absolute(&options.data_dir)?;
        let user = server_user(&wanted.join("data"))?;
        let home = match user {
            Some(user) if !can_enter(user, &wanted)? => {
                let fallback = fallback_home(&wanted);
                open_folder(Path::new(FALLBACK))?;
                open_folder(&fallback)?;
                notices.push(format!(
                    "The database is in {}: PostgreSQL does not run as root, and its user cannot reach {}.",
                    fallback.display(),
                    wanted.display()
                ));
                fallback
            }
            _ => wanted,
        };
        let socket = match &options.socket_dir {
            Some(folder) if fits(folder) => absolute(folder)?,
            Some(folder) => return Err(socket_folder(folder, "its path is too long")),
            None if fits(&home.join("socket")) => home.join("socket"),
            None => {
                let short = short_socket_folder(&home);
                notices.push(format!(
                    "The database's socket is in {}: below {} its path would be longer than {LONGEST_SOCKET_PATH} bytes.",
                    short.display(),
                    home.display()
                ));
                short
            }
        };
        private_folder(&socket, user)?;
        Ok(Self { data: home.join("data"), socket, log: home.join("postgres.log"), user, notices })
    }

    /// The major version that wrote the data, if there is data.
    pub(super) fn data_version(&self) -> Result<Option<u32>, EmbeddedError> {
        let path = self.data.join("PG_VERSION");
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text.trim().parse().unwrap_or(0))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(EmbeddedError::io("cannot read", path)(error)),
        }
    }

    /// An empty folder for `initdb`, renamed to `data` when it is complete.
    pub(super) fn fresh_data_folder(&self) -> Result<PathBuf, EmbeddedError> {
        let folder = self.data.with_file_name("data.new");
        remove(&folder)?;
        private_folder(&folder, self.user)?;
        Ok(folder)
    }

    /// Deletes what a killed server left in the socket folder.
    pub(super) fn remove_socket(&self) -> Result<(), EmbeddedError> {
        remove(&self.socket.join(".s.PGSQL.5432"))?;
        remove(&self.socket.join(".s.PGSQL.5432.lock"))
    }

    /// A command that runs as the server's user, away from folders that this user may not see, free of the settings
    /// (`PGPORT`, `PGDATA`, a locale that is not installed) that our environment may hold.
    pub(super) fn command(&self, program: PathBuf) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("LC_ALL", "C").env("TZ", "UTC").current_dir("/").stdin(Stdio::null());
        if let Some(path) = std::env::var_os("PATH") {
            command.env("PATH", path);
        }
        if let Some(user) = self.user {
            command.gid(user.gid).uid(user.uid);
        }
        command
    }
}

/// Deletes what [`Place::prepare`] and the server made, wherever it went; the lock file stays.
pub(super) fn delete(folder: &Path) -> Result<(), EmbeddedError> {
    let wanted = absolute(folder)?;
    let fallback = fallback_home(&wanted);
    for home in [&wanted, &fallback] {
        process::stop_leftover(&home.join("data"))?;
        for name in ["data", "data.new", "socket", "postgres.log"] {
            remove(&home.join(name))?;
        }
        let short = short_socket_folder(home);
        if !fits(&home.join("socket")) {
            remove(&short)?;
        }
    }
    remove(&fallback)?;
    // Only if this was the last one in it.
    let _ = fs::remove_dir(FALLBACK);
    Ok(())
}

fn remove(path: &Path) -> Result<(), EmbeddedError> {
    let removed = match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(EmbeddedError::io("cannot delete", path)(error)),
        _ => Ok(()),
    }
}

/// The real path of a folder that exists, else the absolute one.
fn absolute(path: &Path) -> Result<PathBuf, EmbeddedError> {
    path.canonicalize().or_else(|_| std::path::absolute(path)).map_err(EmbeddedError::io("cannot find", path))
}

fn effective_uid() -> u32 {
    // SAFETY: geteuid has no preconditions and cannot fail.
    unsafe { libc::geteuid() }
}

/// Whom the server runs as: the owner of the data if it exists, else ourselves, else (as root) an unprivileged user.
fn server_user(data: &Path) -> Result<Option<User>, EmbeddedError> {
    let owner = fs::metadata(data).ok().map(|found| User { uid: found.uid(), gid: found.gid() });
    match (effective_uid(), owner) {
        (0, Some(owner)) if owner.uid != 0 => Ok(Some(owner)),
        (0, _) => look_up("postgres").or_else(|| look_up("nobody")).map(Some).ok_or(EmbeddedError::NoUser),
        (ours, Some(owner)) if owner.uid != ours => {
            Err(EmbeddedError::NotOurs { folder: data.to_owned(), owner: owner.uid })
        }
        _ => Ok(None),
    }
}

fn look_up(name: &str) -> Option<User> {
    let name = CString::new(name).ok()?;
    // SAFETY: the name ends with a zero; the answer is read at once, and nothing else here calls getpwnam.
    let entry = unsafe { libc::getpwnam(name.as_ptr()).as_ref() }?;
    Some(User { uid: entry.pw_uid, gid: entry.pw_gid })
}

/// Whether this user can enter the folder: asked of the kernel, which knows about modes, groups and access lists.
fn can_enter(user: User, folder: &Path) -> Result<bool, EmbeddedError> {
    let mut probe = Command::new("/bin/true");
    match probe.current_dir(folder).gid(user.gid).uid(user.uid).stdin(Stdio::null()).status() {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(false),
        Err(error) => Err(EmbeddedError::io("cannot enter", folder)(error)),
    }
}

/// A short name for a folder: 64 bits of its path's hash.
fn short_name(folder: &Path) -> String {
    Sha256::digest(folder.as_os_str().as_bytes()).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

fn fallback_home(wanted: &Path) -> PathBuf {
    Path::new(FALLBACK).join(short_name(wanted))
}

fn short_socket_folder(home: &Path) -> PathBuf {
    Path::new("/tmp").join(format!("tenantry-{}", short_name(home)))
}

fn fits(folder: &Path) -> bool {
    folder.as_os_str().len() + SOCKET_NAME.len() <= LONGEST_SOCKET_PATH
}

fn socket_folder(folder: &Path, why: &'static str) -> EmbeddedError {
    EmbeddedError::SocketFolder { folder: folder.to_owned(), why, longest: LONGEST_SOCKET_PATH - SOCKET_NAME.len() }
}

/// A folder that everybody may pass through, whatever our umask.
fn open_folder(folder: &Path) -> Result<(), EmbeddedError> {
    fs::create_dir_all(folder)
        .and_then(|()| fs::set_permissions(folder, fs::Permissions::from_mode(0o755)))
        .map_err(EmbeddedError::io("cannot create", folder))
}

/// A folder of mode 0700 that belongs to the server's user. One that is there already must be ours or the server's:
/// in `/tmp` anybody could have put it there.
fn private_folder(folder: &Path, user: Option<User>) -> Result<(), EmbeddedError> {
    if let Some(parent) = folder.parent() {
        fs::create_dir_all(parent).map_err(EmbeddedError::io("cannot create", parent))?;
    }
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(EmbeddedError::io("cannot create", folder)(error));
        }
        _ => {}
    }
    let found = fs::symlink_metadata(folder).map_err(EmbeddedError::io("cannot read", folder))?;
    if !found.is_dir() || (found.uid() != effective_uid() && Some(found.uid()) != user.map(|user| user.uid)) {
        return Err(socket_folder(folder, "it is a link or belongs to another user"));
    }
    if let Some(user) = user {
        lchown(folder, Some(user.uid), Some(user.gid)).map_err(EmbeddedError::io("cannot hand over", folder))?;
    }
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).map_err(EmbeddedError::io("cannot close", folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_path_of_107_bytes_fits_and_one_more_does_not() {
        let longest = "/".repeat(LONGEST_SOCKET_PATH - SOCKET_NAME.len());
        assert!(fits(Path::new(&longest)));
        assert!(!fits(Path::new(&format!("{longest}x"))));
    }

    #[test]
    fn a_socket_folder_behind_a_link_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("/tmp", &link).unwrap();
        assert!(matches!(private_folder(&link, None), Err(EmbeddedError::SocketFolder { .. })));
    }
}
