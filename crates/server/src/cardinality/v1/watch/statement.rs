use tidegate_model::{Seq, TableName};

/// Rows of one table that are looked at.
#[derive(Debug)]
pub(super) struct Between {
    pub(super) table: TableName,
    pub(super) after: Seq,
    pub(super) to: Seq,
}

/// Returns a statement that yields every value of the key, one row each; `None`: no table is looked at.
pub(super) fn values(between: &[Between]) -> Option<String> {
    let condition = |own: &Between| format!("_seq > {} AND _seq <= {}", own.after, own.to);
    let [own, resource, scope] = ["attributes", "resource_attributes", "scope_attributes"].map(entries);
    let nested = |maps: &str| format!("arrayFlatten(arrayMap(own -> {}, {maps}))", entries("own"));
    let mut selects = Vec::new();
    let mut points = Vec::new();
    for of in between {
        let found = match of.table.as_str() {
            "logs" | "events" => format!("arrayConcat({own}, {resource}, {scope})"),
            "spans" => {
                let [events, links] = ["event_attributes", "link_attributes"].map(nested);
                format!("arrayConcat({own}, {resource}, {scope}, {events}, {links})")
            }
            table => {
                points.push(format!("SELECT fingerprint FROM {table} WHERE {}", condition(of)));
                continue;
            }
        };
        selects.push(format!(
            "SELECT arrayJoin(arrayMap(entry -> entry.2, {found})) AS text_of FROM {} WHERE {}",
            of.table,
            condition(of)
        ));
    }
    if !points.is_empty() {
        selects.push(format!(
            "SELECT arrayJoin(arrayMap(entry -> entry.2, series.found)) AS text_of FROM ({}) AS points \
             JOIN (SELECT fingerprint, arrayConcat({own}, {resource}, {scope}) AS found FROM metric_series \
             WHERE notEmpty(found) LIMIT 1 BY fingerprint) AS series ON points.fingerprint = series.fingerprint",
            points.join(" UNION ALL ")
        ));
    }
    (!selects.is_empty()).then(|| selects.join(" UNION ALL "))
}

/// Returns a statement that yields the values that some series have.
pub(super) fn found_in_series() -> String {
    let [own, resource, scope] = ["attributes", "resource_attributes", "scope_attributes"].map(entries);
    format!(
        "SELECT fingerprint, arrayMap(entry -> entry.2, arrayConcat({own}, {resource}, {scope})) AS found \
         FROM metric_series WHERE fingerprint IN {{series:Array(UInt64)}} LIMIT 1 BY fingerprint"
    )
}

fn entries(map: &str) -> String {
    format!("arrayFilter(entry -> entry.1 = {{key:String}}, CAST({map}, 'Array(Tuple(String, String))'))")
}
