//! The DDL of every table, from one template for both forms: `MergeTree` on one server, `ReplicatedMergeTree`
//! behind `Distributed` on a cluster.
//!
//! What each index and codec costs and brings is measured in `docs/performance.md`, "Engine cost of the schema".

use tidegate_model::{ColumnKind, ColumnSpec, Merge, SavedTable, TableSpec};

use super::client::{identifier, literal};
use super::indexes::indexes;

/// A span's trace and the time that it covers: a trace is read from a narrow range of `spans`.
pub const TRACE_RANGES: &str = "trace_ranges";

/// Renders DDL for one database.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ddl<'a> {
    pub(super) database: &'a str,
    /// The cluster's name; `None`: one server.
    pub(super) cluster: Option<&'a str>,
}

/// What a table's template is filled with.
pub(super) struct Shape {
    /// `name Type CODEC(…)` and `INDEX …` lines.
    pub(super) columns: Vec<String>,
    /// The engine without its replicated form's prefix.
    pub(super) engine: &'static str,
    pub(super) partition: &'static str,
    pub(super) order: String,
    /// Never random: a repeated insert must reach the same shard to be known there.
    pub(super) shard_key: &'static str,
}

impl Ddl<'_> {
    pub(super) fn create_database(&self) -> String {
        // On one server named, as the embedded engine's default is an overlay that cannot be relied on.
        let engine = if self.cluster.is_some() { "" } else { " ENGINE = Atomic" };
        format!("CREATE DATABASE IF NOT EXISTS {}{}{engine}", identifier(self.database), self.on_cluster())
    }

    /// Renders what makes a table when it is absent.
    pub(super) fn create_table(&self, spec: &TableSpec) -> Vec<String> {
        self.create(spec.name.as_str(), &shape(spec))
    }

    /// Renders what adds a column to a table that lacks it.
    pub(super) fn add_column(&self, spec: &TableSpec, added: &ColumnSpec) -> Vec<String> {
        let column = column(spec, added);
        let bare = format!("{} {}", identifier(&added.name), spec.clickhouse(added));
        let alter = |table: String, column: &str| {
            format!("ALTER TABLE {table}{} ADD COLUMN IF NOT EXISTS {column}", self.on_cluster())
        };
        let table = spec.name.as_str();
        match self.cluster {
            None => vec![alter(self.qualified(table), &column)],
            Some(_) => vec![alter(self.qualified(&local(table)), &column), alter(self.qualified(table), &bare)],
        }
    }

    /// Renders what gives a column a wider type; values are converted while they are read until a merge has done it.
    pub(super) fn widen_column(&self, spec: &TableSpec, wider: &ColumnSpec) -> Vec<String> {
        let modify = |table: String, column: &str| {
            let at_once = "SETTINGS alter_sync = 0";
            format!("ALTER TABLE {table}{} MODIFY COLUMN {column} {at_once}", self.on_cluster())
        };
        let table = spec.name.as_str();
        let stored = modify(self.qualified(&self.stored_name(table)), &column(spec, wider));
        let bare = format!("{} {}", identifier(&wider.name), spec.clickhouse(wider));
        let distributed = self.cluster.map(|_| modify(self.qualified(table), &bare));
        std::iter::once(stored).chain(distributed).collect()
    }

    /// Renders the table of trace ranges and the view that fills it from `spans`.
    pub(super) fn trace_ranges(&self) -> Vec<String> {
        let mut statements = self.create(TRACE_RANGES, &trace_ranges_shape());
        let stored = |name: &str| self.qualified(&self.stored_name(name));
        statements.push(fill(
            include_str!("ddl/trace_ranges_view.sql"),
            &[
                ("view", &self.qualified("trace_ranges_from_spans")),
                ("on_cluster", &self.on_cluster()),
                ("target", &stored(TRACE_RANGES)),
                ("source", &stored("spans")),
            ],
        ));
        statements
    }

    /// Renders the table that has the rows which sessions of the catalogue bring.
    pub(super) fn session_copy(&self, saved: &SavedTable) -> Vec<String> {
        self.create(&saved.copy_name(), &session_copy_shape(saved))
    }

    /// Renders what removes one session's rows from such a table.
    pub(super) fn drop_session(&self, saved: &SavedTable, session: &str) -> String {
        let table = self.qualified(&self.stored_name(&saved.copy_name()));
        format!("ALTER TABLE {table}{} DROP PARTITION {}", self.on_cluster(), literal(session))
    }

    /// Quotes a table's name with its database.
    pub(super) fn qualified(&self, table: &str) -> String {
        format!("{}.{}", identifier(self.database), identifier(table))
    }

    /// Returns the name of the table that holds the rows on each server.
    pub(super) fn stored_name(&self, table: &str) -> String {
        if self.cluster.is_some() { local(table) } else { table.to_owned() }
    }

    /// Renders what makes a table of a shape when it is absent.
    pub(super) fn create(&self, name: &str, shape: &Shape) -> Vec<String> {
        let stored_name = self.stored_name(name);
        let stored = self.qualified(&stored_name);
        let replicated = if self.cluster.is_some() { "Replicated" } else { "" };
        let table = fill(
            include_str!("ddl/table.sql"),
            &[
                ("table", &stored),
                ("on_cluster", &self.on_cluster()),
                ("columns", &format!("    {}", shape.columns.join(",\n    "))),
                ("engine", &format!("{replicated}{}", shape.engine)),
                ("partition", shape.partition),
                ("order", &shape.order),
            ],
        );
        let Some(cluster) = self.cluster else { return vec![table] };
        let distributed = fill(
            include_str!("ddl/distributed.sql"),
            &[
                ("table", &self.qualified(name)),
                ("on_cluster", &self.on_cluster()),
                ("local", &stored),
                ("cluster", &literal(cluster)),
                ("database", &literal(self.database)),
                ("local_name", &literal(&stored_name)),
                ("shard_key", shape.shard_key),
            ],
        );
        vec![table, distributed]
    }

    /// Returns what says that a statement is for every server.
    pub(super) fn on_cluster(&self) -> String {
        self.cluster.map(|name| format!(" ON CLUSTER {}", identifier(name))).unwrap_or_default()
    }
}

fn shape(spec: &TableSpec) -> Shape {
    let mut columns: Vec<_> = spec.columns.iter().map(|own| column(spec, own)).collect();
    let seq = ColumnSpec::new(TableSpec::SEQ, ColumnKind::U64);
    match spec.roll_up {
        None => {
            columns.push(format!("{} {} CODEC({})", identifier(&seq.name), seq.kind.clickhouse(), seq_codec(spec)));
            columns.extend(indexes(spec).into_iter().map(|(name, index)| format!("INDEX {name} {index}")));
        }
        Some(_) => columns.push(format!("`_seq` {} CODEC(ZSTD(1))", Merge::Max.clickhouse(&seq.kind))),
    }
    Shape {
        columns,
        engine: if spec.roll_up.is_some() { "AggregatingMergeTree" } else { "MergeTree" },
        partition: TableSpec::PARTITION,
        order: order(spec),
        shard_key: match spec.name.as_str() {
            "spans" => "cityHash64(trace_id)",
            name if name.starts_with("metric_") => "fingerprint",
            // Rows that merge must meet.
            name if name.starts_with("catalog_") => "cityHash64(signal, _partition)",
            name if name.starts_with("log_template") => "template_id",
            "ingest_watermarks" => "cityHash64(table_name)",
            _ => TableSpec::SEQ,
        },
    }
}

fn session_copy_shape(saved: &SavedTable) -> Shape {
    let session = plain_column(SavedTable::SESSION, &ColumnKind::Text);
    let own = saved.columns.iter().map(|column| plain_column(&column.name, &column.kind));
    Shape {
        columns: std::iter::once(session).chain(own).collect(),
        engine: "MergeTree",
        partition: SavedTable::SESSION,
        order: saved.spec.roll_up.map_or_else(|| "metric_name".to_owned(), |roll_up| roll_up.keys.join(", ")),
        shard_key: "cityHash64(session)",
    }
}

fn trace_ranges_shape() -> Shape {
    let time = ColumnKind::Timestamp.clickhouse();
    Shape {
        columns: vec![
            plain_column(TableSpec::PARTITION, &ColumnKind::Day),
            plain_column("trace_id", &ColumnKind::Text),
            format!("`first_timestamp` SimpleAggregateFunction(min, {time}) CODEC(ZSTD(1))"),
            format!("`last_timestamp` SimpleAggregateFunction(max, {time}) CODEC(ZSTD(1))"),
            "`span_count` SimpleAggregateFunction(sum, UInt64) CODEC(ZSTD(1))".into(),
        ],
        engine: "AggregatingMergeTree",
        partition: TableSpec::PARTITION,
        order: "trace_id".into(),
        shard_key: "cityHash64(trace_id)",
    }
}

/// The order of a table's rows: what queries narrow down by, few values first.
fn order(spec: &TableSpec) -> String {
    if let Some(roll_up) = spec.roll_up {
        return roll_up.keys.join(", ");
    }
    match spec.name.as_str() {
        "logs" => "toStartOfFiveMinutes(timestamp), service_name, timestamp".into(),
        // Few a minute, and mostly asked for by their kind.
        "events" => "toStartOfHour(timestamp), event_name, timestamp".into(),
        "spans" => "service_name, name, toStartOfSecond(timestamp)".into(),
        "metric_series" => "metric_name, fingerprint".into(),
        name if name.starts_with("metric_") => "metric_name, service_name, fingerprint, timestamp".into(),
        _ => match spec.columns.iter().find(|column| column.kind == ColumnKind::Timestamp) {
            Some(time) => format!("{}, {}", identifier(&time.name), TableSpec::SEQ),
            None => TableSpec::SEQ.into(),
        },
    }
}

fn column(spec: &TableSpec, column: &ColumnSpec) -> String {
    let (name, kind, codec) = (identifier(&column.name), spec.clickhouse(column), codec(&column.name, &column.kind));
    // Parts from before the column have no value of it: this is what is read there.
    let default = column.backfill().map(|text| format!(" DEFAULT CAST({}, {})", literal(text), literal(&kind)));
    format!("{name} {kind}{} CODEC({codec})", default.unwrap_or_default())
}

pub(super) fn plain_column(name: &str, kind: &ColumnKind) -> String {
    format!("{} {} CODEC({})", identifier(name), kind.clickhouse(), codec(name, kind))
}

fn codec(name: &str, kind: &ColumnKind) -> &'static str {
    match kind {
        // Neighbours are near in time.
        ColumnKind::Timestamp => "Delta(8), ZSTD(1)",
        // Hashes: nothing makes them smaller, and this gives up soonest.
        ColumnKind::List(_) if matches!(name, "value_hashes" | "series") => "LZ4",
        // Drops the high bytes that no value of a block uses.
        ColumnKind::I64 => "T64, ZSTD(1)",
        // A sample is near the one before it in its series.
        ColumnKind::F64 => "Gorilla, ZSTD(1)",
        _ => "ZSTD(1)",
    }
}

/// A query reads the numbers of all rows that it looks at, as long as there are hot rows.
fn seq_codec(spec: &TableSpec) -> &'static str {
    if order(spec).ends_with(TableSpec::SEQ) {
        // Neighbours came one after the other, so this leaves next to nothing, and is read four times as fast.
        "Delta(8), LZ4"
    } else {
        "Delta(8), ZSTD(1)"
    }
}

fn local(table: &str) -> String {
    format!("{table}_local")
}

/// Replaces `{name}` by its value, in one pass over the template: a value is never searched.
fn fill(template: &str, values: &[(&str, &str)]) -> String {
    let mut text = String::with_capacity(template.len());
    let mut rest = template.trim_end();
    while let Some((before, after)) = rest.split_once('{') {
        let (name, tail) = after.split_once('}').expect("the templates are ours: every test renders them");
        let (_, value) = values.iter().find(|(known, _)| *known == name).expect("every name is given a value");
        text.push_str(before);
        text.push_str(value);
        rest = tail;
    }
    text.push_str(rest);
    text
}

#[cfg(test)]
mod tests {
    use tidegate_model::tables;

    use super::*;

    const ONE_SERVER: Ddl<'_> = Ddl { database: "tidegate", cluster: None };
    const CLUSTER: Ddl<'_> = Ddl { database: "tidegate", cluster: Some("main") };

    #[test]
    fn both_forms_of_a_table_have_the_same_columns_and_order() {
        for spec in tables::all() {
            let (one, many) = (ONE_SERVER.create_table(spec), CLUSTER.create_table(spec));
            let body = |sql: &str| sql.split_once("\n").map(|(_, body)| body.replace("Replicated", ""));
            assert_eq!(body(&one[0]), body(&many[0]));
            assert_eq!((one.len(), many.len()), (1, 2));
        }
    }

    #[test]
    fn names_from_users_cannot_leave_their_quotes() {
        let columns = [ColumnSpec::new("a`, b String) --", ColumnKind::Timestamp)];
        let spec = TableSpec::new("dataset_x".parse().expect("a name"), columns);
        let [table] = ONE_SERVER.create_table(&spec).try_into().expect("one statement");
        expect_test::expect![[r#"
            CREATE TABLE IF NOT EXISTS `tidegate`.`dataset_x`
            (
                `_partition` Date CODEC(ZSTD(1)),
                `a\`, b String) --` DateTime64(9, 'UTC') CODEC(Delta(8), ZSTD(1)),
                `_seq` UInt64 CODEC(Delta(8), LZ4),
                INDEX seq_range _seq TYPE minmax
            )
            ENGINE = MergeTree
            PARTITION BY _partition
            ORDER BY (`a\`, b String) --`, _seq)
            SETTINGS
                ttl_only_drop_parts = 1,
                non_replicated_deduplication_window = 10000,
                replicated_deduplication_window = 10000,
                fsync_after_insert = 1,
                fsync_part_directory = 1
        "#]]
        .assert_eq(&format!("{table}\n"));
    }

    #[test]
    fn a_lacking_column_is_added_on_every_server() {
        let added = CLUSTER.add_column(&tables::LOGS, &ColumnSpec::new("note", ColumnKind::Word));
        expect_test::expect![[r#"
            ALTER TABLE `tidegate`.`logs_local` ON CLUSTER `main` ADD COLUMN IF NOT EXISTS `note` LowCardinality(String) CODEC(ZSTD(1))
            ALTER TABLE `tidegate`.`logs` ON CLUSTER `main` ADD COLUMN IF NOT EXISTS `note` LowCardinality(String)
        "#]]
        .assert_eq(&format!("{}\n", added.join("\n")));
    }
}
