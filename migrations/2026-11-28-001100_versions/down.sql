DROP TRIGGER rights_rate ON api_keys;
DROP FUNCTION app.on_api_key_rate;
DROP TRIGGER rights_insert ON api_key_scopes;
DROP FUNCTION app.tenant_state;
