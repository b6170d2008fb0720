//! `tenantry serve`: the server as it runs in production.

use std::{net::TcpListener, process::ExitCode};

use anyhow::{Context, Result};
use clap::Args;
use secrecy::SecretString;
use tenantry::{
    app::{App, server::Listeners},
    clock::Clock,
    config::{DatabaseUrls, Keys, LogFormat, Settings},
    telemetry::{self, Format, Metrics},
};

use super::signals;

/// Serves the API. Needs `DATABASE_URL` and the three secrets; never migrates by itself.
#[derive(Args)]
pub struct ServeArgs {
    #[command(flatten)]
    urls: DatabaseUrls,
    #[command(flatten)]
    settings: Settings,
}

/// `tenantry serve`.
pub fn command(args: ServeArgs) -> Result<ExitCode> {
    let ServeArgs { urls, settings } = args;
    let keys = settings.auth.keys.for_production()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listeners = Listeners::bind(settings.server.listen, settings.server.admin_listen)?;
        let stop = signals::listen()?;
        serve(&settings, &keys, &urls, listeners, stop).await
    })?;
    Ok(ExitCode::SUCCESS)
}

/// What `dev` does once its database is there: the same server, with secrets that are the machine's own.
pub async fn run(
    settings: &Settings,
    urls: &DatabaseUrls,
    api: TcpListener,
    admin: TcpListener,
    stop: impl Future<Output = ()>,
) -> Result<()> {
    let keys = settings.auth.keys.all()?;
    serve(settings, &keys, urls, Listeners::of(api, admin)?, stop).await
}

async fn serve(
    settings: &Settings,
    keys: &Keys,
    urls: &DatabaseUrls,
    listeners: Listeners,
    stop: impl Future<Output = ()>,
) -> Result<()> {
    let _traces = telemetry::init(&telemetry::Settings {
        filter: settings.telemetry.log_filter.clone(),
        format: match settings.telemetry.log_format {
            LogFormat::Text => Format::Text,
            LogFormat::Json => Format::Json,
        },
        otlp_endpoint: settings.telemetry.otlp_endpoint.clone(),
        ..telemetry::Settings::default()
    })?;
    let recorder = Metrics::install()?;
    let database_url = runtime_url(urls)?;
    let app = App::new(settings, keys, database_url, urls.platform_url.as_ref(), Clock::system()).await?;
    app.serve(settings, database_url, recorder, listeners, stop).await?;
    Ok(())
}

/// The runtime login's URL, which every command that works through services needs.
pub fn runtime_url(urls: &DatabaseUrls) -> Result<&SecretString> {
    urls.database_url.as_ref().context(
        "no database is named. Set DATABASE_URL (or --database-url) to the runtime login: \
         postgres://tenantry_app:…@host/tenantry",
    )
}
