//! Finds the server programs of PostgreSQL on this machine.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::EmbeddedError;

/// The oldest major version that Tenantry works with.
pub const OLDEST_MAJOR: u32 = 15;

/// Where Debian and Ubuntu put one folder per major version.
const DEBIAN: &str = "/usr/lib/postgresql";

/// The folder with `initdb` and `postgres`, and their major version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Programs {
    /// The folder.
    pub folder: PathBuf,
    /// The major version.
    pub major: u32,
}

impl Programs {
    /// The programs to use: those in `given` and nowhere else, or the newest found; data that exists decides the version.
    ///
    /// # Errors
    /// [`EmbeddedError::NotInstalled`], or [`EmbeddedError::OtherVersion`] if only other versions than the data's exist.
    pub fn find(given: Option<&Path>, data_version: Option<u32>, data: &Path) -> Result<Self, EmbeddedError> {
        let (found, looked_in) = match given {
            Some(folder) => (Self::at(folder).into_iter().collect(), folder.display().to_string()),
            None => (Self::installed(), format!("{DEBIAN}/*/bin and PATH")),
        };
        let mut usable: Vec<Self> = found.into_iter().filter(|programs| programs.major >= OLDEST_MAJOR).collect();
        usable.sort_by_key(|programs| programs.major);
        let Some(newest) = usable.last().cloned() else {
            return Err(EmbeddedError::NotInstalled { oldest: OLDEST_MAJOR, looked_in });
        };
        let Some(wanted) = data_version else { return Ok(newest) };
        let installed = usable.iter().map(|programs| programs.major.to_string()).collect::<Vec<_>>().join(", ");
        usable.into_iter().find(|programs| programs.major == wanted).ok_or_else(|| EmbeddedError::OtherVersion {
            data: wanted,
            installed,
            folder: data.to_owned(),
        })
    }

    fn installed() -> Vec<Self> {
        let debian = fs::read_dir(DEBIAN).into_iter().flatten().flatten().map(|entry| entry.path().join("bin"));
        let path = env::var_os("PATH").unwrap_or_default();
        // A link in PATH (/usr/local/bin/postgres) may stand alone; its target has the other programs beside it.
        let on_path = env::split_paths(&path)
            .filter_map(|folder| fs::canonicalize(folder.join("postgres")).ok())
            .filter_map(|program| program.parent().map(Path::to_owned));
        let mut folders: Vec<PathBuf> = debian.chain(on_path).collect();
        folders.sort();
        folders.dedup();
        folders.iter().filter_map(|folder| Self::at(folder)).collect()
    }

    fn at(folder: &Path) -> Option<Self> {
        if !folder.join("initdb").is_file() {
            return None;
        }
        let output = Command::new(folder.join("postgres")).arg("--version").stdin(Stdio::null()).output().ok()?;
        let major = major_of(&String::from_utf8_lossy(&output.stdout))?;
        Some(Self { folder: folder.to_owned(), major })
    }
}

/// The major version in the answer to `postgres --version`: `postgres (PostgreSQL) 17beta1` is 17.
fn major_of(answer: &str) -> Option<u32> {
    let version = answer.split("(PostgreSQL)").nth(1)?.trim_start();
    let digits = version.find(|c: char| !c.is_ascii_digit()).map_or(version, |end| &version[..end]);
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_is_read_from_every_kind_of_answer() {
        assert_eq!(major_of("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n"), Some(15));
        assert_eq!(major_of("postgres (PostgreSQL) 18beta1\n"), Some(18));
        assert_eq!(major_of("postgres (PostgreSQL) 17\n"), Some(17));
        assert_eq!(major_of("something else 17"), None);
    }

    #[test]
    fn a_folder_without_programs_is_named() {
        let error = Programs::find(Some(Path::new("/nowhere")), None, Path::new("/data")).unwrap_err().to_string();
        assert!(error.contains("looked in /nowhere") && error.contains("apt-get install"), "{error}");
    }

    #[test]
    fn data_of_another_version_is_told_with_both_versions() {
        let error = Programs::find(None, Some(9), Path::new("/data")).unwrap_err().to_string();
        assert!(error.contains("/data is of PostgreSQL 9") && error.contains("--reset"), "{error}");
    }
}
