DROP TRIGGER notify_gone ON tenants;
DROP FUNCTION app.on_tenant_gone();
DROP TRIGGER notify ON hostnames;
DROP FUNCTION app.on_hostname();
DROP TRIGGER notify ON plans;
DROP FUNCTION app.on_plan();
