//! Tasks and what is true of them.

use chrono::{DateTime, NaiveDate, Utc};
use diesel::{AsChangeset, Insertable, Queryable, QueryableByName, Selectable};

use crate::{
    db::tables::tasks,
    domain::{Problem, mutation::Effect, text},
    graphql::codes::UserErrorCode,
    ids::{MemberId, ProjectId, TaskId, WorkspaceId},
    text_enum,
};

/// Longest title, in characters. The table has the same CHECK.
pub const MAX_TITLE_CHARS: usize = 200;
/// Longest description, in characters.
pub const MAX_DESCRIPTION_CHARS: usize = 10_000;
/// Most points.
pub const MAX_POINTS: i32 = 100;

text_enum! {
    /// Where a task stands.
    pub enum TaskState {
        /// Not begun.
        Todo = "todo",
        /// Somebody works on it.
        InProgress = "in_progress",
        /// Completed.
        Done = "done",
        /// Given up.
        Cancelled = "cancelled",
    }
}

/// A task.
#[derive(Clone, Debug, PartialEq, Queryable, QueryableByName, Selectable)]
#[diesel(table_name = tasks)]
pub struct Task {
    /// Its id.
    pub id: TaskId,
    /// The project it belongs to.
    pub project_id: ProjectId,
    /// The workspace of that project.
    pub workspace_id: WorkspaceId,
    /// One line.
    pub title: String,
    /// More, or empty.
    pub description: String,
    /// Where it stands.
    pub state: TaskState,
    /// Estimated size, 0 to 100.
    pub points: Option<i32>,
    /// The day it is due.
    pub due_on: Option<NaiveDate>,
    /// The member who works on it.
    pub assignee_member_id: Option<MemberId>,
    /// When it was done.
    pub completed_at: Option<DateTime<Utc>>,
    /// Grows with every change.
    pub version: i32,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
}

/// What every list shows of a task: what its orders and their cursors are made of, and where it stands.
#[derive(Clone, Debug, PartialEq, Queryable, Selectable)]
#[diesel(table_name = tasks)]
pub struct TaskLine {
    /// Its id.
    pub id: TaskId,
    /// One line.
    pub title: String,
    /// Where it stands.
    pub state: TaskState,
    /// The day it is due.
    pub due_on: Option<NaiveDate>,
    /// When it was created.
    pub created_at: DateTime<Utc>,
}

/// What a list reads only if somebody asks for it.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskRest {
    /// The project it belongs to.
    pub project_id: ProjectId,
    /// The workspace of that project.
    pub workspace_id: WorkspaceId,
    /// More, or empty.
    pub description: String,
    /// Estimated size, 0 to 100.
    pub points: Option<i32>,
    /// The member who works on it.
    pub assignee_member_id: Option<MemberId>,
    /// When it was done.
    pub completed_at: Option<DateTime<Utc>>,
    /// Grows with every change.
    pub version: i32,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
}

/// A task as far as it was read.
#[derive(Clone, Debug, PartialEq)]
pub struct ShownTask {
    /// What is always there.
    pub line: TaskLine,
    /// Absent if nobody asked for any of it.
    pub rest: Option<TaskRest>,
}

impl From<TaskLine> for ShownTask {
    fn from(line: TaskLine) -> Self {
        Self { line, rest: None }
    }
}

impl From<Task> for ShownTask {
    fn from(task: Task) -> Self {
        Self {
            line: TaskLine {
                id: task.id,
                title: task.title,
                state: task.state,
                due_on: task.due_on,
                created_at: task.created_at,
            },
            rest: Some(TaskRest {
                project_id: task.project_id,
                workspace_id: task.workspace_id,
                description: task.description,
                points: task.points,
                assignee_member_id: task.assignee_member_id,
                completed_at: task.completed_at,
                version: task.version,
                updated_at: task.updated_at,
            }),
        }
    }
}

impl Effect for Task {
    type Key = TaskId;
    fn key(&self) -> TaskId {
        self.id
    }
}

/// A task to be created, checked.
#[derive(Clone, Debug, Insertable)]
#[diesel(table_name = tasks)]
pub struct NewTask {
    pub(super) id: TaskId,
    pub(super) project_id: ProjectId,
    pub(super) workspace_id: WorkspaceId,
    pub(super) title: String,
    pub(super) description: String,
    pub(super) state: TaskState,
    pub(super) points: Option<i32>,
    pub(super) due_on: Option<NaiveDate>,
    pub(super) assignee_member_id: Option<MemberId>,
    pub(super) completed_at: Option<DateTime<Utc>>,
    pub(super) created_at: DateTime<Utc>,
    pub(super) updated_at: DateTime<Utc>,
}

impl NewTask {
    /// The task as it stands in the table once it is inserted.
    pub(super) fn made(&self) -> Task {
        Task {
            id: self.id,
            project_id: self.project_id,
            workspace_id: self.workspace_id,
            title: self.title.clone(),
            description: self.description.clone(),
            state: self.state,
            points: self.points,
            due_on: self.due_on,
            assignee_member_id: self.assignee_member_id,
            completed_at: self.completed_at,
            version: 1,
            created_at: self.created_at,
            updated_at: self.updated_at,
        }
    }
}

/// What somebody says about a new task.
#[derive(Clone, Debug, Default)]
pub struct TaskDraft {
    /// One line.
    pub title: String,
    /// More, or nothing.
    pub description: Option<String>,
    /// Where it stands; [`TaskState::Todo`] if not said.
    pub state: Option<TaskState>,
    /// Estimated size.
    pub points: Option<i32>,
    /// The day it is due.
    pub due_on: Option<NaiveDate>,
    /// The member who works on it.
    pub assignee: Option<MemberId>,
}

impl TaskDraft {
    /// What is wrong with it; paths begin with `at`.
    pub fn problems(&self, at: &str) -> Vec<Problem> {
        let mut problems = Vec::new();
        problems.extend(title_problem(&self.title, at));
        problems.extend(self.description.as_deref().and_then(|text| description_problem(text, at)));
        problems.extend(self.points.and_then(|points| points_problem(points, at)));
        problems.extend(self.due_on.and_then(|day| due_problem(day, at)));
        problems
    }

    pub(super) fn checked(self, project: ProjectId, workspace: WorkspaceId, id: TaskId, now: DateTime<Utc>) -> NewTask {
        let state = self.state.unwrap_or(TaskState::Todo);
        NewTask {
            id,
            project_id: project,
            workspace_id: workspace,
            title: self.title.trim().to_owned(),
            description: self.description.unwrap_or_default(),
            state,
            points: self.points,
            due_on: self.due_on,
            assignee_member_id: self.assignee,
            completed_at: (state == TaskState::Done).then_some(now),
            created_at: now,
            updated_at: now,
        }
    }
}

/// Changes of a task: absent keeps, `Some(None)` clears.
#[derive(Clone, Debug, Default, AsChangeset)]
#[diesel(table_name = tasks)]
pub struct TaskChanges {
    /// A new title.
    pub title: Option<String>,
    /// A new description.
    pub description: Option<String>,
    /// A new state.
    pub state: Option<TaskState>,
    /// A new size.
    pub points: Option<Option<i32>>,
    /// A new due date.
    pub due_on: Option<Option<NaiveDate>>,
    /// A new assignee.
    pub assignee_member_id: Option<Option<MemberId>>,
    /// Follows from the state.
    pub(super) completed_at: Option<Option<DateTime<Utc>>>,
}

impl TaskChanges {
    /// What is wrong with them; paths begin with `at`.
    pub fn problems(&self, at: &str) -> Vec<Problem> {
        let mut problems = Vec::new();
        problems.extend(self.title.as_deref().and_then(|title| title_problem(title, at)));
        problems.extend(self.description.as_deref().and_then(|text| description_problem(text, at)));
        problems.extend(self.points.flatten().and_then(|points| points_problem(points, at)));
        problems.extend(self.due_on.flatten().and_then(|day| due_problem(day, at)));
        problems
    }

    /// The names of the changed fields, for the audit entry.
    pub fn names(&self) -> Vec<&'static str> {
        [
            ("title", self.title.is_some()),
            ("description", self.description.is_some()),
            ("state", self.state.is_some()),
            ("points", self.points.is_some()),
            ("dueOn", self.due_on.is_some()),
            ("assigneeId", self.assignee_member_id.is_some()),
        ]
        .into_iter()
        .filter_map(|(name, is_changed)| is_changed.then_some(name))
        .collect()
    }
}

fn title_problem(title: &str, at: &str) -> Option<Problem> {
    text::line(title, &format!("{at}.title"), "A title", MAX_TITLE_CHARS)
}

fn description_problem(text: &str, at: &str) -> Option<Problem> {
    text::block(text, &format!("{at}.description"), "A description", MAX_DESCRIPTION_CHARS)
}

fn points_problem(points: i32, at: &str) -> Option<Problem> {
    (!(0..=MAX_POINTS).contains(&points)).then(|| {
        Problem::new(UserErrorCode::OutOfRange, &format!("{at}.points"), format!("Points go from 0 to {MAX_POINTS}."))
            .params(serde_json::json!({ "min": 0, "max": MAX_POINTS }))
    })
}

fn due_problem(day: NaiveDate, at: &str) -> Option<Problem> {
    // The table's CHECK; the last day of the year 9999 stands for "none" in the order by due date.
    let fits = NaiveDate::from_ymd_opt(1970, 1, 1).is_some_and(|first| first <= day)
        && NaiveDate::from_ymd_opt(9999, 12, 30).is_some_and(|last| day <= last);
    (!fits).then(|| {
        Problem::new(UserErrorCode::OutOfRange, &format!("{at}.dueOn"), "A due date lies between 1970 and 9999.")
            .params(serde_json::json!({ "min": "1970-01-01", "max": "9999-12-30" }))
    })
}

/// Which tasks a list holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, serde::Serialize)]
pub struct TaskFind {
    /// In this workspace.
    pub workspace: Option<WorkspaceId>,
    /// In this project.
    pub project: Option<ProjectId>,
    /// In one of these states; empty means any.
    pub states: Vec<TaskState>,
    /// Assigned to this member.
    pub assignee: Option<MemberId>,
    /// Due on this day or later.
    pub due_from: Option<NaiveDate>,
    /// Due on this day or earlier.
    pub due_to: Option<NaiveDate>,
}

/// By what a list of tasks is ordered; the id decides between equals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TaskSort {
    /// By creation.
    CreatedAt,
    /// By due date; tasks without one come last.
    DueOn,
    /// By title, as bytes.
    Title,
}

impl TaskSort {
    /// The name in cursors.
    pub fn key(self, descending: bool) -> &'static str {
        match (self, descending) {
            (Self::CreatedAt, false) => "created_at+",
            (Self::CreatedAt, true) => "created_at-",
            (Self::DueOn, false) => "due_on+",
            (Self::DueOn, true) => "due_on-",
            (Self::Title, false) => "title+",
            (Self::Title, true) => "title-",
        }
    }
}
