//! The tenant and what is true of it.

use chrono::{DateTime, Utc};
use diesel::{
    Queryable, QueryableByName, Selectable,
    sql_types::{Text, Timestamptz, Uuid as SqlUuid},
};

use crate::{
    context::TenantStatus,
    db::tables::{tenant_counters, tenant_settings, tenants},
    domain::members::types::MemberStatus,
    ids::{MemberId, TenantId},
    text_enum,
};

text_enum! {
    /// Where a tenant's subscription stands.
    pub enum SubscriptionState {
        /// There is none.
        None = "none",
        /// On trial.
        Trialing = "trialing",
        /// Paid.
        Active = "active",
        /// A payment is due.
        PastDue = "past_due",
        /// Ended, or ends with the period.
        Cancelled = "cancelled",
    }
}

/// A tenant.
#[derive(Clone, Debug, PartialEq, Queryable, Selectable)]
#[diesel(table_name = tenants)]
pub struct Tenant {
    /// Its id.
    pub id: TenantId,
    /// Its slug.
    pub slug: String,
    /// Its name.
    pub name: String,
    /// Where it stands in its life.
    pub status: TenantStatus,
    /// Free values, an object.
    pub metadata: serde_json::Value,
    /// Where its subscription stands.
    pub subscription_state: SubscriptionState,
    /// When its trial ends.
    pub trial_ends_at: Option<DateTime<Utc>>,
    /// When the paid period ends.
    pub current_period_end: Option<DateTime<Utc>>,
    /// Grows with every change.
    pub version: i32,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
}

/// A tenant with the key of its plan.
#[derive(Clone, Debug, PartialEq)]
pub struct TenantWithPlan {
    /// The tenant.
    pub tenant: Tenant,
    /// The key of its plan, for example `team`.
    pub plan: String,
}

/// Settings of a tenant.
#[derive(Clone, Debug, PartialEq, Queryable, Selectable)]
#[diesel(table_name = tenant_settings)]
pub struct Settings {
    /// BCP 47 tag of the language that is used where a person has chosen none.
    pub locale: String,
    /// IANA name of the time zone that is used where a person has chosen none.
    pub time_zone: String,
    /// Grows with every change.
    pub version: i32,
}

/// What is counted against the limits of the plan; a limit of `None` is none.
#[derive(Clone, Debug, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = tenant_counters)]
pub struct Usage {
    /// Members.
    pub seats_used: i32,
    /// Most members.
    pub seats_limit: Option<i32>,
    /// Workspaces.
    pub workspaces_used: i32,
    /// Most workspaces.
    pub workspaces_limit: Option<i32>,
    /// API keys.
    pub api_keys_used: i32,
    /// Most API keys.
    pub api_keys_limit: Option<i32>,
    /// Whether the plan was lowered below the use.
    pub is_over_limit: bool,
}

/// A person's place in one of their tenants.
#[derive(Clone, Debug, PartialEq, QueryableByName)]
pub struct Membership {
    /// The tenant.
    #[diesel(sql_type = SqlUuid)]
    pub tenant_id: TenantId,
    /// Its slug.
    #[diesel(sql_type = Text)]
    pub slug: String,
    /// Its name.
    #[diesel(sql_type = Text)]
    pub name: String,
    /// Where it stands in its life.
    #[diesel(sql_type = Text)]
    pub status: TenantStatus,
    /// The member that the person is there.
    #[diesel(sql_type = SqlUuid)]
    pub member_id: MemberId,
    /// Where that member stands.
    #[diesel(sql_type = Text)]
    pub member_status: MemberStatus,
    /// When the person became a member.
    #[diesel(sql_type = Timestamptz)]
    pub joined_at: DateTime<Utc>,
}
