-- What each statement costs this database, for operators: PostgreSQL's own statistics, with shares.
--
-- Needs the extension pg_stat_statements, which only a superuser can make (docs/operations.md); without it the function
-- says so. It runs with its owner's rights, because the statistics hide the texts of other logins from whoever lacks
-- pg_read_all_stats. Texts come from our own two logins only: what others run may hold secrets.

CREATE FUNCTION app.statement_shares()
    RETURNS TABLE (share_percent numeric, total_ms numeric, mean_ms numeric, calls bigint, row_count bigint,
                   blocks_read bigint, login text, statement text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    place text;
BEGIN
    SELECT quote_ident(n.nspname) INTO place
    FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'pg_stat_statements';
    IF place IS NULL THEN
        RAISE EXCEPTION 'the extension pg_stat_statements is not in this database'
            USING ERRCODE = 'undefined_object', HINT = 'docs/operations.md, "Which statements", says how to make it.';
    END IF;
    RETURN QUERY EXECUTE format(
        $query$
        SELECT round((100 * s.total_exec_time / nullif(sum(s.total_exec_time) OVER (), 0))::numeric, 2),
               round(s.total_exec_time::numeric, 1), round(s.mean_exec_time::numeric, 3), s.calls, s.rows,
               s.shared_blks_read, r.rolname::text,
               CASE WHEN r.rolname IN ('tenantry_app', 'tenantry_platform') THEN s.query ELSE 'of another login' END
        FROM %s.pg_stat_statements s LEFT JOIN pg_roles r ON r.oid = s.userid
        WHERE s.dbid = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database()) AND s.toplevel
        ORDER BY s.total_exec_time DESC
        $query$, place);
END
$$;
COMMENT ON FUNCTION app.statement_shares() IS
    'Statements of this database by the time they took since the statistics began, with their share of it.';
GRANT EXECUTE ON FUNCTION app.statement_shares() TO tenantry_platform;
