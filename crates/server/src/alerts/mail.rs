use std::fmt;
use std::fmt::Write as _;
use std::time::Duration;

use lettre::message::Mailbox;
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use serde_json::Value;
use tidegate_model::limits::EXPORT_EVENT_TIMEOUT_MS;

use crate::errors::chain;

/// Where mail goes, and by which server.
#[derive(Clone)]
pub struct MailOptions {
    /// `smtps://user:password@host:465`, `smtp://host:587?tls=required`, or without TLS `smtp://host:25`.
    pub server: String,
    /// Who it is from.
    pub from: String,
    /// Who gets it.
    pub to: Vec<String>,
}

impl fmt::Debug for MailOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The server's address may hold a password.
        f.debug_struct("MailOptions").field("from", &self.from).field("to", &self.to).finish_non_exhaustive()
    }
}

/// Sends mail.
pub(super) struct Mailer {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    to: Vec<Mailbox>,
}

impl MailOptions {
    /// Says what is wrong with them.
    pub fn check(&self) -> Result<(), String> {
        Mailer::new(self).map(drop)
    }
}

impl Mailer {
    pub(super) fn new(options: &MailOptions) -> Result<Self, String> {
        let mailbox =
            |text: &String| text.parse::<Mailbox>().map_err(|error| format!("`{text}` is no mail address: {error}"));
        if options.to.is_empty() {
            return Err("`to` is empty: give at least one mail address".to_owned());
        }
        // What lettre says of an address may hold the password in it.
        let wrong =
            |_| "`server` is no address like smtps://user:password@host:465 or smtp://host:587?tls=required".to_owned();
        let transport = AsyncSmtpTransport::<Tokio1Executor>::from_url(&options.server).map_err(wrong)?;
        Ok(Self {
            transport: transport.timeout(Some(Duration::from_millis(EXPORT_EVENT_TIMEOUT_MS))).build(),
            from: mailbox(&options.from)?,
            to: options.to.iter().map(mailbox).collect::<Result<_, _>>()?,
        })
    }

    /// Sends one message to all.
    pub(super) async fn send(&self, told: &Value) -> Result<(), String> {
        let text = |name: &str| told[name].as_str().unwrap_or_default();
        let mut mail = Message::builder().from(self.from.clone());
        for to in &self.to {
            mail = mail.to(to.clone());
        }
        let subject = format!("[{}] {}: {}", text("status"), text("severity"), text("summary"));
        let mail = mail.subject(subject).body(body(told)).map_err(|error| chain(&error))?;
        self.transport.send(mail).await.map(drop).map_err(|error| chain(&error))
    }
}

fn body(told: &Value) -> String {
    let mut body = String::new();
    for name in ["summary", "status", "severity", "rule", "value", "since", "at"] {
        let shown = told[name].as_str().map_or_else(|| told[name].to_string(), str::to_owned);
        let _ = writeln!(body, "{name}: {shown}");
    }
    for (label, value) in told["labels"].as_object().into_iter().flatten() {
        let _ = writeln!(body, "{label} = {}", value.as_str().unwrap_or_default());
    }
    body
}
