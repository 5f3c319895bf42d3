mod plan;
mod tokens;
mod watermark;
