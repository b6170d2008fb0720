//! What pg_catalog says about tables, read once and then only looked at.

use tokio_postgres::{Client, Error};

/// A table that is not PostgreSQL's own and not an extension's.
pub(super) struct Table {
    pub oid: u32,
    /// As SQL text, with its schema unless that is public.
    pub name: String,
    pub owner: String,
    pub has_row_security: bool,
    pub forces_row_security: bool,
    /// The partitioned table at the top, for a partition.
    pub root: Option<u32>,
    /// Type and NOT NULL of the column `tenant_id`.
    pub tenant_column: Option<(String, bool)>,
    /// Columns numbered by a sequence.
    pub sequences: Vec<String>,
}

pub(super) struct Index {
    pub table: u32,
    pub name: String,
    pub is_primary: bool,
    /// Unique, or an exclusion constraint.
    pub is_unique: bool,
    /// The constraint that it belongs to, which must be dropped in its stead.
    pub constraint: Option<String>,
    /// Key columns; an expression as its text.
    pub columns: Vec<String>,
    pub predicate: Option<String>,
}

pub(super) struct ForeignKey {
    pub table: u32,
    pub name: String,
    pub target: u32,
    pub columns: Vec<String>,
    pub target_columns: Vec<String>,
}

pub(super) struct Policy {
    pub table: u32,
    pub name: String,
    pub is_permissive: bool,
    pub command: String,
    pub roles: Vec<String>,
    pub using: Option<String>,
    pub check: Option<String>,
}

pub(super) struct Grant {
    pub table: u32,
    pub grantee: String,
    /// `SELECT`, or `SELECT(column)`.
    pub privilege: String,
}

/// All of it.
pub(super) struct Catalogue {
    pub tables: Vec<Table>,
    pub indexes: Vec<Index>,
    pub foreign_keys: Vec<ForeignKey>,
    pub policies: Vec<Policy>,
    pub grants: Vec<Grant>,
}

/// `pg_class c` of what we look at.
const OURS: &str = "c.relkind IN ('r', 'p', 'f') AND c.relpersistence <> 't'
    AND c.relnamespace NOT IN (SELECT oid FROM pg_namespace WHERE nspname ~ '^pg_' OR nspname = 'information_schema')
    AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')";

impl Catalogue {
    pub(super) async fn read(client: &Client) -> Result<Self, Error> {
        Ok(Self {
            tables: tables(client).await?,
            indexes: indexes(client).await?,
            foreign_keys: foreign_keys(client).await?,
            policies: policies(client).await?,
            grants: grants(client).await?,
        })
    }

    pub(super) fn table(&self, oid: u32) -> Option<&Table> {
        self.tables.iter().find(|table| table.oid == oid)
    }

    pub(super) fn named(&self, name: &str) -> Option<&Table> {
        self.tables.iter().find(|table| table.name == name)
    }

    pub(super) fn primary_key(&self, table: &Table) -> Option<&Index> {
        self.indexes.iter().find(|index| index.table == table.oid && index.is_primary)
    }
}

async fn tables(client: &Client) -> Result<Vec<Table>, Error> {
    let sql = format!(
        "SELECT c.oid, c.oid::regclass::text, c.relowner::regrole::text, c.relrowsecurity, c.relforcerowsecurity,
                CASE WHEN c.relispartition THEN pg_partition_root(c.oid)::oid END,
                format_type(t.atttypid, t.atttypmod), t.attnotnull,
                ARRAY(SELECT a.attname::text FROM pg_attribute a
                      WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
                        AND (a.attidentity <> '' OR EXISTS (
                            SELECT FROM pg_attrdef d
                            JOIN pg_depend p ON p.classid = 'pg_attrdef'::regclass AND p.objid = d.oid
                            JOIN pg_class s ON p.refclassid = 'pg_class'::regclass AND s.oid = p.refobjid AND s.relkind = 'S'
                            WHERE d.adrelid = a.attrelid AND d.adnum = a.attnum)))
         FROM pg_class c
         LEFT JOIN pg_attribute t ON t.attrelid = c.oid AND t.attname = 'tenant_id' AND t.attnum > 0 AND NOT t.attisdropped
         WHERE {OURS} ORDER BY 2"
    );
    let rows = client.query(&sql, &[]).await?;
    Ok(rows
        .iter()
        .map(|row| Table {
            oid: row.get(0),
            name: row.get(1),
            owner: row.get(2),
            has_row_security: row.get(3),
            forces_row_security: row.get(4),
            root: row.get(5),
            tenant_column: row.get::<_, Option<String>>(6).zip(row.get(7)),
            sequences: row.get(8),
        })
        .collect())
}

async fn indexes(client: &Client) -> Result<Vec<Index>, Error> {
    let sql = format!(
        "SELECT i.indrelid, i.indexrelid::regclass::text, i.indisprimary, i.indisunique OR i.indisexclusion,
                (SELECT quote_ident(k.conname) FROM pg_constraint k WHERE k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x') LIMIT 1),
                ARRAY(SELECT coalesce(a.attname::text, pg_get_indexdef(i.indexrelid, n, true))
                      FROM generate_series(1, i.indnkeyatts::int) AS n
                      LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[n - 1] AND a.attnum > 0 ORDER BY n),
                pg_get_expr(i.indpred, i.indrelid)
         FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid WHERE {OURS} ORDER BY 2"
    );
    let rows = client.query(&sql, &[]).await?;
    Ok(rows
        .iter()
        .map(|row| Index {
            table: row.get(0),
            name: row.get(1),
            is_primary: row.get(2),
            is_unique: row.get(3),
            constraint: row.get(4),
            columns: row.get(5),
            predicate: row.get(6),
        })
        .collect())
}

async fn foreign_keys(client: &Client) -> Result<Vec<ForeignKey>, Error> {
    let sql = format!(
        "SELECT k.conrelid, quote_ident(k.conname), k.confrelid,
                ARRAY(SELECT a.attname::text FROM unnest(k.conkey) WITH ORDINALITY AS n (num, at)
                      JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = n.num ORDER BY n.at),
                ARRAY(SELECT a.attname::text FROM unnest(k.confkey) WITH ORDINALITY AS n (num, at)
                      JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = n.num ORDER BY n.at)
         FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
         WHERE k.contype = 'f' AND k.conparentid = 0 AND {OURS} ORDER BY k.conrelid::regclass::text, k.conname"
    );
    let rows = client.query(&sql, &[]).await?;
    Ok(rows
        .iter()
        .map(|row| ForeignKey {
            table: row.get(0),
            name: row.get(1),
            target: row.get(2),
            columns: row.get(3),
            target_columns: row.get(4),
        })
        .collect())
}

async fn policies(client: &Client) -> Result<Vec<Policy>, Error> {
    let sql = format!(
        "SELECT p.polrelid, quote_ident(p.polname), p.polpermissive,
                CASE p.polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE' WHEN 'd' THEN 'DELETE' ELSE 'ALL' END,
                ARRAY(SELECT CASE r WHEN 0 THEN 'PUBLIC' ELSE r::regrole::text END FROM unnest(p.polroles) AS r ORDER BY 1),
                pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid)
         FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid WHERE {OURS} ORDER BY p.polrelid::regclass::text, p.polname"
    );
    let rows = client.query(&sql, &[]).await?;
    Ok(rows
        .iter()
        .map(|row| Policy {
            table: row.get(0),
            name: row.get(1),
            is_permissive: row.get(2),
            command: row.get(3),
            roles: row.get(4),
            using: row.get(5),
            check: row.get(6),
        })
        .collect())
}

async fn grants(client: &Client) -> Result<Vec<Grant>, Error> {
    let sql = format!(
        "SELECT c.oid, CASE g.grantee WHEN 0 THEN 'PUBLIC' ELSE g.grantee::regrole::text END, g.privilege_type
         FROM pg_class c, aclexplode(c.relacl) AS g WHERE {OURS} AND g.grantee <> c.relowner
         UNION ALL
         SELECT c.oid, CASE g.grantee WHEN 0 THEN 'PUBLIC' ELSE g.grantee::regrole::text END,
                g.privilege_type || '(' || a.attname || ')'
         FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND NOT a.attisdropped, aclexplode(a.attacl) AS g
         WHERE {OURS} AND g.grantee <> c.relowner ORDER BY 1, 2, 3"
    );
    let rows = client.query(&sql, &[]).await?;
    Ok(rows.iter().map(|row| Grant { table: row.get(0), grantee: row.get(1), privilege: row.get(2) }).collect())
}
