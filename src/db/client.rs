//! A single connection with the migration login, for what is no request: `migrate` and `doctor`.

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

/// Opens a connection; it closes when the client is dropped.
pub(super) async fn connect(url: &str) -> Result<Client, ConnectError> {
    let (mut config, tls) = pool::parse(url)?;
    config.application_name("tenantry migrate");
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
