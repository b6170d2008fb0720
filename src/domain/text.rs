//! What the texts of every input have in common: a length in characters, and nothing that PostgreSQL or a reader chokes on.
//!
//! PostgreSQL stores no NUL character: unchecked, it would be an error of the server instead of one of the sender.

use super::Problem;
use crate::graphql::codes::UserErrorCode;

/// What is wrong with a text of one line; `what` begins its message, for example `A title`.
pub fn line(text: &str, path: &str, what: &str, max_chars: usize) -> Option<Problem> {
    let text = text.trim();
    if text.is_empty() {
        return Some(Problem::new(UserErrorCode::Required, path, format!("{what} is needed.")));
    }
    if text.chars().any(char::is_control) {
        let message = format!("{what} is one line without control characters.");
        return Some(Problem::new(UserErrorCode::Invalid, path, message));
    }
    (text.chars().count() > max_chars).then(|| too_long(path, what, max_chars))
}

/// What is wrong with a text of any number of lines, which may be empty.
pub fn block(text: &str, path: &str, what: &str, max_chars: usize) -> Option<Problem> {
    if text.chars().any(|letter| letter.is_control() && !matches!(letter, '\n' | '\r' | '\t')) {
        let message = format!("{what} has no control characters other than line breaks and tabs.");
        return Some(Problem::new(UserErrorCode::Invalid, path, message));
    }
    (text.chars().count() > max_chars).then(|| too_long(path, what, max_chars))
}

/// A text is longer than allowed.
pub fn too_long(path: &str, what: &str, max_chars: usize) -> Problem {
    Problem::new(UserErrorCode::TooLong, path, format!("{what} has at most {max_chars} characters."))
        .params(serde_json::json!({ "max": max_chars }))
}

/// What is wrong with free settings: an object, at most `max_bytes` in the database's own form, without NUL characters.
pub fn settings(settings: &serde_json::Value, path: &str, max_bytes: usize) -> Option<Problem> {
    if !settings.is_object() {
        return Some(Problem::new(UserErrorCode::Invalid, path, "Settings are a JSON object."));
    }
    if has_nul(settings) {
        let message = "Settings hold no text with the character U+0000.";
        return Some(Problem::new(UserErrorCode::Invalid, path, message));
    }
    (jsonb_bytes(settings) > max_bytes).then(|| {
        Problem::new(UserErrorCode::TooLong, path, format!("Settings have at most {max_bytes} bytes."))
            .params(serde_json::json!({ "max": max_bytes }))
    })
}

fn has_nul(value: &serde_json::Value) -> bool {
    match value {
        serde_json::Value::String(text) => text.contains('\0'),
        serde_json::Value::Array(items) => items.iter().any(has_nul),
        serde_json::Value::Object(fields) => fields.iter().any(|(name, value)| name.contains('\0') || has_nul(value)),
        _ => false,
    }
}

/// How long `jsonb::text` is: our own text and a blank behind every comma and colon. A number may be written longer there
/// (`1e3` as `1000`); the table's CHECK has the last word.
fn jsonb_bytes(value: &serde_json::Value) -> usize {
    fn blanks(value: &serde_json::Value) -> usize {
        match value {
            serde_json::Value::Array(items) => items.len().saturating_sub(1) + items.iter().map(blanks).sum::<usize>(),
            serde_json::Value::Object(fields) => {
                (2 * fields.len()).saturating_sub(1) + fields.values().map(blanks).sum::<usize>()
            }
            _ => 0,
        }
    }
    value.to_string().len() + blanks(value)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn code(problem: Option<Problem>) -> Option<String> {
        problem.map(|problem| problem.code)
    }

    #[test]
    fn a_line_is_one_line() {
        assert_eq!(line(" Atlas ", "input.name", "A name", 5), None);
        assert_eq!(code(line("  \n ", "input.name", "A name", 5)).as_deref(), Some("REQUIRED"));
        assert_eq!(code(line("Atläs2", "input.name", "A name", 5)).as_deref(), Some("TOO_LONG"));
        for wrong in ["a\nb", "a\0b", "a\u{85}b"] {
            assert_eq!(code(line(wrong, "input.name", "A name", 5)).as_deref(), Some("INVALID"), "{wrong:?}");
        }
    }

    #[test]
    fn a_block_has_lines_and_no_nul() {
        assert_eq!(block("", "input.description", "A description", 5), None);
        assert_eq!(block("a\r\n\tb", "input.description", "A description", 5), None);
        assert_eq!(code(block("a\0", "input.description", "A description", 5)).as_deref(), Some("INVALID"));
        assert_eq!(code(block("abcdef", "input.description", "A description", 5)).as_deref(), Some("TOO_LONG"));
    }

    #[test]
    fn settings_are_a_small_object() {
        assert_eq!(settings(&json!({ "a": [1, { "b": null }] }), "input.settings", 25), None);
        assert_eq!(jsonb_bytes(&json!({ "a": [1, { "b": null }] })), r#"{"a": [1, {"b": null}]}"#.len());
        assert_eq!(jsonb_bytes(&json!({})), 2);
        assert_eq!(code(settings(&json!([]), "input.settings", 99)).as_deref(), Some("INVALID"));
        assert_eq!(code(settings(&json!({ "a\0": 1 }), "input.settings", 99)).as_deref(), Some("INVALID"));
        assert_eq!(code(settings(&json!({ "a": ["\0"] }), "input.settings", 99)).as_deref(), Some("INVALID"));
        assert_eq!(code(settings(&json!({ "a": "12345" }), "input.settings", 13)).as_deref(), Some("TOO_LONG"));
    }
}
