use tidegate_primary::{PrimaryOptions, TableName};
use tidegate_server::TracingMode;

use super::tree::{ClickHouse, S3, Tracing};

impl ClickHouse {
    /// Returns the address of the server's HTTP interface.
    pub(crate) fn address(&self) -> String {
        if self.url.is_empty() {
            let scheme = if self.secure { "https" } else { "http" };
            format!("{scheme}://{}:{}", self.host, self.port)
        } else {
            self.url.trim_end_matches('/').to_owned()
        }
    }
}

impl S3 {
    /// Returns the address of the server.
    pub(crate) fn address(&self) -> String {
        if self.endpoint.is_empty() {
            format!("https://s3.{}.amazonaws.com", self.region)
        } else {
            self.endpoint.trim_end_matches('/').to_owned()
        }
    }

    /// Says what is wrong with it, if anything is.
    pub(super) fn mistake(&self) -> Option<String> {
        if self.bucket.is_empty() {
            return None;
        }
        let is_address = ["http://", "https://"].iter().any(|scheme| self.address().starts_with(scheme));
        if !is_address {
            return Some(format!("s3.endpoint must be an address like https://host:9000, it is `{}`", self.endpoint));
        }
        if self.region.is_empty() {
            return Some(
                "s3.region must be set: requests are signed for it; any name will do for most servers".to_owned(),
            );
        }
        if self.access_key_id.is_empty() || self.secret_access_key.is_empty() {
            let text = "s3.access_key_id and s3.secret_access_key (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY) must be set \
                        where s3.bucket is: every request is signed";
            return Some(text.to_owned());
        }
        let is_part = |part: &str| !part.is_empty() && part != "." && part != "..";
        let is_plain = self.prefix.is_empty() || self.prefix.split('/').all(is_part);
        (!is_plain).then(|| {
            format!("s3.prefix is a path such as tidegate/production, without `/` at its ends, it is `{}`", self.prefix)
        })
    }
}

impl Tracing {
    /// Returns where the primary is, if there is one, or says what is wrong.
    pub(crate) fn primary(&self) -> Result<Option<PrimaryOptions>, String> {
        if self.postgres_url.is_empty() {
            if self.mode == TracingMode::ClickHouse {
                return Ok(None);
            }
            let mode = self.mode.as_str();
            return Err(format!(
                "tracing.mode is \"{mode}\", and tracing.postgres_url (TIDEGATE_POSTGRES) names no PostgreSQL"
            ));
        }
        if !["postgres://", "postgresql://"].iter().any(|scheme| self.postgres_url.starts_with(scheme)) {
            let why = "tracing.postgres_url (TIDEGATE_POSTGRES) must be like postgres://user:password@host/database";
            return Err(why.to_owned());
        }
        let table =
            TableName::parse(&self.postgres_table).map_err(|error| format!("tracing.postgres_table: {error}"))?;
        Ok(Some(PrimaryOptions { url: self.postgres_url.clone(), table }))
    }
}
