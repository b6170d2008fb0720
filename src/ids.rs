//! Identifiers: one newtype per table, a UUIDv7 in the database and a TypeID (`wsp_01k9…`) outside.
//!
//! The prefixes are frozen once published; this file is their only table.
//! A bare `Uuid` does not cross a module border. New ids come from [`new`](WorkspaceId::new) with the time of the
//! request's clock, so that a test with a fake clock makes ids of its own time.
//!
//! Source: TypeID specification 0.3 (lower-case base32 of Crockford), RFC 9562 section 5.7 (UUIDv7).

use chrono::{DateTime, Utc};
use uuid::Uuid;

/// Why a text is not an id of the expected kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected an id that looks like {expected}_01h455vb4pex5vsknk084sn02q")]
pub struct InvalidId {
    /// The prefix that was expected.
    pub expected: &'static str,
}

/// What every id newtype can do.
pub trait Id: Copy + Eq + std::hash::Hash + std::fmt::Debug + std::fmt::Display + Send + Sync + 'static {
    /// The TypeID prefix, for example `wsp`.
    const PREFIX: &'static str;
    /// The id of this uuid.
    fn from_uuid(uuid: Uuid) -> Self;
    /// The uuid inside.
    fn uuid(self) -> Uuid;
}

/// The version 7 uuid for this instant with fresh random bits.
pub fn uuid_v7(at: DateTime<Utc>) -> Uuid {
    let seconds = u64::try_from(at.timestamp()).unwrap_or(0);
    #[expect(clippy::disallowed_methods, reason = "the one place that makes ids; the time comes from the clock")]
    Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, seconds, at.timestamp_subsec_nanos()))
}

/// The smallest uuid whose version 7 time is this instant, to the millisecond: turns a time window into an id window.
///
/// Like `app.uuid_at`. Instants before 1970 give the smallest uuid, those beyond the 48 bits of the format the largest.
pub fn uuid_at(at: DateTime<Utc>) -> Uuid {
    match u128::try_from(at.timestamp_millis()) {
        Ok(millis) if millis < 1 << 48 => Uuid::from_u128(millis << 80),
        Ok(_) => Uuid::max(),
        Err(_) => Uuid::nil(),
    }
}

/// Prefix and uuid of an id of any kind.
///
/// # Errors
/// [`InvalidId`] for anything but an id with a known prefix.
pub fn parse_any(text: &str) -> Result<(&'static str, Uuid), InvalidId> {
    let prefix = text.split_once('_').map(|(prefix, _)| prefix);
    let known = PREFIXES.iter().find(|(known, _)| Some(*known) == prefix);
    let (prefix, _) = known.ok_or(InvalidId { expected: "tsk" })?;
    parse(text, prefix).map(|uuid| (*prefix, uuid))
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident $prefix:literal),* $(,)?) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, diesel::expression::AsExpression, diesel::deserialize::FromSqlRow)]
            #[diesel(sql_type = diesel::sql_types::Uuid)]
            pub struct $name(Uuid);

            impl $name {
                /// A new id, ordered by `at`.
                pub fn new(at: DateTime<Utc>) -> Self { Self(uuid_v7(at)) }
            }

            impl Id for $name {
                const PREFIX: &'static str = $prefix;
                fn from_uuid(uuid: Uuid) -> Self { Self(uuid) }
                fn uuid(self) -> Uuid { self.0 }
            }

            impl std::fmt::Display for $name {
                fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    #[derive(Default)]
                    struct Kind;
                    impl type_safe_id::StaticType for Kind {
                        const TYPE: &'static str = $prefix;
                    }
                    std::fmt::Display::fmt(&type_safe_id::TypeSafeId::<Kind>::from_uuid(self.0), f)
                }
            }

            impl std::fmt::Debug for $name {
                fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { std::fmt::Display::fmt(self, f) }
            }

            impl std::str::FromStr for $name {
                type Err = InvalidId;
                fn from_str(text: &str) -> Result<Self, InvalidId> { parse(text, $prefix).map(Self) }
            }

            impl serde::Serialize for $name {
                fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> { to.collect_str(self) }
            }

            impl<'de> serde::Deserialize<'de> for $name {
                fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                    let text = <std::borrow::Cow<'de, str>>::deserialize(from)?;
                    text.parse().map_err(serde::de::Error::custom)
                }
            }

            impl diesel::serialize::ToSql<diesel::sql_types::Uuid, diesel::pg::Pg> for $name {
                fn to_sql<'b>(&'b self, out: &mut diesel::serialize::Output<'b, '_, diesel::pg::Pg>) -> diesel::serialize::Result {
                    <Uuid as diesel::serialize::ToSql<diesel::sql_types::Uuid, diesel::pg::Pg>>::to_sql(&self.0, out)
                }
            }

            impl diesel::deserialize::FromSql<diesel::sql_types::Uuid, diesel::pg::Pg> for $name {
                fn from_sql(bytes: diesel::pg::PgValue<'_>) -> diesel::deserialize::Result<Self> {
                    <Uuid as diesel::deserialize::FromSql<diesel::sql_types::Uuid, diesel::pg::Pg>>::from_sql(bytes).map(Self)
                }
            }

        )*

        /// Every prefix with the name of its type.
        pub const PREFIXES: &[(&str, &str)] = &[$(($prefix, stringify!($name))),*];
    };
}

ids! {
    /// A tenant: the isolation boundary.
    TenantId "tnt",
    /// A person, across tenants.
    UserId "usr",
    /// An e-mail address of a person.
    UserEmailId "eml",
    /// A sign-in session of a person.
    SessionId "ses",
    /// A refresh token; never shown, the token itself is a secret.
    RefreshTokenId "rft",
    /// A person inside one tenant.
    MemberId "mbr",
    /// A role of a tenant.
    RoleId "rol",
    /// A role given to a member, a group or a service account, tenant-wide or on a workspace.
    RoleGrantId "rgr",
    /// A group of members.
    GroupId "grp",
    /// A service account: what a program is in a tenant.
    ServiceAccountId "sva",
    /// A workspace: a part of a tenant.
    WorkspaceId "wsp",
    /// A member's place in a workspace.
    WorkspaceMemberId "wsm",
    /// A project in a workspace.
    ProjectId "prj",
    /// A task in a project.
    TaskId "tsk",
    /// An API key; never the key's secret.
    ApiKeyId "key",
    /// Ownership on its way from one member to another.
    OwnershipTransferId "otr",
    /// An entry of the audit log.
    AuditLogId "aud",
    /// A change of somebody's rights, as the audit log tells it.
    AccessChangeId "acc",
    /// An outgoing event.
    EventId "evt",
    /// A plan that a tenant subscribes to.
    PlanId "pln",
}

/// A request: the 16 bytes of its W3C trace id. Shown as 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct RequestId(Uuid);

impl RequestId {
    /// A fresh request id.
    pub fn new(at: DateTime<Utc>) -> Self {
        Self(uuid_v7(at))
    }

    /// The request id of a trace that began elsewhere; `None` for the all-zero id, which the W3C calls invalid.
    pub fn from_trace(bytes: [u8; 16]) -> Option<Self> {
        (bytes != [0; 16]).then(|| Self(Uuid::from_bytes(bytes)))
    }

    /// The 16 bytes as a uuid, for the database.
    pub fn uuid(self) -> Uuid {
        self.0
    }
}

impl std::fmt::Display for RequestId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0.simple())
    }
}

/// Longer than any id: a prefix, `_` and 26 characters.
const MAX_CHARS: usize = 63;

fn parse(text: &str, prefix: &'static str) -> Result<Uuid, InvalidId> {
    let wrong = InvalidId { expected: prefix };
    // type-safe-id 0.3.3 cuts a long text at a byte and panics in the middle of a character; an id is short and ASCII.
    if !text.is_ascii() || text.len() > MAX_CHARS {
        return Err(wrong);
    }
    let id: type_safe_id::TypeSafeId<type_safe_id::DynamicType> = text.parse().map_err(|_| wrong.clone())?;
    if id.type_prefix() == prefix { Ok(id.uuid()) } else { Err(wrong) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_long_text_with_a_character_across_the_cut_is_no_id() {
        let text = format!("tsk_{}¥ and more", "a".repeat(58));
        assert!(text.parse::<TaskId>().is_err() && parse_any(&text).is_err());
    }

    #[test]
    fn prefixes_are_unique() {
        let mut seen = std::collections::HashSet::new();
        for (prefix, name) in PREFIXES {
            assert!(seen.insert(prefix), "{name} repeats the prefix {prefix}");
        }
    }

    #[test]
    fn a_time_window_is_an_id_window() {
        let at = |text: &str| text.parse::<DateTime<Utc>>().expect("an instant");
        let (noon, after) = (at("2026-11-23T12:00:00.000Z"), at("2026-11-23T12:00:00.001Z"));
        for bits in 0..50 {
            let id = uuid_v7(noon);
            assert!(uuid_at(noon) <= id && id < uuid_at(after), "{bits}");
        }
        assert_eq!(uuid_at(at("1969-12-31T23:59:59Z")), Uuid::nil());
        assert_eq!(uuid_at(DateTime::<Utc>::MAX_UTC), Uuid::max());
    }

    #[test]
    fn the_prefix_tells_the_kind() {
        let id = TaskId(Uuid::from_u128(7));
        assert_eq!(parse_any(&id.to_string()), Ok(("tsk", id.0)));
        for wrong in ["", "tsk", "tsk_", "xyz_01h455vb4pex5vsknk084sn02q", "00000000-0000-0000-0000-000000000007"] {
            assert!(parse_any(wrong).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn every_id_survives_the_way_out_and_in(bits: u128) {
            let id = TaskId(Uuid::from_u128(bits));
            prop_assert_eq!(id.to_string().parse::<TaskId>(), Ok(id));
        }

        #[test]
        fn another_kind_is_refused(bits: u128) {
            let id = TaskId(Uuid::from_u128(bits));
            prop_assert!(id.to_string().parse::<ProjectId>().is_err());
            prop_assert!(id.0.to_string().parse::<TaskId>().is_err());
        }

        #[test]
        fn any_text_is_answered_without_a_panic(text in ".{0,64}") {
            let _ = text.parse::<TaskId>();
        }
    }
}
