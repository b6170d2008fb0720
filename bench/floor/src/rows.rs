//! Rows from PostgreSQL, JSON from here: the mark to reach.

use std::{collections::HashMap, fmt::Write};

use chrono::{DateTime, Utc};
use tokio_postgres::Row;
use uuid::Uuid;

use crate::{Failure, Flight, Parameter, Request, place};

const TENANT: &str = "SELECT id, slug, name FROM tenants WHERE id = $1";
const WORKSPACE: &str = "SELECT id, slug, name FROM workspaces WHERE tenant_id = $1 AND id = $2 AND deleted_at IS NULL";
const TASKS: &str = "SELECT id, title, state, created_at FROM tasks WHERE tenant_id = $1 AND workspace_id = $2 \
    ORDER BY created_at DESC, id DESC LIMIT 51";
const TASKS_AFTER: &str = "SELECT id, title, state, created_at FROM tasks WHERE tenant_id = $1 AND workspace_id = $2 \
    AND (created_at, id) < ($3, $4) ORDER BY created_at DESC, id DESC LIMIT 51";
const MEMBERS: &str = "SELECT m.id, u.id, u.display_name, e.email \
    FROM (SELECT id, user_id, created_at FROM members WHERE tenant_id = $1 AND deleted_at IS NULL \
          ORDER BY created_at DESC, id DESC LIMIT 20) m \
    JOIN users u ON u.id = m.user_id \
    LEFT JOIN user_emails e ON e.user_id = u.id AND e.is_primary AND e.verified_at IS NOT NULL \
    ORDER BY m.created_at DESC, m.id DESC";
const GRANTS: &str = "SELECT g.member_id, g.role_id, g.workspace_id \
    FROM (SELECT id FROM members WHERE tenant_id = $1 AND deleted_at IS NULL ORDER BY created_at DESC, id DESC LIMIT 20) m \
    JOIN role_grants g ON g.tenant_id = $1 AND g.member_id = m.id WHERE g.expires_at IS NULL OR g.expires_at > now()";
const ROLES: &str = "SELECT id, name FROM roles WHERE tenant_id = $1 AND deleted_at IS NULL";
const WORKSPACES: &str = "SELECT id, name FROM workspaces WHERE tenant_id = $1 AND deleted_at IS NULL";
const NEW_TASK: &str = "INSERT INTO tasks (tenant_id, id, project_id, workspace_id, assignee_member_id, title) \
    SELECT $1, $2, p.id, p.workspace_id, $4, 'Made by the bench' FROM projects p WHERE p.tenant_id = $1 AND p.id = $3 \
    RETURNING title, state, created_at";
const NEW_AUDIT: &str = "INSERT INTO audit_logs (tenant_id, id, at, action, outcome, actor_kind, actor_id, workspace_id, \
    target_kind, target_id, operation_name, source) \
    SELECT $1, $2, now(), 'task.create', 'success', 'member', $4, p.workspace_id, 'task', $5, 'Q4', 'api' \
    FROM projects p WHERE p.tenant_id = $1 AND p.id = $3";
const NEW_EVENT: &str = "INSERT INTO events (tenant_id, id, type, api_version, workspace_id, subject_id, payload, \
    actor_kind, actor_id, audit_id, occurred_at) \
    SELECT $1, $2, 'task.created', '2026-11', p.workspace_id, $5, $7, 'member', $4, $6, now() \
    FROM projects p WHERE p.tenant_id = $1 AND p.id = $3";

pub async fn answer(flight: &Flight<'_>, request: &Request<'_>) -> Result<String, Failure> {
    let tenant: Uuid = flight.tenant.parse()?;
    let workspace = request.variables.w.unwrap_or_default();
    let in_workspace: &[&Parameter<'_>] = &[&tenant, &workspace];
    let in_tenant: &[&Parameter<'_>] = &[&tenant];
    match request.operation {
        "Q1" => {
            let [tenants, workspaces] = flight.send([(TENANT, in_tenant), (WORKSPACE, in_workspace)]).await?;
            let mut out = String::with_capacity(256);
            out.push_str("{\"data\":{\"tenant\":");
            place_of(&mut out, tenants.first())?;
            out.push_str(",\"workspace\":");
            place_of(&mut out, workspaces.first())?;
            out.push_str("}}");
            Ok(out)
        }
        "Q2" | "Q5" | "Walk" => {
            let [tasks] = match place(request.variables.after) {
                None => flight.send([(TASKS, in_workspace)]).await?,
                Some((at, id)) => flight.send([(TASKS_AFTER, &[&tenant, &workspace, &at, &id])]).await?,
            };
            page(&tasks)
        }
        "Q3" => {
            let all = [(MEMBERS, in_tenant), (GRANTS, in_tenant), (ROLES, in_tenant), (WORKSPACES, in_tenant)];
            members(&flight.send(all).await?)
        }
        _ => {
            let (project, member) = (request.variables.p, request.variables.m);
            let [task, audit, event] = [(); 3].map(|()| Uuid::now_v7());
            let payload = serde_json::json!({ "taskId": task, "projectId": project, "version": 1 });
            let [made, ..] = flight
                .send([
                    (NEW_TASK, &[&tenant, &task, &project, &member]),
                    (NEW_AUDIT, &[&tenant, &audit, &project, &member, &task]),
                    (NEW_EVENT, &[&tenant, &event, &project, &member, &task, &audit, &payload]),
                ])
                .await?;
            let made = made.first().ok_or("no such project")?;
            let mut out = format!("{{\"data\":{{\"taskCreate\":{{\"task\":{{\"id\":\"{task}\",\"title\":");
            text(&mut out, made.get(0));
            out.push_str(",\"state\":");
            text(&mut out, made.get(1));
            write!(out, ",\"createdAt\":\"{}\"}}}}}}}}", time(made.get(2)))?;
            Ok(out)
        }
    }
}

fn text(out: &mut String, value: &str) {
    // Writing JSON into memory does not fail.
    out.push_str(&serde_json::to_string(value).unwrap_or_default());
}

fn time(at: DateTime<Utc>) -> impl std::fmt::Display {
    at.format("%Y-%m-%dT%H:%M:%S%.3fZ")
}

fn place_of(out: &mut String, row: Option<&Row>) -> std::fmt::Result {
    let Some(row) = row else {
        out.push_str("null");
        return Ok(());
    };
    write!(out, "{{\"id\":\"{}\",\"slug\":", row.get::<_, Uuid>(0))?;
    text(out, row.get(1));
    out.push_str(",\"name\":");
    text(out, row.get(2));
    out.push('}');
    Ok(())
}

fn page(tasks: &[Row]) -> Result<String, Failure> {
    let cursor = |row: &Row| format!("{}_{}", row.get::<_, DateTime<Utc>>(3).timestamp_micros(), row.get::<_, Uuid>(0));
    let mut out = String::with_capacity(16_384);
    out.push_str("{\"data\":{\"workspace\":{\"tasks\":{\"edges\":[");
    for (index, row) in tasks.iter().take(50).enumerate() {
        if index > 0 {
            out.push(',');
        }
        write!(out, "{{\"cursor\":\"{}\",\"node\":{{\"id\":\"{}\",\"title\":", cursor(row), row.get::<_, Uuid>(0))?;
        text(&mut out, row.get(1));
        out.push_str(",\"state\":");
        text(&mut out, row.get(2));
        write!(out, ",\"createdAt\":\"{}\"}}}}", time(row.get(3)))?;
    }
    write!(out, "],\"pageInfo\":{{\"hasNextPage\":{},\"endCursor\":", tasks.len() > 50)?;
    match tasks.iter().take(50).next_back() {
        Some(last) => write!(out, "\"{}\"", cursor(last))?,
        None => out.push_str("null"),
    }
    out.push_str("}}}}}");
    Ok(out)
}

fn names(rows: &[Row]) -> HashMap<Uuid, &str> {
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

fn members([members, grants, roles, workspaces]: &[Vec<Row>; 4]) -> Result<String, Failure> {
    let (roles, workspaces) = (names(roles), names(workspaces));
    let mut of_member: HashMap<Uuid, Vec<(Uuid, Option<Uuid>)>> = HashMap::new();
    for row in grants {
        of_member.entry(row.get(0)).or_default().push((row.get(1), row.get(2)));
    }
    let mut out = String::with_capacity(16_384);
    out.push_str("{\"data\":{\"members\":{\"edges\":[");
    for (index, row) in members.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        let (member, user): (Uuid, Uuid) = (row.get(0), row.get(1));
        write!(out, "{{\"node\":{{\"id\":\"{member}\",\"user\":{{\"id\":\"{user}\",\"displayName\":")?;
        text(&mut out, row.get(2));
        out.push_str(",\"email\":");
        match row.get::<_, Option<&str>>(3) {
            Some(email) => text(&mut out, email),
            None => out.push_str("null"),
        }
        out.push_str("},\"roleGrants\":[");
        for (index, (role, workspace)) in of_member.get(&member).into_iter().flatten().enumerate() {
            if index > 0 {
                out.push(',');
            }
            write!(out, "{{\"role\":{{\"id\":\"{role}\",\"name\":")?;
            text(&mut out, roles.get(role).copied().unwrap_or_default());
            out.push_str("},\"workspace\":");
            match workspace {
                Some(workspace) => {
                    write!(out, "{{\"id\":\"{workspace}\",\"name\":")?;
                    text(&mut out, workspaces.get(workspace).copied().unwrap_or_default());
                    out.push_str("}}");
                }
                None => out.push_str("null}"),
            }
        }
        out.push_str("]}}");
    }
    out.push_str("]}}}");
    Ok(out)
}
