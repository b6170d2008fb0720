//! Passwords: argon2id, one computation for each core at most, none that tells whether an address is known.

use std::sync::Arc;

use argon2::{
    Algorithm, Argon2, Params, PasswordHash, PasswordHasher, PasswordVerifier, Version, password_hash::SaltString,
};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Semaphore;

/// Memory of one computation in KiB; with [`ITERATIONS`] and [`LANES`] the first choice of the OWASP Password Storage
/// Cheat Sheet (2024) for argon2id.
pub const MEMORY_KIB: u32 = 19_456;
/// Passes over that memory.
pub const ITERATIONS: u32 = 2;
/// Lanes of one computation.
pub const LANES: u32 = 1;
/// Shortest password, in characters (NIST SP 800-63B-4 asks for 15 where it stands alone and 8 beside a second factor).
pub const MIN_CHARS: usize = 12;
/// Longest password, in bytes: hashing a longer one would cost the server more than it brings.
pub const MAX_BYTES: usize = 1_024;

const SALT_BYTES: usize = 16;

/// Why a password could not be hashed or compared.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    /// The operating system gave no random bytes.
    #[error("the operating system gave no random bytes")]
    Random(#[source] getrandom::Error),
    /// argon2 refused; the text says nothing about the password.
    #[error("a password could not be hashed: {0}")]
    Hash(argon2::password_hash::Error),
    /// The computation did not end.
    #[error("the computation of a password hash was lost")]
    Lost,
}

/// Hashes and compares passwords, away from the threads that serve requests.
#[derive(Clone, Debug)]
pub struct Passwords {
    /// Each computation fills a core and its share of the memory bandwidth; more at once only make all of them late.
    turns: Arc<Semaphore>,
    /// What a password is compared with when there is nobody to have one. No password fits.
    nobody: Arc<str>,
}

impl Passwords {
    /// As many computations at once as there are cores.
    ///
    /// # Errors
    /// [`PasswordError`] if there are no random bytes.
    pub fn new() -> Result<Self, PasswordError> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let mut output = [0; 32];
        getrandom::fill(&mut output).map_err(PasswordError::Random)?;
        let output = argon2::password_hash::Output::new(&output).map_err(PasswordError::Hash)?;
        let salt = salt()?;
        let nobody = format!("$argon2id$v=19$m={MEMORY_KIB},t={ITERATIONS},p={LANES}${salt}${output}");
        Ok(Self { turns: Arc::new(Semaphore::new(cores)), nobody: nobody.into() })
    }

    /// The hash of a password, as `$argon2id$…`, with a salt of its own.
    ///
    /// # Errors
    /// [`PasswordError`].
    pub async fn hash(&self, password: SecretString) -> Result<String, PasswordError> {
        let salt = salt()?;
        self.compute(move || {
            let hash = argon2()?.hash_password(password.expose_secret().as_bytes(), &salt);
            hash.map(|hash| hash.to_string()).map_err(PasswordError::Hash)
        })
        .await
    }

    /// Whether the password belongs to the hash. Without a hash, or with one that cannot be read, it takes as long and
    /// is false.
    ///
    /// # Errors
    /// [`PasswordError::Lost`] if the server is going down.
    pub async fn verify(&self, password: SecretString, hash: Option<String>) -> Result<bool, PasswordError> {
        let nobody = Arc::clone(&self.nobody);
        self.compute(move || {
            let argon2 = argon2()?;
            let fits = |hash: &str| {
                let hash = PasswordHash::new(hash).ok()?;
                // Compares in constant time.
                Some(argon2.verify_password(password.expose_secret().as_bytes(), &hash).is_ok())
            };
            match hash.as_deref().and_then(fits) {
                Some(fits) => Ok(fits),
                None => {
                    fits(&nobody);
                    Ok(false)
                }
            }
        })
        .await
    }

    async fn compute<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, PasswordError> + Send + 'static,
    ) -> Result<T, PasswordError> {
        let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(|_| PasswordError::Lost)?;
        // The turn goes with the computation: one whose request is gone still fills its core.
        let done = tokio::task::spawn_blocking(move || {
            let result = work();
            drop(turn);
            result
        });
        done.await.map_err(|_| PasswordError::Lost)?
    }
}

fn argon2() -> Result<Argon2<'static>, PasswordError> {
    let params = Params::new(MEMORY_KIB, ITERATIONS, LANES, None).map_err(|error| PasswordError::Hash(error.into()))?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

fn salt() -> Result<SaltString, PasswordError> {
    let mut bytes = [0; SALT_BYTES];
    getrandom::fill(&mut bytes).map_err(PasswordError::Random)?;
    SaltString::encode_b64(&bytes).map_err(PasswordError::Hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_fits_its_own_hash_only() {
        let passwords = Passwords::new().expect("random bytes");
        let hash = passwords.hash("correct horse battery".into()).await.expect("hashes");
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        let again = passwords.hash("correct horse battery".into()).await.expect("hashes");
        assert_ne!(hash, again, "each hash has a salt of its own");
        assert!(passwords.verify("correct horse battery".into(), Some(hash.clone())).await.expect("compares"));
        assert!(!passwords.verify("Correct horse battery".into(), Some(hash.clone())).await.expect("compares"));
        assert!(!passwords.verify("".into(), Some(hash)).await.expect("compares"));
    }

    #[tokio::test]
    async fn nobody_has_no_password_and_takes_as_long() {
        let passwords = Passwords::new().expect("random bytes");
        assert!(!passwords.verify("anything".into(), None).await.expect("compares"));
        assert!(!passwords.verify("anything".into(), Some("not a hash".to_owned())).await.expect("compares"));
        // The stand-in must be one that argon2 works through, not one that it refuses to read.
        let nobody = PasswordHash::new(&passwords.nobody).expect("a hash");
        let refused =
            argon2().expect("parameters").verify_password(b"anything", &nobody).expect_err("no password fits");
        assert_eq!(refused, argon2::password_hash::Error::Password);
    }

    #[tokio::test]
    async fn a_password_is_in_no_debug_text() {
        let password: SecretString = "correct horse battery".into();
        assert!(!format!("{password:?}").contains("horse"));
        assert!(!format!("{:?}", Passwords::new().expect("random bytes")).contains("horse"));
    }
}
