//! Cursors: the place after which a page goes on, sealed so that it means something only where it was issued.
//!
//! `base64url(version, order, id, values, hash)`: the values of the order's columns and the id of the last row, for a keyset
//! query; the hash is 8 bytes of HMAC-SHA-256 over all of that and over tenant, field and filter. A cursor that was
//! changed, or that comes from another tenant, field, filter or order, is `INVALID_CURSOR`. It hides nothing: whoever holds
//! it has seen the row it came from.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use hmac::{Hmac, Mac};
use serde::{Serialize, de::DeserializeOwned};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use uuid::Uuid;

use super::{codes::ErrorCode, error::ApiError};
use crate::ids::{Id, TenantId};

const VERSION: u8 = 1;
const HASH_BYTES: usize = 8;
const ID_BYTES: usize = 16;
/// Longer texts are not looked at; the longest value in an order is a name of a few hundred characters.
const MAX_CHARS: usize = 4_096;

/// The server's key for cursors, prepared once.
#[derive(Clone)]
pub struct CursorKey(Hmac<Sha256>);

impl CursorKey {
    /// The key made of these bytes; all processes that serve one installation need the same.
    pub fn new(key: &[u8; 32]) -> Self {
        Self(Hmac::new_from_slice(key).expect("HMAC takes a key of any length"))
    }

    /// What seals and opens the cursors of one list.
    ///
    /// `field` is type and field, for example `Workspace.tasks`. `filter` is everything else that decides which rows the
    /// list holds: the filter argument and the id of the parent. `order` is the key of the order, at most 255 bytes.
    pub fn list(
        &self,
        tenant: Option<TenantId>,
        field: &str,
        filter: &impl Serialize,
        order: &'static str,
    ) -> ListCursors {
        debug_assert!(order.len() <= 255, "the length of an order's key is one byte");
        let mut state = self.0.clone();
        state.update(&tenant.map_or([0; 16], |tenant| tenant.uuid().into_bytes()));
        let filter = serde_json::to_vec(filter).unwrap_or_default();
        for part in [field.as_bytes(), &filter, order.as_bytes()] {
            state.update(&(part.len() as u64).to_be_bytes());
            state.update(part);
        }
        ListCursors { state, order }
    }
}

impl std::fmt::Debug for CursorKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CursorKey(…)")
    }
}

/// Seals and opens the cursors of one list: one tenant, field, filter and order.
#[derive(Clone)]
pub struct ListCursors {
    state: Hmac<Sha256>,
    order: &'static str,
}

impl std::fmt::Debug for ListCursors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ListCursors({})", self.order)
    }
}

/// An opened cursor: the values of the order's columns and the id of the row it stands on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor<V> {
    /// The values of the order's columns, in their order.
    pub values: V,
    /// The id that ends every order.
    pub id: Uuid,
}

impl<V> Cursor<V> {
    /// The id as one of a kind.
    pub fn id<T: Id>(&self) -> T {
        T::from_uuid(self.id)
    }
}

impl ListCursors {
    /// The cursor of the row with these values and this id.
    pub fn seal(&self, values: &impl Serialize, id: Uuid) -> String {
        let mut body = Vec::with_capacity(96);
        body.extend([VERSION, self.order.len() as u8]);
        body.extend(self.order.as_bytes());
        body.extend(id.as_bytes());
        // Numbers, texts, times and options: nothing that JSON cannot hold. A row that fails all the same gets a cursor
        // that nobody can open, instead of a page without an answer.
        if serde_json::to_writer(&mut body, values).is_err() {
            tracing::error!(order = self.order, "the values of an order do not fit into a cursor");
        }
        let hash = self.hash(&body);
        body.extend(hash);
        BASE64_URL_SAFE_NO_PAD.encode(body)
    }

    /// Opens a cursor that was sealed for this very list.
    ///
    /// # Errors
    /// `INVALID_CURSOR` for every other text, without saying why.
    pub fn open<V: DeserializeOwned>(&self, cursor: &str) -> Result<Cursor<V>, ApiError> {
        self.try_open(cursor).ok_or_else(|| {
            ApiError::new(
                ErrorCode::InvalidCursor,
                "This cursor was not issued for this list with this filter and order. Start again without it.",
            )
        })
    }

    fn try_open<V: DeserializeOwned>(&self, cursor: &str) -> Option<Cursor<V>> {
        if cursor.len() > MAX_CHARS {
            return None;
        }
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(cursor).ok()?;
        let (body, hash) = bytes.split_last_chunk::<HASH_BYTES>()?;
        if !bool::from(self.hash(body).ct_eq(hash)) {
            return None;
        }
        let rest = body.strip_prefix(&[VERSION, self.order.len() as u8])?.strip_prefix(self.order.as_bytes())?;
        let (id, values) = rest.split_first_chunk::<ID_BYTES>()?;
        Some(Cursor { values: serde_json::from_slice(values).ok()?, id: Uuid::from_bytes(*id) })
    }

    fn hash(&self, body: &[u8]) -> [u8; HASH_BYTES] {
        let mut state = self.state.clone();
        state.update(body);
        let full = state.finalize().into_bytes();
        std::array::from_fn(|at| full[at])
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key() -> CursorKey {
        CursorKey::new(&[7; 32])
    }

    fn tenant(n: u128) -> Option<TenantId> {
        Some(TenantId::from_uuid(Uuid::from_u128(n)))
    }

    fn list() -> ListCursors {
        key().list(tenant(1), "Query.tasks", &("open", 3), "dueOn")
    }

    fn refused(list: &ListCursors, cursor: &str) -> bool {
        matches!(list.open::<(Option<i64>, String)>(cursor), Err(error) if error.code == ErrorCode::InvalidCursor)
    }

    #[test]
    fn a_cursor_of_another_list_is_refused() {
        let cursor = list().seal(&(Some(4), "Mow the lawn"), Uuid::from_u128(9));
        assert!(!refused(&list(), &cursor));
        assert!(refused(&key().list(tenant(2), "Query.tasks", &("open", 3), "dueOn"), &cursor));
        assert!(refused(&key().list(None, "Query.tasks", &("open", 3), "dueOn"), &cursor));
        assert!(refused(&key().list(tenant(1), "Query.tasksd", &("open", 3), "ueOn"), &cursor));
        assert!(refused(&key().list(tenant(1), "Workspace.tasks", &("open", 3), "dueOn"), &cursor));
        assert!(refused(&key().list(tenant(1), "Query.tasks", &("done", 3), "dueOn"), &cursor));
        assert!(refused(&key().list(tenant(1), "Query.tasks", &("open", 3), "title"), &cursor));
        let other_key = CursorKey::new(&[8; 32]);
        assert!(refused(&other_key.list(tenant(1), "Query.tasks", &("open", 3), "dueOn"), &cursor));
    }

    proptest! {
        #[test]
        fn a_cursor_opens_to_what_was_sealed(number: Option<i64>, text in ".{0,80}", id: u128) {
            let cursor = list().seal(&(number, &text), Uuid::from_u128(id));
            let opened = list().open::<(Option<i64>, String)>(&cursor).expect("opens");
            prop_assert_eq!(opened, Cursor { values: (number, text), id: Uuid::from_u128(id) });
        }

        #[test]
        fn one_changed_character_is_refused(number: Option<i64>, text in "[a-z]{0,20}", at: prop::sample::Index, with in "[A-Za-z0-9_-]") {
            let cursor = list().seal(&(number, &text), Uuid::from_u128(1));
            let mut changed: Vec<char> = cursor.chars().collect();
            let at = at.index(changed.len());
            changed[at] = with.chars().next().expect("one character");
            let changed: String = changed.into_iter().collect();
            prop_assert_eq!(refused(&list(), &changed), changed != cursor);
        }

        #[test]
        fn any_text_is_refused_without_a_panic(text in ".{0,200}") {
            prop_assert!(refused(&list(), &text));
        }

        #[test]
        fn any_bytes_are_refused_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            prop_assert!(refused(&list(), &BASE64_URL_SAFE_NO_PAD.encode(bytes)));
        }
    }
}
