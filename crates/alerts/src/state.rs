use serde::{Deserialize, Serialize};

use crate::{Judgement, NoData, Rule};

/// Where an alert is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Nothing is wrong.
    #[default]
    Ok,
    /// The news is bad, but not for long enough.
    Pending,
    /// It is told.
    Firing,
    /// There has been no value for too long.
    NoData,
}

/// What is remembered of one alert; times are Unix nanoseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// Where it is.
    pub phase: Phase,
    /// Since when.
    pub since: i64,
    /// The last value.
    pub value: Option<f64>,
    /// Since when every value was bad.
    bad_since: Option<i64>,
    /// Since when every value was good, while it fires.
    good_since: Option<i64>,
    /// Since when there was none, where that is bad news.
    absent_since: Option<i64>,
}

/// A step from one phase to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// Before.
    pub from: Phase,
    /// After.
    pub to: Phase,
}

impl Phase {
    /// Returns its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Pending => "pending",
            Self::Firing => "firing",
            Self::NoData => "no_data",
        }
    }

    /// Says whether people are told of it.
    #[must_use]
    pub const fn is_bad(self) -> bool {
        matches!(self, Self::Firing | Self::NoData)
    }
}

impl State {
    /// Takes a judgement of this moment; returns the change, if there is one.
    pub fn take(&mut self, rule: &Rule, judgement: Judgement, value: Option<f64>, now: i64) -> Option<Change> {
        let judgement = match (judgement, rule.no_data) {
            (Judgement::Absent, NoData::Keep) => return None,
            (Judgement::Absent, NoData::Ok) => Judgement::Good,
            (judgement, _) => judgement,
        };
        let lasts = |since: i64, span: crate::Span| now.saturating_sub(since) >= span.nanos();
        let is_firing = self.phase == Phase::Firing;
        let kept = |is: bool, since: Option<i64>| is.then(|| since.unwrap_or(now));
        self.bad_since = kept(judgement == Judgement::Bad, self.bad_since);
        self.good_since = kept(judgement == Judgement::Good, self.good_since);
        self.absent_since = kept(judgement == Judgement::Absent, self.absent_since);
        self.value = value.or(self.value);
        let phase = match judgement {
            Judgement::Bad if is_firing || self.bad_since.is_some_and(|since| lasts(since, rule.r#for)) => {
                Phase::Firing
            }
            Judgement::Bad => Phase::Pending,
            Judgement::Between if is_firing => Phase::Firing,
            Judgement::Good if is_firing && !self.good_since.is_some_and(|since| lasts(since, rule.keep)) => {
                Phase::Firing
            }
            Judgement::Between | Judgement::Good => Phase::Ok,
            Judgement::Absent if self.absent_since.is_some_and(|since| lasts(since, rule.r#for)) => Phase::NoData,
            Judgement::Absent => self.phase,
        };
        let change = Change { from: self.phase, to: phase };
        if change.from == change.to {
            return None;
        }
        (self.phase, self.since) = (phase, now);
        Some(change)
    }

    /// Says whether nothing would be lost if it were forgotten.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.phase == Phase::Ok && self.absent_since.is_none()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Span;

    const SECOND: i64 = 1_000_000_000;

    fn rule(text: &str) -> Rule {
        toml::from_str(&format!("name = 'a'\nsql = 'b'\nabove = 1\n{text}")).expect("a rule")
    }

    fn run(rule: &Rule, judgements: &[(i64, Judgement)]) -> Vec<Phase> {
        let mut state = State::default();
        let taken = |(at, judgement): &(i64, Judgement)| {
            state.take(rule, *judgement, None, at * SECOND);
            state.phase
        };
        judgements.iter().map(taken).collect()
    }

    #[test]
    fn an_alert_fires_after_its_time_and_ends_after_its_time() {
        use Judgement::{Absent, Bad, Between, Good};
        use Phase::{Firing, NoData, Ok, Pending};
        let timed = rule("for = '60s'\nkeep = '30s'");
        let bad_for_a_while = [(0, Bad), (30, Bad), (60, Bad), (70, Between), (80, Good), (100, Good), (110, Good)];
        assert_eq!(run(&timed, &bad_for_a_while), [Pending, Pending, Firing, Firing, Firing, Firing, Ok]);
        assert_eq!(run(&timed, &[(0, Bad), (59, Good), (60, Bad), (119, Bad)]), [Pending, Ok, Pending, Pending]);
        assert_eq!(run(&timed, &[(0, Bad), (60, Bad), (90, Absent), (600, Absent)]), [Pending, Firing, Firing, Firing]);
        let alerting = rule("no_data = 'alert'\nfor = '60s'");
        assert_eq!(run(&alerting, &[(0, Absent), (60, Absent), (70, Good)]), [Ok, NoData, Ok]);
        let quiet = rule("no_data = 'ok'");
        assert_eq!(run(&quiet, &[(0, Bad), (60, Absent)]), [Firing, Ok]);
    }

    /// Says where an alert is by its whole history, each time anew.
    fn by_history(rule: &Rule, judgements: &[(i64, Judgement)]) -> Phase {
        let told: Vec<(i64, Judgement)> = judgements
            .iter()
            .filter_map(|(at, judgement)| match (judgement, rule.no_data) {
                (Judgement::Absent, NoData::Keep) => None,
                (Judgement::Absent, NoData::Ok) => Some((*at, Judgement::Good)),
                _ => Some((*at, *judgement)),
            })
            .collect();
        let Some(((at, last), before)) = told.split_last() else { return Phase::Ok };
        let run = told.iter().rev().take_while(|(_, judgement)| judgement == last).last().map_or(*at, |(at, _)| *at);
        let lasts = |span: Span| (at - run) * SECOND >= span.nanos();
        let was = by_history(rule, before);
        match last {
            Judgement::Bad if was == Phase::Firing || lasts(rule.r#for) => Phase::Firing,
            Judgement::Bad => Phase::Pending,
            Judgement::Between if was == Phase::Firing => Phase::Firing,
            Judgement::Good if was == Phase::Firing && !lasts(rule.keep) => Phase::Firing,
            Judgement::Absent if lasts(rule.r#for) => Phase::NoData,
            Judgement::Absent => was,
            Judgement::Between | Judgement::Good => Phase::Ok,
        }
    }

    proptest! {
        #[test]
        fn a_state_is_what_its_history_says(
            steps in prop::collection::vec((1_i64..40, 0_usize..4), 0..40),
            (pending, keep, no_data) in (0_u64..60, 0_u64..60, 0_usize..3),
        ) {
            let mut rule = rule("");
            rule.no_data = [NoData::Ok, NoData::Keep, NoData::Alert][no_data];
            (rule.r#for, rule.keep) = (Span::seconds(pending), Span::seconds(keep));
            let kinds = [Judgement::Bad, Judgement::Between, Judgement::Good, Judgement::Absent];
            let mut at = 0;
            let mut judgements = Vec::new();
            let mut state = State::default();
            for (pause, kind) in steps {
                at += pause;
                judgements.push((at, kinds[kind]));
                let before = state.phase;
                let change = state.take(&rule, kinds[kind], None, at * SECOND);
                prop_assert_eq!(state.phase, by_history(&rule, &judgements));
                prop_assert_eq!(change.map(|change| (change.from, change.to)), (before != state.phase).then_some((before, state.phase)));
                let kept: State = serde_json::from_str(&serde_json::to_string(&state).expect("JSON")).expect("a state");
                prop_assert_eq!(kept, state);
            }
        }
    }
}
