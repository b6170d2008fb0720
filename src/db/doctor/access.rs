//! Logins, grants, functions and views.

use tokio_postgres::{Client, Error};

use super::{
    Finding, Rule,
    catalogue::{Catalogue, Table},
    tables::{APP, CHANGE, GLOBAL, MIGRATE, OWNER, PLATFORM, Privileges, TENANT},
    walls::{Kind, kind},
};

/// What the role may do with the table, by the lists.
fn allowed(table: &Table, role: &str) -> Privileges {
    let pick = |app: Privileges, platform: Privileges| -> Privileges {
        match role {
            APP => app,
            PLATFORM => platform,
            _ => &[],
        }
    };
    match kind(table) {
        Kind::Global => GLOBAL.iter().find(|one| one.name == table.name).map_or(&[], |one| pick(one.app, one.platform)),
        Kind::Tenant => TENANT
            .iter()
            .find(|one| one.name == table.name)
            .map_or_else(|| pick(CHANGE, CHANGE), |one| pick(one.app, one.platform)),
        Kind::Migrations => pick(&["SELECT"], &["SELECT"]),
        Kind::Partition | Kind::Unlisted => &[],
    }
}

pub(super) fn check_grants(catalogue: &Catalogue) -> Vec<Finding> {
    let mut findings = Vec::new();
    for grant in &catalogue.grants {
        let Some(table) = catalogue.table(grant.table) else { continue };
        // Other roles than ours pass no policy: they see no rows, whatever they are granted.
        if ![APP, PLATFORM, "PUBLIC"].contains(&grant.grantee.as_str()) {
            continue;
        }
        let verb = grant.privilege.split('(').next().unwrap_or_default();
        let allowed = allowed(table, &grant.grantee);
        if allowed.contains(&grant.privilege.as_str()) || allowed.contains(&verb) {
            continue;
        }
        let (rule, problem) = if kind(table) == Kind::Partition {
            (
                Rule::Partition,
                format!("{} may {verb} the partition directly, past the policies of its parent", grant.grantee),
            )
        } else {
            (Rule::Grant, format!("{} may {}, which is not on the list", grant.grantee, grant.privilege))
        };
        let privilege = grant.privilege.replace('(', " (");
        findings.push(Finding::new(
            rule,
            &table.name,
            problem,
            format!("REVOKE {privilege} ON {} FROM {};", table.name, grant.grantee),
        ));
    }
    findings
}

pub(super) async fn check_roles(client: &Client) -> Result<Vec<Finding>, Error> {
    let mut findings = attributes(client).await?;
    findings.extend(memberships(client).await?);
    findings.extend(belongings(client).await?);
    findings.extend(rooms(client).await?);
    findings.extend(timeouts(client).await?);
    Ok(findings)
}

async fn attributes(client: &Client) -> Result<Vec<Finding>, Error> {
    let rows = client
        .query(
            "SELECT rolname::text, rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, rolreplication, rolcanlogin
             FROM pg_roles WHERE rolname = ANY ($1) ORDER BY 1",
            &[&[APP, PLATFORM, MIGRATE, OWNER].as_slice()],
        )
        .await?;
    let mut findings = Vec::new();
    for row in rows {
        let role: String = row.get(0);
        let names = ["SUPERUSER", "BYPASSRLS", "CREATEROLE", "CREATEDB", "REPLICATION"];
        let mut bad: Vec<&str> =
            names.into_iter().enumerate().filter(|(at, _)| row.get(at + 1)).map(|(_, name)| name).collect();
        if role == OWNER && row.get(6) {
            bad.push("LOGIN");
        }
        for attribute in bad {
            findings.push(Finding::new(
                Rule::Login,
                &role,
                format!("the role has {attribute}, with which it can go around the policies or make itself able to"),
                format!("ALTER ROLE {role} NO{attribute}; -- as a superuser"),
            ));
        }
    }
    Ok(findings)
}

async fn memberships(client: &Client) -> Result<Vec<Finding>, Error> {
    let rows = client
        .query(
            "SELECT m.member::regrole::text, m.roleid::regrole::text FROM pg_auth_members m
             WHERE m.member::regrole::text = ANY ($1) ORDER BY 1, 2",
            &[&[APP, PLATFORM].as_slice()],
        )
        .await?;
    Ok(rows
        .iter()
        .map(|row| {
            let (role, group): (String, String) = (row.get(0), row.get(1));
            Finding::new(
                Rule::Login,
                &role,
                format!("the login is a member of {group}, whose rights it can use"),
                format!("REVOKE {group} FROM {role}; -- as a superuser"),
            )
        })
        .collect())
}

/// The runtime logins own nothing: an owner can switch off what protects its table.
async fn belongings(client: &Client) -> Result<Vec<Finding>, Error> {
    let rows = client
        .query(
            "SELECT r.rolname::text, pg_describe_object(s.classid, s.objid, s.objsubid)
             FROM pg_shdepend s JOIN pg_roles r ON s.refclassid = 'pg_authid'::regclass AND r.oid = s.refobjid
             WHERE s.deptype = 'o' AND r.rolname = ANY ($1)
               AND s.dbid IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
               -- tables are reported one by one
               AND NOT EXISTS (SELECT FROM pg_class c WHERE s.classid = 'pg_class'::regclass AND c.oid = s.objid AND c.relkind IN ('r', 'p', 'f'))
             ORDER BY 1, 2",
            &[&[APP, PLATFORM].as_slice()],
        )
        .await?;
    Ok(rows
        .iter()
        .map(|row| {
            let (role, object): (String, String) = (row.get(0), row.get(1));
            Finding::new(
                Rule::Ownership,
                object,
                format!("belongs to {role}, which must own nothing"),
                format!("REASSIGN OWNED BY {role} TO {OWNER}; -- as a superuser"),
            )
        })
        .collect())
}

/// Schemas and the database: nobody makes tables at run time, not even temporary ones, which would stay on a pooled
/// connection from one tenant to the next.
async fn rooms(client: &Client) -> Result<Vec<Finding>, Error> {
    let rows = client
        .query(
            "SELECT quote_ident(n.nspname), 'CREATE', CASE g.grantee WHEN 0 THEN 'PUBLIC' ELSE g.grantee::regrole::text END, 'SCHEMA'
             FROM pg_namespace n, aclexplode(n.nspacl) AS g
             WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND g.privilege_type = 'CREATE'
               AND (g.grantee = 0 OR g.grantee::regrole::text = ANY ($1))
             UNION ALL
             SELECT quote_ident(d.datname), g.privilege_type, CASE g.grantee WHEN 0 THEN 'PUBLIC' ELSE g.grantee::regrole::text END, 'DATABASE'
             FROM pg_database d, aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) AS g
             WHERE d.datname = current_database() AND g.privilege_type IN ('CREATE', 'TEMPORARY')
               AND (g.grantee = 0 OR g.grantee::regrole::text = ANY ($1))",
            &[&[APP, PLATFORM].as_slice()],
        )
        .await?;
    Ok(rows
        .iter()
        .map(|row| {
            let (object, privilege, role, class): (String, String, String, String) =
                (row.get(0), row.get(1), row.get(2), row.get(3));
            Finding::new(
                Rule::Grant,
                format!("{} {object}", class.to_lowercase()),
                format!("{role} has {privilege}: tables could appear at run time"),
                format!("REVOKE {privilege} ON {class} {object} FROM {role};"),
            )
        })
        .collect())
}

/// The runtime logins end by themselves what was forgotten. What counts is the most particular setting: of the login in
/// this database, of the login, of the database, of all.
async fn timeouts(client: &Client) -> Result<Vec<Finding>, Error> {
    let rows = client
        .query(
            "SELECT r.rolname::text, wanted.name, wanted.usual, quote_ident(current_database()), found.in_database
             FROM (VALUES ('tenantry_app', 'statement_timeout', '5s'),
                          ('tenantry_app', 'idle_in_transaction_session_timeout', '15s'),
                          ('tenantry_platform', 'statement_timeout', '30s'),
                          ('tenantry_platform', 'idle_in_transaction_session_timeout', '60s')) AS wanted (role, name, usual)
             JOIN pg_roles r ON r.rolname = wanted.role
             LEFT JOIN LATERAL (
                 SELECT split_part(line, '=', 2) AS value, s.setrole <> 0 AND s.setdatabase <> 0 AS in_database
                 FROM pg_db_role_setting s, unnest(s.setconfig) AS line
                 WHERE s.setrole IN (0, r.oid) AND split_part(line, '=', 1) = wanted.name
                   AND s.setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
                 ORDER BY s.setrole <> 0 DESC, s.setdatabase <> 0 DESC LIMIT 1) AS found ON true
             -- a number with a unit; without a digit that is not 0 it means never
             WHERE found.value IS NULL OR found.value !~ '[1-9]'
             ORDER BY 1, 2",
            &[],
        )
        .await?;
    Ok(rows
        .iter()
        .map(|row| {
            let (role, setting, usual, database): (String, String, String, String) =
                (row.get(0), row.get(1), row.get(2), row.get(3));
            let whose = match row.get::<_, Option<bool>>(4) {
                Some(true) => format!("{role} IN DATABASE {database}"),
                _ => role.clone(),
            };
            Finding::new(
                Rule::Timeout,
                &role,
                format!("has no {setting}: what it begins and forgets holds its locks for ever"),
                format!("ALTER ROLE {whose} SET {setting} = '{usual}'; -- as a superuser"),
            )
        })
        .collect())
}

pub(super) async fn check_functions(client: &Client) -> Result<Vec<Finding>, Error> {
    let rows = client
        .query(
            "SELECT p.oid::regprocedure::text,
                    EXISTS (SELECT FROM unnest(p.proconfig) AS line WHERE line ~ '^search_path=' AND line ~ 'pg_temp\"?$'),
                    EXISTS (SELECT FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) AS g
                            WHERE g.grantee = 0 AND g.privilege_type = 'EXECUTE'),
                    r.rolname::text, r.rolname <> 'tenantry_owner', p.prokind = 'p'
             FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace JOIN pg_roles r ON r.oid = p.proowner
             WHERE p.prosecdef AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
               AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')
             ORDER BY 1",
            &[],
        )
        .await?;
    let mut findings = Vec::new();
    for row in rows {
        let (name, is_pinned, is_public, owner, is_foreign): (String, bool, bool, String, bool) =
            (row.get(0), row.get(1), row.get(2), row.get(3), row.get(4));
        let kind = if row.get(5) { "PROCEDURE" } else { "FUNCTION" };
        if !is_pinned {
            findings.push(Finding::new(
                Rule::Definer,
                &name,
                "a SECURITY DEFINER function without a fixed search_path that ends with pg_temp runs its caller's tables and functions as its owner",
                format!("ALTER {kind} {name} SET search_path = pg_catalog, public, pg_temp;"),
            ));
        }
        if is_public {
            findings.push(Finding::new(
                Rule::Definer,
                &name,
                "every role may run this SECURITY DEFINER function",
                format!("REVOKE EXECUTE ON {kind} {name} FROM PUBLIC;"),
            ));
        }
        if is_foreign {
            findings.push(Finding::new(
                Rule::Definer,
                &name,
                format!("this SECURITY DEFINER function runs with the rights of {owner}, not of {OWNER}"),
                format!("ALTER {kind} {name} OWNER TO {OWNER}; -- as a member of both roles"),
            ));
        }
    }
    Ok(findings)
}

pub(super) async fn check_views(client: &Client) -> Result<Vec<Finding>, Error> {
    let rows = client
        .query(
            "SELECT c.oid::regclass::text, c.relkind = 'm'
             FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
             WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
               AND (c.relkind = 'm' OR (c.relkind = 'v'
                    AND NOT coalesce((SELECT lower(option_value) IN ('true', 'on', '1', 'yes') FROM pg_options_to_table(c.reloptions)
                                      WHERE option_name = 'security_invoker'), false)))
               AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
             ORDER BY 1",
            &[],
        )
        .await?;
    Ok(rows
        .iter()
        .map(|row| {
            let name: String = row.get(0);
            if row.get(1) {
                let problem = "a materialized view holds rows of every tenant, and no policy can stand on it";
                Finding::new(
                    Rule::View,
                    &name,
                    problem,
                    format!("DROP MATERIALIZED VIEW {name}; -- use an enrolled table instead"),
                )
            } else {
                let problem = "the view reads with its owner's rights, past the policies of its reader";
                Finding::new(Rule::View, &name, problem, format!("ALTER VIEW {name} SET (security_invoker = true);"))
            }
        })
        .collect())
}
