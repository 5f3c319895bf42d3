use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use sqlx::Row as _;
use tidegate_model::FieldType;
use tidegate_model::limits::{PIECE_BYTES, PIECE_ROWS_MAX};
use tidegate_postgres::{Cell, Column, Kind, Offer, offer};

use super::link::{Link, Reading, name, text};
use super::map::Map;
use super::types::becomes;

/// Ranges of blocks are read by their place since this version.
const VERSION_MIN: i32 = 140_000;

/// The name of the source's rows in our statements.
const ROW: &str = "r";

/// A table of PostgreSQL as its catalog tells of it.
#[derive(Debug, Clone)]
pub(super) struct Table {
    pub(super) oid: i64,
    /// Its schema and name, quoted.
    pub(super) name: String,
    pub(super) columns: Vec<SourceColumn>,
    /// The columns of its primary key, or of the unique key that was named.
    pub(super) key: Vec<String>,
    pub(super) leaves: Vec<Leaf>,
    pub(super) rows_estimated: u64,
    pub(super) bytes: u64,
}

/// A column of it.
#[derive(Debug, Clone)]
pub(super) struct SourceColumn {
    pub(super) column: String,
    /// Its type, in PostgreSQL's words.
    pub(super) told: String,
    pub(super) offer: Offer,
    /// Every row has a value.
    pub(super) is_required: bool,
}

/// A part of the table with blocks of its own: itself, or one of its partitions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Leaf {
    /// Its schema and name, quoted.
    pub(super) name: String,
    /// The file that its blocks are in: another one, and rows are at other places.
    pub(super) file_node: i64,
    pub(super) blocks: u64,
    /// Blocks that are read together.
    pub(super) blocks_at_once: u64,
}

impl Table {
    pub(super) async fn find(link: &mut Link, wanted: &str, key: &[String]) -> Result<Self> {
        let version = link.rows("SELECT current_setting('server_version_num')::int AS version").await?;
        let version: i32 = version.first().context("PostgreSQL does not tell its version")?.try_get("version")?;
        ensure!(version >= VERSION_MIN, "PostgreSQL {} is too old: 14 or newer is needed", version / 10_000);
        // The search path is ours: a name without a schema is looked for where an application would.
        let sql = format!(
            "SELECT c.oid::int8 AS oid, format('%I.%I', n.nspname, c.relname) AS name, c.relkind::text AS kind, \
                 greatest(c.reltuples, 0)::int8 AS rows, pg_total_relation_size(c.oid)::int8 AS bytes \
             FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
             WHERE format('%s.%s', n.nspname, c.relname) = {wanted} OR format('%I.%I', n.nspname, c.relname) = {wanted} \
                OR (n.nspname = 'public' AND c.relname = {wanted})",
            wanted = text(wanted)
        );
        let found = link.rows(&sql).await?;
        let found = found.first().with_context(|| format!("PostgreSQL has no table `{wanted}`: write schema.name"))?;
        let kind: String = found.try_get("kind")?;
        ensure!(
            kind == "r" || kind == "p",
            "`{wanted}` is no table: views and foreign tables have no blocks to be read"
        );
        let oid: i64 = found.try_get("oid")?;
        let columns = columns(link, oid).await?;
        let key = if key.is_empty() { primary_key(link, oid).await? } else { key.to_vec() };
        if let Some(lacking) = key.iter().find(|name| !columns.iter().any(|column| column.column == **name)) {
            bail!("the table has no column `{lacking}`, which its key should have");
        }
        let leaves = leaves(link, oid).await?;
        let number = |column: &str| found.try_get::<i64, _>(column).map(|number| u64::try_from(number).unwrap_or(0));
        let (mut rows, mut bytes) = (number("rows")?, number("bytes")?);
        if kind == "p" {
            (rows, bytes) = leaves.iter().fold((rows, 0), |(rows, bytes), (_, size, _)| (rows, bytes + size));
        }
        let leaves = leaves.into_iter().map(|(leaf, ..)| leaf).collect();
        Ok(Self { oid, name: found.try_get("name")?, columns, key, leaves, rows_estimated: rows, bytes })
    }

    /// Returns the columns that are taken, with their names in the dataset.
    pub(super) fn taken<'a>(&'a self, map: &'a Map) -> Vec<(&'a SourceColumn, &'a str)> {
        self.columns.iter().filter_map(|column| Some((column, map.name_of(&column.column)?))).collect()
    }

    /// Returns what is asked of a row `r`, and how the answer is read.
    pub(super) fn projection(&self, map: &Map) -> (String, Vec<Column>) {
        let taken = self.taken(map);
        let (mut list, mut columns) = (Vec::with_capacity(taken.len()), Vec::with_capacity(taken.len()));
        for (column, own) in taken {
            let offer = map.offer(&column.column, &column.offer);
            list.push(column.expression(&offer));
            columns.push(Column { name: own.to_owned(), cell: offer.cell, is_list: offer.is_list });
        }
        (list.join(", "), columns)
    }

    /// Reads blocks of a part of it.
    pub(super) fn blocks(&self, map: &Map, leaf: &Leaf, (first, blocks): (u64, u64), only: &str) -> Reading {
        let (list, columns) = self.projection(map);
        let select = format!(
            "SELECT {list} FROM ONLY {} AS {ROW} WHERE {ROW}.ctid >= '({first},0)'::tid AND {ROW}.ctid < '({},0)'::tid{only}",
            leaf.name,
            first + blocks,
        );
        let after = Some(format!("SELECT pg_relation_filenode({}::regclass)::int8", text(&leaf.name)));
        Reading { before: String::new(), select, columns, after }
    }
}

impl SourceColumn {
    fn expression(&self, offer: &Offer) -> String {
        let own = format!("{ROW}.{}", name(&self.column));
        if offer.is_hex { format!("encode({own}, 'hex')") } else { format!("{own}{}", offer.cast) }
    }

    /// Returns the type that it gets.
    pub(super) fn becomes(&self, map: &Map) -> FieldType {
        map.types.get(&self.column).copied().unwrap_or_else(|| becomes(&self.offer))
    }

    pub(super) const fn is_time(&self) -> bool {
        matches!(self.offer.cell, Cell::Timestamp) && !self.offer.is_list
    }
}

async fn columns(link: &mut Link, oid: i64) -> Result<Vec<SourceColumn>> {
    let sql = format!(
        "SELECT a.attname::text AS name, format_type(a.atttypid, a.atttypmod) AS told, a.attnotnull AS is_required, a.atttypmod AS modifier, \
             (t.typcategory = 'A') AS is_list, coalesce(b2.typname, b.typname)::text AS kind, \
             coalesce(b2.typtype, b.typtype)::text AS class, \
             CASE WHEN t.typtype = 'd' THEN t.typtypmod ELSE a.atttypmod END AS own_modifier \
         FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid \
             JOIN pg_type b ON b.oid = CASE WHEN t.typcategory = 'A' AND t.typelem <> 0 THEN t.typelem \
                 WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.oid END \
             LEFT JOIN pg_type b2 ON b.typtype = 'd' AND b2.oid = b.typbasetype \
         WHERE a.attrelid = {oid} AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum"
    );
    let column = |row: &sqlx::postgres::PgRow| {
        let kind = Kind {
            name: row.try_get("kind")?,
            class: row.try_get::<String, _>("class")?.chars().next().unwrap_or('b'),
            is_list: row.try_get("is_list")?,
            modifier: row.try_get("own_modifier")?,
        };
        Ok(SourceColumn {
            column: row.try_get("name")?,
            told: row.try_get("told")?,
            offer: offer(&kind),
            is_required: row.try_get("is_required")?,
        })
    };
    link.rows(&sql).await?.iter().map(column).collect()
}

async fn primary_key(link: &mut Link, oid: i64) -> Result<Vec<String>> {
    let sql = format!(
        "SELECT a.attname::text AS name FROM pg_index i CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k (attnum, place) \
             JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum \
         WHERE i.indrelid = {oid} AND i.indisprimary ORDER BY k.place"
    );
    let names = link.rows(&sql).await?.iter().map(|row| row.try_get("name")).collect::<Result<Vec<String>, _>>()?;
    ensure!(!names.is_empty(), "the table has no primary key: name a unique one with --key a,b");
    Ok(names)
}

/// Lists what has blocks, with its bytes and how many of them a block has.
async fn leaves(link: &mut Link, oid: i64) -> Result<Vec<(Leaf, u64, u64)>> {
    let sql = format!(
        "SELECT format('%I.%I', n.nspname, c.relname) AS name, pg_relation_filenode(c.oid)::int8 AS file_node, \
             (pg_relation_size(c.oid) / current_setting('block_size')::int8)::int8 AS blocks, \
             pg_table_size(c.oid)::int8 AS bytes, greatest(c.reltuples, 0)::int8 AS rows, greatest(c.relpages, 1)::int8 AS pages \
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
         WHERE c.oid = {oid} AND c.relkind = 'r' OR c.oid IN (SELECT relid FROM pg_partition_tree({oid}::regclass) WHERE isleaf) \
         ORDER BY 1"
    );
    let leaf = |row: &sqlx::postgres::PgRow| {
        let number = |column: &str| row.try_get::<i64, _>(column).map(|number| u64::try_from(number).unwrap_or(0));
        let (blocks, bytes, rows, pages) = (number("blocks")?, number("bytes")?, number("rows")?, number("pages")?);
        // Long values are kept elsewhere, and are read with their row.
        let each = bytes / blocks.max(1) + 1;
        let most = PIECE_ROWS_MAX / (rows / pages.max(1)).max(1);
        let blocks_at_once = (PIECE_BYTES / each).clamp(1, most.max(1));
        let file_node = row.try_get("file_node")?;
        Ok((Leaf { name: row.try_get("name")?, file_node, blocks, blocks_at_once }, bytes, rows))
    };
    link.rows(&sql).await?.iter().map(leaf).collect()
}
