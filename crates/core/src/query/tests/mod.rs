mod plan;
mod tokens;
