-- The roles stay: other databases of this cluster may use them, and a role with a password is not ours to lose.
-- So does the ownership of schema public, which only a superuser could give back.
ALTER DEFAULT PRIVILEGES FOR ROLE tenantry_owner GRANT EXECUTE ON FUNCTIONS TO PUBLIC;
REVOKE SELECT ON public.__diesel_schema_migrations FROM tenantry_app, tenantry_platform;
REVOKE USAGE ON SCHEMA public FROM tenantry_app, tenantry_platform;
DROP SCHEMA app;
