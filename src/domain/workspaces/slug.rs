//! Slugs of workspaces: what they look like, and how one comes from a name.

use crate::{domain::Problem, graphql::codes::UserErrorCode};

/// Longest slug. The table has the same CHECK.
pub const MAX_SLUG_CHARS: usize = 63;

/// How many numbered forms of a slug are tried before a random ending is taken.
const NUMBERED: usize = 30;

/// What a name without any letter of the Latin alphabet becomes.
const NAMELESS: &str = "workspace";

/// Words that an address of the console means itself, beside the slug of a workspace.
const RESERVED: &[&str] = &["admin", "all", "api", "archived", "default", "new", "none", "settings"];

/// Whether the text has the form of a slug: `a-z`, `0-9` and inner `-`, 1 to 63 characters.
pub fn is_slug(text: &str) -> bool {
    let bytes = text.as_bytes();
    (1..=MAX_SLUG_CHARS).contains(&bytes.len())
        && bytes.iter().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// What is wrong with a slug that somebody has chosen.
pub fn problem(slug: &str, path: &str) -> Option<Problem> {
    if slug.is_empty() {
        return Some(Problem::new(UserErrorCode::Required, path, "A slug is needed."));
    }
    if slug.chars().count() > MAX_SLUG_CHARS {
        return Some(crate::domain::text::too_long(path, "A slug", MAX_SLUG_CHARS));
    }
    if !is_slug(slug) {
        let message = "A slug has the letters a to z, digits and hyphens, and begins and ends with a letter or digit.";
        return Some(
            Problem::new(UserErrorCode::Invalid, path, message)
                .params(serde_json::json!({ "suggestion": derive(slug) })),
        );
    }
    RESERVED.contains(&slug).then(|| {
        Problem::new(UserErrorCode::Reserved, path, format!("The slug {slug:?} is kept for the system. Take another."))
    })
}

/// A slug made of a name: lower case, accents dropped, everything else a hyphen.
pub fn derive(name: &str) -> String {
    let mut slug = String::with_capacity(name.len());
    for letter in name.chars().flat_map(char::to_lowercase) {
        let plain = plain(letter);
        if plain.is_empty() {
            // No two hyphens in a row, none at the start.
            if !slug.is_empty() && !slug.ends_with('-') && !is_silent(letter) {
                slug.push('-');
            }
        } else {
            slug.push_str(plain.as_str());
        }
    }
    slug.truncate(MAX_SLUG_CHARS);
    let slug = slug.trim_end_matches('-');
    if slug.is_empty() { NAMELESS.to_owned() } else { slug.to_owned() }
}

/// The slugs to try for a name, best first.
pub fn candidates(name: &str) -> Vec<String> {
    let base = derive(name);
    let numbered = (2..=NUMBERED).map(|number| with_ending(&base, &number.to_string()));
    let first = (!RESERVED.contains(&base.as_str())).then(|| base.clone());
    first.into_iter().chain(numbered).collect()
}

/// The slug with `-ending`, cut so that both fit.
pub fn with_ending(slug: &str, ending: &str) -> String {
    // A slug is ASCII: every byte is a character.
    let room = MAX_SLUG_CHARS.saturating_sub(ending.len() + 1).min(slug.len());
    format!("{}-{ending}", slug[..room].trim_end_matches('-'))
}

/// Marks that belong to the letter before them: apostrophes, combining accents.
fn is_silent(letter: char) -> bool {
    matches!(letter, '\'' | '’' | '\u{300}'..='\u{36f}')
}

/// One to two letters, or nothing.
struct Plain([u8; 2], usize);

impl Plain {
    fn is_empty(&self) -> bool {
        self.1 == 0
    }

    fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0[..self.1]).unwrap_or_default()
    }
}

/// The lower-case letter without its accent; nothing if it is no letter or digit of ours.
fn plain(letter: char) -> Plain {
    let one = |byte: u8| Plain([byte, 0], 1);
    match letter {
        'a'..='z' | '0'..='9' => one(u8::try_from(letter).unwrap_or(b'-')),
        'à' | 'á' | 'â' | 'ã' | 'å' | 'ā' | 'ă' | 'ą' => one(b'a'),
        'ç' | 'ć' | 'ĉ' | 'ċ' | 'č' => one(b'c'),
        'ď' | 'đ' | 'ð' => one(b'd'),
        'è' | 'é' | 'ê' | 'ë' | 'ē' | 'ĕ' | 'ė' | 'ę' | 'ě' => one(b'e'),
        'ĝ' | 'ğ' | 'ġ' | 'ģ' => one(b'g'),
        'ĥ' | 'ħ' => one(b'h'),
        'ì' | 'í' | 'î' | 'ï' | 'ĩ' | 'ī' | 'ĭ' | 'į' | 'ı' => one(b'i'),
        'ĵ' => one(b'j'),
        'ķ' => one(b'k'),
        'ĺ' | 'ļ' | 'ľ' | 'ŀ' | 'ł' => one(b'l'),
        'ñ' | 'ń' | 'ņ' | 'ň' => one(b'n'),
        'ò' | 'ó' | 'ô' | 'õ' | 'ø' | 'ō' | 'ŏ' | 'ő' => one(b'o'),
        'ŕ' | 'ŗ' | 'ř' => one(b'r'),
        'ś' | 'ŝ' | 'ş' | 'š' | 'ș' => one(b's'),
        'ţ' | 'ť' | 'ŧ' | 'ț' => one(b't'),
        'ù' | 'ú' | 'û' | 'ũ' | 'ū' | 'ŭ' | 'ů' | 'ű' | 'ų' => one(b'u'),
        'ŵ' => one(b'w'),
        'ý' | 'ÿ' | 'ŷ' => one(b'y'),
        'ź' | 'ż' | 'ž' => one(b'z'),
        'ä' | 'æ' => Plain(*b"ae", 2),
        'ö' | 'œ' => Plain(*b"oe", 2),
        'ü' => Plain(*b"ue", 2),
        'ß' => Plain(*b"ss", 2),
        'þ' => Plain(*b"th", 2),
        _ => Plain([0; 2], 0),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn code(slug: &str) -> Option<String> {
        problem(slug, "input.slug").map(|problem| problem.code)
    }

    #[test]
    fn a_slug_comes_from_a_name() {
        for (name, slug) in [
            ("Atlas", "atlas"),
            ("  Research & Development (2026) ", "research-development-2026"),
            ("Zürich – Größe", "zuerich-groesse"),
            ("Łódź's café", "lodzs-cafe"),
            ("--", "workspace"),
            ("東京", "workspace"),
            ("東京 2", "2"),
        ] {
            assert_eq!(derive(name), slug, "{name}");
        }
    }

    #[test]
    fn a_chosen_slug_is_checked() {
        assert_eq!(code("atlas-2"), None);
        assert_eq!(code("a"), None);
        assert_eq!(code("").as_deref(), Some("REQUIRED"));
        assert_eq!(code("new").as_deref(), Some("RESERVED"));
        assert_eq!(code(&"a".repeat(64)).as_deref(), Some("TOO_LONG"));
        for wrong in ["Atlas", "-a", "a-", "a b", "ä", "a_b", "a\0"] {
            assert_eq!(code(wrong).as_deref(), Some("INVALID"), "{wrong:?}");
        }
    }

    #[test]
    fn a_reserved_name_gets_a_number() {
        assert_eq!(candidates("Settings").first().map(String::as_str), Some("settings-2"));
        assert_eq!(candidates("Atlas")[..2], ["atlas", "atlas-2"]);
    }

    proptest! {
        #[test]
        fn every_name_gives_slugs_that_the_table_takes(name in ".{0,140}") {
            prop_assert!(is_slug(&derive(&name)), "{}", derive(&name));
            for candidate in candidates(&name) {
                prop_assert!(problem(&candidate, "input.slug").is_none(), "{}", candidate);
            }
            let ended = with_ending(&derive(&name), "0k3v9x2m");
            prop_assert!(is_slug(&ended), "{ended}");
        }
    }
}
