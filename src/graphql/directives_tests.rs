use async_graphql::{EmptySubscription, InputObject, MergedObject, Object, SDLExportOptions, Schema, SimpleObject};

use super::*;
use crate::{access::Permission::*, graphql::policy::PolicyTable};

struct Item;

/// An item.
#[Object(directive = tenant_scoped::apply(), directive = requires_scopes::apply(TasksRead), directive = cost::apply(3))]
impl Item {
    /// The name.
    async fn name(&self) -> &str {
        "mop"
    }
}

/// A plain item.
#[derive(SimpleObject)]
#[graphql(directive = tenant_scoped::apply(), directive = authenticated::apply())]
struct PlainItem {
    /// The secret.
    #[graphql(directive = sensitive::apply(), directive = requires_scopes::apply([ApiKeysRead, ApiKeysRotate]))]
    secret: String,
}

/// What to make.
#[derive(InputObject)]
struct ItemInput {
    /// The password.
    #[graphql(directive = sensitive::apply())]
    password: String,
}

#[derive(Default)]
struct Items;

#[Object]
impl Items {
    /// Items.
    #[graphql(directive = requires_scopes::apply(any_of([TasksRead, ProjectsRead])), directive = list_size::apply(PAGED))]
    async fn items(&self, first: Option<i32>, last: Option<i32>) -> Vec<Item> {
        let _ = (first, last);
        vec![Item]
    }

    /// Items by id.
    #[graphql(directive = authenticated::apply(), directive = tenant_scoped::apply(), directive = list_size::apply(BY_IDS))]
    async fn items_by_id(&self, ids: Vec<async_graphql::ID>) -> Vec<Item> {
        ids.iter().map(|_| Item).collect()
    }
}

#[derive(Default)]
struct Other;

#[Object]
impl Other {
    /// A plain one.
    #[graphql(directive = public::apply(), directive = cost::apply(7))]
    async fn plain(&self) -> PlainItem {
        PlainItem { secret: "s".into() }
    }
}

#[derive(Default)]
struct ItemMutations;

#[Object]
impl ItemMutations {
    /// Makes an item.
    #[graphql(directive = requires_scopes::apply(TasksWrite), directive = audited::apply("item.create"))]
    async fn item_create(&self, #[graphql(directive = sensitive::apply())] input: ItemInput) -> Option<Item> {
        (!input.password.is_empty()).then_some(Item)
    }
}

#[derive(MergedObject, Default)]
struct Query(Items, Other);

#[derive(MergedObject, Default)]
struct Mutation(ItemMutations);

#[test]
fn every_declaration_reaches_the_schema_text() {
    let schema = Schema::new(Query::default(), Mutation::default(), EmptySubscription);
    let sdl = schema.sdl_with_options(SDLExportOptions::new().prefer_single_line_descriptions().use_space_ident());
    insta::assert_snapshot!(sdl);
    PolicyTable::from_sdl(&sdl).expect("the policy pass reads it back");
}
