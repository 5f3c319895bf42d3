use super::field::Kind;
use super::{Condition, Element, Field, Filter, Like, Order, Path, Test, TextTest, Value};
use crate::error::shown;
use crate::members::Members;
use crate::moment::read_moment;
use crate::span::{SpanKind, SpanType, StatusCode, TraceType, ids_of};
use crate::{Invalid, Json, SpanId, TraceId, Uuid, json};

/// Conditions of one filter: each may read a column of every span.
const CONDITIONS_MAX: usize = 200;
/// Filters within each other.
const NESTING_MAX: usize = 16;
/// Values of one list: each is a parameter of the statement.
const VALUES_MAX: usize = 500;

const OPERATORS_OF_FILTERS: &str = "`operator` is one of and, or, not, nand, nor";

/// What a condition asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Is,
    IsNot,
    Eq,
    Neq,
    Gt,
    Lt,
    Gte,
    Lte,
    Btwn,
    StartsWith,
    EndsWith,
    Contains,
    Matches,
    Like,
    In,
    NotIn,
    Has,
    HasNot,
    Exists,
    NotExists,
}

/// Operators that go with the same fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OperatorGroup {
    Comparison,
    Numeric,
    String,
    List,
    Dict,
    Existence,
}

const OPERATORS: &[(&str, Operator, OperatorGroup)] = &[
    ("is", Operator::Is, OperatorGroup::Comparison),
    ("is_not", Operator::IsNot, OperatorGroup::Comparison),
    ("eq", Operator::Eq, OperatorGroup::Numeric),
    ("neq", Operator::Neq, OperatorGroup::Numeric),
    ("gt", Operator::Gt, OperatorGroup::Numeric),
    ("lt", Operator::Lt, OperatorGroup::Numeric),
    ("gte", Operator::Gte, OperatorGroup::Numeric),
    ("lte", Operator::Lte, OperatorGroup::Numeric),
    ("btwn", Operator::Btwn, OperatorGroup::Numeric),
    ("startswith", Operator::StartsWith, OperatorGroup::String),
    ("endswith", Operator::EndsWith, OperatorGroup::String),
    ("contains", Operator::Contains, OperatorGroup::String),
    ("matches", Operator::Matches, OperatorGroup::String),
    ("like", Operator::Like, OperatorGroup::String),
    ("in", Operator::In, OperatorGroup::List),
    ("not_in", Operator::NotIn, OperatorGroup::List),
    ("has", Operator::Has, OperatorGroup::Dict),
    ("has_not", Operator::HasNot, OperatorGroup::Dict),
    ("exists", Operator::Exists, OperatorGroup::Existence),
    ("not_exists", Operator::NotExists, OperatorGroup::Existence),
];

impl Operator {
    pub(super) fn group(self) -> OperatorGroup {
        let found = OPERATORS.iter().find(|(_, operator, _)| *operator == self);
        found.map_or(OperatorGroup::Existence, |(_, _, group)| *group)
    }
}

impl Filter {
    /// Reads a filter: an object, or a text that holds one.
    pub fn read(value: &Json, place: &str) -> Result<Self, Invalid> {
        if let Json::Text(text) = value {
            let inner =
                json::parse(text).map_err(|error| Invalid { place: format!("{place}: {}", error.place), ..error })?;
            return Self::read(&inner, place);
        }
        let mut left = CONDITIONS_MAX;
        group(value, place, (NESTING_MAX, &mut left))
    }
}

fn group(value: &Json, place: &str, (depth, left): (usize, &mut usize)) -> Result<Filter, Invalid> {
    let members = Members::of(value, place)?;
    members.known(&["operator", "conditions"])?;
    if depth == 0 {
        return Err(Invalid::at(place, "filters are nested too deep", format!("nest up to {NESTING_MAX}")));
    }
    let inner = members.list("conditions")?;
    let mut all = Vec::new();
    for (index, each) in inner.iter().enumerate() {
        let place = format!("{}[{index}]", members.place_of("conditions"));
        all.push(filter(each, &place, (depth - 1, left))?);
    }
    let word = members.text("operator")?.unwrap_or("and");
    if all.is_empty() && word != "and" {
        let problem = format!("`{}` has no conditions", shown(word));
        return Err(Invalid::at(members.place_of("conditions"), problem, "give one, or leave the filter out"));
    }
    Ok(match word {
        "and" => Filter::And(all),
        "or" => Filter::Or(all),
        "not" | "nand" => Filter::Nand(all),
        "nor" => Filter::Nor(all),
        other => {
            let problem = format!("`{}` puts no conditions together", shown(other));
            return Err(Invalid::at(members.place_of("operator"), problem, OPERATORS_OF_FILTERS));
        }
    })
}

fn filter(value: &Json, place: &str, (depth, left): (usize, &mut usize)) -> Result<Filter, Invalid> {
    let members = Members::of(value, place)?;
    if members.get("conditions").is_some() {
        return group(value, place, (depth, left));
    }
    *left = left.checked_sub(1).ok_or_else(|| {
        Invalid::at(
            place,
            "the filter has too many conditions",
            format!("send up to {CONDITIONS_MAX}; `in` takes many values"),
        )
    })?;
    condition(&members).map(Filter::Is)
}

fn condition(members: &Members<'_>) -> Result<Condition, Invalid> {
    members.known(&["field", "key", "value", "operator", "options"])?;
    let field = field(members)?;
    let operator = operator(members, field)?;
    let key = members.get("key").map(|key| Path::read(key, &members.place_of("key"))).transpose()?;
    let test = Reader { members, field, operator }.test(key.as_ref())?;
    let path = match (field.kind, key) {
        (Kind::Attributes, Some(path)) => path,
        (Kind::Attributes, None) => {
            let help = "name the attribute, as `\"key\": \"ag.type.trace\"`; `content` searches all of them";
            return Err(Invalid::at(members.place_of("key"), "it is missing", help));
        }
        (Kind::List, _) if operator.group() == OperatorGroup::Dict => Path::default(),
        (_, None) => Path::default(),
        (_, Some(_)) => {
            let problem = format!("`{}` has no keys", field.name);
            return Err(Invalid::at(
                members.place_of("key"),
                problem,
                "leave it out; `attributes`, and `has` on lists, take one",
            ));
        }
    };
    Ok(Condition { field, path, test })
}

fn field(members: &Members<'_>) -> Result<Field, Invalid> {
    let help = || format!("there are {}", Field::names());
    let name = members.text("field")?.ok_or_else(|| Invalid::at(members.place_of("field"), "it is missing", help()))?;
    Field::named(name)
        .ok_or_else(|| Invalid::at(members.place_of("field"), format!("`{}` is no field", shown(name)), help()))
}

fn operator(members: &Members<'_>, field: Field) -> Result<Operator, Invalid> {
    let word = members.text("operator")?.unwrap_or("is");
    let found = OPERATORS.iter().find(|(name, ..)| *name == word).map(|(_, operator, _)| *operator);
    found.filter(|operator| field.takes(*operator)).ok_or_else(|| {
        let taken = OPERATORS.iter().filter(|(_, operator, _)| field.takes(*operator));
        let taken: Vec<_> = taken.map(|(name, ..)| *name).collect();
        let problem = format!("`{}` does not go with `{}`", shown(word), field.name);
        Invalid::at(members.place_of("operator"), problem, format!("it takes {}", taken.join(", ")))
    })
}

/// Reads what is asked, by field and operator.
struct Reader<'r, 'j> {
    members: &'r Members<'j>,
    field: Field,
    operator: Operator,
}

impl Reader<'_, '_> {
    fn test(&self, key: Option<&Path>) -> Result<Test, Invalid> {
        let place = self.members.place_of("value");
        let value = self.members.get("value");
        let (is_folded, is_whole, all) = self.options()?;
        Ok(match self.operator {
            Operator::Exists => Test::Exists,
            Operator::NotExists => Test::Missing,
            Operator::Is if value.is_none() => Test::Missing,
            Operator::IsNot if value.is_none() => Test::Exists,
            Operator::Btwn => self.between(&place)?,
            Operator::StartsWith => Test::Text(TextTest::Starts(self.text(is_folded)?), is_folded),
            Operator::EndsWith => Test::Text(TextTest::Ends(self.text(is_folded)?), is_folded),
            Operator::Matches if is_whole => Test::Text(TextTest::Equals(self.text(is_folded)?), is_folded),
            Operator::Contains | Operator::Matches => Test::Text(TextTest::Contains(self.text(is_folded)?), is_folded),
            Operator::Like => {
                let like = Like::read(&self.text(false)?);
                Test::Text(TextTest::Like(if is_folded { like.folded() } else { like }), is_folded)
            }
            Operator::In if self.field.kind == Kind::List => Test::Has { wanted: self.elements()?, all },
            Operator::NotIn if self.field.kind == Kind::List => Test::HasNot { wanted: self.elements()? },
            Operator::In => Test::In { values: self.values()?, all },
            Operator::NotIn => Test::NotIn { values: self.values()? },
            Operator::Has => Test::Has { wanted: vec![self.member(key)?], all },
            Operator::HasNot => Test::HasNot { wanted: vec![self.member(key)?] },
            compared => Test::Order(order(compared), self.compared(value, &place)?),
        })
    }

    /// Returns whether case does not matter, whether the whole text is meant, and whether all values are.
    fn options(&self) -> Result<(bool, bool, bool), Invalid> {
        let Some(options) = self.members.get("options") else { return Ok((true, false, false)) };
        let place = self.members.place_of("options");
        let options = Members::of(options, &place)?;
        options.known(&["case_sensitive", "exact_match", "all"])?;
        let is_whole = options.flag("exact_match")?.unwrap_or(false);
        if is_whole && self.operator != Operator::Matches {
            let help = "it goes with `matches`; `is` compares whole texts, too";
            return Err(Invalid::at(options.place_of("exact_match"), "it has no meaning with this operator", help));
        }
        let all = options.flag("all")?.unwrap_or(false);
        if all && !matches!(self.operator, Operator::In | Operator::NotIn) {
            return Err(Invalid::at(
                options.place_of("all"),
                "it has no meaning with this operator",
                "it goes with `in` and `not_in`",
            ));
        }
        Ok((!options.flag("case_sensitive")?.unwrap_or(false), is_whole, all))
    }

    fn text(&self, is_folded: bool) -> Result<String, Invalid> {
        let place = self.members.place_of("value");
        let text = self.members.text("value")?.ok_or_else(|| Invalid::at(&place, "it is missing", "send a text"))?;
        if self.field.kind == Kind::Content && text.is_empty() {
            return Err(Invalid::at(place, "it is empty", "send what is looked for"));
        }
        // The text of attributes and events is JSON: what is looked for stands there as JSON writes it.
        let text = if self.field.kind == Kind::Content { json::escaped(text) } else { text.to_owned() };
        Ok(if is_folded { text.to_ascii_lowercase() } else { text })
    }

    /// Reads what is compared with; booleans have no order.
    fn compared(&self, value: Option<&Json>, place: &str) -> Result<Value, Invalid> {
        let value = self.value(value, place)?;
        let is_order =
            !matches!(order(self.operator), Order::Equal | Order::NotEqual) || self.operator == Operator::Btwn;
        if is_order && matches!(value, Value::Flag(_)) {
            return Err(Invalid::at(place, "a boolean has no order", "use is, is_not, eq, neq or in"));
        }
        Ok(value)
    }

    fn between(&self, place: &str) -> Result<Test, Invalid> {
        let bounds = self.members.list("value")?;
        let [low, high] = bounds else {
            return Err(Invalid::at(place, format!("it has {} values", bounds.len()), "send `[low, high]`"));
        };
        let (low, high) =
            (self.compared(Some(low), &format!("{place}[0]"))?, self.compared(Some(high), &format!("{place}[1]"))?);
        if std::mem::discriminant(&low) != std::mem::discriminant(&high) {
            return Err(Invalid::at(place, "the bounds are of two kinds", "send two numbers, two texts or two times"));
        }
        Ok(Test::Between(low, high))
    }

    fn values(&self) -> Result<Vec<Value>, Invalid> {
        let list = self.listed()?;
        let each = |(index, value): (usize, &Json)| {
            self.value(Some(value), &format!("{}[{index}]", self.members.place_of("value")))
        };
        list.iter().enumerate().map(each).collect()
    }

    fn listed(&self) -> Result<Vec<Json>, Invalid> {
        let place = self.members.place_of("value");
        let list = match self.members.get("value") {
            // A condition on links may name one element as it is.
            Some(one @ Json::Object(_)) if self.field.kind == Kind::List => vec![one.clone()],
            _ => self.members.list("value")?.to_vec(),
        };
        if list.is_empty() || list.len() > VALUES_MAX {
            return Err(Invalid::at(
                place,
                format!("it has {} values", list.len()),
                format!("send a list of 1 to {VALUES_MAX}"),
            ));
        }
        Ok(list)
    }

    /// Reads one value as the field has them.
    fn value(&self, value: Option<&Json>, place: &str) -> Result<Value, Invalid> {
        let value = value.unwrap_or(&Json::Null);
        let text = || {
            let problem = format!("{} stands where a text is expected", value.kind());
            value.as_text().ok_or_else(|| Invalid::at(place, problem, format!("`{}` holds texts", self.field.name)))
        };
        let word = |word: &'static str| Value::Text(word.to_owned());
        Ok(match self.field.kind {
            Kind::TraceId => Value::Id(TraceId::read(text()?, place)?.uuid()),
            Kind::SpanId => Value::Id(SpanId::read(text()?, place)?.uuid()),
            Kind::Uuid => Value::Id(Uuid::read(text()?, place)?),
            Kind::TraceType => word(TraceType::read(text()?, place)?.as_str()),
            Kind::SpanType => word(SpanType::read(text()?, place)?.as_str()),
            Kind::Otel => word(SpanKind::read(text()?, place)?.as_str()),
            Kind::StatusCode => word(StatusCode::read(text()?, place)?.as_str()),
            Kind::Text | Kind::Content => Value::Text(text()?.to_owned()),
            Kind::Moment => Value::Moment(read_moment(value, place)?),
            Kind::Attributes | Kind::List => scalar(value, place)?,
        })
    }

    /// Reads elements that a list shall have, each an object of members.
    fn elements(&self) -> Result<Vec<Element>, Invalid> {
        let mut all = Vec::new();
        for (index, element) in self.listed()?.iter().enumerate() {
            let place = format!("{}[{index}]", self.members.place_of("value"));
            Members::of(element, &place)?;
            let mut wanted = Element::new();
            self.flatten(element, &mut Vec::new(), (&place, &mut wanted))?;
            if wanted.is_empty() {
                return Err(Invalid::at(place, "no member is given", "send what an element has, as `{\"id\": …}`"));
            }
            all.push(wanted);
        }
        Ok(all)
    }

    /// Lists the members that an element shall have; `null` is as none.
    fn flatten(&self, value: &Json, path: &mut Vec<String>, (place, out): (&str, &mut Element)) -> Result<(), Invalid> {
        match value {
            Json::Null => {}
            Json::Object(members) => {
                for (name, member) in members {
                    path.push(name.clone());
                    self.flatten(member, path, (&format!("{place}.{name}"), out))?;
                    path.pop();
                }
            }
            leaf => out.push(self.named(&path.join("."), leaf, place)?),
        }
        Ok(())
    }

    /// Reads the one member that `has` asks for.
    fn member(&self, key: Option<&Path>) -> Result<Element, Invalid> {
        let place = self.members.place_of("key");
        let name = self.members.text("key")?.unwrap_or_default();
        let is_taken =
            key.is_some() && (name.starts_with("attributes.") || (name == "id" && self.field.name == "hashes"));
        if !is_taken {
            let problem = format!("`{}` is no key of {}", shown(name), self.field.name);
            let help = "it begins with `attributes.`; that of hashes may be `id`; `in` compares other members";
            return Err(Invalid::at(place, problem, help));
        }
        let place = self.members.place_of("value");
        let value =
            self.members.get("value").ok_or_else(|| Invalid::at(&place, "it is missing", "send what the key holds"))?;
        Ok(vec![self.named(name, value, &place)?])
    }

    fn named(&self, name: &str, value: &Json, place: &str) -> Result<(Path, Value), Invalid> {
        let id = ids_of(self.field.name).iter().find(|(id, _)| *id == name);
        let value = match (id, value) {
            (Some((_, read)), Json::Text(text)) => Value::Text(read(text, place)?),
            _ => scalar(value, place)?,
        };
        Ok((Path::dotted(name), value))
    }
}

fn scalar(value: &Json, place: &str) -> Result<Value, Invalid> {
    match value {
        Json::Text(text) => Ok(Value::Text(text.clone())),
        Json::Bool(flag) => Ok(Value::Flag(*flag)),
        Json::Number(number) if number.value().is_finite() => Ok(Value::Number(number.value())),
        other => {
            let problem = format!("{} cannot be compared with", other.kind());
            Err(Invalid::at(place, problem, "send a text, a finite number or a boolean, and the path to it as the key"))
        }
    }
}

const fn order(operator: Operator) -> Order {
    match operator {
        Operator::IsNot | Operator::Neq => Order::NotEqual,
        Operator::Gt => Order::Greater,
        Operator::Lt => Order::Less,
        Operator::Gte => Order::GreaterOrEqual,
        Operator::Lte => Order::LessOrEqual,
        _ => Order::Equal,
    }
}
