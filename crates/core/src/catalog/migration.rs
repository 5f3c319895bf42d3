use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use serde_json::Value;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqlitePool};
use tidegate_model::limits::MIGRATIONS_LISTED_MAX;
use tidegate_model::{Seq, UnixNanos};

use super::{Catalog, CatalogError};

/// Where a migration is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MigrationState {
    /// Rows of the older engine are taken; it answers reads.
    Copying,
    /// Nobody else writes to the table; the older engine answers reads.
    Frozen,
    /// We answer reads.
    Switched,
    /// It is over, and the older engine is out of it.
    Finished,
    /// It was given up.
    Abandoned,
}

impl MigrationState {
    /// Every state.
    pub const ALL: [Self; 5] = [Self::Copying, Self::Frozen, Self::Switched, Self::Finished, Self::Abandoned];

    /// Returns the state's name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Copying => "copying",
            Self::Frozen => "frozen",
            Self::Switched => "switched",
            Self::Finished => "finished",
            Self::Abandoned => "abandoned",
        }
    }

    /// Says whether anything of it is still to be done.
    #[must_use]
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Copying | Self::Frozen | Self::Switched)
    }
}

/// The move of a dataset's table from an older engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migration {
    /// Its name, which no other has.
    pub id: String,
    /// The dataset.
    pub slug: String,
    /// The table of the dataset.
    pub label: String,
    /// Where it is in its life; see [`Migration::state_at`].
    pub state: MigrationState,
    /// Where rows come from, as the one who brings them says it: JSON.
    pub source: Value,
    /// Where reads go while the older engine answers them.
    pub ask: String,
    /// When a freeze ends by itself.
    pub frozen_until: Option<UnixNanos>,
    /// The older engine gets rows above this one; `None`: it gets none.
    pub mirror_from: Option<Seq>,
    /// The older engine has its rows up to this one, in files.
    pub mirrored: Seq,
    /// The end of the file that is being written now; after a crash the same is written again.
    pub mirror_end: Option<Seq>,
    /// Somebody loads these files into the older engine and tells of it.
    pub is_applied: bool,
    /// Up to this row they are loaded.
    pub applied: Seq,
    /// The newest row when reads were switched.
    pub switched_at_row: Option<Seq>,
    /// What the last comparison came to: JSON.
    pub validation: Option<Value>,
    /// When it was begun.
    pub created_at: UnixNanos,
    /// When it was last changed; no two changes have the same.
    pub updated_at: UnixNanos,
}

impl Migration {
    /// Returns the state at a moment: a freeze ends by itself, so that nobody who is gone keeps a dataset closed.
    #[must_use]
    pub fn state_at(&self, now: UnixNanos) -> MigrationState {
        match (self.state, self.frozen_until) {
            (MigrationState::Frozen, Some(until)) if until.0 <= now.0 => MigrationState::Copying,
            (state, _) => state,
        }
    }

    /// Says whether reads are the older engine's to answer.
    #[must_use]
    pub const fn is_read_at_source(&self) -> bool {
        matches!(self.state, MigrationState::Copying | MigrationState::Frozen)
    }
}

/// The open migrations; who takes or reads rows does not wait for the disk.
#[derive(Debug, Clone, Default)]
pub(super) struct OpenMigrations {
    by_table: Arc<RwLock<BTreeMap<(String, String), Migration>>>,
}

impl OpenMigrations {
    pub(super) async fn read(pool: &SqlitePool) -> Result<Self, CatalogError> {
        let sql = "SELECT * FROM data_migrations WHERE state IN ('copying', 'frozen', 'switched')";
        let rows = sqlx::query(sql).fetch_all(pool).await.map_err(CatalogError::database("read the migrations"))?;
        let open = Self::default();
        for row in &rows {
            open.learn(migration(row)?);
        }
        Ok(open)
    }

    fn learn(&self, migration: Migration) {
        let mut by_table = self.by_table.write().unwrap_or_else(PoisonError::into_inner);
        let key = (migration.slug.clone(), migration.label.clone());
        let known = by_table.get(&key).map(|known| (known.id.clone(), known.updated_at));
        if known.is_some_and(|(id, at)| id == migration.id && at >= migration.updated_at) {
            return;
        }
        if migration.state.is_open() {
            by_table.insert(key, migration);
        } else {
            by_table.remove(&key);
        }
    }
}

impl Catalog {
    /// Returns the open migration of a table.
    #[must_use]
    pub fn open_migration(&self, slug: &str, label: &str) -> Option<Migration> {
        let by_table = self.migrations.by_table.read().unwrap_or_else(PoisonError::into_inner);
        if by_table.is_empty() {
            return None;
        }
        by_table.get(&(slug.to_owned(), label.to_owned())).cloned()
    }

    /// Returns every open migration.
    #[must_use]
    pub fn open_migrations(&self) -> Vec<Migration> {
        self.migrations.by_table.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Begins a migration; `false`: the table has an open one.
    pub async fn add_migration(&self, migration: &Migration) -> Result<bool, CatalogError> {
        let added = sqlx::query(
            "INSERT INTO data_migrations
                 (id, slug, label, state, source, ask, mirror_from, mirrored, is_applied, applied, created_at, updated_at)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        )
        .bind(&migration.id)
        .bind(&migration.slug)
        .bind(&migration.label)
        .bind(migration.state.as_str())
        .bind(migration.source.to_string())
        .bind(&migration.ask)
        .bind(migration.mirror_from.map(signed))
        .bind(signed(migration.mirrored))
        .bind(migration.is_applied)
        .bind(signed(migration.applied))
        .bind(migration.created_at.0)
        .bind(migration.updated_at.0)
        .execute(&self.pool)
        .await
        .map_err(CatalogError::database("begin a migration"))?;
        let is_added = added.rows_affected() > 0;
        if is_added {
            self.migrations.learn(migration.clone());
        }
        Ok(is_added)
    }

    /// Changes a migration, if nobody did since `before`; `false`: somebody did.
    pub async fn change_migration(&self, changed: &Migration, before: UnixNanos) -> Result<bool, CatalogError> {
        let outcome = sqlx::query(
            "UPDATE data_migrations SET state = ?, source = ?, ask = ?, frozen_until = ?, mirror_from = ?, mirrored = ?,
                 mirror_end = ?, is_applied = ?, applied = ?, switched_at_row = ?, validation = ?, updated_at = ?
             WHERE id = ? AND updated_at = ?",
        )
        .bind(changed.state.as_str())
        .bind(changed.source.to_string())
        .bind(&changed.ask)
        .bind(changed.frozen_until.map(|at| at.0))
        .bind(changed.mirror_from.map(signed))
        .bind(signed(changed.mirrored))
        .bind(changed.mirror_end.map(signed))
        .bind(changed.is_applied)
        .bind(signed(changed.applied))
        .bind(changed.switched_at_row.map(signed))
        .bind(changed.validation.as_ref().map(Value::to_string))
        .bind(changed.updated_at.0)
        .bind(&changed.id)
        .bind(before.0)
        .execute(&self.pool)
        .await
        .map_err(CatalogError::database("change a migration"))?;
        let is_changed = outcome.rows_affected() > 0;
        if is_changed {
            self.migrations.learn(changed.clone());
        }
        Ok(is_changed)
    }

    /// Finds a migration, open or not.
    pub async fn migration(&self, id: &str) -> Result<Option<Migration>, CatalogError> {
        let row = sqlx::query("SELECT * FROM data_migrations WHERE id = ?").bind(id).fetch_optional(&self.pool).await;
        row.map_err(CatalogError::database("read a migration"))?.as_ref().map(migration).transpose()
    }

    /// Lists migrations, the newest first.
    pub async fn migrations(&self, slug: Option<&str>) -> Result<Vec<Migration>, CatalogError> {
        let sql = "SELECT * FROM data_migrations WHERE ?1 IS NULL OR slug = ?1 ORDER BY created_at DESC, id LIMIT ?2";
        let rows = sqlx::query(sql).bind(slug).bind(MIGRATIONS_LISTED_MAX).fetch_all(&self.pool).await;
        rows.map_err(CatalogError::database("list migrations"))?.iter().map(migration).collect()
    }
}

fn signed(seq: Seq) -> i64 {
    seq.0.cast_signed()
}

fn migration(row: &SqliteRow) -> Result<Migration, CatalogError> {
    let id: String = row.get("id");
    let corrupt = |what: &str| CatalogError::Corrupt { what: format!("{what} of the migration `{id}`") };
    let word: &str = row.get("state");
    let state = MigrationState::ALL.into_iter().find(|state| state.as_str() == word);
    let validation: Option<&str> = row.get("validation");
    let seq = |name: &str| row.get::<Option<i64>, _>(name).map(|seq| Seq(seq.cast_unsigned()));
    Ok(Migration {
        slug: row.get("slug"),
        label: row.get("label"),
        state: state.ok_or_else(|| corrupt("the state"))?,
        source: serde_json::from_str(row.get("source")).map_err(|_| corrupt("the source"))?,
        ask: row.get("ask"),
        frozen_until: row.get::<Option<i64>, _>("frozen_until").map(UnixNanos),
        mirror_from: seq("mirror_from"),
        mirrored: seq("mirrored").unwrap_or_default(),
        mirror_end: seq("mirror_end"),
        is_applied: row.get("is_applied"),
        applied: seq("applied").unwrap_or_default(),
        switched_at_row: seq("switched_at_row"),
        validation: validation.map(serde_json::from_str).transpose().map_err(|_| corrupt("the comparison"))?,
        created_at: UnixNanos(row.get("created_at")),
        updated_at: UnixNanos(row.get("updated_at")),
        id,
    })
}
