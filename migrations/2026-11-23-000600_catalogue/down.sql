-- What tenants refer to stays; going up again overwrites it.
DELETE FROM builtin_role_permissions;
DELETE FROM builtin_roles;
DELETE FROM permissions p
WHERE NOT EXISTS (SELECT FROM role_permissions r WHERE r.permission = p.name)
  AND NOT EXISTS (SELECT FROM api_key_scopes s WHERE s.permission = p.name);
DELETE FROM plans p WHERE NOT EXISTS (SELECT FROM tenants t WHERE t.plan_id = p.id);
