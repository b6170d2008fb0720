-- The doors to what the runtime has no grant for: look-ups before a tenant is known, sessions, and what operators do.
--
-- All are SECURITY DEFINER, owned by tenantry_owner (whom the policies let see every row), with a fixed search_path, and
-- return ids and states only. The one exception is app.find_password, for argon2. Times come from the caller's clock.

-- Finding a tenant

CREATE FUNCTION app.resolve_host(p_host text)
    RETURNS TABLE (tenant_id uuid, slug text, status text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY SELECT t.id, t.slug, t.status FROM hostnames h JOIN tenants t ON t.id = h.tenant_id
                 WHERE h.hostname = lower(p_host) AND h.is_active;
END
$$;
COMMENT ON FUNCTION app.resolve_host(text) IS 'The tenant of a host name, without port; no row if there is none.';

CREATE FUNCTION app.resolve_slug(p_slug text, p_now timestamptz DEFAULT now())
    RETURNS TABLE (tenant_id uuid, slug text, status text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY SELECT t.id, t.slug, t.status FROM tenants t WHERE t.slug = p_slug;
    IF NOT FOUND THEN
        RETURN QUERY SELECT t.id, t.slug, t.status FROM slug_history h JOIN tenants t ON t.id = h.tenant_id
                     WHERE h.slug = p_slug AND h.released_at > p_now - interval '90 days';
    END IF;
END
$$;
COMMENT ON FUNCTION app.resolve_slug(text, timestamptz) IS
    'The tenant of a slug, also of one it gave up in the last 90 days; `slug` is always the current one.';

CREATE FUNCTION app.resolve_tenant_id(p_tenant_id uuid)
    RETURNS TABLE (tenant_id uuid, slug text, status text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY SELECT t.id, t.slug, t.status FROM tenants t WHERE t.id = p_tenant_id;
END
$$;
COMMENT ON FUNCTION app.resolve_tenant_id(uuid) IS 'Current slug and status of a tenant.';

CREATE FUNCTION app.find_api_key(p_key_hash bytea)
    RETURNS TABLE (tenant_id uuid, api_key_id uuid, slug text, status text, revoked_at timestamptz, ends_at timestamptz)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY SELECT i.tenant_id, i.api_key_id, t.slug, t.status, k.revoked_at, least(k.expires_at, k.overlap_until)
                 FROM api_key_index i
                 JOIN tenants t ON t.id = i.tenant_id
                 JOIN api_keys k ON k.tenant_id = i.tenant_id AND k.id = i.api_key_id
                 WHERE i.key_hash = p_key_hash;
END
$$;
COMMENT ON FUNCTION app.find_api_key(bytea) IS
    'Tenant and id of the API key with this SHA-256, and until when it is good; slug and status are the tenant''s.';

CREATE FUNCTION app.memberships_of(p_user_id uuid)
    RETURNS TABLE (tenant_id uuid, slug text, name text, status text, member_id uuid, member_status text, joined_at timestamptz)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY SELECT t.id, t.slug, t.name, t.status, m.id, m.status, m.joined_at
                 FROM membership_index i
                 JOIN members m ON m.tenant_id = i.tenant_id AND m.id = i.member_id AND m.deleted_at IS NULL
                 JOIN tenants t ON t.id = i.tenant_id
                 WHERE i.user_id = p_user_id
                 ORDER BY t.name, t.id;
END
$$;
COMMENT ON FUNCTION app.memberships_of(uuid) IS 'Where a person is a member, in whatever state; `status` is the tenant''s.';

-- The index of key hashes: written for the tenant of the transaction, and only for a key that it has.

CREATE FUNCTION app.api_key_index_add(p_key_hash bytea, p_api_key_id uuid) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM api_keys k WHERE k.tenant_id = app.tenant_id() AND k.id = p_api_key_id) THEN
        RAISE EXCEPTION 'this tenant has no such API key' USING ERRCODE = 'foreign_key_violation', TABLE = 'api_key_index';
    END IF;
    INSERT INTO api_key_index (key_hash, tenant_id, api_key_id) VALUES (p_key_hash, app.tenant_id(), p_api_key_id);
END
$$;
COMMENT ON FUNCTION app.api_key_index_add(bytea, uuid) IS 'Makes a key of this transaction''s tenant findable by its SHA-256.';

CREATE FUNCTION app.api_key_index_remove(p_api_key_id uuid) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    DELETE FROM api_key_index i WHERE i.tenant_id = app.tenant_id() AND i.api_key_id = p_api_key_id;
    RETURN FOUND;
END
$$;
COMMENT ON FUNCTION app.api_key_index_remove(uuid) IS 'Makes a key of this transaction''s tenant unknown; true if it was known.';

-- People and their sessions

CREATE FUNCTION app.find_password(p_email_norm text)
    RETURNS TABLE (user_id uuid, hash text, status text, failed_attempts int, locked_until timestamptz, must_change boolean)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY SELECT u.id, p.hash, u.status, u.failed_attempts, u.locked_until, p.must_change
                 FROM user_emails e JOIN users u ON u.id = e.user_id JOIN user_passwords p ON p.user_id = u.id
                 WHERE e.email_norm = p_email_norm AND e.verified_at IS NOT NULL;
END
$$;
COMMENT ON FUNCTION app.find_password(text) IS
    'The password hash behind one verified address, for argon2: the one door that returns more than ids and states.';

CREATE FUNCTION app.record_sign_in(p_user_id uuid, p_succeeded boolean, p_now timestamptz, p_max_failures int, p_lock_seconds int)
    RETURNS TABLE (failed_attempts int, locked_until timestamptz)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    IF p_succeeded THEN
        RETURN QUERY UPDATE users u SET failed_attempts = 0, locked_until = NULL, last_sign_in_at = p_now, updated_at = p_now
                     WHERE u.id = p_user_id RETURNING u.failed_attempts, u.locked_until;
    ELSE
        -- The count starts again once a lock is over.
        RETURN QUERY UPDATE users u
                     SET failed_attempts = CASE WHEN u.locked_until <= p_now THEN 1 ELSE u.failed_attempts + 1 END,
                         locked_until = CASE WHEN u.locked_until > p_now THEN u.locked_until
                                             WHEN u.locked_until IS NULL AND u.failed_attempts + 1 >= p_max_failures
                                             THEN p_now + make_interval(secs => p_lock_seconds) END,
                         updated_at = p_now
                     WHERE u.id = p_user_id RETURNING u.failed_attempts, u.locked_until;
    END IF;
END
$$;
COMMENT ON FUNCTION app.record_sign_in(uuid, boolean, timestamptz, int, int) IS
    'Counts a failed sign-in and locks the account for a while at the limit; a success clears the count.';

CREATE FUNCTION app.session_create(p_session_id uuid, p_user_id uuid, p_refresh_id uuid, p_refresh_hash bytea, p_now timestamptz,
                                   p_expires_at timestamptz, p_idle_expires_at timestamptz, p_refresh_expires_at timestamptz,
                                   p_ip inet DEFAULT NULL, p_user_agent text DEFAULT NULL, p_auth_level text DEFAULT 'password')
    RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    -- FOR SHARE: who locks or erases a person either sees this session or comes first.
    PERFORM FROM users u WHERE u.id = p_user_id AND u.status = 'active' FOR SHARE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the user is unknown or not active' USING ERRCODE = 'foreign_key_violation', TABLE = 'sessions';
    END IF;
    INSERT INTO sessions (id, user_id, auth_level, authenticated_at, expires_at, idle_expires_at, last_used_at, ip, user_agent,
                          created_at, updated_at)
    VALUES (p_session_id, p_user_id, p_auth_level, p_now, p_expires_at, p_idle_expires_at, p_now, p_ip, left(p_user_agent, 512),
            p_now, p_now);
    INSERT INTO refresh_tokens (id, session_id, token_hash, expires_at, created_at)
    VALUES (p_refresh_id, p_session_id, p_refresh_hash, p_refresh_expires_at, p_now);
END
$$;
COMMENT ON FUNCTION app.session_create(uuid, uuid, uuid, bytea, timestamptz, timestamptz, timestamptz, timestamptz, inet, text, text) IS
    'A session with its first refresh token.';

CREATE FUNCTION app.session_state(p_session_id uuid)
    RETURNS TABLE (user_id uuid, revoked_at timestamptz, expires_at timestamptz, idle_expires_at timestamptz, user_status text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY SELECT s.user_id, s.revoked_at, s.expires_at, s.idle_expires_at, u.status
                 FROM sessions s JOIN users u ON u.id = s.user_id WHERE s.id = p_session_id;
END
$$;
COMMENT ON FUNCTION app.session_state(uuid) IS 'Whether a session still stands.';

CREATE FUNCTION app.refresh_rotate(p_old_hash bytea, p_new_id uuid, p_new_hash bytea, p_now timestamptz,
                                   p_new_expires_at timestamptz, p_new_idle_expires_at timestamptz)
    RETURNS TABLE (outcome text, session_id uuid, user_id uuid, expires_at timestamptz)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    token refresh_tokens;
    session sessions;
BEGIN
    SELECT r.* INTO token FROM refresh_tokens r WHERE r.token_hash = p_old_hash FOR UPDATE;
    IF NOT FOUND THEN
        RETURN QUERY SELECT 'unknown', NULL::uuid, NULL::uuid, NULL::timestamptz;
        RETURN;
    END IF;
    SELECT s.* INTO STRICT session FROM sessions s WHERE s.id = token.session_id FOR UPDATE;

    IF token.used_at IS NOT NULL THEN
        -- Somebody holds a token that was already exchanged. Thief or owner: neither gets in again.
        UPDATE sessions s SET revoked_at = p_now, revoked_reason = 'refresh_token_reused', updated_at = p_now
        WHERE s.id = session.id AND s.revoked_at IS NULL;
        RETURN QUERY SELECT 'reused', session.id, session.user_id, NULL::timestamptz;
    ELSIF session.revoked_at IS NOT NULL
          OR NOT EXISTS (SELECT FROM users u WHERE u.id = session.user_id AND u.status = 'active') THEN
        RETURN QUERY SELECT 'revoked', session.id, session.user_id, NULL::timestamptz;
    ELSIF token.expires_at <= p_now OR session.expires_at <= p_now OR session.idle_expires_at <= p_now THEN
        RETURN QUERY SELECT 'expired', session.id, session.user_id, NULL::timestamptz;
    ELSE
        INSERT INTO refresh_tokens (id, session_id, token_hash, expires_at, created_at)
        VALUES (p_new_id, session.id, p_new_hash, least(p_new_expires_at, session.expires_at), p_now);
        UPDATE refresh_tokens r SET used_at = p_now, rotated_to = p_new_id WHERE r.id = token.id;
        UPDATE sessions s SET idle_expires_at = least(p_new_idle_expires_at, s.expires_at), last_used_at = p_now, updated_at = p_now
        WHERE s.id = session.id;
        RETURN QUERY SELECT 'rotated', session.id, session.user_id, least(p_new_expires_at, session.expires_at);
    END IF;
END
$$;
COMMENT ON FUNCTION app.refresh_rotate(bytea, uuid, bytea, timestamptz, timestamptz, timestamptz) IS
    'Exchanges a refresh token: rotated (with the end of the new one), reused (the session is revoked), unknown, expired or revoked. Commit in every case.';

CREATE FUNCTION app.session_revoke(p_session_id uuid, p_reason text, p_now timestamptz) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    UPDATE sessions s SET revoked_at = p_now, revoked_reason = p_reason, updated_at = p_now
    WHERE s.id = p_session_id AND s.revoked_at IS NULL;
    RETURN FOUND;
END
$$;
COMMENT ON FUNCTION app.session_revoke(uuid, text, timestamptz) IS 'Ends a session; true if it was open.';

CREATE FUNCTION app.viewer()
    RETURNS TABLE (user_id uuid, display_name text, avatar_file uuid, status text, locale text, time_zone text,
                   last_tenant_id uuid, last_sign_in_at timestamptz, version int, created_at timestamptz, updated_at timestamptz,
                   primary_email text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY SELECT u.id, u.display_name, u.avatar_file, u.status, u.locale, u.time_zone,
                        -- A tenant that the person has left is none of theirs any more.
                        (SELECT i.tenant_id FROM membership_index i WHERE i.user_id = u.id AND i.tenant_id = u.last_tenant_id),
                        u.last_sign_in_at, u.version, u.created_at, u.updated_at,
                        (SELECT e.email FROM user_emails e WHERE e.user_id = u.id AND e.is_primary)
                 FROM users u WHERE u.id = nullif(current_setting('app.user_id', true), '')::uuid;
END
$$;
COMMENT ON FUNCTION app.viewer() IS 'The person of this transaction (app.user_id) with what only they may see.';

CREATE FUNCTION app.viewer_visit(p_tenant_id uuid, p_now timestamptz) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    UPDATE users u SET last_tenant_id = p_tenant_id, updated_at = p_now
    WHERE u.id = nullif(current_setting('app.user_id', true), '')::uuid AND u.last_tenant_id IS DISTINCT FROM p_tenant_id
      AND EXISTS (SELECT FROM membership_index i WHERE i.user_id = u.id AND i.tenant_id = p_tenant_id);
    RETURN FOUND;
END
$$;
COMMENT ON FUNCTION app.viewer_visit(uuid, timestamptz) IS 'Remembers the tenant that the person of this transaction opened last.';

-- Keys of the access tokens

CREATE FUNCTION app.signing_keys()
    RETURNS TABLE (kid text, alg text, public_jwk jsonb, private_enc bytea, not_before timestamptz, retire_at timestamptz)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY SELECT k.kid, k.alg, k.public_jwk, k.private_enc, k.not_before, k.retire_at FROM signing_keys k
                 ORDER BY k.not_before, k.kid;
END
$$;
COMMENT ON FUNCTION app.signing_keys() IS 'All keys, oldest first; the private halves are encrypted under TENANTRY_TOKEN_KEY.';

CREATE FUNCTION app.signing_key_add(p_kid text, p_alg text, p_public_jwk jsonb, p_private_enc bytea, p_not_before timestamptz,
                                    p_retire_at timestamptz, p_now timestamptz)
    RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    -- Two servers starting at once: one makes the key of this moment, the other reads it.
    PERFORM pg_advisory_xact_lock(hashtextextended('app.signing_keys', 0));
    IF EXISTS (SELECT FROM signing_keys k WHERE k.not_before <= p_not_before AND k.retire_at >= p_retire_at) THEN
        RETURN false;
    END IF;
    INSERT INTO signing_keys (kid, alg, public_jwk, private_enc, not_before, retire_at, created_at)
    VALUES (p_kid, p_alg, p_public_jwk, p_private_enc, p_not_before, p_retire_at, p_now);
    RETURN true;
END
$$;
COMMENT ON FUNCTION app.signing_key_add(text, text, jsonb, bytea, timestamptz, timestamptz, timestamptz) IS
    'Adds a key unless one already covers its whole time; false then, and app.signing_keys() has the other.';

-- Operators

CREATE FUNCTION app.user_create(p_user_id uuid, p_email_id uuid, p_email text, p_email_norm text, p_display_name text,
                                p_password_hash text, p_verified_at timestamptz, p_now timestamptz,
                                p_locale text DEFAULT 'en', p_time_zone text DEFAULT 'UTC')
    RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    INSERT INTO users (id, display_name, locale, time_zone, created_at, updated_at)
    VALUES (p_user_id, p_display_name, p_locale, p_time_zone, p_now, p_now);
    INSERT INTO user_emails (id, user_id, email, email_norm, verified_at, is_primary, created_at, updated_at)
    VALUES (p_email_id, p_user_id, p_email, p_email_norm, p_verified_at, true, p_now, p_now);
    IF p_password_hash IS NOT NULL THEN
        INSERT INTO user_passwords (user_id, hash, changed_at) VALUES (p_user_id, p_password_hash, p_now);
    END IF;
END
$$;
COMMENT ON FUNCTION app.user_create(uuid, uuid, text, text, text, text, timestamptz, timestamptz, text, text) IS
    'A person with one address and, unless NULL, a password. A verified address that is taken violates user_emails_verified.';

CREATE FUNCTION app.password_set(p_user_id uuid, p_hash text, p_must_change boolean, p_now timestamptz) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    INSERT INTO user_passwords (user_id, hash, changed_at, must_change) VALUES (p_user_id, p_hash, p_now, p_must_change)
    ON CONFLICT (user_id) DO UPDATE SET hash = excluded.hash, changed_at = excluded.changed_at, must_change = excluded.must_change;
END
$$;
COMMENT ON FUNCTION app.password_set(uuid, text, boolean, timestamptz) IS 'Sets or replaces a password hash (argon2id).';

CREATE FUNCTION app.tenant_create(p_tenant_id uuid, p_slug text, p_name text, p_owner_user_id uuid, p_owner_member_id uuid,
                                  p_workspace_id uuid, p_now timestamptz, p_plan_key text DEFAULT 'team',
                                  p_hostnames text[] DEFAULT '{}', p_region text DEFAULT 'default', p_metadata jsonb DEFAULT '{}',
                                  p_trial_ends_at timestamptz DEFAULT NULL, p_workspace_name text DEFAULT 'General')
    RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    plan plans;
BEGIN
    SELECT p.* INTO plan FROM plans p WHERE p.key = p_plan_key;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no plan %', p_plan_key USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'tenants_plan_id_fkey';
    END IF;
    INSERT INTO tenants (id, slug, name, status, region, metadata, plan_id, subscription_state, trial_ends_at, created_at, updated_at)
    VALUES (p_tenant_id, p_slug, p_name, 'active', p_region, p_metadata, plan.id,
            CASE WHEN p_trial_ends_at IS NULL THEN 'none' ELSE 'trialing' END, p_trial_ends_at, p_now, p_now);
    INSERT INTO hostnames (hostname, tenant_id, kind, created_at, updated_at)
    SELECT lower(host), p_tenant_id, 'subdomain', p_now, p_now FROM unnest(p_hostnames) AS host;
    INSERT INTO tenant_counters (tenant_id, seats_limit, workspaces_limit, api_keys_limit, created_at, updated_at)
    VALUES (p_tenant_id, (plan.limits ->> 'seats')::int, (plan.limits ->> 'workspaces')::int, (plan.limits ->> 'apiKeys')::int, p_now, p_now);

    INSERT INTO roles (tenant_id, id, key, name, description, is_system, level, created_at, updated_at)
    SELECT p_tenant_id, app.uuid_v7(p_now), b.key, b.name, b.description, true, b.level, p_now, p_now FROM builtin_roles b;
    INSERT INTO role_permissions (tenant_id, role_id, permission, created_at)
    SELECT p_tenant_id, r.id, b.permission, p_now
    FROM builtin_role_permissions b JOIN roles r ON r.tenant_id = p_tenant_id AND r.key = b.role_key;
    INSERT INTO tenant_settings (tenant_id, default_role_id, created_at, updated_at)
    SELECT p_tenant_id, r.id, p_now, p_now FROM roles r WHERE r.tenant_id = p_tenant_id AND r.key = 'member';

    INSERT INTO members (tenant_id, id, user_id, joined_at, created_at, updated_at)
    VALUES (p_tenant_id, p_owner_member_id, p_owner_user_id, p_now, p_now, p_now);
    INSERT INTO role_grants (tenant_id, id, member_id, role_id, reason, created_at, updated_at)
    SELECT p_tenant_id, app.uuid_v7(p_now), p_owner_member_id, r.id, 'first owner', p_now, p_now
    FROM roles r WHERE r.tenant_id = p_tenant_id AND r.key = 'owner';
    INSERT INTO workspaces (tenant_id, id, slug, name, is_default, created_at, updated_at)
    VALUES (p_tenant_id, p_workspace_id, 'general', p_workspace_name, true, p_now, p_now);

    -- From here on the last owner stays (a constraint), and changes of rights are counted.
    UPDATE tenant_counters c SET owners_min = 1 WHERE c.tenant_id = p_tenant_id;
    INSERT INTO access_versions (tenant_id, created_at, updated_at) VALUES (p_tenant_id, p_now, p_now);
END
$$;
COMMENT ON FUNCTION app.tenant_create(uuid, text, text, uuid, uuid, uuid, timestamptz, text, text[], text, jsonb, timestamptz, text) IS
    'A complete tenant: settings, counters, built-in roles, first owner, default workspace. All or nothing.';

CREATE FUNCTION app.platform_audit_append(p_id uuid, p_at timestamptz, p_actor_user_id uuid, p_actor_label text, p_action text,
                                          p_outcome text, p_source text, p_tenant_id uuid, p_reason text, p_request_id uuid,
                                          p_detail jsonb)
    RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    INSERT INTO platform_audit (id, at, actor_user_id, actor_label, action, outcome, source, tenant_id, reason, request_id, detail)
    VALUES (p_id, p_at, p_actor_user_id, p_actor_label, p_action, p_outcome, p_source, p_tenant_id, p_reason, p_request_id,
            coalesce(p_detail, '{}'));
END
$$;
COMMENT ON FUNCTION app.platform_audit_append(uuid, timestamptz, uuid, text, text, text, text, uuid, text, uuid, jsonb) IS
    'Records what an operator did.';

GRANT EXECUTE ON FUNCTION
    app.resolve_host(text), app.resolve_slug(text, timestamptz), app.resolve_tenant_id(uuid), app.memberships_of(uuid),
    app.api_key_index_add(bytea, uuid), app.api_key_index_remove(uuid), app.session_revoke(uuid, text, timestamptz)
    TO tenantry_app, tenantry_platform;
GRANT EXECUTE ON FUNCTION
    app.find_api_key(bytea), app.find_password(text), app.record_sign_in(uuid, boolean, timestamptz, int, int),
    app.session_create(uuid, uuid, uuid, bytea, timestamptz, timestamptz, timestamptz, timestamptz, inet, text, text),
    app.session_state(uuid), app.refresh_rotate(bytea, uuid, bytea, timestamptz, timestamptz, timestamptz),
    app.viewer(), app.viewer_visit(uuid, timestamptz), app.signing_keys(),
    app.signing_key_add(text, text, jsonb, bytea, timestamptz, timestamptz, timestamptz)
    TO tenantry_app;
GRANT EXECUTE ON FUNCTION
    app.user_create(uuid, uuid, text, text, text, text, timestamptz, timestamptz, text, text),
    app.password_set(uuid, text, boolean, timestamptz),
    app.tenant_create(uuid, text, text, uuid, uuid, uuid, timestamptz, text, text[], text, jsonb, timestamptz, text),
    app.platform_audit_append(uuid, timestamptz, uuid, text, text, text, text, uuid, text, uuid, jsonb)
    TO tenantry_platform;
