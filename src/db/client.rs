//! A single connection for what is no request: `migrate`, `doctor`, and the look at what stands before the database.

use tokio_postgres::{Client, NoTls};

use super::pool::{self, BadUrl, Tls};

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The URL cannot be used.
    #[error(transparent)]
    BadUrl(#[from] BadUrl),
    /// The server does not answer, or refuses the login.
    #[error("the database cannot be reached: {0}")]
    Unreachable(String),
}

/// Opens a connection that PostgreSQL lists under this name; it closes when the client is dropped.
pub(super) async fn connect(url: &str, name: &str) -> Result<Client, ConnectError> {
    connect_to(url, name, None).await
}

/// The same to another database than the URL's.
pub(super) async fn connect_to(url: &str, name: &str, database: Option<&str>) -> Result<Client, ConnectError> {
    let (mut config, tls) = pool::parse(url)?;
    config.application_name(name);
    if let Some(database) = database {
        config.dbname(database);
    }
    let unreachable = |error: tokio_postgres::Error| ConnectError::Unreachable(pool::reason(&error));
    // What ends a connection shows up in the client's next call.
    let client = match tls {
        Tls::Off => {
            let (client, connection) = config.connect(NoTls).await.map_err(unreachable)?;
            tokio::spawn(connection);
            client
        }
        Tls::Rustls(tls) => {
            let (client, connection) = config.connect(tls).await.map_err(unreachable)?;
            tokio::spawn(connection);
            client
        }
    };
    Ok(client)
}
