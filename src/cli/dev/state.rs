//! What `dev` keeps in its folder: `demo.json` (what is random on this machine, kept from start to start) and
//! `dev.json` (how to reach what runs, written anew at every start). Both are readable by their owner alone.

use std::{
    fs,
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use tenantry::config::{Key32, KeySettings};

/// What is in the demo data, as far as a person needs it to come in.
#[derive(Serialize, Deserialize, Debug, Clone, Default)]
pub struct Demo {
    /// The tenants.
    pub tenants: Vec<DemoTenant>,
    /// Who can sign in.
    pub sign_ins: Vec<DemoSignIn>,
    /// Keys for programs.
    pub api_keys: Vec<DemoApiKey>,
}

/// A tenant of the demo data.
#[derive(Serialize, Deserialize, Debug, Clone)]
pub struct DemoTenant {
    /// Its name in URLs.
    pub slug: String,
    /// Its id.
    pub id: String,
}

/// A person of the demo data.
#[derive(Serialize, Deserialize, Debug, Clone)]
pub struct DemoSignIn {
    /// The tenant the person is a member of.
    pub tenant: String,
    /// The role in it.
    pub role: String,
    /// The e-mail address to sign in with.
    pub email: String,
    /// The password, random on every machine.
    pub password: String,
}

/// An API key of the demo data.
#[derive(Serialize, Deserialize, Debug, Clone)]
pub struct DemoApiKey {
    /// Its tenant.
    pub tenant: String,
    /// What it is for.
    pub name: String,
    /// The key, random on every machine.
    pub key: String,
}

/// `demo.json`.
#[derive(Serialize, Deserialize, Debug)]
struct Kept {
    token_key: String,
    cursor_key: String,
    cookie_key: String,
    demo: Option<Demo>,
}

/// `dev.json`.
#[derive(Serialize, Debug)]
pub struct Running<'a> {
    pub endpoint: &'a str,
    pub graphiql: Option<&'a str>,
    pub admin: &'a str,
    pub process_id: u32,
    pub tenants: &'a [DemoTenant],
    pub sign_ins: &'a [DemoSignIn],
    pub api_keys: &'a [DemoApiKey],
    pub database_url: &'a str,
    pub platform_url: Option<&'a str>,
    pub migrate_url: &'a str,
}

/// The folder of `dev`.
pub struct State {
    folder: PathBuf,
    kept: Kept,
}

impl State {
    /// Reads `demo.json`, or makes it with fresh secrets.
    pub fn open(folder: &Path) -> Result<Self> {
        let path = folder.join("demo.json");
        let kept = match fs::read_to_string(&path) {
            Ok(text) => serde_json::from_str(&text).with_context(|| {
                format!("{} cannot be understood. Start over with `tenantry dev --reset`", path.display())
            })?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Kept { token_key: demo_key()?, cursor_key: demo_key()?, cookie_key: demo_key()?, demo: None }
            }
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
        };
        let state = Self { folder: folder.to_owned(), kept };
        state.save()?;
        Ok(state)
    }

    /// Deletes both files.
    pub fn delete(folder: &Path) -> Result<()> {
        for name in ["demo.json", "dev.json"] {
            let path = folder.join(name);
            if let Err(error) = fs::remove_file(&path)
                && error.kind() != std::io::ErrorKind::NotFound
            {
                return Err(error).with_context(|| format!("cannot delete {}", path.display()));
            }
        }
        Ok(())
    }

    /// The secrets of the server: the given ones, and for the others those of this machine.
    pub fn keys(&self, given: &KeySettings) -> Result<KeySettings> {
        let or_ours = |given: &Option<Key32>, ours: &str| match given {
            Some(key) => Ok(key.clone()),
            None => ours.parse().map_err(|_| {
                anyhow::anyhow!("demo.json holds a broken secret. Start over with `tenantry dev --reset`")
            }),
        };
        Ok(KeySettings {
            token_key: Some(or_ours(&given.token_key, &self.kept.token_key)?),
            cursor_key: Some(or_ours(&given.cursor_key, &self.kept.cursor_key)?),
            cookie_key: Some(or_ours(&given.cookie_key, &self.kept.cookie_key)?),
        })
    }

    /// What was seeded, now or at an earlier start.
    pub fn demo(&self) -> Option<&Demo> {
        self.kept.demo.as_ref()
    }

    /// Keeps what was seeded.
    pub fn keep_demo(&mut self, demo: Demo) -> Result<()> {
        self.kept.demo = Some(demo);
        self.save()
    }

    /// Writes `dev.json`.
    pub fn write_running(&self, running: &Running<'_>) -> Result<()> {
        write_private(&self.folder.join("dev.json"), &serde_json::to_vec_pretty(running)?)
    }

    /// Deletes `dev.json`: nothing runs any more.
    pub fn forget_running(&self) {
        let _ = fs::remove_file(self.folder.join("dev.json"));
    }

    fn save(&self) -> Result<()> {
        write_private(&self.folder.join("demo.json"), &serde_json::to_vec_pretty(&self.kept)?)
    }
}

fn demo_key() -> Result<String> {
    let key = Key32::generate_demo().context("the operating system gave no random bytes")?;
    Ok(key.to_base64().expose_secret().to_owned())
}

/// A password of 80 random bits that can be typed: `k3qm-7xwa-…`.
pub fn random_password() -> Result<String> {
    const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789"; // without l, o, 0, 1
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).context("the operating system gave no random bytes")?;
    let letters: Vec<char> = bytes.iter().map(|byte| char::from(LETTERS[usize::from(byte % 32)])).collect();
    Ok(letters.chunks(4).map(String::from_iter).collect::<Vec<_>>().join("-"))
}

/// Replaces a file in one step by one that only we can read.
fn write_private(path: &Path, content: &[u8]) -> Result<()> {
    let fresh = path.with_extension("new");
    let written = fs::remove_file(&fresh)
        .or_else(|error| if error.kind() == std::io::ErrorKind::NotFound { Ok(()) } else { Err(error) })
        .and_then(|()| fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh))
        .and_then(|mut file| file.write_all(content).and_then(|()| file.write_all(b"\n")))
        .and_then(|()| fs::rename(&fresh, path));
    written.with_context(|| format!("cannot write {}", path.display()))
}
