use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::{StreamExt, stream};
use tidegate_alerts::{Baseline, Judgement, Labels, NoData, Phase, Rule};
use tidegate_core::catalog::{NewAlertMessage, SavedAlert};
use tidegate_model::UnixNanos;
use tidegate_model::limits::{ALERT_ASKED_AT_ONCE, ALERT_LOOK_MS};
use tokio::time::sleep;

use super::ask::ask;
use super::deliver::EVENTS;
use super::told::{all_labels, event, message};
use super::usual::{hour_of, usual};
use super::{Alert, Alerts, Watch};
use crate::errors::{Failure, chain};
use crate::stages::Stages;

/// Asks the rules that are due, a few at once.
pub(super) async fn run(stages: &Stages) {
    loop {
        let moment = stages.clock.monotonic();
        let due: Vec<Watch> = {
            let mut watched = stages.alerts.lock();
            let due = watched.rules.iter_mut().filter(|watch| !watch.rule.paused && watch.due <= moment);
            due.map(|watch| {
                watch.due = moment + watch.rule.every.0;
                watch.clone()
            })
            .collect()
        };
        stream::iter(due).for_each_concurrent(ALERT_ASKED_AT_ONCE, |watch| look(stages, watch)).await;
        sleep(Duration::from_millis(ALERT_LOOK_MS)).await;
    }
}

/// Asks one rule, and keeps what came of it.
async fn look(stages: &Stages, mut watch: Watch) {
    let now = stages.clock.now();
    let outcome = async {
        let answered = ask(stages, &watch.rule, now).await?;
        if let Some(anomaly) = watch.rule.anomaly
            && watch.usual.as_ref().is_none_or(|(hour, _)| *hour != hour_of(now))
        {
            watch.usual = Some((hour_of(now), usual(stages, (&watch.rule, anomaly), now).await?));
        }
        judge(stages, &watch, &answered, now).await
    };
    let outcome = outcome.await;
    let mut watched = stages.alerts.lock();
    // It may have been changed or removed meanwhile.
    let Some(known) = watched.rules.iter_mut().find(|known| known.rule == watch.rule) else { return };
    known.usual = watch.usual;
    match outcome {
        Ok(()) => (known.answered_at, known.failure) = (Some(now), None),
        Err(failure) => {
            if known.failure.as_ref() != Some(&failure.message) {
                tracing::warn!(rule = watch.rule.name, why = failure.message, "a rule of alerts is not answered");
            }
            known.failure = Some(failure.message);
        }
    }
}

/// Judges an answer, and writes what changed by it.
async fn judge(
    stages: &Stages,
    watch: &Watch,
    answered: &BTreeMap<Labels, f64>,
    now: UnixNanos,
) -> Result<(), Failure> {
    let rule = &watch.rule;
    let _turn = stages.alerts.turn.lock().await;
    let known: BTreeMap<Labels, Alert> = {
        let watched = stages.alerts.lock();
        let own = watched.alerts.iter().filter(|((name, _), _)| *name == rule.name);
        own.map(|((_, labels), alert)| (labels.clone(), *alert)).collect()
    };
    let usual = watch.usual.as_ref().map(|(_, usual)| usual);
    let (mut changed, mut saved, mut messages) = (Vec::new(), Vec::new(), Vec::new());
    for (labels, judgement, value) in judgements(rule, &known, answered, usual) {
        let before = known.get(&labels).copied().unwrap_or_default();
        let mut alert = before;
        if let Some(change) = alert.state.take(rule, judgement, value, now.0) {
            let body = event(rule, &labels, (&alert.state, change), now).to_string();
            messages.push(NewAlertMessage { receiver: EVENTS.to_owned(), body });
        }
        messages.extend(stages.alerts.told(rule, &labels, &mut alert, now));
        if alert != before {
            saved.push(to_save(rule, &labels, &alert)?);
            changed.push((labels, alert));
        }
    }
    if saved.is_empty() {
        return Ok(());
    }
    let written = stages.catalog.change_alerts(&saved, &messages, now).await;
    written.map_err(|error| Failure::new(error.kind(), chain(&error)))?;
    let mut watched = stages.alerts.lock();
    for (labels, alert) in changed {
        let by = (rule.name.clone(), labels);
        if is_forgotten(&alert) {
            watched.alerts.remove(&by)
        } else {
            watched.alerts.insert(by, alert)
        };
    }
    drop(watched);
    if !messages.is_empty() {
        stages.alerts.told.notify_waiters();
    }
    Ok(())
}

/// Returns what each alert's value means: of those in the answer, and of those that are known and not in it.
fn judgements(
    rule: &Rule,
    known: &BTreeMap<Labels, Alert>,
    answered: &BTreeMap<Labels, f64>,
    usual: Option<&BTreeMap<Labels, Baseline>>,
) -> Vec<(Labels, Judgement, Option<f64>)> {
    let mut all: BTreeSet<&Labels> = known.keys().chain(answered.keys()).collect();
    // What stands for a rule of which nothing is known at all.
    let nobody = Labels::new();
    if all.is_empty() && rule.no_data == NoData::Alert {
        all.insert(&nobody);
    }
    let judged = all.into_iter().map(|labels| {
        let value = answered.get(labels).copied();
        let judgement = match value {
            Some(value) => Judgement::of(rule, value, usual.and_then(|usual| usual.get(labels))),
            // It stood for series that have come since.
            None if labels.is_empty() && !answered.is_empty() => Judgement::Good,
            None => Judgement::Absent,
        };
        (labels.clone(), judgement, value.filter(|value| value.is_finite()))
    });
    judged.collect()
}

impl Alerts {
    /// Returns what is to be told of an alert: that it is bad, still bad after a while, or over. What is silent is told
    /// when the silence ends, if it is still bad then.
    fn told(&self, rule: &Rule, labels: &Labels, alert: &mut Alert, now: UnixNanos) -> Vec<NewAlertMessage> {
        let repeat = i64::try_from(self.options.repeat.as_nanos()).unwrap_or(i64::MAX);
        let is_due = |told_at: UnixNanos| repeat > 0 && now.0.saturating_sub(told_at.0) >= repeat;
        let is_bad = alert.state.phase.is_bad();
        let is_wanted = if is_bad { alert.told_at.is_none_or(is_due) } else { alert.told_at.is_some() };
        let is_over = alert.state.phase == Phase::Ok;
        if !is_wanted || !(is_bad || is_over) {
            return Vec::new();
        }
        let all = all_labels(rule, labels);
        if is_bad && self.lock().silences.iter().any(|(_, silence)| silence.holds(&all, now.0)) {
            return Vec::new();
        }
        alert.told_at = is_bad.then_some(now);
        let body = message(rule, labels, &alert.state, now).to_string();
        let asked = |name: &String| rule.receivers.is_empty() || rule.receivers.contains(name);
        let receivers = self.options.receivers.iter().map(|receiver| &receiver.name).filter(|name| asked(name));
        receivers.map(|name| NewAlertMessage { receiver: name.clone(), body: body.clone() }).collect()
    }
}

fn is_forgotten(alert: &Alert) -> bool {
    alert.state.is_idle() && alert.told_at.is_none()
}

fn to_save(rule: &Rule, labels: &Labels, alert: &Alert) -> Result<SavedAlert, Failure> {
    let unwritten = |error: serde_json::Error| Failure::invalid(format!("an alert cannot be written: {error}"));
    let state = serde_json::to_string(&alert.state).map_err(unwritten)?;
    Ok(SavedAlert {
        rule: rule.name.clone(),
        labels: serde_json::to_string(labels).map_err(unwritten)?,
        state: (!is_forgotten(alert)).then_some(state),
        told_at: alert.told_at,
    })
}
