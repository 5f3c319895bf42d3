//! JSON that is posted to an address of somebody else's, signed so that it is known to come from here.
//!
//! | file | does |
//! |---|---|
//! | `hmac.rs` | the signature |

mod hmac;

use std::fmt;
use std::time::Duration;

use tidegate_model::UnixNanos;
use tidegate_model::limits::EXPORT_EVENT_TIMEOUT_MS;

pub use self::hmac::signature;
use crate::errors::chain;

/// Who is told.
#[derive(Clone)]
pub struct Webhook {
    /// Where messages are posted to.
    pub url: String,
    /// What they are signed with.
    pub secret: String,
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhook").field("url", &self.url).finish_non_exhaustive()
    }
}

/// One message to such an address.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Posted<'m> {
    /// What kind of message it is.
    pub(crate) kind: &'m str,
    /// Its number, by which the receiver knows one that comes again.
    pub(crate) number: i64,
    /// JSON.
    pub(crate) body: &'m str,
}

/// Returns what posts messages: it waits for so long, and follows no redirection.
pub(crate) fn client() -> Result<reqwest::Client, reqwest::Error> {
    let limit = Duration::from_millis(EXPORT_EVENT_TIMEOUT_MS);
    reqwest::Client::builder().timeout(limit).redirect(reqwest::redirect::Policy::none()).build()
}

/// Posts a message once; says why it was not taken.
pub(crate) async fn post(
    client: &reqwest::Client,
    webhook: &Webhook,
    message: Posted<'_>,
    now: UnixNanos,
) -> Result<(), String> {
    let seconds = (now.0 / 1_000_000_000).to_string();
    let request = client
        .post(&webhook.url)
        .header("x-tidegate-event", message.kind)
        .header("x-tidegate-delivery", message.number.to_string())
        .header("x-tidegate-timestamp", &seconds)
        .header("x-tidegate-signature", format!("sha256={}", signed(webhook, &seconds, message.body)));
    taken(request, message.body).await
}

/// Posts JSON and says why it was not taken.
pub(crate) async fn taken(request: reqwest::RequestBuilder, body: &str) -> Result<(), String> {
    let sent = request.header("content-type", "application/json").body(body.to_owned()).send().await;
    // The address may hold a secret of its own.
    let status = sent.map_err(|error| chain(&error.without_url()))?.status();
    if status.is_success() { Ok(()) } else { Err(format!("it answers {status}")) }
}

fn signed(webhook: &Webhook, seconds: &str, body: &str) -> String {
    signature(webhook.secret.as_bytes(), &[seconds.as_bytes(), b".", body.as_bytes()])
}
