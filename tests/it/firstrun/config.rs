//! Settings: which source wins, what is refused and how, and that secrets stay hidden.

use std::{ffi::OsString, fs};

use secrecy::ExposeSecret;
use tenantry::config::{
    ConfigError, DatabaseUrls, Inputs, Introspection, Key32, KeyError, KeySettings, Settings, load,
};

#[derive(clap::Parser, Debug)]
struct Serve {
    #[arg(long, global = true)]
    config: Option<std::path::PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand, Debug)]
enum Command {
    Serve {
        #[command(flatten)]
        urls: DatabaseUrls,
        #[command(flatten)]
        settings: Box<Settings>,
    },
    Migrate {
        #[command(flatten)]
        urls: DatabaseUrls,
    },
}

struct Given {
    folder: tempfile::TempDir,
    args: Vec<OsString>,
    variables: Vec<(OsString, OsString)>,
}

fn given(args: &[&str], variables: &[(&str, &str)], file: &str) -> Given {
    let folder = tempfile::tempdir().unwrap();
    if !file.is_empty() {
        fs::write(folder.path().join("tenantry.toml"), file).unwrap();
    }
    Given {
        folder,
        args: ["tenantry"].iter().chain(args).map(Into::into).collect(),
        variables: variables.iter().map(|(name, value)| (name.into(), value.into())).collect(),
    }
}

impl Given {
    fn load(self) -> Result<Serve, ConfigError> {
        load(&Inputs { args: self.args, variables: self.variables, folder: self.folder.path().to_owned() })
    }

    fn serve(self) -> (DatabaseUrls, Settings) {
        match self.load().unwrap().command {
            Command::Serve { urls, settings } => (urls, *settings),
            other @ Command::Migrate { .. } => panic!("{other:?}"),
        }
    }

    fn refusal(self) -> String {
        self.load().unwrap_err().to_string()
    }
}

#[test]
fn flag_beats_environment_beats_file_beats_default() {
    let file = "pool_size = 20\npool_wait_ms = 30\nlimit_depth = 40";
    let variables = [("TENANTRY_POOL_SIZE", "21"), ("TENANTRY_POOL_WAIT_MS", "31")];
    let (_, settings) = given(&["serve", "--pool-size", "22"], &variables, file).serve();
    assert_eq!(settings.pool.pool_size, 22);
    assert_eq!(settings.pool.pool_wait_ms, 31);
    assert_eq!(settings.limits.limit_depth, 40);
    assert_eq!(settings.limits.limit_aliases, 30);
}

#[test]
fn file_holds_every_kind_of_value() {
    let file = r#"
        database_url = "postgres://tenantry_app:pass@db:5432/app"
        graphiql = false
        introspection = "off"
        trusted_proxies = ["10.0.0.0/8", "::1"]
        cors_origins = ["https://app.example.com", "http://localhost:3000/"]
        base_domain = "Example.com"
    "#;
    let (urls, settings) = given(&["serve"], &[], file).serve();
    assert_eq!(urls.database_url.unwrap().expose_secret(), "postgres://tenantry_app:pass@db:5432/app");
    assert!(!settings.server.graphiql);
    assert_eq!(settings.server.introspection, Introspection::Off);
    assert_eq!(settings.server.trusted_proxies, ["10.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()]);
    assert_eq!(settings.server.cors_origins, ["https://app.example.com", "http://localhost:3000"]);
    assert_eq!(settings.server.base_domain.as_deref(), Some("example.com"));
}

#[test]
fn file_may_be_named_by_flag_or_variable_and_must_then_exist() {
    let other = tempfile::NamedTempFile::new().unwrap();
    fs::write(other.path(), "pool_size = 77").unwrap();
    let name = other.path().to_str().unwrap();
    for (args, variables) in [
        (vec!["serve", "--config", name], vec![]),
        (vec!["--config", name, "serve"], vec![("TENANTRY_CONFIG", "/nowhere.toml")]),
        (vec!["serve"], vec![("TENANTRY_CONFIG", name)]),
    ] {
        assert_eq!(given(&args, &variables, "pool_size = 3").serve().1.pool.pool_size, 77);
    }
    let refusal = given(&["serve", "--config=/nowhere.toml"], &[], "").refusal();
    assert!(refusal.contains("/nowhere.toml") && refusal.contains("named by --config"), "{refusal}");
}

#[test]
fn unknown_names_are_refused_with_the_nearest_known_one() {
    let by_variable = given(&["serve"], &[("TENANTRY_POOL_SIZ", "8")], "").refusal();
    assert_eq!(
        by_variable,
        "the environment variable TENANTRY_POOL_SIZ has the value `8`, but there is no such setting. \
         Did you mean TENANTRY_POOL_SIZE?"
    );
    let by_key = given(&["serve"], &[], "pool-size = 8").refusal();
    assert!(by_key.contains("the key `pool-size`") && by_key.contains("Did you mean pool_size?"), "{by_key}");
    let far = given(&["serve"], &[("TENANTRY_ELEPHANTS", "8")], "").refusal();
    assert!(far.contains("`tenantry serve --help`"), "{far}");
}

#[test]
fn variables_of_other_programs_are_nobodys_business() {
    given(&["serve"], &[("POOL_SIZ", "8"), ("PATH", "/bin")], "").serve();
}

#[test]
fn malformed_values_are_refused_with_place_value_and_expectation() {
    let cases: &[(&str, &str, &str)] = &[
        ("pool_size", "many", "expected a whole number from 2 to 1000"),
        ("pool_size", "1", "expected a whole number from 2 to 1000"),
        ("pool_size", "-1", "expected a whole number from 2 to 1000"),
        ("listen", "localhost", "expected an IP address and a port, like 127.0.0.1:8080 or [::1]:8080"),
        ("public_url", "ftp://x", "expected a URL that begins with http:// or https://"),
        ("base_domain", "https://example.com", "expected a domain name like example.com, without scheme and port"),
        ("base_domain", "", "expected a domain name like example.com, without scheme and port"),
        ("trusted_proxies", "10.0.0.0/33", "expected networks like 10.0.0.0/8 or addresses, separated by commas"),
        (
            "cors_origins",
            "https://a.b/c",
            "expected origins like https://app.example.com, without a path, separated by commas",
        ),
        ("graphiql", "yes", "expected true or false"),
        ("introspection", "some", "expected one of: auth, all, off"),
        ("log_format", "xml", "expected one of: text, json"),
        (
            "log_filter",
            "in=fo=x",
            "expected a level (error, warn, info, debug, trace) or target=level, separated by commas",
        ),
        ("access_token_ttl_seconds", "901", "expected a whole number from 30 to 900"),
        ("rights_cache_ttl_ms", "4001", "expected a whole number from 0 to 4000"),
    ];
    for (name, value, expected) in cases {
        let variable = format!("TENANTRY_{}", name.to_uppercase());
        let refusal = given(&["serve"], &[(&variable, value)], "").refusal();
        assert_eq!(refusal, format!("the environment variable {variable} has the value `{value}`: {expected}"));

        let flag = name.replace('_', "-");
        let refusal = given(&["serve", &format!("--{flag}={value}")], &[], "").refusal();
        assert_eq!(refusal, format!("the flag --{flag} has the value `{value}`: {expected}"));

        let refusal = given(&["serve"], &[], &format!("{name} = {value:?}")).refusal();
        assert!(refusal.contains(&format!("the key `{name}` in ")), "{refusal}");
        assert!(refusal.ends_with(&format!("has the value `{value}`: {expected}")), "{refusal}");
    }
}

#[test]
fn value_that_is_hidden_by_a_flag_is_still_checked() {
    let refusal = given(&["serve", "--pool-size=8"], &[("TENANTRY_POOL_SIZE", "x")], "").refusal();
    assert!(refusal.contains("TENANTRY_POOL_SIZE"), "{refusal}");
}

#[test]
fn table_as_a_value_is_refused() {
    let refusal = given(&["serve"], &[], "[limit_depth]\nmax = 3").refusal();
    assert!(refusal.contains("the key `limit_depth`") && refusal.contains("expected a text, a number"), "{refusal}");
}

#[test]
fn secrets_are_never_shown() {
    let secret = "s3cret-value";
    let url = "postgres//app:s3cret-value@db/app";
    let refusals = [
        given(&["serve", "--token-key", secret], &[], "").refusal(),
        given(&["serve", &format!("--database-url={url}")], &[], "").refusal(),
        given(&["serve"], &[("TENANTRY_CURSOR_KEY", secret)], "").refusal(),
        given(&["serve"], &[("DATABASE_URL", url)], "").refusal(),
        given(&["serve"], &[], &format!("cookie_key = {secret:?}")).refusal(),
        given(&["serve"], &[], &format!("[cookie_key]\nvalue = {secret:?}")).refusal(),
        // Misspelled, so not known to be secrets.
        given(&["serve"], &[("TENANTRY_TOKN_KEY", secret)], "").refusal(),
        given(&["serve"], &[("TENANTRY_SMTP_PASSWORD", secret)], "").refusal(),
        given(&["serve"], &[], &format!("token_kye = {secret:?}")).refusal(),
        // Not TOML: the line holds a secret.
        given(&["serve"], &[], &format!("listen = \"127.0.0.1:80\"\ntoken_key = {secret}\"")).refusal(),
    ];
    for refusal in refusals {
        assert!(!refusal.contains("s3cret"), "{refusal}");
        assert!(refusal.contains("<hidden>") || refusal.contains("in line 2"), "{refusal}");
    }
    let key = Key32::generate().unwrap();
    let text = key.to_base64().expose_secret().to_owned();
    let (urls, settings) =
        given(&["serve", "--token-key", &text, "--database-url", "postgres://app:s3cret-value@db/app"], &[], "")
            .serve();
    let shown = format!("{urls:?} {settings:?}");
    assert!(!shown.contains("s3cret") && !shown.contains(&text), "{shown}");
    let help = given(&["serve", "--help"], &[], &format!("token_key = {text:?}")).refusal();
    assert!(!help.contains(&text), "{help}");
}

#[test]
fn help_explains_every_setting_and_names_its_variable() {
    let help = given(&["serve", "--help"], &[], "").refusal();
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    for name in ["TENANTRY_LISTEN", "DATABASE_URL", "TENANTRY_LIMIT_COST", "TENANTRY_RIGHTS_CACHE_TTL_MS"] {
        assert!(help.contains(&format!("[env: {name}]")), "{name} is not in:\n{help}");
    }
}

#[test]
fn settings_of_other_commands_are_known_everywhere() {
    let file = "pool_size = 5\ndatabase_url = \"postgres://app@db/app\"";
    let Command::Migrate { urls } =
        given(&["migrate"], &[("TENANTRY_LISTEN", "0.0.0.0:80")], file).load().unwrap().command
    else {
        panic!("another command");
    };
    assert!(urls.database_url.is_some());
}

#[test]
fn production_needs_three_different_secrets_of_its_own() {
    let fresh = || Some(Key32::generate().unwrap());
    let missing = KeySettings { cursor_key: fresh(), ..KeySettings::default() };
    let text = missing.for_production().unwrap_err().to_string();
    assert!(text.starts_with("TENANTRY_TOKEN_KEY, TENANTRY_COOKIE_KEY are not set"), "{text}");
    assert!(text.contains("tenantry keys generate"), "{text}");

    let demo = Some(Key32::generate_demo().unwrap());
    let keys = KeySettings { token_key: fresh(), cursor_key: demo, cookie_key: fresh() };
    assert_eq!(keys.for_production().unwrap_err(), KeyError::Demo { name: "cursor_key" });
    assert!(keys.all().is_ok());

    let twice = fresh();
    let keys = KeySettings { token_key: twice.clone(), cursor_key: fresh(), cookie_key: twice };
    let repeated = KeyError::Repeated { first: "token_key", second: "cookie_key" };
    assert_eq!(keys.for_production().unwrap_err(), repeated);

    let keys = KeySettings { token_key: fresh(), cursor_key: fresh(), cookie_key: fresh() };
    assert!(keys.for_production().is_ok());
}

#[test]
fn key_survives_the_way_out_and_in() {
    let key = Key32::generate().unwrap();
    assert_eq!(key.to_base64().expose_secret().parse::<Key32>().unwrap().expose(), key.expose());
    assert!("c2hvcnQ=".parse::<Key32>().is_err());
}
