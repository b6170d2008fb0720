//! Offers of ownership and what is true of them.

use chrono::{DateTime, Duration, Utc};
use diesel::{Queryable, Selectable};

use crate::{
    db::tables::ownership_transfers,
    domain::mutation::Effect,
    ids::{MemberId, OwnershipTransferId},
    text_enum,
};

/// How long an offer waits for its answer.
pub const OPEN_FOR: Duration = Duration::days(7);

text_enum! {
    /// Where an offer of ownership stands.
    pub enum OwnershipTransferState {
        /// It waits for an answer.
        Pending = "pending",
        /// It was accepted.
        Accepted = "accepted",
        /// It was taken back or declined.
        Cancelled = "cancelled",
        /// Nobody answered in time.
        Expired = "expired",
    }
}

/// An offer of ownership.
#[derive(Clone, Debug, PartialEq, Queryable, Selectable)]
#[diesel(table_name = ownership_transfers)]
pub struct OwnershipTransfer {
    /// Its id.
    pub id: OwnershipTransferId,
    /// The owner who offers it.
    pub from_member_id: MemberId,
    /// The member to whom it is offered.
    pub to_member_id: MemberId,
    /// Where it stands.
    pub state: OwnershipTransferState,
    /// Until when it can be accepted.
    pub expires_at: DateTime<Utc>,
    /// When it was answered, taken back or found to be too old.
    pub resolved_at: Option<DateTime<Utc>>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

impl Effect for OwnershipTransfer {
    type Key = OwnershipTransferId;
    fn key(&self) -> OwnershipTransferId {
        self.id
    }
}
