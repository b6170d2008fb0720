//! `tenantry seed`: demo data, through the same services as everything else.

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;
use secrecy::{ExposeSecret, SecretString};
use tenantry::{
    app::{App, demo},
    clock::Clock,
    config::{DatabaseUrls, Settings},
};

use super::{
    dev::{Demo, DemoApiKey, DemoSignIn, DemoTenant, random_password},
    operators::{Connection, with_services},
};

/// Fills an empty database with demo data and prints how to come in. Nobody in it exists.
#[derive(Args)]
pub struct SeedArgs {
    #[command(flatten)]
    connection: Connection,
}

/// `tenantry seed`.
pub fn run(args: &SeedArgs) -> Result<ExitCode> {
    let demo = with_services(&args.connection, async |services| {
        if !demo::is_empty(services).await? {
            bail!("the database has tenants already; demo data goes into an empty one only");
        }
        Ok(told(demo::load(services, fresh_password).await?))
    })?;
    println!("{}", serde_json::to_string_pretty(&demo)?);
    Ok(ExitCode::SUCCESS)
}

/// Loads the demo data if there is no tenant; tells how to come in.
pub async fn demo_if_empty(settings: &Settings, urls: &DatabaseUrls) -> Result<Option<Demo>> {
    let keys = settings.auth.keys.all()?;
    let database_url = super::serve::runtime_url(urls)?;
    let app = App::new(settings, &keys, database_url, urls.platform_url.as_ref(), Clock::system()).await?;
    let services = &app.services;
    let loaded = match demo::is_empty(services).await? {
        true => Some(told(demo::load(services, fresh_password).await?)),
        false => None,
    };
    services.db.close();
    Ok(loaded)
}

fn fresh_password() -> SecretString {
    // A machine without random bytes cannot make keys either; it fails there with a message of its own.
    SecretString::from(random_password().unwrap_or_default())
}

fn told(demo: demo::Demo) -> Demo {
    let exposed = |secret: &SecretString| secret.expose_secret().to_owned();
    Demo {
        tenants: demo.tenants.iter().map(|(slug, id)| DemoTenant { slug: slug.clone(), id: id.to_string() }).collect(),
        sign_ins: (demo.sign_ins.iter())
            .map(|sign_in| DemoSignIn {
                tenant: sign_in.tenant.clone(),
                role: sign_in.role.clone(),
                email: sign_in.email.clone(),
                password: exposed(&sign_in.password),
            })
            .collect(),
        api_keys: (demo.api_keys.iter())
            .map(|(tenant, name, key)| DemoApiKey { tenant: tenant.clone(), name: name.clone(), key: exposed(key) })
            .collect(),
    }
}
