use std::time::Duration;

use tidegate_server::{AlertOptions, MailOptions, Receiver, To, Webhook, default_alert_rules};

use super::tree::Alerts;

const SECONDS_OF_HOUR: u64 = 3_600;

impl Alerts {
    /// Returns them as the server takes them, or says what is wrong with them.
    pub(crate) fn options(&self) -> Result<AlertOptions, String> {
        let mut rules = if self.defaults { default_alert_rules() } else { Vec::new() };
        for rule in &self.rules {
            rule.check().map_err(|error| format!("alerts.rules: {error}"))?;
            // One of its name takes the place of a rule that is there from the start.
            rules.retain(|known| known.name != rule.name);
        }
        for (at, rule) in self.rules.iter().enumerate() {
            if self.rules[..at].iter().any(|known| known.name == rule.name) {
                return Err(format!("alerts.rules: there are two rules `{}`: name one of them otherwise", rule.name));
            }
        }
        rules.extend(self.rules.iter().cloned());
        let receivers = self.receivers()?;
        for rule in &rules {
            if let Some(name) = rule.receivers.iter().find(|name| !receivers.iter().any(|known| known.name == **name)) {
                return Err(format!(
                    "alerts.rules: the rule `{}` names the receiver `{name}`; there are webhook, slack and mail, where \
                     alerts.webhook_url, alerts.slack_url and alerts.smtp_server are set",
                    rule.name
                ));
            }
        }
        Ok(AlertOptions { rules, receivers, repeat: Duration::from_secs(self.repeat_hours * SECONDS_OF_HOUR) })
    }

    fn receivers(&self) -> Result<Vec<Receiver>, String> {
        let mut receivers = Vec::new();
        let mut add = |name: &str, to| receivers.push(Receiver { name: name.to_owned(), to });
        let is_address = |text: &str| text.starts_with("http://") || text.starts_with("https://");
        if !self.webhook_url.is_empty() {
            if !is_address(&self.webhook_url) || self.webhook_secret.is_empty() {
                return Err("alerts.webhook_url must be an address like https://host/path, and alerts.webhook_secret must be set \
                            with it: the messages are signed, so that the receiver can know them"
                    .to_owned());
            }
            add("webhook", To::Webhook(Webhook { url: self.webhook_url.clone(), secret: self.webhook_secret.clone() }));
        }
        if !self.slack_url.is_empty() {
            if !is_address(&self.slack_url) {
                return Err("alerts.slack_url must be an address like https://hooks.slack.com/services/…".to_owned());
            }
            add("slack", To::Slack { url: self.slack_url.clone() });
        }
        if !self.smtp_server.is_empty() {
            let mail = MailOptions {
                server: self.smtp_server.clone(),
                from: self.smtp_from.clone(),
                to: self.smtp_to.clone(),
            };
            mail.check().map_err(|why| format!("alerts.smtp_server, alerts.smtp_from, alerts.smtp_to: {why}"))?;
            add("mail", To::Mail(mail));
        }
        Ok(receivers)
    }
}
