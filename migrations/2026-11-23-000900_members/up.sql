-- Members: the table that searches look into, the handing over of ownership, proving oneself again.

-- Search. ILIKE is not leakproof: behind a policy it reads every row of the tenant. So texts are taken apart into short
-- terms when they are written, and a search asks for terms by equality.

CREATE FUNCTION app.search_words(p_text text) RETURNS text[]
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    -- Marks are taken off (NFKD parts them from their letters), then what has no mark to take off. What lies between words
    -- is listed rather than asked of the locale, so that a database in the locale C finds the same.
    RETURN (SELECT coalesce(array_agg(DISTINCT left(word, 64)), '{}')
            FROM regexp_split_to_table(
                replace(replace(replace(
                    translate(lower(regexp_replace(normalize(p_text, NFKD), '[\u0300-\u036f]', '', 'g')), 'øłđħı', 'oldhi'),
                    'ß', 'ss'), 'æ', 'ae'), 'œ', 'oe'),
                '[\s!-/:-@\[-`{-~\u2010-\u2027\u3001-\u303f]+') AS word
            WHERE word <> '');
COMMENT ON FUNCTION app.search_words(text) IS 'The words of a text in the form that searches compare: lower case, without marks.';

CREATE FUNCTION app.search_terms_of(p_text text) RETURNS text[]
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    RETURN (SELECT coalesce(array_agg(DISTINCT part.term), '{}')
            FROM unnest(app.search_words(p_text)) AS word
            CROSS JOIN LATERAL (
                SELECT '^' || left(word, 1)
                UNION ALL
                SELECT substr(word, start, size)
                FROM generate_series(2, 3) AS size, generate_series(1, char_length(word) - size + 1) AS start
            ) AS part (term));
COMMENT ON FUNCTION app.search_terms_of(text) IS
    'What a text is found by: every two and three neighbouring letters of its words, and `^` with the first letter of each.';

CREATE FUNCTION app.search_terms_for(p_text text) RETURNS text[]
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    RETURN (SELECT coalesce(array_agg(DISTINCT part.term), '{}')
            FROM unnest(app.search_words(p_text)) AS word
            CROSS JOIN LATERAL (
                SELECT CASE char_length(word) WHEN 1 THEN '^' || word ELSE word END WHERE char_length(word) < 3
                UNION ALL
                SELECT substr(word, start, 3) FROM generate_series(1, char_length(word) - 2) AS start
            ) AS part (term));
COMMENT ON FUNCTION app.search_terms_for(text) IS
    'The terms that a text must all have to be found by this search: a word of one letter as the beginning of a word, longer ones anywhere in one.';

CREATE TABLE search_terms (
    tenant_id uuid NOT NULL,
    kind text NOT NULL CHECK (kind IN ('member')),
    term text NOT NULL CHECK (char_length(term) BETWEEN 1 AND 3),
    target_id uuid NOT NULL,
    PRIMARY KEY (tenant_id, kind, term, target_id)
);
CREATE INDEX search_terms_target ON search_terms (tenant_id, kind, target_id);
COMMENT ON TABLE search_terms IS 'Parts of texts that searches look for. Kept by triggers in the transaction that changes the text; gone with it.';
COMMENT ON COLUMN search_terms.term IS 'pii:name';
SELECT app.enrol_table('search_terms');
REVOKE INSERT, UPDATE, DELETE ON search_terms FROM tenantry_app, tenantry_platform;

CREATE FUNCTION app.search_member(p_tenant_id uuid, p_member_id uuid) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    wanted text[];
BEGIN
    SELECT app.search_terms_of(concat_ws(' ', m.display_name_override, u.display_name, e.email)) INTO wanted
    FROM members m
    JOIN users u ON u.id = m.user_id
    LEFT JOIN user_emails e ON e.user_id = u.id AND e.is_primary AND e.verified_at IS NOT NULL
    WHERE m.tenant_id = p_tenant_id AND m.id = p_member_id AND m.deleted_at IS NULL;
    wanted := coalesce(wanted, '{}');
    DELETE FROM search_terms s
    WHERE s.tenant_id = p_tenant_id AND s.kind = 'member' AND s.target_id = p_member_id AND s.term <> ALL (wanted);
    INSERT INTO search_terms (tenant_id, kind, term, target_id)
    SELECT p_tenant_id, 'member', term, p_member_id FROM unnest(wanted) AS term
    ON CONFLICT DO NOTHING;
END
$$;
COMMENT ON FUNCTION app.search_member(uuid, uuid) IS
    'Brings the terms of a member up to date: display names and the verified primary address; none once removed.';

CREATE FUNCTION app.on_member_text() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    -- Whoever renames the person meanwhile comes before or after this, and then sees the member.
    PERFORM FROM users u WHERE u.id = coalesce(NEW.user_id, OLD.user_id) FOR SHARE;
    PERFORM app.search_member(coalesce(NEW.tenant_id, OLD.tenant_id), coalesce(NEW.id, OLD.id));
    RETURN NULL;
END
$$;
CREATE TRIGGER search_insert_delete AFTER INSERT OR DELETE ON members FOR EACH ROW EXECUTE FUNCTION app.on_member_text();
CREATE TRIGGER search_update AFTER UPDATE OF display_name_override, deleted_at, user_id ON members FOR EACH ROW
    WHEN ((OLD.display_name_override, OLD.deleted_at, OLD.user_id) IS DISTINCT FROM (NEW.display_name_override, NEW.deleted_at, NEW.user_id))
    EXECUTE FUNCTION app.on_member_text();

CREATE FUNCTION app.search_person(p_user_id uuid) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    PERFORM app.search_member(i.tenant_id, i.member_id) FROM membership_index i WHERE i.user_id = p_user_id;
END
$$;
COMMENT ON FUNCTION app.search_person(uuid) IS 'Brings the terms of a person up to date, in every tenant.';

CREATE FUNCTION app.on_person_name() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    PERFORM app.search_person(NEW.id);
    RETURN NULL;
END
$$;
CREATE TRIGGER search AFTER UPDATE OF display_name ON users FOR EACH ROW WHEN (OLD.display_name <> NEW.display_name)
    EXECUTE FUNCTION app.on_person_name();

CREATE FUNCTION app.on_person_address() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    person uuid;
BEGIN
    FOR person IN SELECT DISTINCT id FROM unnest(ARRAY[OLD.user_id, NEW.user_id]) AS id WHERE id IS NOT NULL ORDER BY id LOOP
        -- As in app.on_member_text: one change of what a person is found by at a time.
        PERFORM FROM users u WHERE u.id = person FOR NO KEY UPDATE;
        PERFORM app.search_person(person);
    END LOOP;
    RETURN NULL;
END
$$;
CREATE TRIGGER search AFTER INSERT OR DELETE OR UPDATE OF email, is_primary, verified_at, user_id ON user_emails
    FOR EACH ROW EXECUTE FUNCTION app.on_person_address();

DO $$
BEGIN
    PERFORM app.search_member(m.tenant_id, m.id) FROM members m WHERE m.deleted_at IS NULL;
END
$$;

-- Ownership passes from one member to another, when both have said so.

CREATE TABLE ownership_transfers (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    from_member_id uuid NOT NULL,
    to_member_id uuid NOT NULL,
    state text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'accepted', 'cancelled', 'expired')),
    expires_at timestamptz NOT NULL,
    resolved_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, from_member_id) REFERENCES members (tenant_id, id),
    FOREIGN KEY (tenant_id, to_member_id) REFERENCES members (tenant_id, id),
    CONSTRAINT ownership_transfers_two_people CHECK (from_member_id <> to_member_id),
    CONSTRAINT ownership_transfers_resolution CHECK ((state = 'pending') = (resolved_at IS NULL)),
    CONSTRAINT ownership_transfers_time CHECK (expires_at > created_at)
);
CREATE UNIQUE INDEX ownership_transfers_pending ON ownership_transfers (tenant_id) WHERE state = 'pending';
CREATE INDEX ownership_transfers_from ON ownership_transfers (tenant_id, from_member_id);
CREATE INDEX ownership_transfers_to ON ownership_transfers (tenant_id, to_member_id);
SELECT app.enrol_table('ownership_transfers');

CREATE FUNCTION app.session_reauthenticate(p_session_id uuid, p_now timestamptz) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    UPDATE sessions s SET authenticated_at = p_now, updated_at = p_now
    WHERE s.id = p_session_id AND s.user_id = nullif(current_setting('app.user_id', true), '')::uuid AND s.revoked_at IS NULL;
    RETURN FOUND;
END
$$;
COMMENT ON FUNCTION app.session_reauthenticate(uuid, timestamptz) IS
    'Notes that the person of this transaction (app.user_id) has proven again who they are; true if the session is theirs and open.';

REVOKE ALL ON FUNCTION
    app.search_words(text), app.search_terms_of(text), app.search_terms_for(text), app.search_member(uuid, uuid),
    app.search_person(uuid), app.on_member_text(), app.on_person_name(), app.on_person_address(),
    app.session_reauthenticate(uuid, timestamptz)
    FROM PUBLIC;
GRANT EXECUTE ON FUNCTION app.search_words(text), app.search_terms_for(text) TO tenantry_app, tenantry_platform;
GRANT EXECUTE ON FUNCTION app.session_reauthenticate(uuid, timestamptz) TO tenantry_app;
