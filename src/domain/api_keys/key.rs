//! What an API key looks like: `tnk_<environment>_<43 characters>_<8 hexadecimal digits>`.
//!
//! The 43 characters are drawn one by one from the 62 letters and digits, together a little more than 256 bits. The digits
//! are the CRC-32 of everything before the last underscore: scanners for lost secrets can match it without asking anybody,
//! and a typo is told from a key that is gone.

use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// What every key begins with.
pub const KEY_PREFIX: &str = "tnk_";

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const RANDOM_CHARS: usize = 43;
const CHECKSUM_CHARS: usize = 8;
/// Characters at the end of a key that stay visible.
pub const HINT_CHARS: usize = 4;

/// A fresh key, to be shown once.
#[derive(Debug)]
pub struct NewKey {
    /// The whole key.
    pub secret: SecretString,
    /// SHA-256 of it.
    pub hash: [u8; 32],
    /// Its last four characters.
    pub hint: String,
}

/// Makes and reads the keys of one installation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyFormat {
    /// `tnk_<environment>`.
    prefix: String,
}

impl KeyFormat {
    /// The keys of this environment: 2 to 8 lower-case letters, `live` or `test` by habit.
    pub fn new(environment: &str) -> Self {
        Self { prefix: format!("{KEY_PREFIX}{environment}") }
    }

    /// What stands before the random part, as stored with a key.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// A fresh key.
    ///
    /// # Errors
    /// When the operating system gives no random bytes.
    pub fn generate(&self) -> Result<NewKey, getrandom::Error> {
        let random = random_text()?;
        let body = Zeroizing::new(format!("{}_{}", self.prefix, *random));
        let checksum = checksum(&body);
        let secret: SecretString = format!("{}_{checksum}", *body).into();
        let hash = Sha256::digest(secret.expose_secret()).into();
        Ok(NewKey { secret, hash, hint: checksum[CHECKSUM_CHARS - HINT_CHARS..].to_owned() })
    }

    /// The hash of a key that somebody sent; `None` if it cannot be a key of this installation: form, environment,
    /// checksum. No SQL.
    pub fn hash_of(&self, text: &str) -> Option<[u8; 32]> {
        let rest = text.strip_prefix(&self.prefix)?.strip_prefix('_')?;
        let (random, sum) = rest.split_once('_')?;
        let fits = random.len() == RANDOM_CHARS && random.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let body = &text[..text.len() - sum.len() - 1];
        // A checksum keeps nothing secret, so it is compared like any text.
        (fits && sum == checksum(body)).then(|| Sha256::digest(text).into())
    }
}

fn checksum(body: &str) -> String {
    format!("{:08x}", crc32fast::hash(body.as_bytes()))
}

fn random_text() -> Result<Zeroizing<String>, getrandom::Error> {
    let mut text = Zeroizing::new(String::with_capacity(RANDOM_CHARS));
    let mut bytes = Zeroizing::new([0; 64]);
    while text.len() < RANDOM_CHARS {
        getrandom::fill(&mut *bytes)?;
        for byte in bytes.iter() {
            // 248 is the largest multiple of 62 in a byte: what lies beyond would favour the first letters.
            if *byte < 248 && text.len() < RANDOM_CHARS {
                text.push(char::from(ALPHABET[usize::from(*byte) % ALPHABET.len()]));
            }
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn format() -> KeyFormat {
        KeyFormat::new("test")
    }

    #[test]
    fn a_key_is_found_by_its_hash() {
        let key = format().generate().expect("random bytes");
        let text = key.secret.expose_secret();
        assert_eq!(text.len(), "tnk_test_".len() + RANDOM_CHARS + 1 + CHECKSUM_CHARS);
        assert_eq!(format().hash_of(text), Some(key.hash));
        assert!(text.ends_with(&key.hint));
        assert_eq!(key.hint.len(), HINT_CHARS);
        assert!(!format!("{key:?}").contains(&text[10..40]), "a key is in no debug text");
    }

    #[test]
    fn the_form_is_known_to_others_and_does_not_change() {
        // CRC-32 of ISO-HDLC, as zlib computes it.
        let text = "tnk_test_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefg_";
        let sum = checksum(text.trim_end_matches('_'));
        assert_eq!(sum, "70f92e11");
        assert!(format().hash_of(&format!("{text}{sum}")).is_some());
    }

    #[test]
    fn a_key_of_another_installation_is_refused_offline() {
        let key = KeyFormat::new("live").generate().expect("random bytes");
        assert_eq!(format().hash_of(key.secret.expose_secret()), None);
    }

    #[test]
    fn every_character_is_drawn() {
        let mut seen = std::collections::HashSet::new();
        for _ in 0..200 {
            seen.extend(random_text().expect("random bytes").bytes());
        }
        assert_eq!(seen.len(), ALPHABET.len());
    }

    proptest! {
        #[test]
        fn one_changed_character_is_refused(at: prop::sample::Index, with in "[A-Za-z0-9_]") {
            let key = format().generate().expect("random bytes");
            let mut changed: Vec<char> = key.secret.expose_secret().chars().collect();
            let at = at.index(changed.len());
            changed[at] = with.chars().next().expect("one character");
            let changed: String = changed.into_iter().collect();
            prop_assert_eq!(format().hash_of(&changed).is_none(), changed != key.secret.expose_secret());
        }

        #[test]
        fn two_exchanged_neighbours_are_refused(at in 0usize..59) {
            let key = format().generate().expect("random bytes");
            let mut changed: Vec<char> = key.secret.expose_secret().chars().collect();
            changed.swap(at, at + 1);
            let changed: String = changed.into_iter().collect();
            prop_assert_eq!(format().hash_of(&changed).is_none(), changed != key.secret.expose_secret());
        }

        #[test]
        fn any_text_is_refused_without_a_panic(text in ".{0,80}") {
            prop_assert_eq!(format().hash_of(&text), None);
            prop_assert_eq!(format().hash_of(&format!("tnk_test_{text}")), None);
        }
    }
}
