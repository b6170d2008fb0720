DROP FUNCTION app.enrol_table(text, text);
DROP FUNCTION app.refuse_unfit(regclass);
DROP FUNCTION app.wall_global(regclass);
DROP FUNCTION app.wall_partition(regclass);
DROP FUNCTION app.uuid_v7(timestamptz);
DROP FUNCTION app.uuid_at(timestamptz);
DROP FUNCTION app.policy_expression(text);
DROP FUNCTION app.tenant_id();
