//! Blocks with the note `run=…` are run as they stand, in the order of the document, as one shell session: `bash` as it
//! is, `sql` by psql, as the superuser or as `as=` says. A `text` block behind one, with the note `output`, is what it
//! prints (`…` stands for any text); `refused` says that it fails.

use std::{
    fmt::Write,
    fs,
    net::TcpListener,
    path::Path,
    process::{Command, Stdio},
};

use tenantry::db::embedded::{Cluster, SUPERUSER};

use super::blocks::{Block, blocks, document};
use crate::support::{
    cluster::{self, TestDatabase},
    database::migrated,
};

/// What stands between the outputs of two blocks.
const MARK: &str = "@@ block";

struct Session {
    path: &'static str,
    name: &'static str,
    /// Connects psql: host and database.
    environment: Vec<(&'static str, String)>,
    /// What a document says for what the test has.
    replaced: Vec<(String, String)>,
    /// Run at the end, whatever came before.
    last: &'static str,
}

impl Session {
    fn steps(&self) -> Vec<(Block, Option<Block>)> {
        let all = blocks(&document(self.path));
        let is_ours = |block: &&(usize, &Block)| block.1.note("run") == Some(self.name);
        all.iter()
            .enumerate()
            .filter(|pair| is_ours(&pair))
            .map(|(at, block)| {
                let output = all.get(at + 1).filter(|next| next.language == "text" && next.has("output"));
                (block.clone(), output.cloned())
            })
            .collect()
    }

    fn script(&self, steps: &[(Block, Option<Block>)]) -> String {
        let mut script = format!("set -euo pipefail\nexec 2>&1\ntrap '{}' EXIT\n", self.last);
        for (number, (block, _)) in steps.iter().enumerate() {
            let mut text = block.text.clone();
            for (from, to) in &self.replaced {
                text = text.replace(from, to);
            }
            writeln!(script, "echo '{MARK} {number}'").expect("a text");
            let not = if block.has("refused") { "! " } else { "" };
            match block.language.as_str() {
                "bash" => writeln!(script, "{text}").expect("a text"),
                "sql" => {
                    let role = block.note("as").unwrap_or(SUPERUSER);
                    writeln!(script, "{not}psql -Xq -v ON_ERROR_STOP=1 -U {role} <<'SQL'\n{text}SQL").expect("a text");
                }
                other => panic!("{block}: {other} cannot be run"),
            }
        }
        script
    }

    /// Runs the blocks and compares what they print.
    fn run(&self) {
        let steps = self.steps();
        assert!(!steps.is_empty(), "{} has no blocks for the session {}", self.path, self.name);
        let folder = tempfile::tempdir().expect("a folder");
        let program = Path::new(env!("CARGO_BIN_EXE_tenantry")).parent().expect("a folder").display().to_string();
        let path = format!("{program}:{}", std::env::var("PATH").unwrap_or_default());
        let script = folder.path().join("script");
        fs::write(&script, self.script(&steps)).expect("written");
        let done = Command::new("timeout")
            .args(["--kill-after=5", "120", "bash"])
            .arg(&script)
            .current_dir(folder.path())
            .env_clear()
            .env("PATH", path)
            .env("USER", "docs")
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .output()
            .expect("bash runs");
        let out = String::from_utf8_lossy(&done.stdout).into_owned();
        assert!(done.status.success(), "{}, session {}: {}\n{out}", self.path, self.name, done.status);
        for (number, (block, wanted)) in steps.iter().enumerate() {
            let Some(wanted) = wanted else { continue };
            let mark = format!("{MARK} {number}\n");
            let printed = out.split(&mark).nth(1).and_then(|rest| rest.split(MARK).next()).unwrap_or_default();
            assert!(is_like(printed, &wanted.text), "{block} prints\n{printed}\nand not\n{}", wanted.text);
        }
    }
}

/// Whether each line is as wanted; blanks at the ends of lines and empty lines at the end do not count. A line that is
/// `…` alone stands for any lines.
fn is_like(found: &str, wanted: &str) -> bool {
    fn lines(text: &str) -> Vec<&str> {
        text.trim_end().lines().map(str::trim_end).collect()
    }
    fn agree(found: &[&str], wanted: &[&str]) -> bool {
        match wanted.split_first() {
            None => found.is_empty(),
            Some((&"…", rest)) => (0..=found.len()).any(|from| agree(&found[from..], rest)),
            Some((first, rest)) => {
                found.split_first().is_some_and(|(line, after)| fits(line, first) && agree(after, rest))
            }
        }
    }
    agree(&lines(found), &lines(wanted))
}

/// Whether a text is as wanted, where `…` stands for any text.
pub fn fits(found: &str, wanted: &str) -> bool {
    let Some((first, rest)) = wanted.split_once('…') else { return found == wanted };
    let Some(mut found) = found.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = rest.split('…').collect();
    let last = parts.pop().unwrap_or_default();
    for part in parts {
        match found.find(part) {
            Some(at) => found = &found[at + part.len()..],
            None => return false,
        }
    }
    found.ends_with(last)
}

/// The part of a URL that names the host.
fn host_of(url: &str) -> String {
    url.split('@').nth(1).and_then(|rest| rest.split('/').next()).unwrap_or_else(|| panic!("{url}")).to_owned()
}

/// The same as a folder, for psql.
fn folder_of(url: &str) -> String {
    host_of(url).replace("%2F", "/")
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port").port()
}

/// `docs/operations.md`: from an empty PostgreSQL to a server that is ready, a dump and its restore.
#[tokio::test(flavor = "multi_thread")]
async fn the_installation_works_as_it_is_written() {
    let folder = tempfile::tempdir().expect("a folder");
    let place = folder.path().join("cluster");
    // A cluster of its own: the installation makes roles and a database of fixed names.
    let start = move || Cluster::start(cluster::options(&place)).unwrap_or_else(|error| panic!("{error}"));
    let cluster = tokio::task::spawn_blocking(start).await.expect("starts");
    let url = cluster.url(SUPERUSER, "postgres");
    let (api, admin) = (free_port(), free_port());
    let session = Session {
        path: "docs/operations.md",
        name: "install",
        environment: vec![
            ("PGHOST", folder_of(&url)),
            ("PGDATABASE", "postgres".to_owned()),
            ("TENANTRY_LISTEN", format!("127.0.0.1:{api}")),
            ("TENANTRY_ADMIN_LISTEN", format!("127.0.0.1:{admin}")),
        ],
        replaced: vec![
            ("PGHOST=db.example.com".to_owned(), format!("PGHOST={}", folder_of(&url))),
            ("PGUSER=postgres".to_owned(), format!("PGUSER={SUPERUSER}")),
            ("@db.example.com/".to_owned(), format!("@{}/", host_of(&url))),
            // TLS has no meaning on a unix socket.
            ("?sslmode=verify-full".to_owned(), String::new()),
            ("127.0.0.1:9090".to_owned(), format!("127.0.0.1:{admin}")),
        ],
        last: "jobs -p | xargs -r kill; wait",
    };
    tokio::task::spawn_blocking(move || session.run()).await.expect("runs");
}

/// `docs/extending.md`: a table of one's own, put behind the walls.
#[tokio::test(flavor = "multi_thread")]
async fn a_table_is_enrolled_as_it_is_written() {
    let database = migrated().await;
    database.run("tenantry_platform", &demo_tenants()).await;
    let url = database.url("tenantry_migrate");
    let session = Session {
        path: "docs/extending.md",
        name: "enrol",
        environment: vec![
            ("PGHOST", folder_of(&url)),
            ("PGDATABASE", database.name.clone()),
            ("TENANTRY_MIGRATE_URL", url),
        ],
        replaced: Vec::new(),
        last: "",
    };
    tokio::task::spawn_blocking(move || session.run()).await.expect("runs");
    healthy(&database).await;
}

/// Acme and Globex, with the ids that the document uses.
fn demo_tenants() -> String {
    let tenant = |letter: char, slug: &str| {
        let id = |n: u8| format!("00000000-0000-7000-8000-0000000000{letter}{n}");
        format!(
            "SELECT app.user_create('{1}', '{2}', 'owner@{slug}.example', 'owner@{slug}.example', 'Demo', '$argon2id$demo', now(), now());
             SELECT app.tenant_create('{0}', '{slug}', 'Demo {slug}', '{1}', '{3}', '{4}', now(), 'free', '{{}}');",
            id(0), id(1), id(2), id(3), id(4)
        )
    };
    tenant('a', "acme") + &tenant('b', "globex")
}

async fn healthy(database: &TestDatabase) {
    let findings = tenantry::db::doctor::examine(&database.url("tenantry_migrate")).await.expect("examined");
    assert!(findings.is_empty(), "{findings:#?}");
}

#[test]
fn an_ellipsis_stands_for_any_text() {
    assert!(fits("abc", "abc") && fits("abc", "a…") && fits("abc", "…c") && fits("a1b2c", "a…b…c"));
    assert!(!fits("abc", "ab") && !fits("abc", "…b") && !fits("abc", "b…"));
    assert!(is_like("a \nb\n\n", "a\n…\n") && is_like("a\nb\nc\n", "…\nc\n") && !is_like("a\n", "a\nb\n"));
}
