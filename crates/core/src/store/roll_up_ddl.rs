//! The DDL of roll-ups by time: their tables, the views that fill them, and what makes a partition of one anew.

use tidegate_model::{ColumnKind, Grain, PartitionDay, RollUps, Rule, Seq, TableSpec};

use super::schema::{Ddl, Shape, plain_column};

impl Ddl<'_> {
    /// Renders the tables of a table's roll-ups, without their views.
    pub(super) fn roll_ups(&self, of: &RollUps) -> Vec<String> {
        of.grains.iter().flat_map(|grain| self.roll_up(of, *grain, &of.table(*grain))).collect()
    }

    /// Renders a table that is as one roll-up.
    pub(super) fn roll_up(&self, of: &RollUps, grain: Grain, name: &str) -> Vec<String> {
        self.create(name, &shape(of, grain))
    }

    /// Renders the view that brings a roll-up what is inserted below it.
    pub(super) fn roll_up_view(&self, of: &RollUps, at: usize) -> String {
        let stored = |name: &str| self.qualified(&self.stored_name(name));
        let target = of.table(of.grains[at]);
        format!(
            "CREATE MATERIALIZED VIEW IF NOT EXISTS {}{} TO {} AS {}",
            self.qualified(&view_name(&target)),
            self.on_cluster(),
            stored(&target),
            select(of, at, &stored(&below(of, at)), ""),
        )
    }

    /// Renders what fills another table with a partition of a roll-up, of rows up to a number.
    pub(super) fn roll_up_filling(
        &self,
        of: &RollUps,
        at: usize,
        into: &str,
        (day, last): (PartitionDay, Seq),
    ) -> String {
        // What is below a coarser one has been filled with no other rows.
        let bound = if at == 0 { format!(" AND {} <= {last}", TableSpec::SEQ) } else { String::new() };
        let of_partition = format!("{} = toDate({day}){bound}", TableSpec::PARTITION);
        let names = names(of, of.grains[at]).join(", ");
        let rows = select(of, at, &self.qualified(&below(of, at)), &of_partition);
        format!("INSERT INTO {} ({names}) {rows}", self.qualified(into))
    }
}

/// Returns the name of the view that fills a roll-up.
pub(super) fn view_name(table: &str) -> String {
    format!("{table}_view")
}

/// Returns the table that a roll-up is made of.
fn below(of: &RollUps, at: usize) -> String {
    match at.checked_sub(1) {
        Some(finer) => of.table(of.grains[finer]),
        None => (of.of)().to_string(),
    }
}

/// The columns in the order in which they are selected.
fn names(of: &RollUps, grain: Grain) -> Vec<&'static str> {
    let keys = of.keys.iter().map(|key| key.name);
    let sums = of.sums.iter().map(|sum| sum.name);
    [TableSpec::PARTITION, grain.column()].into_iter().chain(keys).chain(sums).chain(["_first", "_last"]).collect()
}

fn select(of: &RollUps, at: usize, from: &str, condition: &str) -> String {
    let grain = of.grains[at];
    let finer = at.checked_sub(1).map(|finer| of.grains[finer]);
    let time = format!("toUnixTimestamp64Nano({})", finer.map_or("timestamp", Grain::column));
    let bucket = format!(
        "fromUnixTimestamp64Nano({time} - toInt64(positiveModulo({time}, toInt64({}))), 'UTC') AS {}",
        grain.nanos(),
        grain.column()
    );
    let keys = of.keys.iter().map(|key| match finer {
        None if key.of_row != key.name => format!("{} AS {}", key.of_row, key.name),
        _ => key.name.to_owned(),
    });
    let sums = of.sums.iter().map(|sum| match finer {
        None => format!("{} AS {}", sum.of_rows, sum.name),
        Some(_) => format!("{}({name}) AS {name}", sum.rule.function(), name = sum.name),
    });
    let numbers = match finer {
        None => ["min(_seq) AS _first", "max(_seq) AS _last"],
        Some(_) => ["min(_first) AS _first", "max(_last) AS _last"],
    };
    let columns: Vec<String> = [TableSpec::PARTITION.to_owned(), bucket]
        .into_iter()
        .chain(keys)
        .chain(sums)
        .chain(numbers.map(str::to_owned))
        .collect();
    let of_rows = if finer.is_none() { of.condition } else { "" };
    let conditions: Vec<&str> = [of_rows, condition].into_iter().filter(|text| !text.is_empty()).collect();
    let filter = if conditions.is_empty() { String::new() } else { format!(" WHERE {}", conditions.join(" AND ")) };
    let by: Vec<&str> = names(of, grain).into_iter().take(2 + of.keys.len()).collect();
    format!("SELECT {} FROM {from}{filter} GROUP BY {}", columns.join(", "), by.join(", "))
}

fn shape(of: &RollUps, grain: Grain) -> Shape {
    let merging = |name: &str, rule: Rule, kind: &str| {
        format!("`{name}` SimpleAggregateFunction({}, {kind}) CODEC(ZSTD(1))", rule.function())
    };
    let times =
        [plain_column(TableSpec::PARTITION, &ColumnKind::Day), plain_column(grain.column(), &ColumnKind::Timestamp)];
    let keys = of.keys.iter().map(|key| format!("`{}` {} CODEC(ZSTD(1))", key.name, key.kind));
    let sums = of.sums.iter().map(|sum| merging(sum.name, sum.rule, sum.kind));
    let numbers = [merging("_first", Rule::Min, "UInt64"), merging("_last", Rule::Max, "UInt64")];
    let mut order: Vec<&str> = of.keys.iter().map(|key| key.name).collect();
    order.insert(usize::from(!of.time_first), grain.column());
    Shape {
        columns: times.into_iter().chain(keys).chain(sums).chain(numbers).collect(),
        engine: "AggregatingMergeTree",
        partition: TableSpec::PARTITION,
        order: order.join(", "),
        // A repeated insert must reach the same shard to be known there.
        shard_key: "cityHash64(_partition)",
    }
}
