use std::fmt::Write;

use tidegate_model::UnixNanos;

use super::field::Kind;
use super::{Condition, Element, Filter, Order, Path, Step, Test, TextTest, Value};
use crate::derive::{flag_item, is_plain, number_item, text_item};

/// A condition of ClickHouse in the making: what clients sent is a named parameter, never part of the text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sql {
    /// Name and type as `f0:String`, and the value.
    params: Vec<(String, String)>,
}

/// The kinds of numbers that ClickHouse finds in JSON.
const NUMBERS: &str = "IN ('Int64', 'UInt64', 'Double')";

impl Sql {
    /// Binds a text; returns what stands for it.
    pub fn text(&mut self, value: &str) -> String {
        self.bind("String", value.to_owned())
    }

    /// Binds a moment.
    pub fn moment(&mut self, value: UnixNanos) -> String {
        format!("fromUnixTimestamp64Nano({}, 'UTC')", self.bind("Int64", value.0.to_string()))
    }

    /// Binds a UUID.
    pub fn uuid(&mut self, value: crate::Uuid) -> String {
        self.bind("UUID", value.to_string())
    }

    /// Binds a value of another type, as ClickHouse writes it.
    pub fn bind(&mut self, kind: &str, value: String) -> String {
        // A path stands in its condition several times.
        let index = self.params.iter().position(|(bound, of)| *of == value && bound.ends_with(kind));
        let index = index.unwrap_or_else(|| {
            self.params.push((format!("f{}:{kind}", self.params.len()), value));
            self.params.len() - 1
        });
        format!("{{{}}}", self.params[index].0)
    }

    /// Returns the names of the parameters and their values, not escaped yet.
    #[must_use]
    pub fn params(self) -> Vec<(String, String)> {
        let named = |(bound, value): (String, String)| {
            let name = bound.split_once(':').map_or(bound.as_str(), |(name, _)| name).to_owned();
            (name, value)
        };
        self.params.into_iter().map(named).collect()
    }

    fn value(&mut self, value: &Value) -> String {
        match value {
            Value::Id(id) => self.uuid(*id),
            Value::Text(text) => self.text(text),
            // `IN` compares bits, of which zero has two kinds: adding zero leaves the positive one.
            Value::Number(number) => self.bind("Float64", format!("{:?}", number + 0.0)),
            Value::Flag(flag) => (if *flag { "true" } else { "false" }).to_owned(),
            Value::Moment(time) => self.moment(*time),
        }
    }
}

impl Filter {
    /// Writes the condition that holds for the rows of the spans that are in. Where it is NULL it does not hold.
    pub fn sql(&self, sql: &mut Sql) -> String {
        match self {
            Self::And(all) => joined(all, " AND ", "true", sql),
            Self::Or(all) => joined(all, " OR ", "false", sql),
            // What is unknown is false, and its negation true.
            Self::Nand(all) => format!("NOT ifNull({}, false)", joined(all, " AND ", "true", sql)),
            Self::Nor(all) => format!("NOT ifNull({}, false)", joined(all, " OR ", "false", sql)),
            Self::Is(condition) => condition.sql(sql),
            Self::Sample(percent) => {
                let digits = "reinterpretAsUInt32(reverse(unhex(substring(toString(`trace_id`), 1, 8))))";
                format!("{digits} % 100 < {}", sql.bind("Float64", format!("{percent:?}")))
            }
        }
    }
}

fn joined(all: &[Filter], between: &str, of_none: &str, sql: &mut Sql) -> String {
    if all.is_empty() {
        return of_none.to_owned();
    }
    let each: Vec<String> = all.iter().map(|each| each.sql(sql)).collect();
    format!("({})", each.join(between))
}

impl Condition {
    fn sql(&self, sql: &mut Sql) -> String {
        match self.field.kind {
            Kind::Attributes => Inside { json: "`attributes`", path: &self.path }.sql(&self.test, sql),
            Kind::List => list(self.field.name, &self.test, sql),
            Kind::Content => content(&self.test, sql),
            _ => column(self.field.name, self.field.kind, &self.test, sql),
        }
    }
}

/// A column of its own.
fn column(name: &str, kind: Kind, test: &Test, sql: &mut Sql) -> String {
    let column = format!("`{name}`");
    match test {
        Test::Exists => format!("isNotNull({column})"),
        Test::Missing => format!("isNull({column})"),
        Test::Order(order, value) => format!("{column} {} {}", sign(*order), sql.value(value)),
        Test::Between(low, high) => {
            format!("({column} >= {} AND {column} <= {})", sql.value(low), sql.value(high))
        }
        Test::Text(test, is_folded) => {
            let text = if kind == Kind::Moment { moment_text(&column) } else { column };
            text_test(&text, test, *is_folded, sql)
        }
        Test::In { values, all: true } if values.iter().any(|value| *value != values[0]) => "false".to_owned(),
        Test::In { values, .. } => format!("{column} IN {}", tuple(values, sql)),
        Test::NotIn { values } => format!("{column} NOT IN {}", tuple(values, sql)),
        Test::Has { .. } | Test::HasNot { .. } => "false".to_owned(),
    }
}

fn tuple(values: &[Value], sql: &mut Sql) -> String {
    let bound: Vec<String> = values.iter().map(|value| sql.value(value)).collect();
    format!("({})", bound.join(", "))
}

const fn sign(order: Order) -> &'static str {
    match order {
        Order::Equal => "=",
        Order::NotEqual => "!=",
        Order::Greater => ">",
        Order::Less => "<",
        Order::GreaterOrEqual => ">=",
        Order::LessOrEqual => "<=",
    }
}

/// A time as answers write it: `2026-01-31T09:00:00.5Z`.
fn moment_text(column: &str) -> String {
    let short = format!("replaceRegexpOne(toString({column}), '[.]?0+$', '')");
    format!("concat(replaceOne({short}, ' ', 'T'), 'Z')")
}

fn text_test(text: &str, test: &TextTest, is_folded: bool, sql: &mut Sql) -> String {
    let text = if is_folded { format!("lower({text})") } else { text.to_owned() };
    match test {
        TextTest::Starts(wanted) => format!("startsWith({text}, {})", sql.text(wanted)),
        TextTest::Ends(wanted) => format!("endsWith({text}, {})", sql.text(wanted)),
        TextTest::Contains(wanted) => format!("position({text}, {}) > 0", sql.text(wanted)),
        TextTest::Equals(wanted) => format!("{text} = {}", sql.text(wanted)),
        TextTest::Like(like) => format!("{text} LIKE {}", sql.text(&like.sql())),
    }
}

/// The text of attributes and events.
fn content(test: &Test, sql: &mut Sql) -> String {
    let Test::Text(test, is_folded) = test else { return "false".to_owned() };
    let each = ["`attributes`", "`events`"].map(|column| text_test(column, test, *is_folded, sql));
    format!("({})", each.join(" OR "))
}

/// A list of objects; one that is not there has no elements.
fn list(name: &str, test: &Test, sql: &mut Sql) -> String {
    let some = |elements: &[Element], all: bool, sql: &mut Sql| {
        let each: Vec<String> = elements.iter().map(|element| has(name, element, sql)).collect();
        format!("({})", each.join(if all { " AND " } else { " OR " }))
    };
    match test {
        Test::Exists => format!("JSONLength(ifNull(`{name}`, '')) > 0"),
        Test::Missing => format!("JSONLength(ifNull(`{name}`, '')) = 0"),
        Test::Has { wanted, all } => some(wanted, *all, sql),
        Test::HasNot { wanted } => format!("NOT {}", some(wanted, false, sql)),
        _ => "false".to_owned(),
    }
}

fn has(name: &str, element: &Element, sql: &mut Sql) -> String {
    let members: Vec<String> =
        element.iter().map(|(path, value)| Inside { json: "x", path }.equals(value, sql)).collect();
    format!("arrayExists(x -> {}, JSONExtractArrayRaw(ifNull(`{name}`, '')))", members.join(" AND "))
}

/// Tells values that are compared with one kind.
type IsKind = fn(&Value) -> bool;

/// A value within JSON.
struct Inside<'c> {
    json: &'c str,
    path: &'c Path,
}

impl Inside<'_> {
    fn sql(&self, test: &Test, sql: &mut Sql) -> String {
        match test {
            Test::Exists => self.exists(sql),
            Test::Missing => format!("NOT ifNull({}, false)", self.exists(sql)),
            Test::Order(Order::Equal, value) => self.item(value, sql).unwrap_or_else(|| self.equals(value, sql)),
            Test::Order(Order::NotEqual, value) => self.unless(sql, |inside, sql| inside.equals(value, sql)),
            Test::Order(order, value) => self.typed(*order, value, sql),
            Test::Between(low, high) => {
                let low = self.typed(Order::GreaterOrEqual, low, sql);
                format!("({low} AND {})", self.typed(Order::LessOrEqual, high, sql))
            }
            Test::Text(test, is_folded) => {
                let text = self.call("JSONExtractString", sql);
                let test = text_test(&text, test, *is_folded, sql);
                format!("({} AND {test})", self.is_kind("= 'String'", sql))
            }
            Test::In { values, all } => self.holds(values, *all, sql),
            Test::NotIn { values } => self.unless(sql, |inside, sql| inside.holds(values, false, sql)),
            Test::Has { .. } | Test::HasNot { .. } => "false".to_owned(),
        }
    }

    /// It is there, and not so.
    fn unless(&self, sql: &mut Sql, condition: impl Fn(&Self, &mut Sql) -> String) -> String {
        let exists = self.exists(sql);
        format!("({exists} AND NOT ifNull({}, false))", condition(self, sql))
    }

    fn exists(&self, sql: &mut Sql) -> String {
        self.is_kind("!= 'Null'", sql)
    }

    /// The condition that the value is of a kind. An index counts elements only: ClickHouse would count members, too.
    fn is_kind(&self, kind: &str, sql: &mut Sql) -> String {
        let mut condition = String::new();
        let indices = self.path.0.iter().enumerate().filter(|(_, step)| matches!(step, Step::Index(_)));
        for (at, _) in indices {
            let above = Path(self.path.0[..at].to_vec());
            let list = Inside { json: self.json, path: &above }.call("JSONType", sql);
            let _ = write!(condition, "{list} = 'Array' AND ");
        }
        let own = self.call("JSONType", sql);
        format!("{condition}{own} {kind}")
    }

    /// Calls one of ClickHouse's functions over JSON at the path.
    fn call(&self, function: &str, sql: &mut Sql) -> String {
        let mut call = format!("{function}({}", self.json);
        for step in &self.path.0 {
            let step = match step {
                Step::Name(name) => sql.text(name),
                Step::Index(index) => (u64::from(*index) + 1).to_string(),
            };
            let _ = write!(call, ", {step}");
        }
        call.push(')');
        call
    }

    fn equals(&self, value: &Value, sql: &mut Sql) -> String {
        self.typed(Order::Equal, value, sql)
    }

    /// Compares with a value of its kind.
    fn typed(&self, order: Order, value: &Value, sql: &mut Sql) -> String {
        let (kind, function) = match value {
            Value::Number(_) => (NUMBERS, "JSONExtractFloat"),
            Value::Flag(_) => ("= 'Bool'", "JSONExtractBool"),
            _ => ("= 'String'", "JSONExtractString"),
        };
        let is_kind = self.is_kind(kind, sql);
        let found = self.call(function, sql);
        format!("({is_kind} AND {found} {} {})", sign(order), sql.value(value))
    }

    /// It is one of the values; or, being an array, has one or all of them.
    fn holds(&self, values: &[Value], all: bool, sql: &mut Sql) -> String {
        if !all {
            return self.holds_one_of(values, sql);
        }
        let each: Vec<String> =
            values.iter().map(|value| self.holds_one_of(std::slice::from_ref(value), sql)).collect();
        format!("({})", each.join(" AND "))
    }

    fn holds_one_of(&self, values: &[Value], sql: &mut Sql) -> String {
        let own = self.is_one_of(values, sql);
        let is_list = self.is_kind("= 'Array'", sql);
        let json = format!("ifNull({}, '')", self.json);
        let elements = Inside { json: &json, path: self.path }.call("JSONExtractArrayRaw", sql);
        let element = Inside { json: "x", path: &Path::default() }.is_one_of(values, sql);
        format!("({own} OR ({is_list} AND arrayExists(x -> {element}, {elements})))")
    }

    /// It equals one of the values, each of which is compared with its kind only.
    fn is_one_of(&self, values: &[Value], sql: &mut Sql) -> String {
        let kinds: [(&str, &str, IsKind); 3] = [
            ("= 'String'", "JSONExtractString", |value| matches!(value, Value::Text(_))),
            (NUMBERS, "0.0 + JSONExtractFloat", |value| matches!(value, Value::Number(_))),
            ("= 'Bool'", "JSONExtractBool", |value| matches!(value, Value::Flag(_))),
        ];
        let mut each = Vec::new();
        for (kind, function, is_of_kind) in kinds {
            let values: Vec<Value> = values.iter().filter(|value| is_of_kind(value)).cloned().collect();
            if !values.is_empty() {
                let (is_kind, found) = (self.is_kind(kind, sql), self.call(function, sql));
                each.push(format!("({is_kind} AND {found} IN {})", tuple(&values, sql)));
            }
        }
        format!("({})", each.join(" OR "))
    }

    /// The test that an index answers by itself, where the value would be among the items of the row.
    fn item(&self, value: &Value, sql: &mut Sql) -> Option<String> {
        let plain = |step: &Step| match step {
            Step::Name(name) => Some(name.clone()).filter(|name| is_plain(name)),
            Step::Index(_) => None,
        };
        let names: Vec<String> = self.path.0.iter().map(plain).collect::<Option<_>>()?;
        let path = names.join(".");
        let item = match value {
            Value::Text(text) => text_item(&path, text),
            Value::Flag(flag) => flag_item(&path, *flag),
            Value::Number(number) => number_item(&path, *number),
            Value::Id(_) | Value::Moment(_) => None,
        };
        item.map(|item| format!("has(`attribute_items`, {})", sql.text(&item)))
    }
}
