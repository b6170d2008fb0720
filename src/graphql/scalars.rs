//! The scalars of the schema. Each refuses what does not fit already at validation, with the expected form.

use async_graphql::{InputValueError, InputValueResult, Scalar, ScalarType, Value};
use chrono::{NaiveDate, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};

use crate::access::Permission;

/// An instant, RFC 3339 in UTC with milliseconds, for example `2026-11-03T09:30:00.000Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct DateTime(pub chrono::DateTime<Utc>);

/// An instant, RFC 3339 in UTC with milliseconds, for example `2026-11-03T09:30:00.000Z`. Other offsets are accepted.
#[Scalar(name = "DateTime", specified_by_url = "https://datatracker.ietf.org/doc/html/rfc3339")]
impl ScalarType for DateTime {
    fn parse(value: Value) -> InputValueResult<Self> {
        let parsed = match &value {
            Value::String(text) => chrono::DateTime::parse_from_rfc3339(text).ok(),
            _ => None,
        };
        // PostgreSQL holds years up to 294276; RFC 3339 has four digits, and so has our own form.
        match parsed.map(|at| at.with_timezone(&Utc)) {
            Some(at) => Ok(DateTime(at)),
            None => Err(InputValueError::custom("expected an instant like 2026-11-03T09:30:00.000Z")),
        }
    }

    fn is_valid(value: &Value) -> bool {
        matches!(value, Value::String(text) if chrono::DateTime::parse_from_rfc3339(text).is_ok())
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.to_rfc3339_opts(SecondsFormat::Millis, true))
    }
}

impl From<chrono::DateTime<Utc>> for DateTime {
    fn from(at: chrono::DateTime<Utc>) -> Self {
        DateTime(at)
    }
}

/// A day of the calendar, for example `2026-11-03`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Date(pub NaiveDate);

fn date(value: &Value) -> Option<NaiveDate> {
    // chrono alone would also take 2026-1-3 and years of five digits.
    let Value::String(text) = value else { return None };
    let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
    (text.len() == 10 && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-')).then_some(date)
}

/// A day of the calendar without a time zone, for example `2026-11-03`.
#[Scalar(name = "Date", specified_by_url = "https://datatracker.ietf.org/doc/html/rfc3339#section-5.6")]
impl ScalarType for Date {
    fn parse(value: Value) -> InputValueResult<Self> {
        date(&value).map(Date).ok_or_else(|| InputValueError::custom("expected a day like 2026-11-03"))
    }

    fn is_valid(value: &Value) -> bool {
        date(value).is_some()
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.format("%Y-%m-%d").to_string())
    }
}

impl From<NaiveDate> for Date {
    fn from(day: NaiveDate) -> Self {
        Date(day)
    }
}

/// A whole number of 64 bits, as text because JSON numbers lose digits beyond 2^53.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Int64(pub i64);

fn int64(value: &Value) -> Option<i64> {
    match value {
        Value::String(text) if !text.starts_with('+') => text.parse().ok(),
        Value::Number(number) => number.as_i64(),
        _ => None,
    }
}

/// A whole number of 64 bits, as a string of digits, because JSON numbers lose digits beyond 2^53.
#[Scalar(name = "Int64")]
impl ScalarType for Int64 {
    fn parse(value: Value) -> InputValueResult<Self> {
        int64(&value)
            .map(Int64)
            .ok_or_else(|| InputValueError::custom("expected a whole number of 64 bits as a string"))
    }

    fn is_valid(value: &Value) -> bool {
        int64(value).is_some()
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.to_string())
    }
}

/// Any JSON value; used for audit detail, free settings and the parameters of user errors.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Json(pub serde_json::Value);

/// Any JSON value.
#[Scalar(name = "JSON")]
impl ScalarType for Json {
    fn parse(value: Value) -> InputValueResult<Self> {
        Ok(Json(value.into_json()?))
    }

    fn to_value(&self) -> Value {
        Value::from_json(self.0.clone()).unwrap_or_default()
    }
}

impl From<serde_json::Value> for Json {
    fn from(value: serde_json::Value) -> Self {
        Json(value)
    }
}

/// A permission, spelled `resource:action`, for example `tasks:read`. `permissionCatalogue` lists them all.
#[Scalar(name = "Permission")]
impl ScalarType for Permission {
    fn parse(value: Value) -> InputValueResult<Self> {
        match &value {
            Value::String(text) => text.parse().map_err(InputValueError::custom),
            _ => Err(InputValueError::expected_type(value)),
        }
    }

    fn is_valid(value: &Value) -> bool {
        matches!(value, Value::String(text) if text.parse::<Permission>().is_ok())
    }

    fn to_value(&self) -> Value {
        Value::String(self.name().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(text: &str) -> Value {
        Value::String(text.to_owned())
    }

    #[test]
    fn an_instant_is_shown_in_utc_with_milliseconds() {
        let at = <DateTime as ScalarType>::parse(text("2026-11-03T10:30:00.1239+01:00")).expect("an instant");
        assert_eq!(at.to_value(), text("2026-11-03T09:30:00.123Z"));
        for wrong in ["2026-11-03", "2026-11-03T10:30:00", "yesterday", ""] {
            assert!(!<DateTime as ScalarType>::is_valid(&text(wrong)), "{wrong}");
            assert!(<DateTime as ScalarType>::parse(text(wrong)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_day_has_one_form() {
        assert_eq!(<Date as ScalarType>::parse(text("2026-02-28")).expect("a day").to_value(), text("2026-02-28"));
        for wrong in ["2026-2-28", "2026-02-30", "+2026-02-2", "2026-02-28Z"] {
            assert!(<Date as ScalarType>::parse(text(wrong)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_permission_is_known_or_refused() {
        assert!(<Permission as ScalarType>::is_valid(&text("tasks:read")));
        assert!(!<Permission as ScalarType>::is_valid(&text("tasks:fly")));
        assert!(!<Permission as ScalarType>::is_valid(&Value::Boolean(true)));
    }

    proptest! {
        #[test]
        fn a_large_number_keeps_its_digits(number: i64) {
            let value = Int64(number).to_value();
            prop_assert_eq!(<Int64 as ScalarType>::parse(value).expect("a number").0, number);
        }
    }
}
