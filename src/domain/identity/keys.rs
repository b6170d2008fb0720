//! Keys that sign access tokens: Ed25519, in the table `signing_keys`, private halves encrypted under `TENANTRY_TOKEN_KEY`.
//!
//! A key lasts [`LIFETIME_DAYS`]. The next one is made [`RENEW_DAYS`] before the last one ends, by whichever process
//! needs it first: `app.signing_key_add` lets one of many win. A process that meets a token of a key it does not know
//! reads the table again, at most once a second, so that strangers cannot make it read without end.
//!
//! Sealed form: 12 random bytes of nonce, then AES-256-GCM of the PKCS #8 document with the key id as associated data, so
//! that one key's private half cannot be put in the place of another's.

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::{Duration as StdDuration, Instant},
};

use aes_gcm::{
    Aes256Gcm, KeyInit, Nonce,
    aead::{Aead, Payload},
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use chrono::{DateTime, Duration, DurationRound, Utc};
use ed25519_dalek::{SigningKey, pkcs8::EncodePrivateKey};
use jsonwebtoken::{DecodingKey, EncodingKey};
use sha2::{Digest, Sha256};
use tokio::sync::Mutex;
use zeroize::Zeroizing;

use super::store;
use crate::{
    config::Key32,
    db::{Db, DbError, Stats},
};

/// How long a key lasts.
pub const LIFETIME_DAYS: i64 = 90;
/// How long before its end the next one is made: longer than anybody keeps a copy of the published keys.
pub const RENEW_DAYS: i64 = 10;
/// The table is read at most so often, whatever key ids come in.
const RELOAD_PAUSE: StdDuration = StdDuration::from_secs(1);
/// Published keys are read again after this time: another process may have made one.
const PUBLISHED_FOR: StdDuration = StdDuration::from_secs(60);
/// The algorithm of every key, as the tokens' headers spell it (RFC 8037).
pub const ALGORITHM: &str = "EdDSA";

const NONCE_BYTES: usize = 12;

/// Why there is no key to sign with.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The operating system gave no random bytes.
    #[error("the operating system gave no random bytes")]
    Random(#[source] getrandom::Error),
    /// The key in use was encrypted under another token key.
    #[error(
        "the signing key {kid} cannot be decrypted: TENANTRY_TOKEN_KEY is not the one it was encrypted with. Set the former value \
         again; if it is lost, delete the rows of the table signing_keys as its owner, and new keys are made"
    )]
    Undecryptable {
        /// Which key.
        kid: String,
    },
    /// Something about the keys is not as it was written.
    #[error("the signing key {kid} is damaged: {what}")]
    Damaged {
        /// Which key.
        kid: String,
        /// What is wrong.
        what: &'static str,
    },
    /// Passwords need random bytes too.
    #[error(transparent)]
    Passwords(#[from] super::passwords::PasswordError),
    /// The database cannot be asked.
    #[error("the signing keys cannot be read from the database")]
    Db(#[from] DbError),
}

/// A key as stored.
pub(super) struct StoredKey {
    pub(super) kid: String,
    pub(super) public_jwk: serde_json::Value,
    pub(super) private_enc: Vec<u8>,
    pub(super) not_before: DateTime<Utc>,
    pub(super) retire_at: DateTime<Utc>,
}

/// A key, ready for use.
pub struct Key {
    /// Its id: the thumbprint of its public half (RFC 7638).
    pub kid: String,
    jwk: serde_json::Value,
    not_before: DateTime<Utc>,
    retire_at: DateTime<Utc>,
    verifier: DecodingKey,
    /// Absent when it was encrypted under another token key: then it verifies and does not sign.
    signer: Option<EncodingKey>,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Key({})", self.kid)
    }
}

impl Key {
    fn open(stored: StoredKey, token_key: &Key32) -> Result<Self, KeyError> {
        let damaged = |what| KeyError::Damaged { kid: stored.kid.clone(), what };
        let x = stored.public_jwk.get("x").and_then(serde_json::Value::as_str);
        let x = x.and_then(|x| BASE64_URL_SAFE_NO_PAD.decode(x).ok());
        let public: [u8; 32] =
            x.and_then(|x| x.try_into().ok()).ok_or_else(|| damaged("its public half is no Ed25519 key"))?;
        let signer = match unseal(token_key, &stored.kid, &stored.private_enc) {
            None => None,
            Some(private) => {
                use ed25519_dalek::pkcs8::DecodePrivateKey;
                let pair = SigningKey::from_pkcs8_der(&private).map_err(|_| damaged("its private half is no key"))?;
                if pair.verifying_key().to_bytes() != public {
                    return Err(damaged("its halves belong to different keys"));
                }
                Some(EncodingKey::from_ed_der(&private))
            }
        };
        Ok(Self {
            verifier: DecodingKey::from_ed_der(&public),
            jwk: jwk(&stored.kid, &public),
            kid: stored.kid,
            not_before: stored.not_before,
            retire_at: stored.retire_at,
            signer,
        })
    }

    /// What tokens are signed with; `None` if the private half cannot be decrypted.
    pub fn signer(&self) -> Option<&EncodingKey> {
        self.signer.as_ref()
    }

    /// What tokens are verified with, at this time.
    pub fn verifier(&self, now: DateTime<Utc>, leeway: Duration) -> Option<&DecodingKey> {
        (self.not_before <= now + leeway && now < self.retire_at + leeway).then_some(&self.verifier)
    }

    /// The public half, as the JWK spells it.
    #[cfg(test)]
    pub(super) fn public_x(&self) -> &str {
        self.jwk["x"].as_str().expect("a text")
    }

    fn signs_until(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        (self.not_before <= now && self.signer.is_some()).then_some(self.retire_at)
    }
}

/// A fresh pair with its sealed private half.
struct Fresh {
    kid: String,
    jwk: serde_json::Value,
    private_enc: Vec<u8>,
}

impl Fresh {
    fn make(token_key: &Key32) -> Result<Self, KeyError> {
        let mut seed = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *seed).map_err(KeyError::Random)?;
        let pair = SigningKey::from_bytes(&seed);
        let public = pair.verifying_key().to_bytes();
        let kid = thumbprint(&public);
        let damaged = |what| KeyError::Damaged { kid: kid.clone(), what };
        let private = pair.to_pkcs8_der().map_err(|_| damaged("its private half has no PKCS #8 form"))?;
        let private_enc =
            seal(token_key, &kid, private.as_bytes())?.ok_or_else(|| damaged("it could not be encrypted"))?;
        Ok(Self { jwk: jwk(&kid, &public), kid, private_enc })
    }
}

/// RFC 8037, appendix A.2; RFC 7517, section 4.
fn jwk(kid: &str, public: &[u8; 32]) -> serde_json::Value {
    let x = BASE64_URL_SAFE_NO_PAD.encode(public);
    serde_json::json!({ "kty": "OKP", "crv": "Ed25519", "x": x, "kid": kid, "use": "sig", "alg": ALGORITHM })
}

/// RFC 7638, with the members of RFC 8037, appendix A.3.
fn thumbprint(public: &[u8; 32]) -> String {
    let x = BASE64_URL_SAFE_NO_PAD.encode(public);
    let digest = Sha256::digest(format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#));
    BASE64_URL_SAFE_NO_PAD.encode(digest)
}

fn seal(token_key: &Key32, kid: &str, private: &[u8]) -> Result<Option<Vec<u8>>, KeyError> {
    let mut nonce = [0; NONCE_BYTES];
    getrandom::fill(&mut nonce).map_err(KeyError::Random)?;
    let cipher = Aes256Gcm::new(token_key.expose().into());
    let sealed = cipher.encrypt(Nonce::from_slice(&nonce), Payload { msg: private, aad: kid.as_bytes() });
    Ok(sealed.ok().map(|sealed| [&nonce[..], &sealed].concat()))
}

fn unseal(token_key: &Key32, kid: &str, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let (nonce, sealed) = sealed.split_first_chunk::<NONCE_BYTES>()?;
    let cipher = Aes256Gcm::new(token_key.expose().into());
    let opened = cipher.decrypt(Nonce::from_slice(nonce), Payload { msg: sealed, aad: kid.as_bytes() });
    opened.ok().map(Zeroizing::new)
}

/// The keys of the installation, as this process knows them.
pub struct SigningKeys {
    token_key: Key32,
    known: RwLock<Arc<Known>>,
    /// Held while the table is read: those who wait for it find the answer when they get it.
    reading: Mutex<()>,
}

struct Known {
    keys: Vec<Arc<Key>>,
    read_at: Option<Instant>,
}

impl std::fmt::Debug for SigningKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(&self.known().keys).finish()
    }
}

impl SigningKeys {
    /// Knows no key yet.
    pub fn new(token_key: Key32) -> Self {
        let known = Known { keys: Vec::new(), read_at: None };
        Self { token_key, known: RwLock::new(Arc::new(known)), reading: Mutex::new(()) }
    }

    fn known(&self) -> Arc<Known> {
        Arc::clone(&self.known.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn find_known(&self, kid: &str) -> Option<Arc<Key>> {
        self.known().keys.iter().find(|key| key.kid == kid).map(Arc::clone)
    }

    /// The key with this id. One SQL statement if this process does not know it, none if it has just looked.
    ///
    /// # Errors
    /// [`KeyError::Db`] if the database cannot be asked.
    pub async fn find(&self, db: &Db, kid: &str, stats: &Arc<Stats>) -> Result<Option<Arc<Key>>, KeyError> {
        if let Some(key) = self.find_known(kid) {
            return Ok(Some(key));
        }
        let _reading = self.reading.lock().await;
        if self.known().read_at.is_none_or(|at| at.elapsed() >= RELOAD_PAUSE) {
            self.read(db, stats).await?;
        }
        Ok(self.find_known(kid))
    }

    /// The key to sign with now, made if there is none or the last one ends soon.
    ///
    /// # Errors
    /// [`KeyError`] if there is none and none can be made.
    pub async fn for_signing(&self, db: &Db, now: DateTime<Utc>, stats: &Arc<Stats>) -> Result<Arc<Key>, KeyError> {
        let is_fresh = |until: DateTime<Utc>| until - now > Duration::days(RENEW_DAYS);
        if let Some((key, until)) = self.newest(now)
            && is_fresh(until)
        {
            return Ok(key);
        }
        let _reading = self.reading.lock().await;
        self.read(db, stats).await?;
        if !self.newest(now).is_some_and(|(_, until)| is_fresh(until)) {
            self.add(db, now, stats).await?;
            self.read(db, stats).await?;
        }
        match self.newest(now) {
            Some((key, until)) if now < until => Ok(key),
            _ => {
                let known = self.known();
                let other = known.keys.iter().find(|key| key.signer.is_none() && now < key.retire_at);
                Err(match other {
                    Some(key) => KeyError::Undecryptable { kid: key.kid.clone() },
                    None => KeyError::Damaged { kid: "-".to_owned(), what: "no key covers the present time" },
                })
            }
        }
    }

    /// The key that signs longest from now on.
    fn newest(&self, now: DateTime<Utc>) -> Option<(Arc<Key>, DateTime<Utc>)> {
        let known = self.known();
        let signing = known.keys.iter().filter_map(|key| Some((Arc::clone(key), key.signs_until(now)?)));
        signing.filter(|(_, until)| now < *until).max_by_key(|(_, until)| *until)
    }

    async fn add(&self, db: &Db, now: DateTime<Utc>, stats: &Arc<Stats>) -> Result<(), KeyError> {
        let fresh = Fresh::make(&self.token_key)?;
        // Whole days, so that servers which start at once ask for the same time and one of them wins.
        let from = now.duration_trunc(Duration::days(1)).unwrap_or(now);
        let kid = fresh.kid.clone();
        let tx = db.person(None, stats).await?;
        let until = from + Duration::days(LIFETIME_DAYS);
        let key = StoredKey {
            kid: fresh.kid,
            public_jwk: fresh.jwk,
            private_enc: fresh.private_enc,
            not_before: from,
            retire_at: until,
        };
        let is_ours = store::add_signing_key(&tx, ALGORITHM, key, now).await?;
        tx.commit().await?;
        if is_ours {
            tracing::info!(kid, %until, "made a key that signs access tokens");
        }
        Ok(())
    }

    async fn read(&self, db: &Db, stats: &Arc<Stats>) -> Result<(), KeyError> {
        let tx = db.person(None, stats).await?;
        let stored = store::signing_keys(&tx, ALGORITHM).await?;
        tx.finish();
        let mut keys = Vec::with_capacity(stored.len());
        for key in stored {
            match Key::open(key, &self.token_key) {
                Ok(key) => keys.push(Arc::new(key)),
                // One damaged row must not take the others with it.
                Err(error) => {
                    tracing::error!(error = %crate::domain::error::chain(&error), "a signing key is left out")
                }
            }
        }
        let known = Arc::new(Known { keys, read_at: Some(Instant::now()) });
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = known;
        Ok(())
    }

    /// Reads the table again if nobody has for a minute, so that what is published follows the other processes.
    ///
    /// # Errors
    /// [`KeyError::Db`] if the database cannot be asked.
    pub async fn refresh(&self, db: &Db) -> Result<(), KeyError> {
        let _reading = self.reading.lock().await;
        if self.is_stale() { self.read(db, &Arc::new(Stats::default())).await } else { Ok(()) }
    }

    /// Whether what is known is older than what should be published.
    pub fn is_stale(&self) -> bool {
        self.known().read_at.is_none_or(|at| at.elapsed() >= PUBLISHED_FOR)
    }

    /// The public halves of all keys that are not retired, as a JWK set (RFC 7517, section 5).
    pub fn jwks(&self, now: DateTime<Utc>) -> serde_json::Value {
        let known = self.known();
        let keys: Vec<_> = known.keys.iter().filter(|key| now < key.retire_at).map(|key| &key.jwk).collect();
        serde_json::json!({ "keys": keys })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    fn token_key() -> Key32 {
        Key32::generate().expect("random bytes")
    }

    /// A key for the tests of tokens.
    pub(crate) fn key(not_before: DateTime<Utc>) -> Key {
        let token_key = token_key();
        Key::open(stored(&token_key, not_before), &token_key).expect("opens")
    }

    fn stored(token_key: &Key32, not_before: DateTime<Utc>) -> StoredKey {
        let fresh = Fresh::make(token_key).expect("made");
        StoredKey {
            kid: fresh.kid,
            public_jwk: fresh.jwk,
            private_enc: fresh.private_enc,
            not_before,
            retire_at: not_before + Duration::days(LIFETIME_DAYS),
        }
    }

    #[test]
    fn the_thumbprint_is_that_of_rfc_8037() {
        // RFC 8037, appendix A.3.
        let public = BASE64_URL_SAFE_NO_PAD.decode("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo").expect("base64");
        let thumbprint = thumbprint(&public.try_into().expect("32 bytes"));
        assert_eq!(thumbprint, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }

    #[test]
    fn a_private_half_opens_under_its_own_token_key_and_id_only() {
        let ours = token_key();
        let at = DateTime::<Utc>::UNIX_EPOCH;
        let sealed = stored(&ours, at).private_enc;
        assert!(unseal(&ours, "another", &sealed).is_none());
        let one = stored(&ours, at);
        assert!(unseal(&ours, &one.kid, &one.private_enc).is_some());
        let mut changed = one.private_enc.clone();
        changed[20] ^= 1;
        assert!(unseal(&ours, &one.kid, &changed).is_none());
        assert!(unseal(&ours, &one.kid, &[]).is_none());
        let foreign = Key::open(stored(&ours, at), &token_key()).expect("its public half is good");
        assert!(foreign.signer().is_none());
        assert!(foreign.verifier(at, Duration::zero()).is_some());
    }

    #[test]
    fn a_key_is_good_for_its_time() {
        let from = DateTime::<Utc>::UNIX_EPOCH + Duration::days(20_000);
        let key = key(from);
        let none = Duration::zero();
        assert!(key.verifier(from, none).is_some());
        assert!(key.verifier(from - Duration::seconds(1), none).is_none());
        assert!(key.verifier(from + Duration::days(LIFETIME_DAYS), none).is_none());
        assert_eq!(key.signs_until(from - Duration::seconds(1)), None);
    }

    #[test]
    fn what_is_published_has_no_private_half() {
        let key = key(DateTime::<Utc>::UNIX_EPOCH);
        assert!(key.jwk.get("d").is_none());
        assert_eq!(key.jwk["kid"], key.kid.as_str());
        assert_eq!(format!("{key:?}"), format!("Key({})", key.kid));
    }

    #[test]
    fn halves_of_different_keys_are_refused() {
        let ours = token_key();
        let at = DateTime::<Utc>::UNIX_EPOCH;
        let (one, other) = (stored(&ours, at), stored(&ours, at));
        let mixed = StoredKey { public_jwk: other.public_jwk, ..one };
        assert!(matches!(Key::open(mixed, &ours), Err(KeyError::Damaged { .. })));
    }
}
