//! All SQL of the identity: calls of the doors in `migrations/…_doors`, which alone reach its tables.

use chrono::{DateTime, Utc};
use diesel::{
    QueryableByName,
    sql_types::{Binary, Bool, Inet, Int4, Jsonb, Nullable, Text, Timestamptz, Uuid as SqlUuid},
};
use ipnetwork::IpNetwork;

use super::{keys::StoredKey, types::Email};
use crate::{
    db::{DbError, Person, PersonTx, PlatformTx, Raw, WriteTx},
    ids::{RefreshTokenId, SessionId, UserEmailId, UserId},
};

/// A transaction from which the doors are called: inside the tenant that the request names, or in none.
pub(super) enum DoorTx {
    /// Without a tenant.
    Alone(PersonTx),
    /// Inside a tenant, so that its audit log can be written.
    Inside(WriteTx),
}

impl DoorTx {
    fn call(&self, text: &'static str) -> Raw<'_> {
        match self {
            Self::Alone(tx) => tx.call(text),
            Self::Inside(tx) => tx.call(text),
        }
    }

    fn person(&self) -> Option<Person<'_>> {
        match self {
            Self::Alone(tx) => tx.person(),
            Self::Inside(tx) => tx.person(),
        }
    }
}

/// Whoever has this verified address, with what a sign-in needs.
#[derive(QueryableByName)]
pub(super) struct Account {
    #[diesel(sql_type = SqlUuid, column_name = user_id)]
    pub(super) user: UserId,
    #[diesel(sql_type = Text)]
    pub(super) hash: String,
    #[diesel(sql_type = Text)]
    pub(super) status: String,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub(super) locked_until: Option<DateTime<Utc>>,
}

/// The account behind a verified address. One statement.
pub(super) async fn find_account(tx: &PersonTx, email: &Email) -> Result<Option<Account>, DbError> {
    tx.call("SELECT user_id, hash, status, locked_until FROM app.find_password({})")
        .bind::<Text, _>(email.norm.clone())
        .first()
        .await
}

#[derive(QueryableByName)]
struct Attempts {
    #[diesel(sql_type = Nullable<Timestamptz>)]
    locked_until: Option<DateTime<Utc>>,
}

/// When a row of failed sign-ins locks the account.
#[derive(Clone, Copy, Debug)]
pub(super) struct LockRule {
    pub(super) max_failures: i32,
    pub(super) lock_seconds: i32,
}

/// Counts a failed sign-in, or forgets the failed ones after a good one; gives the end of the lock. One statement.
pub(super) async fn record_sign_in(
    tx: &DoorTx,
    user: UserId,
    succeeded: bool,
    now: DateTime<Utc>,
    rule: LockRule,
) -> Result<Option<DateTime<Utc>>, DbError> {
    let row: Option<Attempts> = tx
        .call("SELECT locked_until FROM app.record_sign_in({}, {}, {}, {}, {})")
        .bind::<SqlUuid, _>(user)
        .bind::<Bool, _>(succeeded)
        .bind::<Timestamptz, _>(now)
        .bind::<Int4, _>(rule.max_failures)
        .bind::<Int4, _>(rule.lock_seconds)
        .first()
        .await?;
    Ok(row.and_then(|row| row.locked_until))
}

/// A session to be opened with its first refresh token.
#[derive(Clone, Debug)]
pub(super) struct NewSession {
    pub(super) id: SessionId,
    pub(super) user: UserId,
    pub(super) refresh_id: RefreshTokenId,
    pub(super) refresh_hash: [u8; 32],
    pub(super) now: DateTime<Utc>,
    pub(super) expires_at: DateTime<Utc>,
    pub(super) refresh_expires_at: DateTime<Utc>,
    pub(super) address: Option<IpNetwork>,
    pub(super) user_agent: Option<String>,
}

/// Opens a session. One statement.
pub(super) async fn create_session(tx: &DoorTx, new: NewSession) -> Result<(), DbError> {
    tx.call("SELECT app.session_create({}, {}, {}, {}, {}, {}, {}, {}, {}, {})")
        .bind::<SqlUuid, _>(new.id)
        .bind::<SqlUuid, _>(new.user)
        .bind::<SqlUuid, _>(new.refresh_id)
        .bind::<Binary, _>(new.refresh_hash.to_vec())
        .bind::<Timestamptz, _>(new.now)
        .bind::<Timestamptz, _>(new.expires_at)
        // A session that nobody refreshes ends with its refresh token.
        .bind::<Timestamptz, _>(new.refresh_expires_at)
        .bind::<Timestamptz, _>(new.refresh_expires_at)
        .bind::<Nullable<Inet>, _>(new.address)
        .bind::<Nullable<Text>, _>(new.user_agent)
        .execute()
        .await
        .map(drop)
}

/// Whether a session still stands.
#[derive(Clone, Debug, QueryableByName)]
pub(super) struct SessionState {
    #[diesel(sql_type = SqlUuid, column_name = user_id)]
    pub(super) user: UserId,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub(super) revoked_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Timestamptz)]
    pub(super) expires_at: DateTime<Utc>,
    #[diesel(sql_type = Timestamptz)]
    pub(super) idle_expires_at: DateTime<Utc>,
    #[diesel(sql_type = Text)]
    pub(super) user_status: String,
}

/// The state of a session. One statement.
pub(super) async fn session_state(tx: &PersonTx, session: SessionId) -> Result<Option<SessionState>, DbError> {
    tx.call("SELECT user_id, revoked_at, expires_at, idle_expires_at, user_status FROM app.session_state({})")
        .bind::<SqlUuid, _>(session)
        .first()
        .await
}

/// What became of a refresh token.
#[derive(QueryableByName)]
pub(super) struct Rotation {
    #[diesel(sql_type = Text)]
    pub(super) outcome: String,
    #[diesel(sql_type = Nullable<SqlUuid>, column_name = session_id)]
    pub(super) session: Option<SessionId>,
    #[diesel(sql_type = Nullable<SqlUuid>, column_name = user_id)]
    pub(super) user: Option<UserId>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub(super) expires_at: Option<DateTime<Utc>>,
}

/// Exchanges a refresh token. Commit whatever the outcome: a reused token ends its session. One statement.
pub(super) async fn rotate(
    tx: &DoorTx,
    old_hash: [u8; 32],
    new_id: RefreshTokenId,
    new_hash: [u8; 32],
    now: DateTime<Utc>,
    new_expires_at: DateTime<Utc>,
) -> Result<Option<Rotation>, DbError> {
    tx.call("SELECT outcome, session_id, user_id, expires_at FROM app.refresh_rotate({}, {}, {}, {}, {}, {})")
        .bind::<Binary, _>(old_hash.to_vec())
        .bind::<SqlUuid, _>(new_id)
        .bind::<Binary, _>(new_hash.to_vec())
        .bind::<Timestamptz, _>(now)
        .bind::<Timestamptz, _>(new_expires_at)
        .bind::<Timestamptz, _>(new_expires_at)
        .first()
        .await
}

/// Ends a session. One statement.
pub(super) async fn revoke_session(
    tx: &DoorTx,
    session: SessionId,
    reason: &'static str,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    tx.call("SELECT app.session_revoke({}, {}, {})")
        .bind::<SqlUuid, _>(session)
        .bind::<Text, _>(reason)
        .bind::<Timestamptz, _>(now)
        .execute()
        .await
        .map(drop)
}

#[derive(QueryableByName)]
struct Proof {
    #[diesel(sql_type = Timestamptz)]
    authenticated_at: DateTime<Utc>,
}

/// When the person of the transaction last proved in this session of theirs who they are. One statement.
pub(super) async fn authenticated_at(person: Person<'_>, session: SessionId) -> Result<Option<DateTime<Utc>>, DbError> {
    let row: Option<Proof> = person
        .call("SELECT authenticated_at FROM sessions WHERE id = {} AND user_id = {} AND revoked_at IS NULL")
        .bind::<SqlUuid, _>(session)
        .bind::<SqlUuid, _>(person.user())
        .first()
        .await?;
    Ok(row.map(|row| row.authenticated_at))
}

#[derive(QueryableByName)]
struct Reauthenticated {
    #[diesel(sql_type = Bool)]
    done: bool,
}

/// Notes a proof in a session of the transaction's person; false if it is not theirs or has ended. One statement.
pub(super) async fn reauthenticate(tx: &DoorTx, session: SessionId, now: DateTime<Utc>) -> Result<bool, DbError> {
    let Some(person) = tx.person() else { return Ok(false) };
    let row: Option<Reauthenticated> = person
        .call("SELECT app.session_reauthenticate({}, {}) AS done")
        .bind::<SqlUuid, _>(session)
        .bind::<Timestamptz, _>(now)
        .first()
        .await?;
    Ok(row.is_some_and(|row| row.done))
}

#[derive(QueryableByName)]
struct Address {
    #[diesel(sql_type = Text)]
    email_norm: String,
}

/// A verified address of the person of the transaction, the primary one if they have several. One statement.
pub(super) async fn own_address(person: Person<'_>) -> Result<Option<String>, DbError> {
    let row: Option<Address> = person
        .call(
            "SELECT email_norm FROM user_emails WHERE user_id = {} AND verified_at IS NOT NULL \
             ORDER BY is_primary DESC, id LIMIT 1",
        )
        .bind::<SqlUuid, _>(person.user())
        .first()
        .await?;
    Ok(row.map(|row| row.email_norm))
}

#[derive(QueryableByName)]
struct KeyRow {
    #[diesel(sql_type = Text)]
    kid: String,
    #[diesel(sql_type = Jsonb)]
    public_jwk: serde_json::Value,
    #[diesel(sql_type = Binary)]
    private_enc: Vec<u8>,
    #[diesel(sql_type = Timestamptz)]
    not_before: DateTime<Utc>,
    #[diesel(sql_type = Timestamptz)]
    retire_at: DateTime<Utc>,
}

/// All keys of this algorithm, oldest first. One statement.
pub(super) async fn signing_keys(tx: &PersonTx, algorithm: &'static str) -> Result<Vec<StoredKey>, DbError> {
    let rows: Vec<KeyRow> = tx
        .call("SELECT kid, public_jwk, private_enc, not_before, retire_at FROM app.signing_keys() WHERE alg = {}")
        .bind::<Text, _>(algorithm)
        .load()
        .await?;
    let stored = rows.into_iter().map(|row| StoredKey {
        kid: row.kid,
        public_jwk: row.public_jwk,
        private_enc: row.private_enc,
        not_before: row.not_before,
        retire_at: row.retire_at,
    });
    Ok(stored.collect())
}

#[derive(QueryableByName)]
struct Added {
    #[diesel(sql_type = Bool)]
    added: bool,
}

/// Adds a key unless another covers its whole time; false then. One statement.
pub(super) async fn add_signing_key(
    tx: &PersonTx,
    algorithm: &'static str,
    key: StoredKey,
    now: DateTime<Utc>,
) -> Result<bool, DbError> {
    let row: Option<Added> = tx
        .call("SELECT app.signing_key_add({}, {}, {}, {}, {}, {}, {}) AS added")
        .bind::<Text, _>(key.kid)
        .bind::<Text, _>(algorithm)
        .bind::<Jsonb, _>(key.public_jwk)
        .bind::<Binary, _>(key.private_enc)
        .bind::<Timestamptz, _>(key.not_before)
        .bind::<Timestamptz, _>(key.retire_at)
        .bind::<Timestamptz, _>(now)
        .first()
        .await?;
    Ok(row.is_some_and(|row| row.added))
}

/// Creates a person with one address. One statement.
pub(super) async fn create_user(
    tx: &PlatformTx,
    user: UserId,
    email: Email,
    display_name: String,
    password_hash: Option<String>,
    is_verified: bool,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    tx.call("SELECT app.user_create({}, {}, {}, {}, {}, {}, {}, {})")
        .bind::<SqlUuid, _>(user)
        .bind::<SqlUuid, _>(UserEmailId::new(now))
        .bind::<Text, _>(email.given)
        .bind::<Text, _>(email.norm)
        .bind::<Text, _>(display_name)
        .bind::<Nullable<Text>, _>(password_hash)
        .bind::<Nullable<Timestamptz>, _>(is_verified.then_some(now))
        .bind::<Timestamptz, _>(now)
        .execute()
        .await
        .map(drop)
}
