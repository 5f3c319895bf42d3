use std::time::Duration;

use clap::Args;

use crate::span;

/// Which hours an answer is about; the server reads the times.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct WindowArgs {
    /// Only the last so many hours or days, such as 24h (the catalogue is kept by hours)
    #[arg(long, value_name = "TIME", value_parser = span::parse, conflicts_with_all = ["from", "to"])]
    last: Option<Duration>,
    /// Only from the hour of this time on, such as 2026-01-31T09:00:00Z
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Only hours that begin before this time
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
}

impl WindowArgs {
    /// Says whether all hours are asked for.
    pub(crate) const fn is_everything(&self) -> bool {
        self.last.is_none() && self.from.is_none() && self.to.is_none()
    }

    /// Returns the parameters of the API.
    pub(crate) fn parameters(&self) -> Vec<(&'static str, String)> {
        span::parameters(self.last, self.from.as_deref(), self.to.as_deref())
    }
}
