//! From the text of a document to a parsed one that is safe to walk.
//!
//! Nothing here depends on who asks or on the values of variables, so the result can be cached by the hash of the text.

use std::collections::HashMap;

use async_graphql::{
    Name, Pos, Positioned, Variables,
    parser::{
        self,
        types::{
            DocumentOperations, ExecutableDocument, FragmentDefinition, OperationDefinition, Selection, SelectionSet,
        },
    },
};

use super::{Limits, Refusal, pass::MAX_SELECTION_NESTING};
use crate::graphql::{codes::ErrorCode, error::ApiError};

/// Brackets inside each other. The parser works by recursion; its own limit of 64 is for selections only.
const MAX_BRACKET_NESTING: u32 = 64;

/// How many selections a document may have when every fragment is written out where it is used.
///
/// The engine walks documents in that form before it validates them, so that a few short fragments that use each other
/// twice would keep it busy for years.
pub(super) const MAX_SELECTIONS: u64 = 20_000;

/// Parses a document after counting its tokens, and refuses fragments that loop or multiply.
///
/// # Errors
/// `QUERY_TOO_WIDE` for too many tokens, `QUERY_TOO_DEEP` for too many brackets inside each other, `GRAPHQL_PARSE_FAILED`,
/// `GRAPHQL_VALIDATION_FAILED` for a fragment that uses itself, `QUERY_TOO_COMPLEX` for one that multiplies.
pub fn parse(text: &str, limits: &Limits) -> Result<ExecutableDocument, Refusal> {
    measure(text, limits).map_err(|error| Refusal::of(error, None))?;
    let document = parser::parse_query(text).map_err(|error| syntax_error(&error))?;
    let mut sizes = Expansion { document: &document, sizes: HashMap::new() };
    let mut total = 0;
    for (_, operation) in document.operations.iter() {
        total += sizes.of_selections(&operation.node.selection_set.node, 0)?;
        if total > MAX_SELECTIONS {
            return Err(too_many_selections(operation.pos));
        }
    }
    Ok(document)
}

/// The operation that a request means.
///
/// # Errors
/// `OPERATION_NOT_FOUND` when there is none of this name, or none is named and there are several.
pub fn operation<'d>(
    document: &'d ExecutableDocument,
    name: Option<&str>,
) -> Result<(Option<&'d Name>, &'d Positioned<OperationDefinition>), ApiError> {
    let not_found = |message: String| ApiError::new(ErrorCode::OperationNotFound, message);
    match (&document.operations, name) {
        (DocumentOperations::Single(operation), None) => Ok((None, operation)),
        (DocumentOperations::Single(_), Some(name)) => {
            Err(not_found(format!("The document has one operation without a name, and none named {name:.60}.")))
        }
        (DocumentOperations::Multiple(operations), Some(name)) => operations
            .get_key_value(name)
            .map(|(name, operation)| (Some(name), operation))
            .ok_or_else(|| not_found(format!("The document has no operation named {name:.60}."))),
        (DocumentOperations::Multiple(operations), None) => match operations.iter().next() {
            Some((name, operation)) if operations.len() == 1 => Ok((Some(name), operation)),
            _ => Err(not_found("The document has several operations; name one in operationName.".into())),
        },
    }
}

/// Gives variables that the request leaves out the default of their definition.
///
/// Without this the engine reads a left out variable of `@skip` and `@include` as false, whatever its default.
pub fn complete_variables(operation: &OperationDefinition, variables: &mut Variables) {
    for definition in &operation.variable_definitions {
        let definition = &definition.node;
        if let Some(default) = &definition.default_value
            && !variables.contains_key(&definition.name.node)
        {
            variables.insert(definition.name.node.clone(), default.node.clone());
        }
    }
}

/// Counts tokens and nesting without building anything. Sees a text that is no GraphQL as the parser would, roughly.
fn measure(text: &str, limits: &Limits) -> Result<(), ApiError> {
    let bytes = text.as_bytes();
    let (mut at, mut tokens, mut nesting) = (0, 0u32, 0u32);
    while let Some(&byte) = bytes.get(at) {
        let rest = &bytes[at..];
        let length = match byte {
            b' ' | b'\t' | b'\n' | b'\r' | b',' => {
                at += 1;
                continue;
            }
            b'#' => {
                at += rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')).unwrap_or(rest.len());
                continue;
            }
            b'{' | b'(' | b'[' => {
                nesting += 1;
                1
            }
            b'}' | b')' | b']' => {
                nesting = nesting.saturating_sub(1);
                1
            }
            b'"' => string_length(rest),
            b'.' => rest.iter().take_while(|byte| **byte == b'.').count().min(3),
            byte if is_word(byte) => rest.iter().take_while(|byte| is_word(**byte)).count(),
            _ => 1,
        };
        at += length;
        tokens += 1;
        if tokens > limits.tokens {
            return Err(ApiError::new(
                ErrorCode::QueryTooWide,
                format!("The document has more than {} tokens.", limits.tokens),
            )
            .with("limit", limits.tokens));
        }
        if nesting > MAX_BRACKET_NESTING {
            return Err(ApiError::new(
                ErrorCode::QueryTooDeep,
                format!("The document has more than {MAX_BRACKET_NESTING} brackets inside each other."),
            )
            .with("limit", MAX_BRACKET_NESTING));
        }
    }
    Ok(())
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-' || byte >= 0x80
}

/// The length of the string that begins here, quotes included.
///
/// A block string that is never closed is an empty string to the parser, which then goes on behind it.
fn string_length(text: &[u8]) -> usize {
    let is_block = text.starts_with(b"\"\"\"");
    let mut at = if is_block { 3 } else { 1 };
    while at < text.len() {
        match text[at] {
            b'\\' if !is_block => at += 2,
            b'\\' if text[at..].starts_with(b"\\\"\"\"") => at += 4,
            b'"' if !is_block => return at + 1,
            b'"' if text[at..].starts_with(b"\"\"\"") => return at + 3,
            b'\n' | b'\r' if !is_block => return at,
            _ => at += 1,
        }
    }
    if is_block { 2 } else { text.len() }
}

fn syntax_error(error: &parser::Error) -> Refusal {
    let text = error.to_string();
    // The parser draws the place into its message; the last line says what it expected.
    let what = text.lines().rev().find_map(|line| line.trim().strip_prefix("= ")).unwrap_or(&text);
    let message = format!("The document is not GraphQL: {what}.");
    let error_at = ApiError::new(ErrorCode::GraphqlParseFailed, message);
    Refusal::of(error_at, error.positions().next())
}

pub(super) fn too_many_selections(at: Pos) -> Refusal {
    let message = format!("With its fragments written out the document has more than {MAX_SELECTIONS} selections.");
    Refusal::of(ApiError::new(ErrorCode::QueryTooComplex, message).with("limit", MAX_SELECTIONS), Some(at))
}

pub(super) fn loops(fragment: &str, at: Pos) -> Refusal {
    let message = format!("The fragment {fragment:.60} uses itself.");
    Refusal::of(ApiError::new(ErrorCode::GraphqlValidationFailed, message), Some(at))
}

pub(super) fn too_nested(at: Pos) -> Refusal {
    let message = format!("The document has more than {MAX_SELECTION_NESTING} selections inside each other.");
    Refusal::of(ApiError::new(ErrorCode::QueryTooDeep, message).with("limit", MAX_SELECTION_NESTING), Some(at))
}

/// The sizes of fragments with all that they use written out.
struct Expansion<'d> {
    document: &'d ExecutableDocument,
    /// `None` while it is being computed.
    sizes: HashMap<&'d str, Option<Size>>,
}

#[derive(Clone, Copy)]
struct Size {
    selections: u64,
    /// Fragments inside each other, at most.
    height: u32,
}

impl<'d> Expansion<'d> {
    fn of_selections(&mut self, set: &'d SelectionSet, depth: u32) -> Result<u64, Refusal> {
        Ok(self.of_set(set, depth)?.selections)
    }

    fn of_set(&mut self, set: &'d SelectionSet, depth: u32) -> Result<Size, Refusal> {
        let mut all = Size { selections: set.items.len() as u64, height: 0 };
        for item in &set.items {
            let inner = match &item.node {
                Selection::Field(field) => self.of_set(&field.node.selection_set.node, depth)?,
                Selection::InlineFragment(fragment) => self.of_set(&fragment.node.selection_set.node, depth)?,
                Selection::FragmentSpread(spread) => {
                    self.of_fragment(spread.node.fragment_name.node.as_str(), item.pos, depth)?
                }
            };
            all.selections = all.selections.saturating_add(inner.selections);
            all.height = all.height.max(inner.height);
            if all.selections > MAX_SELECTIONS {
                return Err(too_many_selections(item.pos));
            }
        }
        Ok(all)
    }

    fn of_fragment(&mut self, name: &'d str, at: Pos, depth: u32) -> Result<Size, Refusal> {
        match self.sizes.get(name) {
            Some(Some(size)) => return Ok(*size),
            Some(None) => return Err(loops(name, at)),
            None => {}
        }
        let fragment: Option<&'d Positioned<FragmentDefinition>> = self.document.fragments.get(name);
        // An unknown fragment is for validation to name.
        let Some(fragment) = fragment else { return Ok(Size { selections: 0, height: 0 }) };
        if depth >= MAX_SELECTION_NESTING {
            return Err(too_nested(at));
        }
        self.sizes.insert(name, None);
        let mut size = self.of_set(&fragment.node.selection_set.node, depth + 1)?;
        size.height += 1;
        if size.height + depth > MAX_SELECTION_NESTING {
            return Err(too_nested(at));
        }
        self.sizes.insert(name, Some(size));
        Ok(size)
    }
}
