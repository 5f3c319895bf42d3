use std::collections::HashMap;

use axum::extract::{Request, State};
use axum::response::Response;
use tidegate_model::{ErrorKind, UnixNanos};
use tidegate_traces::{
    Amounts, Analytics, Derived, Json, Object, Path, Plan, QueryBody, RollUp, Spec, Sql, Step, TraceId, json,
    read_moment,
};

use super::asked::{conditions, trace_of};
use super::read::{Reader, Select};
use super::sides::{self, Side, Wanted};
use super::{asked, invalid};
use crate::datasets::Want;
use crate::errors::Failure;
use crate::stages::Stages;

/// Beginnings of the paths that are worked out of a whole trace.
const ROLLED_UP: &str = "ag.metrics.";

/// A root, with what its trace comes to and the attributes that are asked for.
pub(super) struct Root {
    created_at: UnixNanos,
    roll_up: RollUp,
    attributes: Object,
}

impl Root {
    /// Takes a root with what is asked of its attributes, and tells there what its trace comes to.
    pub(super) fn of(created_at: UnixNanos, roll_up: RollUp, mut attributes: Object) -> Self {
        roll_up.tell(&Derived::default(), &mut attributes);
        Self { created_at, roll_up, attributes }
    }
}

/// Answers `POST …/analytics/query`.
pub(super) async fn query(State(stages): State<Stages>, request: Request) -> Response {
    let outcome = async {
        let asked = asked(&stages, request, Want::Read).await?;
        let query = QueryBody::read(&asked.body, &["specs"]).map_err(|error| invalid(&error))?;
        let specs = Spec::read_all(asked.body.at("specs"), "specs").map_err(|error| invalid(&error))?;
        sides::told(&stages, &asked, &Wanted::Analytics(query, specs)).await
    };
    sides::answered(&stages, outcome.await)
}

/// Tells statistics by time.
pub(super) async fn told(
    side: &mut Side<'_>,
    query: &QueryBody,
    (specs, now): (&[Spec], UnixNanos),
) -> Result<String, Failure> {
    let plan = Plan::of(&query.window, now);
    let mut analytics = Analytics::of(specs.to_vec(), plan);
    let paths: Vec<&str> = specs.iter().map(|spec| bare(&spec.path)).collect();
    for root in side.roots(&within(query, &plan), &paths).await? {
        analytics.add(root.created_at, |path| json::at(&root.attributes, bare(path)));
    }
    let buckets = analytics.buckets().into_iter().map(|bucket| {
        Json::object([
            ("timestamp", Json::text(bucket.timestamp.to_string())),
            ("interval", Json::from(u64::from(bucket.interval))),
            ("metrics", bucket.metrics),
        ])
    });
    let buckets: Vec<Json> = buckets.collect();
    Ok(Json::object([("count", Json::from(buckets.len() as u64)), ("buckets", Json::List(buckets))]).to_string())
}

/// Answers `POST …/spans/analytics`, in the older form.
pub(super) async fn legacy(State(stages): State<Stages>, request: Request) -> Response {
    let outcome = async {
        let asked = asked(&stages, request, Want::Read).await?;
        let query = QueryBody::read(&asked.body, &[]).map_err(|error| invalid(&error))?;
        sides::told(&stages, &asked, &Wanted::Legacy(query)).await
    };
    sides::answered(&stages, outcome.await)
}

/// Tells the older form.
pub(super) async fn legacy_told(side: &mut Side<'_>, query: &QueryBody, now: UnixNanos) -> Result<String, Failure> {
    let plan = Plan::of(&query.window, now);
    let mut sums = vec![(Sum::default(), Sum::default()); plan.count];
    for root in side.roots(&within(query, &plan), &[]).await? {
        let Some((total, errors)) = plan.bucket(root.created_at).and_then(|bucket| sums.get_mut(bucket)) else {
            continue;
        };
        total.add(&root.roll_up);
        if root.roll_up.errors > 0 {
            errors.add(&root.roll_up);
        }
    }
    let buckets = sums.into_iter().enumerate().map(|(index, (total, errors))| {
        Json::object([
            ("timestamp", Json::text(plan.begins(index).to_string())),
            ("interval", Json::from(u64::from(plan.interval))),
            ("total", total.json()),
            ("errors", errors.json()),
        ])
    });
    let buckets: Vec<Json> = buckets.collect();
    Ok(Json::object([("count", Json::from(buckets.len() as u64)), ("buckets", Json::List(buckets))]).to_string())
}

/// Narrows a query down to the window of a plan.
fn within(query: &QueryBody, plan: &Plan) -> QueryBody {
    let mut query = query.clone();
    (query.window.oldest, query.window.newest) = (Some(plan.oldest), Some(plan.newest));
    query
}

/// What traces come to in the older form.
#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    count: u64,
    duration: f64,
    costs: f64,
    tokens: f64,
}

impl Sum {
    fn add(&mut self, roll_up: &RollUp) {
        self.count += 1;
        self.duration += roll_up.duration_ms;
        self.costs += roll_up.costs.total.unwrap_or(0.0);
        self.tokens += roll_up.tokens.total.unwrap_or(0.0);
    }

    fn json(self) -> Json {
        Json::object([
            ("count", Json::from(self.count)),
            ("duration", Json::number(self.duration)),
            ("costs", Json::number(self.costs)),
            ("tokens", Json::number(self.tokens)),
        ])
    }
}

fn bare(path: &str) -> &str {
    path.strip_prefix("attributes.").unwrap_or(path)
}

/// Says whether a path is worked out of a whole trace.
pub(super) fn is_rolled_up(path: &str) -> bool {
    path.starts_with(ROLLED_UP)
}

/// Reads the roots of a window in ClickHouse, by when they came in.
pub(super) async fn roots(reader: &Reader<'_>, query: &QueryBody, paths: &[&str]) -> Result<Vec<Root>, Failure> {
    let mut sql = Sql::default();
    let mut columns = "`trace_id`, `span_id`, `created_at`".to_owned();
    let paths: Vec<&str> = paths.iter().copied().filter(|path| !is_rolled_up(path)).collect();
    for (index, path) in paths.iter().enumerate() {
        let steps: Vec<String> = Path::dotted(path).0.iter().map(|step| bound(step, &mut sql)).collect();
        columns.push_str(&format!(", JSONExtractRaw(`attributes`, {}) AS a{index}", steps.join(", ")));
    }
    let of_roots = format!("isNull(`parent_id`) AND {}", conditions(query, "created_at", &mut sql));
    let rows = reader
        .select(Select { columns: &columns, among: String::new(), conditions: of_roots, behind: String::new() }, sql)
        .await?;
    let sums = sums(reader, query).await?;
    let mut odd: Vec<TraceId> = rows.iter().map(trace_of).collect::<Result<_, _>>()?;
    odd.retain(|trace| !sums.contains_key(trace));
    odd.sort_unstable();
    odd.dedup();
    let walked = reader.roll_ups(&odd).await?;
    let one = |row: &Json| {
        let trace = trace_of(row)?;
        let corrupt = |error: tidegate_traces::Invalid| Failure::of(ErrorKind::Corrupt, &error);
        let span =
            tidegate_traces::SpanId::read(row.at("span_id").and_then(Json::as_text).unwrap_or_default(), "span_id");
        let roll_up = sums.get(&trace).or(walked.get(&(trace, span.map_err(corrupt)?))).copied().unwrap_or_default();
        let created_at = read_moment(row.at("created_at").unwrap_or(&Json::Null), "created_at").map_err(corrupt)?;
        let mut attributes = Object::new();
        for (index, path) in paths.iter().enumerate() {
            let raw = row.at(&format!("a{index}")).and_then(Json::as_text).filter(|raw| !raw.is_empty());
            if let Some(value) = raw.and_then(|raw| json::parse(raw).ok()) {
                let steps: Vec<&str> = path.split('.').collect();
                let _ = json::put(&mut attributes, &steps, value);
            }
        }
        Ok(Root::of(created_at, roll_up, attributes))
    };
    rows.iter().map(one).collect()
}

fn bound(step: &Step, sql: &mut Sql) -> String {
    match step {
        Step::Name(name) => sql.text(name),
        Step::Index(index) => (u64::from(*index) + 1).to_string(),
    }
}

/// Adds up, in the engine, the traces that are one tree: of one root, and with every parent there. What their root and
/// all below it come to is what all spans do.
async fn sums(reader: &Reader<'_>, query: &QueryBody) -> Result<HashMap<TraceId, RollUp>, Failure> {
    let mut sql = Sql::default();
    let scope = reader.scope(&mut sql);
    let (from, to) = (query.window.oldest.unwrap_or_default(), query.window.newest.unwrap_or_default());
    let (from, to) = (sql.moment(from), sql.moment(to));
    let of_window = format!(
        "`trace_id` IN (SELECT `trace_id` FROM {} WHERE {scope} AND isNull(`parent_id`) AND `created_at` >= {from} AND `created_at` < {to})",
        tidegate_traces::TABLE
    );
    let columns = "`trace_id`, dateDiff('nanosecond', min(`start_time`), max(`end_time`)) / 1e6 AS d, sum(ifNull(`errors`, 0)) AS e, \
        sum(`tokens_prompt`) AS tp, sum(`tokens_completion`) AS tc, sum(`tokens_total`) AS tt, \
        sum(`cost_prompt`) AS cp, sum(`cost_completion`) AS cc, sum(`cost_total`) AS ct";
    let behind = "GROUP BY `trace_id` HAVING countIf(isNull(`parent_id`)) = 1 AND \
        length(arrayIntersect(groupUniqArray(assumeNotNull(`parent_id`)), groupArray(assumeNotNull(`span_id`)))) = \
        uniqExactIf(`parent_id`, isNotNull(`parent_id`))";
    let rows = reader
        .select(Select { columns, among: String::new(), conditions: of_window, behind: behind.to_owned() }, sql)
        .await?;
    let mut sums = HashMap::with_capacity(rows.len());
    for row in rows {
        let number = |name: &str| row.at(name).and_then(Json::as_number);
        let amounts = |[prompt, completion, total]: [&str; 3]| Amounts {
            prompt: number(prompt),
            completion: number(completion),
            total: number(total),
        };
        let roll_up = RollUp {
            duration_ms: number("d").unwrap_or(0.0).max(0.0),
            errors: row.at("e").and_then(|errors| errors.to_string().trim_matches('"').parse().ok()).unwrap_or(0),
            tokens: amounts(["tp", "tc", "tt"]),
            costs: amounts(["cp", "cc", "ct"]),
        };
        sums.insert(trace_of(&row)?, roll_up);
    }
    Ok(sums)
}
