/// Why an expression has no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PromqlError {
    /// The text is no PromQL.
    #[error("invalid expression: {0}")]
    Parse(String),
    /// It is, and asks for what is not done here.
    #[error("{0} is not supported here; docs/promql.md lists what is")]
    Unsupported(String),
    /// A parameter of the request is wrong.
    #[error("{0}")]
    Parameter(String),
    /// It reads or makes too much.
    #[error("{0}")]
    TooLarge(String),
    /// It has no value over what was found.
    #[error("{0}")]
    Execution(String),
}
