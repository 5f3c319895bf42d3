use std::path::Path;
use std::time::Duration;

use sqlx::ConnectOptions;
use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use tidegate_model::limits::CATALOG_WAIT_MS;

use super::datasets::Known;
use super::migration::OpenMigrations;
use super::records::Records;
use super::{Catalog, CatalogError};

/// Every step of the schema, in order; a landed one is never edited (its checksum is kept in the file).
const MIGRATIONS: [(i64, &str, &str); 9] = [
    (1, "first", include_str!("migrations/0001_first.sql")),
    (2, "states", include_str!("migrations/0002_states.sql")),
    (3, "datasets", include_str!("migrations/0003_datasets.sql")),
    (4, "manifests and saved SQL", include_str!("migrations/0004_manifests_and_saved_sql.sql")),
    (5, "exports", include_str!("migrations/0005_exports.sql")),
    (6, "storage targets", include_str!("migrations/0006_storage_targets.sql")),
    (7, "lifecycle", include_str!("migrations/0007_lifecycle.sql")),
    (8, "moves from older engines", include_str!("migrations/0008_data_migrations.sql")),
    (9, "alerts", include_str!("migrations/0009_alerts.sql")),
];

impl Catalog {
    /// Opens the file, made when absent; migrates it.
    pub async fn open(path: &Path) -> Result<Self, CatalogError> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full);
        Self::connect(options).await
    }

    /// Opens a catalog that ends with the process.
    pub async fn in_memory() -> Result<Self, CatalogError> {
        Self::connect(SqliteConnectOptions::new().in_memory(true)).await
    }

    /// Copies the catalog, as it is at this moment, into a file that is not there yet.
    pub async fn copy_to(&self, path: &Path) -> Result<(), CatalogError> {
        sqlx::query("VACUUM INTO ?")
            .bind(path.display().to_string())
            .execute(&self.pool)
            .await
            .map_err(CatalogError::database("copy the catalog"))?;
        Ok(())
    }

    /// Ends the connection; what was answered is on disk already.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    async fn connect(options: SqliteConnectOptions) -> Result<Self, CatalogError> {
        let options = options.busy_timeout(Duration::from_millis(CATALOG_WAIT_MS)).disable_statement_logging();
        // SQLite has one writer anyway; one connection means no caller ever sees "database is locked",
        // and a catalog in memory lives exactly as long as its connection.
        let pool = SqlitePoolOptions::new()
            .max_connections(1)
            .min_connections(1)
            .idle_timeout(None)
            .max_lifetime(None)
            .acquire_timeout(Duration::from_millis(CATALOG_WAIT_MS))
            .connect_with(options)
            .await
            .map_err(CatalogError::database("open the catalog"))?;
        migrator(MIGRATIONS.len()).run(&pool).await.map_err(migrate_error)?;
        let known = Known::read(&pool).await?;
        let records = Records::read(&pool).await?;
        let migrations = OpenMigrations::read(&pool).await?;
        Ok(Self { pool, known, records, migrations })
    }
}

/// Returns the first steps of the schema.
pub(super) fn migrator(steps: usize) -> Migrator {
    let migrations = MIGRATIONS.iter().take(steps).map(|(version, name, sql)| {
        let sql = sqlx::SqlStr::from_static(sql);
        Migration::new(*version, (*name).into(), MigrationType::Simple, sql, false)
    });
    Migrator::with_migrations(migrations.collect())
}

fn migrate_error(error: MigrateError) -> CatalogError {
    match error {
        MigrateError::VersionMissing(found) => CatalogError::Newer { found, known: MIGRATIONS[MIGRATIONS.len() - 1].0 },
        other => CatalogError::Database { step: "migrate the catalog", source: other.into() },
    }
}
