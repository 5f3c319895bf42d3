//! `tidegate cardinality`, `tidegate templates`, `tidegate services`: the catalogue of a running server, for a terminal.
//!
//! They ask `/api/v1` and `/v2` and show what these answer; every number is the server's.
//!
//! | file | does |
//! |---|---|
//! | `cardinality.rs` | attributes by their number of distinct values, and one of them |
//! | `templates.rs` | templates of log bodies, and one of them |
//! | `services.rs` | services with what they send, and one of them |
//! | `items.rs` | what the API answers, as far as it is shown here and by `tidegate check` |
//! | `window.rs` | which hours |
//! | `listing.rs` | rows as a table, JSON or CSV |

mod cardinality;
mod items;
mod listing;
mod services;
mod templates;
mod window;

use clap::{Args, ValueEnum};

pub(crate) use cardinality::{CardinalityArgs, cardinality};
pub(crate) use items::{Attribute, Log, Metric, ServiceSummary, Span, Summary, Template, pages, service_summaries};
pub(crate) use listing::{Listing, bytes, number, words};
pub(crate) use services::{ServicesArgs, services};
pub(crate) use templates::{TemplatesArgs, templates};
pub(crate) use window::WindowArgs;

/// What all of these commands are told.
#[derive(Debug, Args)]
struct ReadArgs {
    /// Only what this service sends
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
    #[command(flatten)]
    window: WindowArgs,
    /// At most so many rows; 0 shows all
    #[arg(long, short = 'n', value_name = "N", default_value_t = 20)]
    limit: u64,
    /// How the answer is written; without it, a table on a terminal and CSV into a pipe or file
    #[arg(long, short, value_enum)]
    format: Option<ListFormat>,
    /// The server's address
    #[arg(long, env = "TIDEGATE_URL", default_value = "http://127.0.0.1:8080")]
    url: String,
}

/// The forms of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ListFormat {
    /// Aligned columns for a reader
    Table,
    /// One JSON object
    Json,
    /// Comma-separated values with a header
    Csv,
}

/// The signals, in the words of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum SignalName {
    #[value(alias = "metrics")]
    Metric,
    #[value(aliases = ["spans", "traces", "trace"])]
    Span,
    #[value(alias = "logs")]
    Log,
}

impl SignalName {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Metric => "metric",
            Self::Span => "span",
            Self::Log => "log",
        }
    }
}

impl ReadArgs {
    /// Returns the parameters that narrow an answer.
    fn narrowed(&self) -> Vec<(&'static str, String)> {
        let service = self.service.iter().map(|name| ("service", name.clone()));
        self.window.parameters().into_iter().chain(service).collect()
    }
}
