-- What other processes must hear of at once, and the order in which it became true.

-- The order of commit. Ids are made before the commit, so that a later commit may have a smaller id: whoever reads on
-- from the largest id it has seen misses rows. The transaction's number, read below the oldest one that still runs
-- (`pg_snapshot_xmin`), misses none. A bigint, because diesel has no xid8. Rows from before this step have none and are
-- not fed to anybody.
ALTER TABLE events ADD COLUMN xact bigint;
ALTER TABLE events ALTER COLUMN xact SET DEFAULT pg_current_xact_id()::text::bigint;
CREATE INDEX events_xact ON events (tenant_id, xact, id);
COMMENT ON COLUMN events.xact IS 'The transaction that wrote the row: the order in which subscribers get it.';
ALTER TABLE audit_logs ADD COLUMN xact bigint;
ALTER TABLE audit_logs ALTER COLUMN xact SET DEFAULT pg_current_xact_id()::text::bigint;
CREATE INDEX audit_logs_xact ON audit_logs (tenant_id, xact, id);
COMMENT ON COLUMN audit_logs.xact IS 'The transaction that wrote the row: the order in which subscribers get it.';

-- Who is listened to. A transaction that notifies holds a lock over all databases of the server while it commits, so
-- that such commits take turns. Mutations notify only where a process has subscribers of the tenant, and says so here.
CREATE TABLE feed_watches (
    tenant_id uuid PRIMARY KEY,
    until timestamptz NOT NULL
);
COMMENT ON TABLE feed_watches IS 'Tenants with subscribers; until then, events and audit entries of the tenant are announced.';
SELECT app.enrol_table('feed_watches');
REVOKE INSERT, UPDATE, DELETE ON feed_watches FROM tenantry_app, tenantry_platform;

CREATE FUNCTION app.feed_watch(p_seconds int) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    INSERT INTO feed_watches AS w (tenant_id, until)
    VALUES (app.tenant_id(), now() + make_interval(secs => least(greatest(p_seconds, 0), 3600)))
    ON CONFLICT (tenant_id) DO UPDATE SET until = greatest(w.until, excluded.until);
END
$$;
COMMENT ON FUNCTION app.feed_watch(int) IS
    'For so many seconds, events and audit entries of this transaction''s tenant are announced; an hour at most.';
GRANT EXECUTE ON FUNCTION app.feed_watch(int) TO tenantry_app;

-- One call for each statement, whatever its number of rows. Equal notices of one transaction are sent once. Whoever
-- writes without a tenant is a migration.
CREATE FUNCTION app.on_feed() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    tenant uuid := app.tenant_id();
BEGIN
    IF EXISTS (SELECT FROM feed_watches w WHERE w.tenant_id = tenant AND w.until > now()) THEN
        PERFORM pg_notify(TG_ARGV[0], tenant::text);
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER feed AFTER INSERT ON events FOR EACH STATEMENT EXECUTE FUNCTION app.on_feed('tenantry_events');
CREATE TRIGGER feed AFTER INSERT ON audit_logs FOR EACH STATEMENT EXECUTE FUNCTION app.on_feed('tenantry_audit');

-- Tenants whose state, name or plan is remembered elsewhere.
CREATE FUNCTION app.on_tenant() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    PERFORM pg_notify('tenantry_tenants', NEW.id::text);
    RETURN NULL;
END
$$;
CREATE TRIGGER notify AFTER UPDATE OF status, slug, plan_id ON tenants FOR EACH ROW
    WHEN ((NEW.status, NEW.slug, NEW.plan_id) IS DISTINCT FROM (OLD.status, OLD.slug, OLD.plan_id))
    EXECUTE FUNCTION app.on_tenant();

-- Sessions and people whose sessions end.
CREATE FUNCTION app.on_session_end() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    PERFORM pg_notify('tenantry_sessions', TG_ARGV[0] || ':' || NEW.id);
    RETURN NULL;
END
$$;
CREATE TRIGGER notify AFTER UPDATE OF revoked_at, expires_at, idle_expires_at ON sessions FOR EACH ROW
    WHEN (NEW.revoked_at IS DISTINCT FROM OLD.revoked_at OR NEW.expires_at < OLD.expires_at OR NEW.idle_expires_at < OLD.idle_expires_at)
    EXECUTE FUNCTION app.on_session_end('session');
CREATE TRIGGER notify AFTER UPDATE OF status ON users FOR EACH ROW WHEN (NEW.status <> OLD.status)
    EXECUTE FUNCTION app.on_session_end('user');
