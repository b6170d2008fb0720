//! Logs, traces and metrics: what the server tells about itself.
//!
//! One span per request, with the request's id, in the log lines and, where a collector is configured, exported by
//! OTLP. Metrics are counted in process and read by Prometheus from the admin address. Start reading at [`init`] and
//! [`metrics`].
//!
//! Secrets, tokens, addresses of people and bodies are in none of it.

pub mod metrics;
mod shares;
mod spans;
mod trace;

use std::{str::FromStr, time::Duration};

use opentelemetry::{KeyValue, trace::TracerProvider};
use opentelemetry_otlp::WithExportConfig;
use opentelemetry_sdk::{
    Resource,
    trace::{Sampler, SdkTracerProvider},
};
use tracing::Subscriber;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt::MakeWriter, layer::SubscriberExt, registry::LookupSpan};
use url::Url;

pub use metrics::{Metrics, OperationNames, RequestRecord, SqlFigures};
pub use shares::{Report, Shares};
pub(crate) use spans::{log_response, request_span};
pub use trace::TraceParent;

/// What is told, how, and to whom.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Which events are logged, in the notation of `tracing_subscriber::EnvFilter`: `info`, `tenantry=debug,warn`.
    pub filter: String,
    /// The form of the log lines.
    pub format: Format,
    /// Where traces are sent by OTLP over HTTP, for example `http://localhost:4318`; nowhere if absent.
    pub otlp_endpoint: Option<Url>,
    /// The share of new traces that is exported, from 0 to 1; a trace that began elsewhere follows its caller.
    pub trace_ratio: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { filter: "info".into(), format: Format::Text, otlp_endpoint: None, trace_ratio: 1.0 }
    }
}

/// The form of a log line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON object per line, for machines.
    Json,
}

impl FromStr for Format {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err(Error::Format(text.to_owned())),
        }
    }
}

/// Why telemetry cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The log format is unknown.
    #[error("the log format {0:?} is unknown; it is text or json")]
    Format(String),
    /// The log filter cannot be read.
    #[error("the log filter {0:?} cannot be read; write for example info or tenantry=debug,warn")]
    Filter(String, #[source] tracing_subscriber::filter::ParseError),
    /// The share of traces is not a share.
    #[error("the share of traces must lie between 0 and 1, and not at {0}")]
    Ratio(f64),
    /// The collector's address has a scheme that is not built in.
    #[error("traces can be sent to an http:// address only, and not to {0}; run a collector beside the server")]
    Endpoint(Url),
    /// The exporter cannot be built.
    #[error("cannot set up the export of traces")]
    Exporter(#[source] opentelemetry_otlp::ExporterBuildError),
    /// Somebody else set up logging before.
    #[error("logging is already set up in this process")]
    LoggingTaken(#[source] tracing::subscriber::SetGlobalDefaultError),
    /// Somebody else set up metrics before.
    #[error("metrics are already set up in this process: {0}")]
    MetricsTaken(String),
}

/// Keeps the export of traces going; sends what is left when it is dropped.
#[must_use = "traces are exported only as long as this lives"]
#[derive(Debug, Default)]
pub struct Guard(Option<SdkTracerProvider>);

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(Err(error)) = self.0.as_ref().map(|provider| provider.shutdown_with_timeout(LAST_EXPORT)) {
            tracing::warn!(error = %error, "the last traces could not be sent");
        }
    }
}

/// How long the last export may hold up the end of the process.
const LAST_EXPORT: Duration = Duration::from_secs(3);

/// Sets up logging and, if asked for, the export of traces, for the whole process. Log lines go to standard error.
pub fn init(settings: &Settings) -> Result<Guard, Error> {
    let (subscriber, guard) = subscriber(settings, std::io::stderr)?;
    tracing::subscriber::set_global_default(subscriber).map_err(Error::LoggingTaken)?;
    log_panics();
    Ok(guard)
}

/// The same without making it the process's own: for tests, and for programs that have a subscriber already.
pub fn subscriber<W>(settings: &Settings, writer: W) -> Result<(impl Subscriber + Send + Sync + use<W>, Guard), Error>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let filter = EnvFilter::try_new(&settings.filter).map_err(|error| Error::Filter(settings.filter.clone(), error))?;
    let lines = tracing_subscriber::fmt::layer().with_writer(writer);
    let lines: Box<dyn Layer<Registry> + Send + Sync> = match settings.format {
        Format::Text => Box::new(lines.with_ansi(false).with_filter(filter)),
        // The span is the request: its id stands in every line.
        Format::Json => {
            Box::new(lines.json().flatten_event(true).with_current_span(true).with_span_list(false).with_filter(filter))
        }
    };
    let provider =
        settings.otlp_endpoint.as_ref().map(|endpoint| exporter(endpoint, settings.trace_ratio)).transpose()?;
    let traces = provider.as_ref().map(traces);
    Ok((tracing_subscriber::registry().with(lines).with(traces), Guard(provider)))
}

/// Our own spans, at `info` and above, whatever the log filter says.
fn traces<S: Subscriber + for<'s> LookupSpan<'s>>(provider: &SdkTracerProvider) -> impl Layer<S> + use<S> {
    tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("tenantry"))
        .with_location(false)
        .with_threads(false)
        .with_filter(tracing_subscriber::filter::Targets::new().with_target("tenantry", tracing::Level::INFO))
}

fn exporter(endpoint: &Url, ratio: f64) -> Result<SdkTracerProvider, Error> {
    if !(0.0..=1.0).contains(&ratio) {
        return Err(Error::Ratio(ratio));
    }
    if endpoint.scheme() != "http" {
        return Err(Error::Endpoint(endpoint.clone()));
    }
    let mut endpoint = endpoint.clone();
    if endpoint.path() == "/" {
        endpoint.set_path("/v1/traces");
    }
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_http()
        .with_endpoint(endpoint.as_str())
        .with_timeout(Duration::from_secs(5))
        .build()
        .map_err(Error::Exporter)?;
    let resource = Resource::builder()
        .with_service_name("tenantry")
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .build();
    Ok(SdkTracerProvider::builder()
        .with_resource(resource)
        .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(ratio))))
        .with_batch_exporter(exporter)
        .build())
}

/// Writes a panic to the log with the span that it happened in, instead of to standard error without one.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let message = panic.payload_as_str().unwrap_or("(a value that is not a text)");
        let location = panic.location().map(ToString::to_string);
        let backtrace = std::backtrace::Backtrace::capture();
        tracing::error!(panic.message = message, panic.location = location, panic.backtrace = %backtrace, "panic");
    }));
}
