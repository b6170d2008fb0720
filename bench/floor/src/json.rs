//! JSON from PostgreSQL: one statement for each request, and nothing to do here.

use uuid::Uuid;

use crate::{Failure, Flight, Request, place};

const Q1: &str = "SELECT json_build_object('data', json_build_object( \
    'tenant', (SELECT json_build_object('id', id, 'slug', slug, 'name', name) FROM tenants WHERE id = $1), \
    'workspace', (SELECT json_build_object('id', id, 'slug', slug, 'name', name) FROM workspaces \
                  WHERE tenant_id = $1 AND id = $2 AND deleted_at IS NULL)))::text";

macro_rules! page {
    ($after:literal) => {
        concat!(
            "SELECT json_build_object('data', json_build_object('workspace', json_build_object('tasks', json_build_object( \
                'edges', json_agg(json_build_object('cursor', cursor, 'node', json_build_object( \
                    'id', id, 'title', title, 'state', state, 'createdAt', created_at)) ORDER BY at) FILTER (WHERE at <= 50), \
                'pageInfo', json_build_object('hasNextPage', count(*) > 50, 'endCursor', max(cursor) FILTER (WHERE at = 50))))))::text \
             FROM (SELECT *, row_number() OVER (ORDER BY created_at DESC, id DESC) AS at, \
                          (extract(epoch FROM created_at) * 1000000)::bigint || '_' || id AS cursor \
                   FROM (SELECT id, title, state, created_at FROM tasks WHERE tenant_id = $1 AND workspace_id = $2 ",
            $after,
            " ORDER BY created_at DESC, id DESC LIMIT 51) t) s"
        )
    };
}

const Q2: &str = page!("");
const Q5: &str = page!("AND (created_at, id) < ($3, $4)");

const Q3: &str = "SELECT json_build_object('data', json_build_object('members', json_build_object('edges', \
    (SELECT json_agg(json_build_object('node', json_build_object('id', m.id, \
        'user', (SELECT json_build_object('id', u.id, 'displayName', u.display_name, 'email', \
                    (SELECT e.email FROM user_emails e WHERE e.user_id = u.id AND e.is_primary AND e.verified_at IS NOT NULL)) \
                 FROM users u WHERE u.id = m.user_id), \
        'roleGrants', (SELECT json_agg(json_build_object('role', json_build_object('id', r.id, 'name', r.name), 'workspace', \
                          CASE WHEN w.id IS NOT NULL THEN json_build_object('id', w.id, 'name', w.name) END)) \
                       FROM role_grants g JOIN roles r ON r.tenant_id = $1 AND r.id = g.role_id AND r.deleted_at IS NULL \
                       LEFT JOIN workspaces w ON w.tenant_id = $1 AND w.id = g.workspace_id AND w.deleted_at IS NULL \
                       WHERE g.tenant_id = $1 AND g.member_id = m.id AND (g.expires_at IS NULL OR g.expires_at > now())))) \
        ORDER BY m.created_at DESC, m.id DESC) \
     FROM (SELECT id, user_id, created_at FROM members WHERE tenant_id = $1 AND deleted_at IS NULL \
           ORDER BY created_at DESC, id DESC LIMIT 20) m))))::text";

const Q4: &str = "WITH p AS (SELECT id, workspace_id FROM projects WHERE tenant_id = $1 AND id = $5), \
    t AS (INSERT INTO tasks (tenant_id, id, project_id, workspace_id, assignee_member_id, title) \
          SELECT $1, $2, p.id, p.workspace_id, $6, 'Made by the bench' FROM p RETURNING *), \
    a AS (INSERT INTO audit_logs (tenant_id, id, at, action, outcome, actor_kind, actor_id, workspace_id, target_kind, \
                                  target_id, operation_name, source) \
          SELECT $1, $3, now(), 'task.create', 'success', 'member', $6, p.workspace_id, 'task', $2, 'Q4', 'api' FROM p), \
    e AS (INSERT INTO events (tenant_id, id, type, api_version, workspace_id, subject_id, payload, actor_kind, actor_id, \
                              audit_id, occurred_at) \
          SELECT $1, $4, 'task.created', '2026-11', p.workspace_id, $2, \
                 jsonb_build_object('taskId', $2, 'projectId', p.id, 'version', 1), 'member', $6, $3, now() FROM p) \
    SELECT json_build_object('data', json_build_object('taskCreate', json_build_object('task', json_build_object( \
        'id', id, 'title', title, 'state', state, 'createdAt', created_at))))::text FROM t";

pub async fn answer(flight: &Flight<'_>, request: &Request<'_>) -> Result<String, Failure> {
    let tenant: Uuid = flight.tenant.parse()?;
    let workspace = request.variables.w.unwrap_or_default();
    let [rows] = match request.operation {
        "Q1" => flight.send([(Q1, &[&tenant, &workspace])]).await?,
        "Q2" => flight.send([(Q2, &[&tenant, &workspace])]).await?,
        "Q3" => flight.send([(Q3, &[&tenant])]).await?,
        "Q5" | "Walk" => match place(request.variables.after) {
            None => flight.send([(Q2, &[&tenant, &workspace])]).await?,
            Some((at, id)) => flight.send([(Q5, &[&tenant, &workspace, &at, &id])]).await?,
        },
        _ => {
            let [task, audit, event] = [(); 3].map(|()| Uuid::now_v7());
            flight.send([(Q4, &[&tenant, &task, &audit, &event, &request.variables.p, &request.variables.m])]).await?
        }
    };
    Ok(rows.first().ok_or("no answer")?.get(0))
}
