//! Alerts: rules that are asked every so often, where each of their alerts is, and who is told.
//!
//! What a value means and when that fires is `tidegate_alerts`; this module asks, remembers and tells.
//!
//! Invariants:
//! - Where an alert is and what is to be told of it are written in one transaction: a crash loses no message and repeats
//!   no change.
//! - A question that fails judges nothing: alerts stay as they are, and the rule says why.
//! - A message goes to its receiver until it is taken or given up, in order; one receiver never waits for another.
//!
//! | file | does |
//! |---|---|
//! | `ask.rs` | a rule's question, answered now or as of another time |
//! | `usual.rs` | what is usual at this hour of the week |
//! | `defaults.rs` | rules that are there from the start |
//! | `watch.rs` | asks the rules that are due, and judges |
//! | `told.rs` | what is written of an alert |
//! | `deliver.rs` | sends messages: webhook, Slack, mail, the table `events` |
//! | `mail.rs` | mail by SMTP |
//! | `rules.rs` | `/admin/alerts/rules` |
//! | `listing.rs` | `/admin/alerts`, `/admin/alerts/silences` |
//! | `shapes.rs` | the answers' JSON schemas |

mod ask;
mod defaults;
mod deliver;
mod listing;
mod mail;
mod rules;
mod shapes;
mod told;
mod usual;
mod watch;

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tidegate_alerts::{Baseline, Labels, Rule, Silence, State};
use tidegate_core::catalog::CatalogError;
use tidegate_model::UnixNanos;
use tokio::sync::{Notify, watch as channel};

use crate::errors::chain;
use crate::routes::Route;
use crate::stages::{SchemaState, Stages};
use crate::webhook::Webhook;

pub use defaults::default_alert_rules;
pub use mail::MailOptions;
pub(crate) use shapes::shapes;

/// Rules of the settings, and who is told.
#[derive(Debug, Clone, Default)]
pub struct AlertOptions {
    /// Rules that no request changes.
    pub rules: Vec<Rule>,
    /// Who is told.
    pub receivers: Vec<Receiver>,
    /// What still fires is told again after so long; zero: never.
    pub repeat: Duration,
}

/// Who is told of alerts.
#[derive(Debug, Clone)]
pub struct Receiver {
    /// Its name, which rules name.
    pub name: String,
    /// Where messages go.
    pub to: To,
}

/// Where messages go.
#[derive(Debug, Clone)]
pub enum To {
    /// JSON, signed, to an address.
    Webhook(Webhook),
    /// A text as Slack's incoming webhooks take it.
    Slack {
        /// The address, which is a secret itself.
        url: String,
    },
    /// Mail.
    Mail(MailOptions),
}

/// What the watch, the deliveries and requests share.
#[derive(Debug, Default)]
pub struct Alerts {
    options: AlertOptions,
    state: Mutex<Watched>,
    /// Held while the catalog and memory are brought to the same.
    turn: tokio::sync::Mutex<()>,
    /// There is something to send.
    told: Notify,
}

/// What is watched now: the catalog's rules and states, as they are in memory.
#[derive(Debug, Default)]
struct Watched {
    rules: Vec<Watch>,
    alerts: BTreeMap<(String, Labels), Alert>,
    silences: Vec<(i64, Silence)>,
}

/// A rule and when it is asked.
#[derive(Debug, Clone)]
struct Watch {
    rule: Rule,
    /// It comes from the settings.
    is_fixed: bool,
    /// When it is asked next, on the clock that never goes back.
    due: Duration,
    /// When it was answered last.
    answered_at: Option<UnixNanos>,
    /// Why the last question failed.
    failure: Option<String>,
    /// What is usual, by labels, and of which hour that is.
    usual: Option<(i64, BTreeMap<Labels, Baseline>)>,
}

/// Where one alert is.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Alert {
    state: State,
    /// When people were told last that it is bad.
    told_at: Option<UnixNanos>,
}

impl Alerts {
    /// Prepares alerts; nothing is asked before [`run_alerts`].
    #[must_use]
    pub fn new(options: AlertOptions) -> Self {
        Self { options, ..Self::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Watched> {
        // A panic elsewhere leaves it as the catalog has it: memory is changed after that, in single calls.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says how many alerts fire, and of how many rules the last question failed.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let watched = self.lock();
        let firing = watched.alerts.values().filter(|alert| alert.state.phase.is_bad()).count();
        (firing, watched.rules.iter().filter(|watch| watch.failure.is_some()).count())
    }

    /// Reads rules, states and silences from the catalog.
    async fn reload(&self, stages: &Stages) -> Result<(), CatalogError> {
        let _turn = self.turn.lock().await;
        let (now, moment) = (stages.clock.now(), stages.clock.monotonic());
        let unreadable =
            |what: &str, error: &serde_json::Error| CatalogError::Corrupt { what: format!("{what}: {error}") };
        let mut rules: Vec<(Rule, bool)> = self.options.rules.iter().map(|rule| (rule.clone(), true)).collect();
        for saved in stages.catalog.alert_rules().await? {
            let rule: Rule = serde_json::from_str(&saved.rule)
                .map_err(|error| unreadable(&format!("the alert rule `{}`", saved.name), &error))?;
            // A rule of the settings hides one of its name that was made before.
            if !rules.iter().any(|(known, _)| known.name == rule.name) {
                rules.push((rule, false));
            }
        }
        let mut alerts = BTreeMap::new();
        for saved in stages.catalog.alert_states().await? {
            let text = saved.state.unwrap_or_default();
            let state = serde_json::from_str(&text).map_err(|error| unreadable("the state of an alert", &error))?;
            let labels =
                serde_json::from_str(&saved.labels).map_err(|error| unreadable("an alert's labels", &error))?;
            alerts.insert((saved.rule, labels), Alert { state, told_at: saved.told_at });
        }
        let mut silences = Vec::new();
        for saved in stages.catalog.alert_silences(now).await? {
            let silence = serde_json::from_str(&saved.silence).map_err(|error| unreadable("a silence", &error))?;
            silences.push((saved.number, silence));
        }
        let mut watched = self.lock();
        let before = std::mem::take(&mut watched.rules);
        let watch = |(rule, is_fixed): (Rule, bool)| {
            let known = before.iter().find(|watch| watch.rule == rule).cloned();
            known.map_or_else(
                || Watch { rule, is_fixed, due: moment, answered_at: None, failure: None, usual: None },
                |known| Watch { is_fixed, ..known },
            )
        };
        watched.rules = rules.into_iter().map(watch).collect();
        (watched.alerts, watched.silences) = (alerts, silences);
        Ok(())
    }
}

/// The table of these routes.
pub(crate) fn routes() -> Vec<Route> {
    [rules::routes(), listing::routes()].into_iter().flatten().collect()
}

/// Asks rules and sends messages until the server stops; what is not sent then is sent after the next start.
pub async fn run_alerts(stages: Stages, mut stop: channel::Receiver<bool>) {
    let all = async {
        // Without its sender the server is ending.
        if stages.schema.clone().wait_for(|state| *state == SchemaState::Current).await.is_err() {
            return;
        }
        if let Err(error) = stages.alerts.reload(&stages).await {
            tracing::error!(
                error = chain(&error),
                "the catalog does not tell the alert rules: only those of the settings are asked"
            );
        }
        tokio::join!(watch::run(&stages), deliver::run(&stages));
    };
    tokio::select! {
        () = all => {}
        _ = stop.wait_for(|stop| *stop) => {}
    }
}
