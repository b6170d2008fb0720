//! Batches of groups and of who is in them.

use std::collections::HashMap;

use super::{
    store::{self, MemberSlice},
    types::{Group, GroupMember},
};
use crate::{
    access::{On, Permission},
    context::RequestContext,
    db::{DbError, TenantTx},
    domain::reading::{Batch, Under, by_wish, counts, pages},
    graphql::connection::MAX_COUNTED,
    ids::GroupId,
};

fn sees_groups(ctx: &RequestContext) -> bool {
    ctx.can(Permission::GroupsRead, On::Tenant)
}

/// Groups by id.
pub struct GroupById;

impl Batch for GroupById {
    type Key = GroupId;
    type Value = Group;

    async fn load(tx: &TenantTx, ctx: &RequestContext, keys: &[GroupId]) -> Result<HashMap<GroupId, Group>, DbError> {
        if !sees_groups(ctx) {
            return Ok(HashMap::new());
        }
        Ok(store::find_many(tx, keys).await?.into_iter().map(|group| (group.id, group)).collect())
    }
}

/// Pages of the members of groups.
pub struct MembersOfGroup;

impl Batch for MembersOfGroup {
    type Key = Under<MemberSlice>;
    type Value = Vec<GroupMember>;

    async fn load(
        tx: &TenantTx,
        ctx: &RequestContext,
        keys: &[Self::Key],
    ) -> Result<HashMap<Self::Key, Vec<GroupMember>>, DbError> {
        if !sees_groups(ctx) {
            return Ok(HashMap::new());
        }
        let found = by_wish(keys, |slice, parents| async move { store::members(tx, parents, &slice).await });
        Ok(pages(keys, found.await?))
    }
}

/// How many members groups have.
pub struct MembersOfGroupCounted;

impl Batch for MembersOfGroupCounted {
    type Key = Under<()>;
    type Value = i64;

    async fn load(tx: &TenantTx, ctx: &RequestContext, keys: &[Self::Key]) -> Result<HashMap<Self::Key, i64>, DbError> {
        if !sees_groups(ctx) {
            return Ok(HashMap::new());
        }
        let found = by_wish(keys, |(), parents| store::count_members(tx, parents, MAX_COUNTED));
        Ok(counts(found.await?))
    }
}
