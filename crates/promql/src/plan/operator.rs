use promql_parser::parser::token::{
    T_ADD, T_ATAN2, T_AVG, T_BOTTOMK, T_COUNT, T_COUNT_VALUES, T_DIV, T_EQLC, T_GROUP, T_GTE, T_GTR, T_LAND, T_LOR,
    T_LSS, T_LTE, T_LUNLESS, T_MAX, T_MIN, T_MOD, T_MUL, T_NEQ, T_POW, T_QUANTILE, T_STDDEV, T_STDVAR, T_SUB, T_SUM,
    T_TOPK, TokenType,
};
use promql_parser::parser::{AggregateExpr, BinaryExpr, LabelModifier, VectorMatchCardinality};

use super::build::Builder;
use super::node::{Aggregation, Cardinality, Grouping, Matching, Node, Operator, names};
use crate::{Grid, PromqlError};

impl Builder {
    pub(super) fn binary(&mut self, binary: &BinaryExpr, grid: Grid) -> Result<Node, PromqlError> {
        let operator = operator(binary.op)?;
        let matching = matching(binary)?;
        let left = Box::new(self.node(&binary.lhs, grid)?);
        let right = Box::new(self.node(&binary.rhs, grid)?);
        Ok(Node::Operation { operator, left, right, matching })
    }

    pub(super) fn aggregate(&mut self, aggregate: &AggregateExpr, grid: Grid) -> Result<Node, PromqlError> {
        let by = aggregation(aggregate.op)?;
        let parameter = match &aggregate.param {
            Some(parameter) => Some(Box::new(self.node(parameter, grid)?)),
            None => None,
        };
        let grouping = match &aggregate.modifier {
            None => Grouping::By(Vec::new()),
            Some(LabelModifier::Include(labels)) => Grouping::By(names(labels)),
            Some(LabelModifier::Exclude(labels)) => Grouping::Without(names(labels)),
        };
        let of = Box::new(self.node(&aggregate.expr, grid)?);
        Ok(Node::Aggregate { by, parameter, of, grouping })
    }
}

fn matching(binary: &BinaryExpr) -> Result<Matching, PromqlError> {
    let Some(modifier) = &binary.modifier else { return Ok(Matching::default()) };
    if modifier.fill_values.lhs.is_some() || modifier.fill_values.rhs.is_some() {
        return Err(PromqlError::Unsupported("the modifier `fill`".to_owned()));
    }
    let (is_on, labels) = match &modifier.matching {
        None => (false, Vec::new()),
        Some(LabelModifier::Include(labels)) => (true, names(labels)),
        Some(LabelModifier::Exclude(labels)) => (false, names(labels)),
    };
    let cardinality = match &modifier.card {
        VectorMatchCardinality::ManyToOne(labels) => Cardinality::ManyToOne(names(labels)),
        VectorMatchCardinality::OneToMany(labels) => Cardinality::OneToMany(names(labels)),
        VectorMatchCardinality::OneToOne | VectorMatchCardinality::ManyToMany => Cardinality::OneToOne,
    };
    Ok(Matching { is_on, labels, cardinality, is_bool: modifier.return_bool })
}

fn operator(token: TokenType) -> Result<Operator, PromqlError> {
    Ok(match token.id() {
        T_ADD => Operator::Add,
        T_SUB => Operator::Sub,
        T_MUL => Operator::Mul,
        T_DIV => Operator::Div,
        T_MOD => Operator::Mod,
        T_POW => Operator::Pow,
        T_ATAN2 => Operator::Atan2,
        T_EQLC => Operator::Equal,
        T_NEQ => Operator::NotEqual,
        T_LSS => Operator::Less,
        T_LTE => Operator::LessEqual,
        T_GTR => Operator::Greater,
        T_GTE => Operator::GreaterEqual,
        T_LAND => Operator::And,
        T_LOR => Operator::Or,
        T_LUNLESS => Operator::Unless,
        _ => return Err(PromqlError::Unsupported(format!("the operator `{token}`"))),
    })
}

fn aggregation(token: TokenType) -> Result<Aggregation, PromqlError> {
    Ok(match token.id() {
        T_SUM => Aggregation::Sum,
        T_AVG => Aggregation::Avg,
        T_MIN => Aggregation::Min,
        T_MAX => Aggregation::Max,
        T_COUNT => Aggregation::Count,
        T_GROUP => Aggregation::Group,
        T_STDDEV => Aggregation::Stddev,
        T_STDVAR => Aggregation::Stdvar,
        T_TOPK => Aggregation::TopK,
        T_BOTTOMK => Aggregation::BottomK,
        T_QUANTILE => Aggregation::Quantile,
        T_COUNT_VALUES => Aggregation::CountValues,
        _ => return Err(PromqlError::Unsupported(format!("the aggregation `{token}`"))),
    })
}
