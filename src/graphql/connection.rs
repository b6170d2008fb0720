//! Pages of a list, after the Relay connection specification.
//!
//! A resolver turns its arguments into a [`PageRequest`], the store fetches one row more than asked for, [`Page::of_rows`]
//! makes the page, and the type that [`connection!`](crate::connection) made shows it:
//!
//! ```text
//! connection!(TaskConnection, TaskEdge, TaskNode, "A page of tasks.");
//!
//! #[graphql(directive = requires_scopes::apply(Permission::TasksRead), directive = list_size::apply(PAGED))]
//! async fn tasks(&self, ctx: &Context<'_>, first: Option<i32>, after: Option<String>, last: Option<i32>,
//!     before: Option<String>) -> Option<Result<TaskConnection>> {
//!     let page = PageArgs { first, after, last, before }.check()?;
//!     let cursors = keys.list(Some(tenant), "Query.tasks", &filter, "createdAt");
//!     let from = page.cursor.as_deref().map(|text| cursors.open::<(Timestamp,)>(text)).transpose()?;
//!     let rows = store::page(tx, &filter, page.direction, from, page.fetch()).await?;
//!     let page = Page::of_rows(rows, &page, move |task| cursors.seal(&(task.created_at,), task.id.uuid()));
//!     Ok(TaskConnection(page.counted(move || service::count(…))))
//! }
//! ```
//!
//! Cursors are made only for what is selected, the total is counted only when it is.

use std::{future::Future, pin::Pin};

use async_graphql::Object;

use super::{directives::cost, error::ApiError};

/// How many rows a page has when nothing is said.
pub const DEFAULT_PAGE_SIZE: usize = 25;
/// How many rows a page may have; more is an error, never cut in silence.
pub const MAX_PAGE_SIZE: usize = 100;
/// Counting stops here; beyond it `totalCount` is null.
pub const MAX_COUNTED: i64 = 10_000;

/// The four arguments of every connection, as they came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PageArgs {
    /// So many rows from the start, or after `after`.
    pub first: Option<i32>,
    /// The cursor after which the page begins.
    pub after: Option<String>,
    /// So many rows before the end, or before `before`.
    pub last: Option<i32>,
    /// The cursor before which the page ends.
    pub before: Option<String>,
}

/// Which way a page reads the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// In the list's order, from the start or a cursor.
    Forward,
    /// Against it, from the end or a cursor; the page is shown in the list's order all the same.
    Backward,
}

/// The arguments of a connection, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageRequest {
    /// How many rows, 1 to [`MAX_PAGE_SIZE`].
    pub size: usize,
    /// Which way to read.
    pub direction: Direction,
    /// Where to go on from; still sealed.
    pub cursor: Option<String>,
}

impl PageArgs {
    /// Checks the arguments against each other.
    ///
    /// # Errors
    /// `BAD_USER_INPUT` for a size outside 1 to 100, `first` with `last`, or a cursor of the other direction.
    pub fn check(self) -> Result<PageRequest, ApiError> {
        let (name, asked, direction, cursor) = match self {
            PageArgs { first: Some(_), last: Some(_), .. } => {
                return Err(ApiError::bad_input("last", "Use either first or last."));
            }
            PageArgs { after: Some(_), last: Some(_), .. } => {
                return Err(ApiError::bad_input("after", "Use after with first, before with last."));
            }
            PageArgs { before: Some(_), last: None, .. } => {
                return Err(ApiError::bad_input("before", "Use before with last, after with first."));
            }
            PageArgs { last: Some(last), before, .. } => ("last", Some(last), Direction::Backward, before),
            PageArgs { first, after, .. } => ("first", first, Direction::Forward, after),
        };
        let size = match asked.map(usize::try_from) {
            None => DEFAULT_PAGE_SIZE,
            Some(Ok(size)) if (1..=MAX_PAGE_SIZE).contains(&size) => size,
            Some(_) => {
                return Err(ApiError::bad_input(name, format!("{name} must be between 1 and {MAX_PAGE_SIZE}."))
                    .with("min", 1)
                    .with("max", MAX_PAGE_SIZE));
            }
        };
        Ok(PageRequest { size, direction, cursor })
    }
}

impl PageRequest {
    /// How many rows to fetch: one more than shown, to know whether the list goes on.
    pub fn fetch(&self) -> i64 {
        self.size as i64 + 1
    }
}

type CursorOf<T> = Box<dyn Fn(&T) -> String + Send + Sync>;
type Counting = Pin<Box<dyn Future<Output = Result<Option<i64>, ApiError>> + Send>>;

enum Total {
    Known(Option<i64>),
    Count(Box<dyn Fn() -> Counting + Send + Sync>),
}

/// One page of a list, in the list's order.
pub struct Page<T> {
    /// What is on it.
    pub items: Vec<T>,
    /// Whether the list goes on behind it.
    pub has_next: bool,
    /// Whether the list has something before it.
    pub has_previous: bool,
    cursor_of: CursorOf<T>,
    total: Total,
}

impl<T> Page<T> {
    /// A page with these items; `cursor_of` makes the cursor of an item when somebody asks for it.
    pub fn new(
        items: Vec<T>,
        has_next: bool,
        has_previous: bool,
        cursor_of: impl Fn(&T) -> String + Send + Sync + 'static,
    ) -> Self {
        Self { items, has_next, has_previous, cursor_of: Box::new(cursor_of), total: Total::Known(None) }
    }

    /// A page of rows as a keyset query gives them: in reading direction, and [one more](PageRequest::fetch) than asked
    /// for if there are more.
    pub fn of_rows(
        mut rows: Vec<T>,
        request: &PageRequest,
        cursor_of: impl Fn(&T) -> String + Send + Sync + 'static,
    ) -> Self {
        let goes_on = rows.len() > request.size;
        rows.truncate(request.size);
        // What the cursor stands on was there when it was issued. Whether it still is would take another query.
        let came_from = request.cursor.is_some();
        match request.direction {
            Direction::Forward => Self::new(rows, goes_on, came_from, cursor_of),
            Direction::Backward => {
                rows.reverse();
                Self::new(rows, came_from, goes_on, cursor_of)
            }
        }
    }

    /// A page with nothing on it, for a list of which the caller may see nothing.
    pub fn empty() -> Self {
        Self { total: Total::Known(Some(0)), ..Self::new(Vec::new(), false, false, |_| String::new()) }
    }

    /// With the number of all items, or `None` beyond [`MAX_COUNTED`].
    pub fn with_total(mut self, total: Option<i64>) -> Self {
        self.total = Total::Known(total);
        self
    }

    /// With a way to count all items, run only when `totalCount` is selected.
    pub fn counted<F>(mut self, count: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<Option<i64>, ApiError>> + Send + 'static,
    {
        self.total = Total::Count(Box::new(move || Box::pin(count())));
        self
    }

    /// The page with each item turned into something else; `back` finds the original again for its cursor.
    pub fn map<U>(self, into: impl FnMut(T) -> U, back: impl Fn(&U) -> &T + Send + Sync + 'static) -> Page<U>
    where
        T: 'static,
    {
        let cursor_of = self.cursor_of;
        Page {
            items: self.items.into_iter().map(into).collect(),
            has_next: self.has_next,
            has_previous: self.has_previous,
            cursor_of: Box::new(move |item| cursor_of(back(item))),
            total: self.total,
        }
    }

    /// The cursor of an item on this page.
    pub fn cursor_of(&self, item: &T) -> String {
        (self.cursor_of)(item)
    }

    /// The number of all items, `None` beyond [`MAX_COUNTED`]; runs the counter if there is one.
    ///
    /// # Errors
    /// Whatever the counter fails with.
    pub async fn total_count(&self) -> Result<Option<i64>, ApiError> {
        match &self.total {
            Total::Known(total) => Ok(*total),
            Total::Count(count) => Ok(count().await?.filter(|total| *total <= MAX_COUNTED)),
        }
    }
}

/// What [`PageInfo`] wants to know of a page, whatever is on it.
#[doc(hidden)]
pub trait Bounds: Send + Sync {
    fn goes_on(&self) -> bool;
    fn goes_back(&self) -> bool;
    fn first_cursor(&self) -> Option<String>;
    fn last_cursor(&self) -> Option<String>;
}

impl<T: Send + Sync> Bounds for Page<T> {
    fn goes_on(&self) -> bool {
        self.has_next
    }

    fn goes_back(&self) -> bool {
        self.has_previous
    }

    fn first_cursor(&self) -> Option<String> {
        self.items.first().map(|item| self.cursor_of(item))
    }

    fn last_cursor(&self) -> Option<String> {
        self.items.last().map(|item| self.cursor_of(item))
    }
}

/// Where a page stands in its list.
pub struct PageInfo<'a>(#[doc(hidden)] pub &'a dyn Bounds);

/// Where a page stands in its list.
#[Object(directive = cost::apply(0))]
impl PageInfo<'_> {
    /// Whether the list goes on behind this page.
    async fn has_next_page(&self) -> bool {
        self.0.goes_on()
    }

    /// Whether the list has something before this page.
    async fn has_previous_page(&self) -> bool {
        self.0.goes_back()
    }

    /// The cursor of the first item; pass it as `before` to read backward. Null on an empty page.
    async fn start_cursor(&self) -> Option<String> {
        self.0.first_cursor()
    }

    /// The cursor of the last item; pass it as `after` to go on. Null on an empty page.
    async fn end_cursor(&self) -> Option<String> {
        self.0.last_cursor()
    }
}

/// Makes the GraphQL types of a connection: `connection!(TaskConnection, TaskEdge, TaskNode, "A page of tasks.")`.
///
/// The connection is a tuple struct around a [`Page`] of the node.
#[macro_export]
macro_rules! connection {
    ($connection:ident, $edge:ident, $node:ty, $doc:literal) => {
        #[doc = $doc]
        pub struct $connection(
            /// The page.
            pub $crate::graphql::Page<$node>,
        );

        #[doc = $doc]
        #[::async_graphql::Object]
        impl $connection {
            /// The items with their cursors.
            async fn edges(&self) -> $crate::graphql::inline::InlineList<$edge<'_>> {
                let edge = |node| $edge { node, page: &self.0 };
                $crate::graphql::inline::InlineList(self.0.items.iter().map(edge).collect())
            }

            /// The items.
            async fn nodes(&self) -> $crate::graphql::inline::InlineList<&$node> {
                $crate::graphql::inline::InlineList(self.0.items.iter().collect())
            }

            /// Where this page stands in the list.
            async fn page_info(&self) -> $crate::graphql::connection::PageInfo<'_> {
                $crate::graphql::connection::PageInfo(&self.0)
            }

            /// How many items the list has over all pages; null beyond 10000. Counted only when selected.
            #[graphql(directive = $crate::graphql::directives::cost::apply(10))]
            async fn total_count(&self) -> ::std::option::Option<::async_graphql::Result<i64>> {
                self.0.total_count().await.map_err(::std::convert::Into::into).transpose()
            }
        }

        /// One item of a page with its cursor.
        pub struct $edge<'a> {
            node: &'a $node,
            page: &'a $crate::graphql::Page<$node>,
        }

        /// One item of a page with its cursor.
        #[::async_graphql::Object(directive = $crate::graphql::directives::cost::apply(0))]
        impl $edge<'_> {
            /// The item.
            async fn node(&self) -> $crate::graphql::inline::Inline<&$node> {
                $crate::graphql::inline::Inline(self.node)
            }

            /// The place of the item in this list; pass it as `after` or `before`.
            async fn cursor(&self) -> ::std::string::String {
                self.page.cursor_of(self.node)
            }
        }
    };
}

#[cfg(test)]
#[path = "connection_tests.rs"]
mod tests;
