//! Batches of members and of the people behind them.

use std::collections::HashMap;

use super::{
    service::sight,
    store,
    types::{Member, Sight, User},
};
use crate::{
    context::RequestContext,
    db::{DbError, TenantTx},
    domain::reading::Batch,
    ids::{MemberId, UserId},
};

/// Members by id.
pub struct MemberById;

impl Batch for MemberById {
    type Key = MemberId;
    type Value = Member;

    async fn load(
        tx: &TenantTx,
        ctx: &RequestContext,
        keys: &[MemberId],
    ) -> Result<HashMap<MemberId, Member>, DbError> {
        let sight = sight(ctx);
        if sight == Sight::None {
            return Ok(HashMap::new());
        }
        let found = store::find_many(tx, keys, &sight).await?;
        Ok(found.into_iter().map(|member| (member.id, member)).collect())
    }
}

/// People by id, as far as they are members here.
pub struct UserById;

impl Batch for UserById {
    type Key = UserId;
    type Value = User;

    async fn load(tx: &TenantTx, ctx: &RequestContext, keys: &[UserId]) -> Result<HashMap<UserId, User>, DbError> {
        let sight = sight(ctx);
        if sight == Sight::None {
            return Ok(HashMap::new());
        }
        Ok(store::find_users(tx, keys, &sight).await?.into_iter().map(|user| (user.id, user)).collect())
    }
}

/// The names that members go by: for lists of who did what.
pub struct NameOfMember;

impl Batch for NameOfMember {
    type Key = MemberId;
    type Value = String;

    async fn load(
        tx: &TenantTx,
        ctx: &RequestContext,
        keys: &[MemberId],
    ) -> Result<HashMap<MemberId, String>, DbError> {
        let sight = sight(ctx);
        if sight == Sight::None {
            return Ok(HashMap::new());
        }
        let found = store::names(tx, keys, &sight).await?;
        Ok(found.into_iter().map(|(id, here, own)| (id, here.unwrap_or(own))).collect())
    }
}
