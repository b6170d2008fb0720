//! How the text of a setting becomes its value. Every message says what was expected, and none repeats the text, which
//! may be a secret.

use std::{fmt, net::SocketAddr, str::FromStr, sync::Arc};

use base64::{Engine, engine::general_purpose::STANDARD};
use clap::ValueEnum;
use secrecy::{ExposeSecret, SecretBox, SecretString};
use tracing_subscriber::EnvFilter;
use url::Url;

use super::{Networks, Origins};

/// The first bytes of every key made for a demo, by which `serve` knows and refuses it.
pub const DEMO_KEY_PREFIX: &[u8] = b"tenantry-demo";

/// A secret of 32 bytes. It is overwritten when the last copy goes, and never printed.
#[derive(Clone)]
pub struct Key32(Arc<SecretBox<[u8; 32]>>);

impl Key32 {
    /// A fresh random key.
    ///
    /// # Errors
    /// When the operating system gives no random bytes.
    pub fn generate() -> Result<Self, getrandom::Error> {
        Self::random_after(&[])
    }

    /// A fresh key that says of itself that it is a demo's.
    ///
    /// # Errors
    /// When the operating system gives no random bytes.
    pub fn generate_demo() -> Result<Self, getrandom::Error> {
        Self::random_after(DEMO_KEY_PREFIX)
    }

    fn random_after(prefix: &[u8]) -> Result<Self, getrandom::Error> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes)?;
        bytes[..prefix.len()].copy_from_slice(prefix);
        Ok(Self(Arc::new(SecretBox::new(Box::new(bytes)))))
    }

    /// The bytes.
    pub fn expose(&self) -> &[u8; 32] {
        self.0.expose_secret()
    }

    /// The form in which it is written into settings.
    pub fn to_base64(&self) -> SecretString {
        STANDARD.encode(self.expose()).into()
    }

    /// Whether it was made by [`generate_demo`](Self::generate_demo).
    pub fn is_demo(&self) -> bool {
        self.expose().starts_with(DEMO_KEY_PREFIX)
    }
}

impl FromStr for Key32 {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let expected = "expected the base64 of 32 bytes (44 characters); `tenantry keys generate` prints fresh ones";
        let bytes = STANDARD.decode(text.trim()).map_err(|_| expected)?;
        let bytes: Box<[u8; 32]> = bytes.into_boxed_slice().try_into().map_err(|_| expected)?;
        Ok(Self(Arc::new(SecretBox::new(bytes))))
    }
}

impl fmt::Debug for Key32 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key32(<hidden>)")
    }
}

/// The three secrets of a server.
#[derive(Debug, Clone)]
pub struct Keys {
    /// Encrypts the keys that sign access tokens.
    pub token: Key32,
    /// Protects the cursors of lists.
    pub cursor: Key32,
    /// Protects session cookies.
    pub cookie: Key32,
}

impl Keys {
    /// The keys with the names of their settings.
    pub(super) fn named(&self) -> [(&'static str, &Key32); 3] {
        [("token_key", &self.token), ("cursor_key", &self.cursor), ("cookie_key", &self.cookie)]
    }

    pub(super) fn distinct(self) -> Result<Self, KeyError> {
        let named = self.named();
        for (i, (first, key)) in named.iter().enumerate() {
            if let Some((second, _)) = named[i + 1..].iter().find(|(_, other)| other.expose() == key.expose()) {
                return Err(KeyError::Repeated { first, second });
            }
        }
        Ok(self)
    }
}

/// Why the secrets will not do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Some are absent.
    #[error("{} not set. `tenantry keys generate` prints fresh values as environment variables.", variables(names))]
    Missing {
        /// The settings.
        names: Vec<&'static str>,
    },
    /// Made for a demo, so others may know it.
    #[error("{name} was made for a demo. Use a secret of your own: `tenantry keys generate` prints fresh values.")]
    Demo {
        /// The setting.
        name: &'static str,
    },
    /// One value for two purposes.
    #[error("{first} and {second} are the same. Each needs a value of its own: `tenantry keys generate` prints them.")]
    Repeated {
        /// A setting.
        first: &'static str,
        /// Another.
        second: &'static str,
    },
}

fn variables(names: &[&str]) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("TENANTRY_{}", name.to_uppercase())).collect();
    format!("{} {}", names.join(", "), if names.len() == 1 { "is" } else { "are" })
}

pub(super) fn key(text: &str) -> Result<Key32, &'static str> {
    text.parse()
}

/// The table of keys has the same CHECK.
pub(super) fn key_environment(text: &str) -> Result<String, &'static str> {
    let fits = (2..=8).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_lowercase());
    fits.then(|| text.to_owned()).ok_or("expected 2 to 8 lower-case letters, like live or test")
}

/// A database's URL; never in the message, because it holds a password.
///
/// # Errors
/// What was expected.
pub fn postgres_url(text: &str) -> Result<SecretString, &'static str> {
    let expected = "expected a URL like postgres://user:password@host:5432/database";
    let is_url = text.starts_with("postgres://") || text.starts_with("postgresql://");
    // tokio-postgres does not know this mode; `db::pool` takes it for `require`, which verifies as well.
    let known = text.replace("sslmode=verify-full", "sslmode=require");
    if !is_url || tokio_postgres::Config::from_str(&known).is_err() {
        return Err(expected);
    }
    Ok(text.into())
}

/// A Redis' URL; never in the message, because it may hold a password.
pub(super) fn redis_url(text: &str) -> Result<SecretString, &'static str> {
    let expected = "expected a URL like redis://user:password@host:6379/0 or redis+unix:///path, without TLS";
    redis::Client::open(text).map(|_| text.into()).map_err(|_| expected)
}

pub(super) fn socket_address(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse().map_err(|_| "expected an IP address and a port, like 127.0.0.1:8080 or [::1]:8080")
}

pub(super) fn http_url(text: &str) -> Result<Url, &'static str> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    url.ok_or("expected a URL that begins with http:// or https://")
}

pub(super) fn domain(text: &str) -> Result<String, &'static str> {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let fits = text.len() <= 253 && text.split('.').all(is_label);
    fits.then(|| text.to_ascii_lowercase()).ok_or("expected a domain name like example.com, without scheme and port")
}

/// A list of networks; a single address is a network of one.
pub(super) fn network(text: &str) -> Result<Networks, &'static str> {
    list(text, |item| item.parse().or_else(|_| item.parse::<std::net::IpAddr>().map(Into::into)).ok())
        .ok_or("expected networks like 10.0.0.0/8 or addresses, separated by commas")
}

pub(super) fn origin(text: &str) -> Result<Origins, &'static str> {
    list(text, |item| {
        let url = http_url(item).ok()?;
        let origin = url.origin().ascii_serialization();
        // Anything behind the port would never be compared, so it is a mistake.
        (item.trim_end_matches('/').eq_ignore_ascii_case(&origin) || url.as_str() == format!("{item}/"))
            .then_some(origin)
    })
    .ok_or("expected origins like https://app.example.com, without a path, separated by commas")
}

fn list<T>(text: &str, item: impl Fn(&str) -> Option<T>) -> Option<Vec<T>> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(item).collect()
}

pub(super) fn log_filter(text: &str) -> Result<String, &'static str> {
    let expected = "expected a level (error, warn, info, debug, trace) or target=level, separated by commas";
    if text.trim().is_empty() || EnvFilter::try_new(text).is_err() {
        return Err(expected);
    }
    Ok(text.to_owned())
}

pub(super) fn true_or_false(text: &str) -> Result<bool, &'static str> {
    text.parse().map_err(|_| "expected true or false")
}

/// A whole number within these bounds, both allowed.
pub(super) fn within<T>(low: u32, high: u32) -> impl Fn(&str) -> Result<T, String> + Clone + Send + Sync + 'static
where
    T: TryFrom<u32>,
{
    move |text| {
        let number = text.parse::<u32>().ok().filter(|number| (low..=high).contains(number));
        number
            .and_then(|number| T::try_from(number).ok())
            .ok_or_else(|| format!("expected a whole number from {low} to {high}"))
    }
}

/// One of a few words. Unlike clap's own parser for them, it tells its expectation the way the others do.
pub(super) fn one_of<T: ValueEnum + Send + Sync + 'static>()
-> impl Fn(&str) -> Result<T, String> + Clone + Send + Sync + 'static {
    |text| {
        T::from_str(text, false).map_err(|_| {
            let words: Vec<String> = T::value_variants()
                .iter()
                .filter_map(ValueEnum::to_possible_value)
                .map(|value| value.get_name().to_owned())
                .collect();
            format!("expected one of: {}", words.join(", "))
        })
    }
}
