\set t random(1, :tenants)
\set w random(2, 5)
\set m random(1, 20)
\set r1 random(0, 1152921504606846975)
\set r2 random(0, 1152921504606846975)
\set r3 random(0, 1152921504606846975)
INSERT INTO tasks (tenant_id, id, project_id, workspace_id, assignee_member_id, title) VALUES ({tenant}, {new1}, {project}, {workspace}, {member}, 'Made by the bench') RETURNING id, title, state, created_at;
INSERT INTO audit_logs (tenant_id, id, at, action, outcome, actor_kind, actor_id, workspace_id, target_kind, target_id, request_id, operation_name, source) VALUES ({tenant}, {new2}, now(), 'task.create', 'success', 'member', {member}, {workspace}, 'task', {new1}, {new3}, 'Q4', 'api');
INSERT INTO events (tenant_id, id, type, api_version, workspace_id, subject_id, payload, actor_kind, actor_id, audit_id, occurred_at) VALUES ({tenant}, {new3}, 'task.created', '2026-11', {workspace}, {new1}, jsonb_build_object('taskId', {new1}, 'projectId', {project}, 'version', 1), 'member', {member}, {new2}, now());
