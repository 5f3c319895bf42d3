use std::time::Duration;

use bytes::Bytes;
use reqwest::header::CONTENT_TYPE;
use tokio::runtime::Handle;
use tokio::time::{Instant, timeout_at};

use super::answer::{Answer, Watch};
use super::body::Form;
use super::client::{As, Param, checked};
use super::{Compression, Store, StoreError};

/// Rows that travel with a query: `CREATE`d as an external table of that name.
#[derive(Debug, Clone)]
pub struct External {
    /// The table's name in the query.
    pub name: String,
    /// `name Type, …` in ClickHouse's words.
    pub structure: String,
    /// The rows, as one Arrow IPC stream, in pieces.
    pub arrow_stream: Vec<Bytes>,
}

/// A read.
#[derive(Debug, Clone)]
pub struct Select {
    /// One statement, without a FORMAT clause.
    pub sql: String,
    /// ClickHouse's name of the output format.
    pub format: &'static str,
    /// `{name:Type}` parameters: name, text.
    pub params: Vec<(String, String)>,
    /// Settings of the query: name, value.
    pub settings: Vec<(String, String)>,
    /// Rows that travel along.
    pub external: Vec<External>,
    /// The query's id in ClickHouse, by which it can be killed.
    pub query_id: String,
    /// Give up after so long.
    pub timeout: Duration,
}

impl Store {
    /// Runs a user's read; dropping the answer's body cancels it in ClickHouse.
    pub async fn select(&self, select: Select) -> Result<Answer, StoreError> {
        let (limit, deadline) = (select.timeout, Instant::now() + select.timeout);
        let has_frames = self.compression()? == Compression::Zstd;
        let request = self.select_request(select.clone())?;
        // From here on the query may run: whoever drops this future, or the body, ends it.
        let guard = KillGuard { store: self.clone(), query_id: Some(select.query_id) };
        let sent = match timeout_at(deadline, request.send()).await {
            Ok(sent) => sent.map_err(|error| StoreError::from_http("run a query", error))?,
            Err(_) => return Err(StoreError::Timeout(limit)),
        };
        match timeout_at(deadline, checked(sent)).await {
            Ok(Ok(response)) => Ok(Answer::over(response, Watch { deadline, limit, guard, has_frames })),
            Ok(Err(refused)) => {
                guard.disarm();
                Err(refused)
            }
            Err(_) => Err(StoreError::Timeout(limit)),
        }
    }

    /// Everything but settings goes into a form: SQL, parameters and rows may be longer than a URL.
    fn select_request(&self, select: Select) -> Result<reqwest::RequestBuilder, StoreError> {
        let seconds = select.timeout.as_secs().max(1).to_string();
        let mut params: Vec<Param<'_>> =
            vec![("database", self.database()), ("query_id", &select.query_id), ("default_format", select.format)];
        params.push(("cancel_http_readonly_queries_on_client_close", "1"));
        // An exception breaks the answer off; written into the format it would look like a result.
        params.push(("http_write_exception_in_output_format", "0"));
        let is_set = |name: &str| select.settings.iter().any(|(set, _)| set == name);
        if !is_set("max_execution_time") {
            params.push(("max_execution_time", &seconds));
        }
        params.extend(select.settings.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        if !self.has_reader() && !is_set("readonly") {
            params.push(("readonly", "1"));
        }
        let request = self.post(As::Reader, &params)?;

        let mut form = Form::new();
        form.field("query", &select.sql);
        for (name, value) in &select.params {
            form.field(&format!("param_{name}"), value);
        }
        for external in &select.external {
            form.field(&format!("{}_structure", external.name), &external.structure);
            form.field(&format!("{}_format", external.name), "ArrowStream");
        }
        // All fields come before the first file: rows are read while they arrive, and by then it is known what they are.
        for external in &select.external {
            form.file(&external.name, &external.arrow_stream);
        }
        let (content_type, body) = form.finish();
        Ok(request.header(CONTENT_TYPE, content_type).body(body))
    }
}

/// Kills a query when dropped before its end.
#[derive(Debug)]
pub(super) struct KillGuard {
    store: Store,
    query_id: Option<String>,
}

impl KillGuard {
    /// The query has ended by itself.
    pub(super) fn disarm(mut self) {
        self.query_id = None;
    }
}

impl Drop for KillGuard {
    fn drop(&mut self) {
        let Some(query_id) = self.query_id.take() else { return };
        // Without a runtime the process is ending, and its connections with it.
        let Ok(runtime) = Handle::try_current() else { return };
        let store = self.store.clone();
        runtime.spawn(async move {
            if let Err(error) = store.kill(&query_id).await {
                tracing::debug!(query_id, %error, "an abandoned query could not be killed");
            }
        });
    }
}
