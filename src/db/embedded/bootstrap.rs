//! The few statements that need the superuser of the private cluster.

use tokio_postgres::{Client, NoTls};

use super::{Cluster, EmbeddedError, SUPERUSER};

impl Cluster {
    /// Runs this SQL text as the superuser, in this database. For the roles, which nobody else may create.
    ///
    /// # Errors
    /// [`EmbeddedError::Sql`] with the server's message.
    pub async fn run_as_superuser(&self, database: &str, sql: &str) -> Result<(), EmbeddedError> {
        let client = self.superuser(database).await?;
        client.batch_execute(sql).await.map_err(failed("run SQL as superuser"))
    }

    /// Creates this database for this owner; says whether it was absent before.
    ///
    /// # Errors
    /// [`EmbeddedError::Sql`], for example if the owner does not exist.
    pub async fn create_database(&self, database: &str, owner: &str) -> Result<bool, EmbeddedError> {
        let client = self.superuser("postgres").await?;
        let found = client.query_opt("SELECT 1 FROM pg_database WHERE datname = $1", &[&database]).await;
        if found.map_err(failed("look for the database"))?.is_some() {
            return Ok(false);
        }
        let create = format!("CREATE DATABASE {} OWNER {}", quote_name(database), quote_name(owner));
        client.batch_execute(&create).await.map_err(failed("create the database"))?;
        Ok(true)
    }

    async fn superuser(&self, database: &str) -> Result<Client, EmbeddedError> {
        let connect = failed("connect");
        let (client, connection) =
            tokio_postgres::connect(&self.url(SUPERUSER, database), NoTls).await.map_err(connect)?;
        // The connection ends when the client is dropped; its failures show up in the client's calls.
        tokio::spawn(connection);
        Ok(client)
    }
}

fn failed(step: &'static str) -> impl FnOnce(tokio_postgres::Error) -> EmbeddedError {
    move |source| EmbeddedError::Sql { step, source }
}

/// A name as SQL text (`"…"`), for the statements that take no parameters.
fn quote_name(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
