//! What a GraphQL request says, out of a POST body or a GET query string.
//!
//! The types of the four parameters are checked here and named in the answer; whether the document parses is the
//! business of `graphql`. Unknown properties are ignored, as the specification asks, and `null` is as good as absent.

use std::{borrow::Cow, collections::HashMap};

use async_graphql::{Value, Variables};
use serde::Deserialize;

/// The parameters of a GraphQL request.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GraphqlBody {
    /// The document; absent only if `extensions.persistedQuery` names one.
    pub query: Option<String>,
    /// Which operation of the document to run.
    pub operation_name: Option<String>,
    /// The values of the operation's variables.
    #[serde(default)]
    pub variables: Variables,
    /// What else client and server agreed on, for example a persisted query.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub extensions: HashMap<String, Value>,
}

/// Why a request is not a GraphQL request.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// The body is not JSON, or not UTF-8.
    #[error("The body is not JSON: {0}.")]
    NotJson(String),
    /// A list of requests.
    #[error("A list of requests in one body is not supported; send each in a request of its own.")]
    Batch,
    /// JSON, but not of the form of a GraphQL request.
    #[error("{0}")]
    Malformed(Cow<'static, str>),
}

impl GraphqlBody {
    /// Reads the body of a POST.
    pub fn from_json(bytes: &[u8]) -> Result<Self, BodyError> {
        // A byte order mark is allowed to be ignored by RFC 8259, section 8.1.
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        match bytes.iter().find(|byte| !byte.is_ascii_whitespace()) {
            None => return Err(BodyError::NotJson("it is empty".into())),
            Some(b'[') => return Err(batch_or_broken(bytes)),
            Some(_) => {}
        }
        match serde_json::from_slice::<Self>(bytes) {
            Ok(body) => body.complete(),
            Err(error) if error.classify() == serde_json::error::Category::Data => Err(malformed(bytes, &error)),
            Err(error) => Err(BodyError::NotJson(error.to_string())),
        }
    }

    /// Reads the query string of a GET; `variables` and `extensions` are JSON texts there.
    pub fn from_query(query: &str) -> Result<Self, BodyError> {
        let mut body = Self::default();
        let mut seen = [false; 4];
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let Some(position) = PARAMETERS.iter().position(|parameter| *parameter == name) else { continue };
            if std::mem::replace(&mut seen[position], true) {
                return Err(BodyError::Malformed(format!("The parameter {name} is given twice.").into()));
            }
            if value.is_empty() && position > 0 {
                continue;
            }
            match position {
                0 => body.query = Some(value.into_owned()),
                1 => body.operation_name = Some(value.into_owned()),
                2 => body.variables = from_parameter("variables", &value)?,
                _ => {
                    let map: Option<HashMap<String, Value>> = from_parameter("extensions", &value)?;
                    body.extensions = map.unwrap_or_default();
                }
            }
        }
        body.complete()
    }

    fn complete(mut self) -> Result<Self, BodyError> {
        if self.query.is_none() && !self.extensions.contains_key("persistedQuery") {
            return Err(BodyError::Malformed(
                "The property query is missing: it is the text of a GraphQL document.".into(),
            ));
        }
        if self.operation_name.as_deref() == Some("") {
            self.operation_name = None;
        }
        Ok(self)
    }
}

const PARAMETERS: [&str; 4] = ["query", "operationName", "variables", "extensions"];

fn null_is_empty<'de, D: serde::Deserializer<'de>>(from: D) -> Result<HashMap<String, Value>, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

fn from_parameter<'a, T: Deserialize<'a>>(name: &str, text: &'a str) -> Result<T, BodyError> {
    serde_json::from_str(text)
        .map_err(|_| BodyError::Malformed(format!("The parameter {name} must be a JSON object, URL-encoded.").into()))
}

fn batch_or_broken(bytes: &[u8]) -> BodyError {
    match serde_json::from_slice::<serde::de::IgnoredAny>(bytes) {
        Ok(_) => BodyError::Batch,
        Err(error) => BodyError::NotJson(error.to_string()),
    }
}

/// Says which parameter is wrong, in our words: serde's would repeat what the client sent.
fn malformed(bytes: &[u8], error: &serde_json::Error) -> BodyError {
    let value = match serde_json::from_slice::<serde_json::Value>(bytes) {
        Ok(serde_json::Value::Object(value)) => value,
        Ok(_) => return BodyError::Malformed("The body must be a JSON object with the property query.".into()),
        Err(error) => return BodyError::NotJson(error.to_string()),
    };
    let wrong = |name: &str| match (name, value.get(name)) {
        (_, None | Some(serde_json::Value::Null)) => None,
        ("query" | "operationName", Some(found)) => (!found.is_string()).then_some("a string"),
        (_, Some(found)) => (!found.is_object()).then_some("an object"),
    };
    let found = PARAMETERS.iter().find_map(|name| Some((name, wrong(name)?)));
    BodyError::Malformed(match found {
        Some((name, expected)) => format!("The property {name} must be {expected}.").into(),
        None if error.to_string().starts_with("duplicate field") => "A property of the body is given twice.".into(),
        None => "The variables or extensions hold a value that GraphQL cannot take.".into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn refused(json: &str) -> String {
        GraphqlBody::from_json(json.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn a_whole_request_is_read() {
        let body = GraphqlBody::from_json(
            br#" {"query":"{a}","operationName":"A","variables":{"x":[1]},"extensions":{"y":1},"other":[]}"#,
        )
        .unwrap();
        assert_eq!(body.query.as_deref(), Some("{a}"));
        assert_eq!(body.operation_name.as_deref(), Some("A"));
        assert_eq!(body.variables.len(), 1);
        assert_eq!(body.extensions.len(), 1);
    }

    #[test]
    fn null_is_as_good_as_absent() {
        let body =
            GraphqlBody::from_json(br#"{"query":"{a}","operationName":null,"variables":null,"extensions":null}"#)
                .unwrap();
        assert!(body.operation_name.is_none() && body.variables.is_empty() && body.extensions.is_empty());
    }

    #[test]
    fn each_wrong_parameter_is_named() {
        assert_eq!(refused(r#"{"query":1}"#), "The property query must be a string.");
        assert_eq!(refused(r#"{"query":"{a}","operationName":[]}"#), "The property operationName must be a string.");
        assert_eq!(refused(r#"{"query":"{a}","variables":[7]}"#), "The property variables must be an object.");
        assert_eq!(refused(r#"{"query":"{a}","extensions":"x"}"#), "The property extensions must be an object.");
        assert_eq!(refused(r#"{"query":"{a}","query":"{b}"}"#), "A property of the body is given twice.");
        assert!(refused(r#"{"qeury":"{a}"}"#).starts_with("The property query is missing"));
        assert!(refused(r#""text""#).starts_with("The body must be a JSON object"));
    }

    #[test]
    fn what_is_not_json_and_what_is_a_batch() {
        assert_eq!(GraphqlBody::from_json(br#"[{"query":"{a}"}]"#).unwrap_err(), BodyError::Batch);
        for text in ["", "  ", "NONSENSE", r#"{"query":"#, "[", r#"{"query":"{a}"} x"#] {
            let error = GraphqlBody::from_json(text.as_bytes()).unwrap_err();
            assert!(matches!(error, BodyError::NotJson(_)), "{text}: {error:?}");
        }
        assert!(matches!(GraphqlBody::from_json(b"{\"query\":\"\xff\"}"), Err(BodyError::NotJson(_))));
    }

    #[test]
    fn a_query_string_carries_json_texts() {
        let body = GraphqlBody::from_query("query=%7Ba%7D&variables=%7B%22x%22%3A1%7D&operationName=&tenant=acme");
        let body = body.unwrap();
        assert_eq!(body.query.as_deref(), Some("{a}"));
        assert_eq!(body.variables.len(), 1);
        assert!(body.operation_name.is_none());
        for wrong in ["", "query={a}&query={b}", "query={a}&variables=[1]", "query={a}&extensions=x", "variables={}"] {
            assert!(matches!(GraphqlBody::from_query(wrong), Err(BodyError::Malformed(_))), "{wrong}");
        }
    }

    #[test]
    fn a_deeply_nested_body_is_refused_and_not_followed() {
        let deep = format!(r#"{{"query":"{{a}}","variables":{{"x":{}{}}}}}"#, "[".repeat(5000), "]".repeat(5000));
        assert!(matches!(GraphqlBody::from_json(deep.as_bytes()), Err(BodyError::NotJson(_))));
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = GraphqlBody::from_json(&bytes);
            let _ = GraphqlBody::from_query(&String::from_utf8_lossy(&bytes));
        }
    }
}
