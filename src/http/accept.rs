//! Which of the two media types an answer is written in.

use http::{HeaderMap, HeaderValue, header};

/// A media type of a GraphQL response. Both are JSON in UTF-8; they differ in the status of a refused request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MediaType {
    /// `application/graphql-response+json`: the status says what happened.
    GraphqlResponse,
    /// `application/json`: for clients from before the specification, which trust a body only under status 200.
    Json,
}

impl MediaType {
    /// The value of `Content-Type`.
    pub fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::GraphqlResponse => "application/graphql-response+json; charset=utf-8",
            Self::Json => "application/json; charset=utf-8",
        })
    }
}

/// The media type that the `Accept` headers ask for, or `None` if they allow neither (406).
///
/// Without `Accept` it is `application/graphql-response+json`, as the specification's watershed of 2025 asks. The
/// highest quality wins (RFC 9110, section 12.5.1); among equals the one that is named, so that `application/json,
/// */*` gets what it names; among those our preferred one.
pub fn negotiate(headers: &HeaderMap) -> Option<MediaType> {
    let mut ranges = Vec::new();
    for value in headers.get_all(header::ACCEPT) {
        // Bytes outside ASCII match none of our types, but they must not make the header look absent.
        let text = value.to_str().unwrap_or("invalid/invalid");
        ranges.extend(text.split(',').filter(|range| !range.trim().is_empty()).filter_map(Range::parse));
        if ranges.is_empty() && !text.trim().is_empty() {
            ranges.push(Range { kind: String::new(), quality: 0 });
        }
    }
    if ranges.is_empty() {
        return Some(MediaType::GraphqlResponse);
    }
    let rank = |exact: &str| {
        let best = ranges.iter().filter_map(|range| Some((range.precision(exact)?, range.quality))).max()?;
        (best.1 > 0).then_some((best.1, best.0))
    };
    match (rank("application/graphql-response+json"), rank("application/json")) {
        (None, None) => None,
        (graphql, json) if json > graphql => Some(MediaType::Json),
        _ => Some(MediaType::GraphqlResponse),
    }
}

struct Range {
    kind: String,
    /// In thousandths, as RFC 9110 gives a quality three digits.
    quality: u16,
}

impl Range {
    /// `None` for what is not a media range; such an element is ignored.
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(';').map(str::trim);
        let kind = parts.next()?.to_ascii_lowercase();
        if !kind.contains('/') {
            return None;
        }
        let mut quality = 1000;
        for parameter in parts {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            if name.trim().eq_ignore_ascii_case("q") {
                let value: f32 = value.trim().parse().ok()?;
                if !(0.0..=1.0).contains(&value) {
                    return None;
                }
                quality = (value * 1000.0).round() as u16;
            } else if name.trim().eq_ignore_ascii_case("charset") && !is_utf8(value) {
                return None;
            }
        }
        Some(Self { kind, quality })
    }

    /// How closely this range names `exact`: 3 itself, 2 its family, 1 anything.
    fn precision(&self, exact: &str) -> Option<u8> {
        match self.kind.as_str() {
            kind if kind == exact => Some(3),
            "application/*" => Some(2),
            "*/*" => Some(1),
            _ => None,
        }
    }
}

/// Why a `Content-Type` is not one that a POST may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WrongContentType {
    /// There is none, or one that a browser sends across origins without asking first.
    Simple,
    /// Another media type.
    Unsupported,
    /// JSON in an encoding other than UTF-8.
    Charset,
}

/// Checks the `Content-Type` of a POST: `application/json`, in UTF-8 where it names an encoding.
pub fn check_content_type(headers: &HeaderMap) -> Result<(), WrongContentType> {
    let mut values = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return Err(WrongContentType::Simple) };
    let text = value.to_str().map_err(|_| WrongContentType::Unsupported)?;
    let mut parts = text.split(';').map(str::trim);
    match parts.next().unwrap_or_default().to_ascii_lowercase().as_str() {
        "application/json" => {}
        "" | "text/plain" | "multipart/form-data" | "application/x-www-form-urlencoded" => {
            return Err(WrongContentType::Simple);
        }
        _ => return Err(WrongContentType::Unsupported),
    }
    for parameter in parts {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        if name.trim().eq_ignore_ascii_case("charset") && !is_utf8(value) {
            return Err(WrongContentType::Charset);
        }
    }
    Ok(())
}

fn is_utf8(value: &str) -> bool {
    let value = value.trim().trim_matches('"');
    value.eq_ignore_ascii_case("utf-8") || value.eq_ignore_ascii_case("utf8")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepted(text: &str) -> Option<MediaType> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_str(text).unwrap());
        negotiate(&headers)
    }

    #[test]
    fn the_highest_quality_wins_and_the_preferred_type_among_equals() {
        use MediaType::{GraphqlResponse, Json};
        let table = [
            ("", Some(GraphqlResponse)),
            ("*/*", Some(GraphqlResponse)),
            ("application/*", Some(GraphqlResponse)),
            ("application/json", Some(Json)),
            ("APPLICATION/JSON; Charset=UTF-8", Some(Json)),
            ("application/graphql-response+json", Some(GraphqlResponse)),
            (
                "application/graphql-response+json; charset=utf-8, application/json; charset=utf-8",
                Some(GraphqlResponse),
            ),
            ("application/json, application/graphql-response+json", Some(GraphqlResponse)),
            ("application/json, application/graphql-response+json;q=0.9", Some(Json)),
            ("application/graphql-response+json;q=0.1, application/json;q=0.2", Some(Json)),
            ("application/json, text/plain, */*", Some(Json)),
            ("application/json;q=0.5, */*", Some(GraphqlResponse)),
            ("application/graphql-response+json;q=0, */*", Some(Json)),
            ("application/json;q=0, application/graphql-response+json;q=0", None),
            ("*/*;q=0", None),
            ("text/html", None),
            ("nonsense", None),
            ("application/json;q=7", None),
            ("application/json; charset=utf-16", None),
            ("text/html, application/json;q=0.001", Some(Json)),
        ];
        for (text, expected) in table {
            assert_eq!(accepted(text), expected, "Accept: {text}");
        }
        assert_eq!(negotiate(&HeaderMap::new()), Some(GraphqlResponse), "no Accept header");
    }

    #[test]
    fn several_accept_headers_count_as_one() {
        let mut headers = HeaderMap::new();
        headers.append(header::ACCEPT, HeaderValue::from_static("text/html"));
        headers.append(header::ACCEPT, HeaderValue::from_static("application/json"));
        assert_eq!(negotiate(&headers), Some(MediaType::Json));
    }

    #[test]
    fn only_json_in_utf8_is_a_body() {
        let table = [
            ("application/json", Ok(())),
            ("application/json;charset=utf-8", Ok(())),
            ("Application/JSON ; Charset=\"UTF-8\"", Ok(())),
            ("application/json; charset=latin1", Err(WrongContentType::Charset)),
            ("text/plain", Err(WrongContentType::Simple)),
            ("text/plain; application/json", Err(WrongContentType::Simple)),
            ("multipart/form-data; boundary=x", Err(WrongContentType::Simple)),
            ("application/x-www-form-urlencoded", Err(WrongContentType::Simple)),
            ("application/graphql", Err(WrongContentType::Unsupported)),
            ("application/jsonp", Err(WrongContentType::Unsupported)),
        ];
        for (text, expected) in table {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(text));
            assert_eq!(check_content_type(&headers), expected, "Content-Type: {text}");
        }
        assert_eq!(check_content_type(&HeaderMap::new()), Err(WrongContentType::Simple));
    }
}
