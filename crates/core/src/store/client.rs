use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use reqwest::{Client, RequestBuilder, Response, Url};
use tidegate_model::limits::{
    STORE_CONNECT_MS, STORE_ERROR_BYTES_MAX, STORE_IDLE_MS, STORE_PING_MS, STORE_RETRIES, STORE_RETRY_MS,
    STORE_STATEMENT_MS,
};
use tidegate_model::{ErrorKind, TableName, TableSpec, chain};
use tokio::time::timeout;

use super::body::Pieces;
use super::error::exception_code;
use super::{Compression, StoreError, StoreOptions};

/// One HTTP client for one ClickHouse; clones share its connections.
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
}

struct Shared {
    client: Client,
    options: StoreOptions,
    url: RwLock<Option<Url>>,
    /// Tables as they were made ready last.
    ready: Mutex<HashMap<TableName, TableSpec>>,
    /// Tables whose roll-ups hold every stored row.
    whole: Mutex<HashSet<TableName>>,
    /// Read by who needs stored rows to stay, written by who removes them.
    rows: Arc<tokio::sync::RwLock<()>>,
}

/// Whose rights a request has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum As {
    /// The user that writes.
    Writer,
    /// The user of users' queries.
    Reader,
}

/// A URL parameter: name, value.
pub(super) type Param<'a> = (&'a str, &'a str);

impl Store {
    /// Makes the client; connects to nothing yet.
    pub fn new(options: StoreOptions) -> Result<Self, StoreError> {
        let url = parse_url(&options.url)?;
        let client = client(&options, url.as_ref())?;
        let (ready, whole, rows) = (Mutex::default(), Mutex::default(), Arc::default());
        Ok(Self { shared: Arc::new(Shared { client, options, url: RwLock::new(url), ready, whole, rows }) })
    }

    /// The database of all tables.
    #[must_use]
    pub fn database(&self) -> &str {
        &self.shared.options.database
    }

    /// Points at another address: the engine came back on another port. An empty one: it is away, nothing is sent.
    pub fn set_url(&self, url: &str) {
        match parse_url(url) {
            Ok(url) => *self.shared.url.write().unwrap_or_else(PoisonError::into_inner) = url,
            Err(error) => tracing::error!(url, %error, "the address of ClickHouse is unusable, keeping the old one"),
        }
    }

    /// Asks for a sign of life.
    pub async fn ping(&self) -> Result<(), StoreError> {
        let mut url = self.url()?;
        url.set_path("/ping");
        let limit = Duration::from_millis(STORE_PING_MS);
        let sent = self.shared.client.get(url).timeout(limit).send();
        let response = sent.await.map_err(|error| http_error("ping ClickHouse", error, limit))?;
        checked(response).await.map(drop)
    }

    /// Runs a statement that answers nothing and may safely run twice (our DDL).
    pub async fn execute(&self, sql: &str) -> Result<(), StoreError> {
        self.retried("run a statement", sql, &[("wait_end_of_query", "1")]).await.map(drop)
    }

    /// Runs our own small query and returns its rows as JSON values (`JSONEachRow`).
    pub async fn rows(&self, sql: &str, params: &[(&str, &str)]) -> Result<Vec<serde_json::Value>, StoreError> {
        self.json_rows(sql, params, Some(self.database())).await
    }

    /// Does the same where the database need not exist yet.
    pub(super) async fn system_rows(
        &self,
        sql: &str,
        params: &[(&str, &str)],
    ) -> Result<Vec<serde_json::Value>, StoreError> {
        self.json_rows(sql, params, None).await
    }

    async fn json_rows(
        &self,
        sql: &str,
        params: &[(&str, &str)],
        database: Option<&str>,
    ) -> Result<Vec<serde_json::Value>, StoreError> {
        let named: Vec<_> = params.iter().map(|(name, value)| (format!("param_{name}"), *value)).collect();
        let mut all: Vec<Param<'_>> = named.iter().map(|(name, value)| (name.as_str(), *value)).collect();
        // Whole before its status is sent: an error on the way has its own status.
        all.extend([("default_format", "JSONEachRow"), ("wait_end_of_query", "1")]);
        // As numbers would be in text, 64-bit integers stay numbers: `serde_json` reads them exactly.
        all.push(("output_format_json_quote_64bit_integers", "0"));
        all.extend(database.map(|name| ("database", name)));
        let body = self.retried("run a query", sql, &all).await?;
        serde_json::Deserializer::from_slice(&body)
            .into_iter()
            .collect::<Result<_, _>>()
            .map_err(|error| StoreError::CutOff(format!("the rows are not whole JSON ({error})")))
    }

    /// Ends a running query.
    pub async fn kill(&self, query_id: &str) -> Result<(), StoreError> {
        // ASYNC: waiting for the end of a query that is stuck would get stuck too.
        let on_cluster = self.cluster().map(|name| format!(" ON CLUSTER {}", identifier(name))).unwrap_or_default();
        let sql = format!("KILL QUERY{on_cluster} WHERE query_id = {} ASYNC", literal(query_id));
        self.execute(&sql).await
    }

    /// Says whether a table was made ready in this form.
    pub(super) fn is_ready(&self, table: &TableSpec) -> bool {
        self.ready().get(&table.name) == Some(table)
    }

    /// Remembers the form in which a table is ready.
    pub(super) fn set_ready(&self, table: &TableSpec) {
        self.ready().insert(table.name.clone(), table.clone());
    }

    fn ready(&self) -> MutexGuard<'_, HashMap<TableName, TableSpec>> {
        self.shared.ready.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn whole(&self) -> MutexGuard<'_, HashSet<TableName>> {
        self.shared.whole.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn rows_lock(&self) -> Arc<tokio::sync::RwLock<()>> {
        Arc::clone(&self.shared.rows)
    }

    pub(super) fn cluster(&self) -> Option<&str> {
        self.shared.options.cluster.as_deref()
    }

    pub(super) fn has_reader(&self) -> bool {
        self.shared.options.reader.is_some()
    }

    /// Says how bodies are compressed on the way to the current address.
    pub(super) fn compression(&self) -> Result<Compression, StoreError> {
        Ok(self.shared.options.compression_at(&self.url()?))
    }

    /// Prepares a POST with these rights and parameters.
    pub(super) fn post(&self, who: As, params: &[Param<'_>]) -> Result<RequestBuilder, StoreError> {
        let mut url = self.url()?;
        let compression = self.shared.options.compression_at(&url);
        {
            let mut pairs = url.query_pairs_mut();
            pairs.extend_pairs(params);
            if compression == Compression::Zstd {
                pairs.append_pair("enable_http_compression", "1");
            }
        }
        let options = &self.shared.options;
        let (user, password) = match (who, &options.reader) {
            (As::Reader, Some((user, password))) => (user, password),
            _ => (&options.user, &options.password),
        };
        // Headers, as URLs end up in logs.
        Ok(self.shared.client.post(url).header("x-clickhouse-user", user).header("x-clickhouse-key", password))
    }

    /// Sends one of our own statements, again where ClickHouse could not be reached; only for what may run twice.
    async fn retried(&self, step: &'static str, sql: &str, params: &[Param<'_>]) -> Result<Bytes, StoreError> {
        let mut attempt = 0;
        loop {
            let error = match self.once(step, sql, params).await {
                Ok(body) => return Ok(body),
                Err(error) => error,
            };
            attempt += 1;
            if attempt > STORE_RETRIES || error.kind() != ErrorKind::Unavailable {
                return Err(error);
            }
            tokio::time::sleep(Duration::from_millis(STORE_RETRY_MS << attempt)).await;
        }
    }

    /// Sends a statement, once.
    pub(super) async fn once(&self, step: &'static str, sql: &str, params: &[Param<'_>]) -> Result<Bytes, StoreError> {
        self.once_within(step, sql, params, Duration::from_millis(STORE_STATEMENT_MS)).await
    }

    /// Sends a statement, once, that may take as long as the data is large.
    pub(super) async fn once_within(
        &self,
        step: &'static str,
        sql: &str,
        params: &[Param<'_>],
        limit: Duration,
    ) -> Result<Bytes, StoreError> {
        let mut body = Pieces::default();
        body.push(sql.to_owned());
        let response = send(self.post(As::Writer, params)?.body(body), step, limit).await?;
        response.bytes().await.map_err(|error| StoreError::CutOff(chain(&error.without_url())))
    }

    fn url(&self) -> Result<Url, StoreError> {
        let url = self.shared.url.read().unwrap_or_else(PoisonError::into_inner);
        url.clone().ok_or_else(|| StoreError::Unreachable {
            step: "find ClickHouse's address",
            source: "the engine is not running yet".into(),
        })
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The options hold passwords.
        f.debug_struct("Store").field("url", &self.shared.url).finish_non_exhaustive()
    }
}

/// Sends a request; the limit covers its answer's body as well. Anything but success is an error.
pub(super) async fn send(request: RequestBuilder, step: &'static str, limit: Duration) -> Result<Response, StoreError> {
    let sent = request.timeout(limit).send().await.map_err(|error| http_error(step, error, limit))?;
    checked(sent).await
}

/// Turns a refusal into an error.
pub(super) async fn checked(response: Response) -> Result<Response, StoreError> {
    if response.status().is_success() && exception_code(response.headers()).is_none() {
        return Ok(response);
    }
    let (status, headers) = (response.status(), response.headers().clone());
    let body = error_text(response).await;
    Err(StoreError::from_answer(status, &headers, &body))
}

/// Quotes a name.
pub(super) fn identifier(name: &str) -> String {
    format!("`{}`", name.replace('\\', "\\\\").replace('`', "\\`"))
}

/// Quotes a text.
pub(super) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

/// Reads an error's text as far as it is sensible; a failure on the way leaves it shorter.
async fn error_text(mut response: Response) -> Vec<u8> {
    let mut text = Vec::new();
    let limit = Duration::from_millis(STORE_PING_MS);
    while let Ok(Ok(Some(chunk))) = timeout(limit, response.chunk()).await {
        text.extend_from_slice(&chunk);
        if text.len() >= STORE_ERROR_BYTES_MAX {
            text.truncate(STORE_ERROR_BYTES_MAX);
            break;
        }
    }
    text
}

fn http_error(step: &'static str, error: reqwest::Error, limit: Duration) -> StoreError {
    if error.is_timeout() && !error.is_connect() {
        return StoreError::Timeout(limit);
    }
    StoreError::from_http(step, error)
}

fn parse_url(url: &str) -> Result<Option<Url>, StoreError> {
    if url.is_empty() {
        return Ok(None);
    }
    let bad = |why: String| StoreError::BadOption { option: "url", why };
    let parsed = Url::parse(url).map_err(|error| bad(format!("`{url}`: {error}")))?;
    if !matches!(parsed.scheme(), "http" | "https") || !parsed.has_host() {
        return Err(bad(format!("`{url}` is not http://HOST:PORT or https://HOST:PORT")));
    }
    Ok(Some(parsed))
}

fn client(options: &StoreOptions, url: Option<&Url>) -> Result<Client, StoreError> {
    static CRYPTO: Once = Once::new();
    CRYPTO.call_once(|| {
        // Refused when the program has chosen one before us, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
    let zstd = url.is_some_and(|url| options.compression_at(url) == Compression::Zstd);
    let mut builder = Client::builder()
        .connect_timeout(Duration::from_millis(STORE_CONNECT_MS))
        .pool_idle_timeout(Duration::from_millis(STORE_IDLE_MS))
        .tcp_nodelay(true)
        .zstd(zstd)
        .redirect(reqwest::redirect::Policy::none());
    if url.is_none_or(|url| url.scheme() == "http") {
        // The system's authorities are read when the client is made; a machine without any must still reach loopback.
        builder = builder.tls_certs_only([]);
    } else if let Some(path) = &options.ca_cert {
        builder = builder.tls_certs_merge(authorities(path)?);
    }
    builder.build().map_err(|error| StoreError::BadOption { option: "ca_cert", why: chain(&error) })
}

fn authorities(path: &std::path::Path) -> Result<Vec<reqwest::Certificate>, StoreError> {
    let bad = |why: String| StoreError::BadOption { option: "ca_cert", why: format!("{}: {why}", path.display()) };
    let pem = std::fs::read(path).map_err(|error| bad(error.to_string()))?;
    let certificates = reqwest::Certificate::from_pem_bundle(&pem).map_err(|error| bad(chain(&error)))?;
    if certificates.is_empty() {
        return Err(bad("holds no certificate in PEM form".into()));
    }
    Ok(certificates)
}
