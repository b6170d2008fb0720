//! `tenantry tenant …`, `user …`, `key …`: what operators do, the same way through services, rights and audit as the API.

use std::{io::IsTerminal, process::ExitCode};

use anyhow::{Context, Result, bail};
use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use secrecy::{ExposeSecret, SecretString};
use tenantry::{
    access::Permission,
    app::App,
    clock::Clock,
    config::{DatabaseUrls, Settings},
    domain::{
        Error, Services, api_keys, identity,
        mutation::Written,
        platform::{service, types::NewTenant},
    },
};

use super::serve::runtime_url;

/// The logins and secrets that operators' commands need.
#[derive(Args)]
pub struct Connection {
    #[command(flatten)]
    urls: DatabaseUrls,
    #[command(flatten)]
    settings: Settings,
}

/// Work on tenants.
#[derive(Subcommand)]
pub enum TenantCommand {
    /// Create a tenant with its first owner.
    Create {
        /// Its slug: lower-case letters, digits and dashes.
        slug: String,
        /// Its name.
        #[arg(long)]
        name: String,
        /// The verified e-mail address of the person who owns it first.
        #[arg(long, value_name = "EMAIL")]
        owner: String,
        /// The key of its plan.
        #[arg(long, default_value = "team")]
        plan: String,
        #[command(flatten)]
        connection: Box<Connection>,
    },
    /// List tenants by slug.
    List {
        /// Begin behind this slug.
        #[arg(long, default_value = "")]
        after: String,
        /// So many at most.
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(i64).range(1..=1000))]
        limit: i64,
        #[command(flatten)]
        connection: Box<Connection>,
    },
    /// Close a tenant: every request is refused from then on.
    Suspend {
        /// Its slug or id.
        tenant: String,
        /// Why; shown to operators.
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        connection: Box<Connection>,
    },
    /// Open a suspended tenant again.
    Resume {
        /// Its slug or id.
        tenant: String,
        #[command(flatten)]
        connection: Box<Connection>,
    },
}

/// Work on people.
#[derive(Subcommand)]
pub enum UserCommand {
    /// Create a person with a verified address; asks for the password on standard input.
    Create {
        /// The e-mail address.
        email: String,
        /// The name.
        #[arg(long)]
        name: String,
        /// Make the person a member of this tenant (slug or id).
        #[arg(long)]
        tenant: Option<String>,
        /// The roles in that tenant, by key.
        #[arg(long = "role", value_name = "KEY", default_value = "member", requires = "tenant")]
        roles: Vec<String>,
        #[command(flatten)]
        connection: Box<Connection>,
    },
}

/// Work on API keys.
#[derive(Subcommand)]
pub enum KeyCommand {
    /// Issue an API key and print it, once.
    Create {
        /// The tenant (slug or id).
        tenant: String,
        /// What it is for.
        #[arg(long)]
        name: String,
        /// The verified e-mail address of the member who owns it.
        #[arg(long, value_name = "EMAIL")]
        owner: String,
        /// What it may do, for example `tasks:read`.
        #[arg(long = "scope", value_name = "PERMISSION", required = true)]
        scopes: Vec<Permission>,
        /// When it ends (RFC 3339).
        #[arg(long, value_name = "TIME")]
        expires_at: Option<DateTime<Utc>>,
        #[command(flatten)]
        connection: Box<Connection>,
    },
}

/// The operator's name at the operating system, for the audit log.
fn label() -> String {
    std::env::var("SUDO_USER").or_else(|_| std::env::var("USER")).unwrap_or_else(|_| "unknown".to_owned())
}

/// Runs one command against the services and waits until its records are written.
pub fn with_services<T>(connection: &Connection, work: impl AsyncFnOnce(&Services) -> Result<T>) -> Result<T> {
    super::block_on(async {
        let keys = connection.settings.auth.keys.all()?;
        let database_url = runtime_url(&connection.urls)?;
        let platform_url = connection.urls.platform_url.as_ref().context(
            "operators work through the platform login. Set TENANTRY_PLATFORM_URL (or --platform-url): \
             postgres://tenantry_platform:…@host/tenantry",
        )?;
        let app = App::new(&connection.settings, &keys, database_url, Some(platform_url), Clock::system()).await?;
        let outcome = work(&app.services).await;
        app.services.refusals.drained().await;
        outcome
    })
}

/// The form of an address that people are found by.
fn norm(email: &str) -> Result<String> {
    let email = identity::types::Email::parse(email).context("this is no e-mail address")?;
    Ok(email.norm)
}

/// What an operator reads when a use case refuses.
fn told(error: Error) -> anyhow::Error {
    match error {
        Error::Rejected(problems) => {
            let lines: Vec<_> = problems.into_iter().map(|problem| problem.message).collect();
            anyhow::anyhow!(lines.join("\n"))
        }
        other => other.into(),
    }
}

/// `tenantry tenant …`.
pub fn tenant(command: TenantCommand) -> Result<ExitCode> {
    match command {
        TenantCommand::Create { slug, name, owner, plan, connection } => with_services(&connection, async |services| {
            let owner = service::user_with_email(services, &label(), &norm(&owner)?).await.map_err(told)?;
            let new = NewTenant { slug, name, owner, plan };
            let created = service::tenant_create(services, &label(), new).await.map_err(told)?;
            println!("{}", created.tenant);
            Ok(())
        }),
        TenantCommand::List { after, limit, connection } => with_services(&connection, async |services| {
            for line in service::tenant_list(services, &label(), &after, limit).await.map_err(told)? {
                println!("{}  {:<12}  {:<24}  {}", line.id, line.status, line.slug, line.name);
            }
            Ok(())
        }),
        TenantCommand::Suspend { tenant, reason, connection } => with_services(&connection, async |services| {
            let tenant = service::tenant_named(services, &tenant).await.map_err(told)?;
            service::tenant_suspend(services, &label(), tenant, reason).await.map_err(told)
        }),
        TenantCommand::Resume { tenant, connection } => with_services(&connection, async |services| {
            let tenant = service::tenant_named(services, &tenant).await.map_err(told)?;
            service::tenant_resume(services, &label(), tenant).await.map_err(told)
        }),
    }?;
    Ok(ExitCode::SUCCESS)
}

/// `tenantry user …`.
pub fn user(command: UserCommand) -> Result<ExitCode> {
    let UserCommand::Create { email, name, tenant, roles, connection } = command;
    let password = password()?;
    with_services(&connection, async |services| {
        let new = identity::types::NewUser { email, display_name: name, password: Some(password), is_verified: true };
        let ctx = service::operator(services, &label(), None);
        let user = identity::service::create_user(services, &ctx, new).await.map_err(told)?;
        println!("{user}");
        if let Some(tenant) = tenant {
            let tenant = service::tenant_named(services, &tenant).await.map_err(told)?;
            let member = service::member_add(services, &label(), tenant, user, roles, None).await.map_err(told)?;
            println!("{member}");
        }
        Ok(())
    })?;
    Ok(ExitCode::SUCCESS)
}

/// One line from standard input: not an argument, because arguments show in the list of processes.
fn password() -> Result<SecretString> {
    if std::io::stdin().is_terminal() {
        eprint!("Password: ");
    }
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).context("cannot read the password")?;
    let password = line.trim_end_matches(['\r', '\n']);
    if password.is_empty() {
        bail!("give the password as one line on standard input");
    }
    Ok(SecretString::from(password))
}

/// `tenantry key …`.
pub fn key(command: KeyCommand) -> Result<ExitCode> {
    let KeyCommand::Create { tenant, name, owner, scopes, expires_at, connection } = command;
    with_services(&connection, async |services| {
        let user = service::user_with_email(services, &label(), &norm(&owner)?).await.map_err(told)?;
        let tenant = service::tenant_named(services, &tenant).await.map_err(told)?;
        let owner = service::member_of(services, &label(), tenant.clone(), user).await.map_err(told)?;
        let draft = api_keys::types::ApiKeyDraft {
            name,
            scopes,
            expires_at,
            owner: Some(owner),
            service_account: None,
            ..api_keys::types::ApiKeyDraft::default()
        };
        let ctx = service::operator(services, &label(), Some(tenant));
        let Written::Now(issued) = api_keys::service::create(services, &ctx, draft).await.map_err(told)? else {
            bail!("a command is never a repetition");
        };
        let secret = issued.secret.context("a new key has a secret")?;
        println!("{}", secret.expose_secret());
        Ok(())
    })?;
    Ok(ExitCode::SUCCESS)
}
