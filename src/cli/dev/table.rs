//! What `dev` prints when it serves.

use std::{
    io::{Write, stdout},
    path::Path,
    time::Duration,
};

use anyhow::Result;

use super::{Addresses, Demo};

/// Prints where everything is and a first request that works when it is pasted.
pub fn print(addresses: &Addresses, demo: &Demo, folder: &Path, took: Duration) -> Result<()> {
    stdout().lock().write_all(text(addresses, demo, folder, took).as_bytes())?;
    Ok(())
}

fn text(addresses: &Addresses, demo: &Demo, folder: &Path, took: Duration) -> String {
    let mut lines = vec![String::new(), format!("Tenantry is running (started in {:.1} s)", took.as_secs_f64())];
    let mut section = |title: &str, rows: Vec<Vec<&str>>| {
        if !rows.is_empty() {
            lines.extend([String::new(), format!("  {title}")]);
            lines.extend(aligned(&rows).map(|row| format!("    {row}")));
        }
    };
    let mut links = vec![vec!["GraphQL", &*addresses.endpoint]];
    links.extend(addresses.graphiql.as_deref().map(|url| vec!["GraphiQL", url]));
    let metrics = format!("{}/metrics", addresses.admin);
    links.push(vec!["Metrics", &metrics]);
    section("Links", links);
    section("Tenants", demo.tenants.iter().map(|tenant| vec![&*tenant.slug, &*tenant.id]).collect());
    let people = demo.sign_ins.iter().map(|one| vec![&*one.email, &*one.password, &*one.tenant, &*one.role]);
    section("Demo sign-ins (e-mail, password, tenant, role)", people.collect());
    section("Demo API keys", demo.api_keys.iter().map(|one| vec![&*one.tenant, &*one.key, &*one.name]).collect());
    if let Some(key) = demo.api_keys.first() {
        lines.extend([
            String::new(),
            "  Try it".to_owned(),
            format!("    curl -s {} \\", addresses.endpoint),
            format!("      -H 'Authorization: Bearer {}' \\", key.key),
            "      -H 'Content-Type: application/json' \\".to_owned(),
            r#"      -d '{"query":"{ tenant { slug name } }"}'"#.to_owned(),
        ]);
    }
    lines.extend([
        String::new(),
        format!("  The same for scripts: {}", super::shown(&folder.join("dev.json"))),
        "  Ctrl-C stops everything. `--reset` starts over.".to_owned(),
        String::new(),
    ]);
    lines.join("\n") + "\n"
}

/// The rows with their columns one below the other.
fn aligned<'a>(rows: &'a [Vec<&'a str>]) -> impl Iterator<Item = String> + 'a {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.len()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    rows.iter().map(move |row| {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        cells.join("  ").trim_end().to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::dev::{DemoApiKey, DemoSignIn, DemoTenant};

    #[test]
    fn table_shows_every_way_in() {
        let addresses = Addresses {
            endpoint: "http://127.0.0.1:8080/graphql".into(),
            graphiql: Some("http://127.0.0.1:8080/graphiql".into()),
            admin: "http://127.0.0.1:9090".into(),
        };
        let demo = Demo {
            tenants: vec![DemoTenant { slug: "acme".into(), id: "tnt_1".into() }],
            sign_ins: vec![DemoSignIn {
                tenant: "acme".into(),
                role: "owner".into(),
                email: "ada@acme.example".into(),
                password: "abcd-efgh".into(),
            }],
            api_keys: vec![DemoApiKey { tenant: "acme".into(), name: "demo".into(), key: "tnk_demo".into() }],
        };
        let text = text(&addresses, &demo, Path::new(".tenantry"), Duration::from_millis(840));
        assert!(text.contains("started in 0.8 s"), "{text}");
        assert!(text.contains("ada@acme.example  abcd-efgh  acme  owner"), "{text}");
        assert!(text.contains("-H 'Authorization: Bearer tnk_demo'"), "{text}");
        assert!(text.contains(".tenantry/dev.json"), "{text}");
    }
}
