//! Ids in arguments.
//!
//! Arguments are declared as `async_graphql::ID` and parsed in the resolver: an argument type that refuses a text itself
//! would null the parent of the field in async-graphql 7.0.19, and would have no code of ours.

use std::str::FromStr;

use async_graphql::ID;

use super::{codes::ErrorCode, error::ApiError};
use crate::ids::{Id, InvalidId};

/// The id in this argument.
///
/// # Errors
/// `INVALID_ID` for anything but an id of this kind: another kind, a bare UUID, upper case. No SQL has run.
pub fn parse<T: Id + FromStr<Err = InvalidId>>(id: &ID) -> Result<T, ApiError> {
    id.parse().map_err(|error: InvalidId| {
        ApiError::new(ErrorCode::InvalidId, sentence(&error)).with("expectedPrefix", error.expected)
    })
}

/// The ids in this argument, in their order.
///
/// # Errors
/// `INVALID_ID` with the position of the first that is none, in `index`.
pub fn parse_many<T: Id + FromStr<Err = InvalidId>>(ids: &[ID]) -> Result<Vec<T>, ApiError> {
    ids.iter().enumerate().map(|(index, id)| parse(id).map_err(|error| error.with("index", index))).collect()
}

fn sentence(error: &InvalidId) -> String {
    let text = error.to_string();
    let mut letters = text.chars();
    letters.next().map_or(text.clone(), |first| format!("{}{}.", first.to_uppercase(), letters.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{ProjectId, TaskId};

    #[test]
    fn another_kind_is_refused_with_the_expected_form() {
        let id = TaskId::from_uuid(uuid::Uuid::from_u128(7));
        assert_eq!(parse::<TaskId>(&ID::from(id)), Ok(id));
        let error = parse::<ProjectId>(&ID::from(id)).expect_err("another kind");
        assert_eq!(error.code, ErrorCode::InvalidId);
        assert_eq!(error.message, "Expected an id that looks like prj_01h455vb4pex5vsknk084sn02q.");
        let error = parse_many::<TaskId>(&[ID::from(id), ID::from("1")]).expect_err("no id");
        assert_eq!(error.extension("index"), Some(&1.into()));
    }
}
