//! Who uses a folder: a file lock that the kernel lets go of with its process, and in the file who and where.

use std::{
    fs::{self, File, TryLockError},
    io::{Seek, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use super::EmbeddedError;

/// Holds a folder for this process until it is dropped or the process ends.
#[derive(Debug)]
pub struct InstanceLock {
    file: File,
    folder: PathBuf,
}

impl InstanceLock {
    /// Takes the folder, which is created if it is absent.
    ///
    /// # Errors
    /// [`EmbeddedError::AlreadyRunning`] with the process id and URL of the holder, [`EmbeddedError::Io`].
    pub fn acquire(folder: &Path) -> Result<Self, EmbeddedError> {
        fs::create_dir_all(folder).map_err(EmbeddedError::io("cannot create", folder))?;
        let path = folder.join("lock");
        let file = fs::OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(EmbeddedError::io("cannot open", &path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let text = fs::read_to_string(&path).unwrap_or_default();
                let mut lines = text.lines();
                let pid = lines.next().and_then(|line| line.parse().ok());
                let url = lines.next().filter(|line| !line.is_empty()).map(str::to_owned);
                return Err(EmbeddedError::AlreadyRunning { pid, url });
            }
            Err(TryLockError::Error(source)) => return Err(EmbeddedError::io("cannot lock", path)(source)),
        }
        let lock = Self { file, folder: folder.to_owned() };
        lock.announce("")?;
        Ok(lock)
    }

    /// Writes where this process serves.
    ///
    /// # Errors
    /// [`EmbeddedError::Io`].
    pub fn announce(&self, url: &str) -> Result<(), EmbeddedError> {
        let mut file = &self.file;
        let text = format!("{}\n{url}\n", std::process::id());
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| file.write_all(text.as_bytes()))
            .map_err(EmbeddedError::io("cannot write", self.folder.join("lock")))
    }

    /// The folder that is held.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

impl Drop for InstanceLock {
    fn drop(&mut self) {
        // Closing is not enough: a process that is being started right now has a copy of the descriptor until it runs its
        // own program, and the lock with it.
        let _ = self.file.unlock();
    }
}
