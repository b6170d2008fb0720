//! People's addresses, new people, and what a sign-in gives.

use chrono::{DateTime, Utc};
use secrecy::SecretString;
use unicode_normalization::UnicodeNormalization;

use super::passwords;
use crate::{
    domain::Problem,
    graphql::codes::UserErrorCode,
    ids::{SessionId, UserId},
};

/// Longest address, in characters (RFC 5321, section 4.5.3.1, less the angle brackets). The table has the same CHECK.
pub const MAX_EMAIL_CHARS: usize = 254;
/// Longest display name, in characters. The table has the same CHECK.
pub const MAX_NAME_CHARS: usize = 120;

/// An e-mail address: as it was given, and in the form that is compared.
#[derive(Clone, PartialEq, Eq)]
pub struct Email {
    /// As it was given, without the blanks around it.
    pub given: String,
    /// NFC, lower case: `email_norm`.
    pub norm: String,
}

impl Email {
    /// The address in this text; `None` if it cannot be one. Whether mail arrives, only mail can tell.
    pub fn parse(text: &str) -> Option<Self> {
        let given: String = text.trim().nfc().collect();
        // Lower case can take a text out of NFC, so it is composed again.
        let norm: String = given.to_lowercase().nfc().collect();
        let fits = |text: &str| (3..=MAX_EMAIL_CHARS).contains(&text.chars().count());
        let (local, domain) = norm.rsplit_once('@')?;
        let is_one = fits(&given)
            && fits(&norm)
            && !local.is_empty()
            && !domain.is_empty()
            && !local.contains('@')
            && !norm.contains(|c: char| c.is_whitespace() || c.is_control());
        is_one.then_some(Self { given, norm })
    }
}

impl std::fmt::Debug for Email {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Personal: logs hold ids.
        f.write_str("Email(…)")
    }
}

/// A person whom an operator creates.
#[derive(Clone, Debug)]
pub struct NewUser {
    /// The address they sign in with.
    pub email: String,
    /// What others see.
    pub display_name: String,
    /// The password; without one they cannot sign in with any.
    pub password: Option<SecretString>,
    /// Whether the address counts as verified. Only with a verified one somebody can sign in.
    pub is_verified: bool,
}

impl NewUser {
    /// What is wrong with it; paths begin with `at`.
    pub fn problems(&self, at: &str) -> Vec<Problem> {
        let mut problems = Vec::new();
        if Email::parse(&self.email).is_none() {
            let message = "That is no e-mail address.";
            problems.push(Problem::new(UserErrorCode::Invalid, &format!("{at}.email"), message));
        }
        let name = format!("{at}.displayName");
        match self.display_name.trim().chars().count() {
            0 => problems.push(Problem::new(UserErrorCode::Required, &name, "Give the person a name.")),
            count if count > MAX_NAME_CHARS => {
                let message = format!("A name has at most {MAX_NAME_CHARS} characters.");
                let problem = Problem::new(UserErrorCode::TooLong, &name, message);
                problems.push(problem.params(serde_json::json!({ "max": MAX_NAME_CHARS })));
            }
            _ => {}
        }
        if let Some(password) = &self.password {
            problems.extend(password_problem(password, &format!("{at}.password")));
        }
        problems
    }
}

/// What is wrong with a new password.
pub fn password_problem(password: &SecretString, path: &str) -> Option<Problem> {
    use secrecy::ExposeSecret;
    let text = password.expose_secret();
    if text.len() > passwords::MAX_BYTES {
        return Some(password_too_long(path));
    }
    (text.chars().count() < passwords::MIN_CHARS).then(|| {
        let message = format!("A password has at least {} characters.", passwords::MIN_CHARS);
        Problem::new(UserErrorCode::TooShort, path, message).params(serde_json::json!({ "min": passwords::MIN_CHARS }))
    })
}

/// The password is longer than anybody's can be.
pub fn password_too_long(path: &str) -> Problem {
    let message = format!("A password has at most {} bytes.", passwords::MAX_BYTES);
    Problem::new(UserErrorCode::TooLong, path, message).params(serde_json::json!({ "max": passwords::MAX_BYTES }))
}

/// A session with its tokens: shown once, stored nowhere.
#[derive(Debug)]
pub struct Tokens {
    /// Who signed in.
    pub user: UserId,
    /// The session.
    pub session: SessionId,
    /// For `Authorization: Bearer …`.
    pub access: SecretString,
    /// When the access token ends.
    pub access_expires_at: DateTime<Utc>,
    /// For the next pair of tokens; good once.
    pub refresh: SecretString,
    /// When the refresh token ends.
    pub refresh_expires_at: DateTime<Utc>,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn addresses_are_compared_composed_and_in_lower_case() {
        let email = Email::parse("  Zoe\u{308}@Example.COM ").expect("an address");
        assert_eq!(email.given, "Zo\u{eb}@Example.COM");
        assert_eq!(email.norm, "zo\u{eb}@example.com");
        for wrong in ["", "@", "a@", "@b", "a b@c", "a@b@c", "plain", "a@b\u{0}"] {
            assert!(Email::parse(wrong).is_none(), "{wrong:?}");
        }
        assert!(!format!("{email:?}").contains("example"));
    }

    proptest! {
        #[test]
        fn the_compared_form_is_its_own(text in "\\PC{0,12}@\\PC{1,12}") {
            if let Some(email) = Email::parse(&text) {
                let again = Email::parse(&email.norm).expect("still an address");
                prop_assert_eq!(again.norm, email.norm);
            }
        }

        #[test]
        fn any_text_is_answered_without_a_panic(text in ".{0,300}") {
            let _ = Email::parse(&text);
        }
    }
}
