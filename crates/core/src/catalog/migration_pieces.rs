use tidegate_model::{MigrationPiece, UnixNanos};

use super::{Catalog, CatalogError, Migration};

/// A file that is to be taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MigrationFile {
    /// Its path below the source.
    pub file: String,
    /// What changes when it is written to.
    pub fingerprint: String,
    /// Its rows.
    pub rows: u64,
}

/// Rows of a file that were taken in one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakenPiece {
    /// Which.
    pub piece: MigrationPiece,
    /// Those of them that are stored; the others were refused.
    pub accepted: u64,
}

/// How far a migration is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MigrationProgress {
    /// Files that are to be taken.
    pub files: u64,
    /// Their rows.
    pub rows: u64,
    /// Rows that were taken or refused.
    pub seen: u64,
    /// Rows that were taken.
    pub accepted: u64,
}

impl Catalog {
    /// Notes files that are to be taken. Returns the first that is known with other content: of it rows may be here.
    pub async fn add_migration_files(
        &self,
        id: &str,
        files: &[MigrationFile],
    ) -> Result<Option<MigrationFile>, CatalogError> {
        let failed = || CatalogError::database("note files of a migration");
        let mut transaction = self.pool.begin().await.map_err(failed())?;
        for file in files {
            let known: Option<(String, i64)> = sqlx::query_as(
                "INSERT INTO data_migration_files (migration, file, fingerprint, row_count) VALUES (?, ?, ?, ?)
                 ON CONFLICT DO UPDATE SET row_count = row_count RETURNING fingerprint, row_count",
            )
            .bind(id)
            .bind(&file.file)
            .bind(&file.fingerprint)
            .bind(file.rows.cast_signed())
            .fetch_optional(&mut *transaction)
            .await
            .map_err(failed())?;
            if known.is_some_and(|(fingerprint, rows)| {
                (fingerprint, rows.cast_unsigned()) != (file.fingerprint.clone(), file.rows)
            }) {
                return Ok(Some(file.clone()));
            }
        }
        transaction.commit().await.map_err(failed())?;
        Ok(None)
    }

    /// Lists the files of a migration by name.
    pub async fn migration_files(&self, id: &str) -> Result<Vec<MigrationFile>, CatalogError> {
        let sql = "SELECT file, fingerprint, row_count FROM data_migration_files WHERE migration = ? ORDER BY file";
        let rows: Vec<(String, String, i64)> = sqlx::query_as(sql)
            .bind(id)
            .fetch_all(&self.pool)
            .await
            .map_err(CatalogError::database("read the files of a migration"))?;
        let file = |(file, fingerprint, rows): (String, String, i64)| MigrationFile {
            file,
            fingerprint,
            rows: rows.cast_unsigned(),
        };
        Ok(rows.into_iter().map(file).collect())
    }

    /// Notes rows that were taken; what is known stays as it is.
    pub async fn add_migration_pieces(&self, pieces: &[TakenPiece]) -> Result<(), CatalogError> {
        let failed = || CatalogError::database("note what a migration has taken");
        let mut transaction = self.pool.begin().await.map_err(failed())?;
        for TakenPiece { piece, accepted } in pieces {
            sqlx::query(
                "INSERT INTO data_migration_pieces (migration, file, first_row, row_count, accepted)
                 VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            )
            .bind(&piece.migration)
            .bind(&piece.file)
            .bind(piece.first.cast_signed())
            .bind(piece.rows.cast_signed())
            .bind(accepted.cast_signed())
            .execute(&mut *transaction)
            .await
            .map_err(failed())?;
        }
        transaction.commit().await.map_err(failed())
    }

    /// Lists what a migration has taken, by file and place.
    pub async fn migration_pieces(&self, id: &str) -> Result<Vec<TakenPiece>, CatalogError> {
        let rows: Vec<(String, i64, i64, i64)> = sqlx::query_as(
            "SELECT file, first_row, row_count, accepted FROM data_migration_pieces WHERE migration = ?
             ORDER BY file, first_row",
        )
        .bind(id)
        .fetch_all(&self.pool)
        .await
        .map_err(CatalogError::database("read what a migration has taken"))?;
        let taken = |(file, first, rows, accepted): (String, i64, i64, i64)| TakenPiece {
            piece: MigrationPiece {
                migration: id.to_owned(),
                file,
                first: first.cast_unsigned(),
                rows: rows.cast_unsigned(),
            },
            accepted: accepted.cast_unsigned(),
        };
        Ok(rows.into_iter().map(taken).collect())
    }

    /// Tells how far a migration is.
    pub async fn migration_progress(&self, id: &str) -> Result<MigrationProgress, CatalogError> {
        let (files, rows, seen, accepted): (i64, i64, i64, i64) = sqlx::query_as(
            "SELECT (SELECT count(*) FROM data_migration_files WHERE migration = ?1),
                 (SELECT coalesce(sum(row_count), 0) FROM data_migration_files WHERE migration = ?1),
                 (SELECT coalesce(sum(row_count), 0) FROM data_migration_pieces WHERE migration = ?1),
                 (SELECT coalesce(sum(accepted), 0) FROM data_migration_pieces WHERE migration = ?1)",
        )
        .bind(id)
        .fetch_one(&self.pool)
        .await
        .map_err(CatalogError::database("read how far a migration is"))?;
        let [files, rows, seen, accepted] = [files, rows, seen, accepted].map(i64::cast_unsigned);
        Ok(MigrationProgress { files, rows, seen, accepted })
    }

    /// Changes a migration again and again until nobody was faster; `None`: it is not open any more.
    pub async fn update_migration<E: From<CatalogError>>(
        &self,
        (slug, label): (&str, &str),
        now: UnixNanos,
        change: impl Fn(&mut Migration) -> Result<(), E>,
    ) -> Result<Option<Migration>, E> {
        loop {
            let Some(before) = self.open_migration(slug, label) else { return Ok(None) };
            let mut changed = before.clone();
            change(&mut changed)?;
            changed.updated_at = UnixNanos(now.0.max(before.updated_at.0 + 1));
            if self.change_migration(&changed, before.updated_at).await? {
                return Ok(Some(changed));
            }
        }
    }
}
