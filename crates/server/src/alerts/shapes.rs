use serde_json::Value;

use crate::routes::{Shapes, count, flag, found, list_of, map_of, nullable, number, object, one_of_words, text, texts};

/// Returns the shapes of these routes.
pub(crate) fn shapes() -> Shapes {
    let mut asked = rule();
    asked.extend([
        ("source", one_of_words(&["settings", "api"])),
        ("answered_at", nullable(text())),
        ("failure", nullable(text())),
    ]);
    let alert = object(&[
        ("rule", text()),
        ("severity", severity()),
        ("state", one_of_words(&["pending", "firing", "no_data", "ok"])),
        ("since", text()),
        ("value", nullable(number())),
        ("summary", text()),
        ("silenced", flag()),
        ("labels", map_of(text())),
    ]);
    let usual = object(&[("median", number()), ("deviation", number())]);
    let series = object(&[
        ("labels", map_of(text())),
        ("value", nullable(number())),
        ("judgement", one_of_words(&["bad", "between", "good", "absent"])),
        ("usual", nullable(usual)),
    ]);
    let matcher = object(&[("label", text()), ("value", text()), ("is_regex?", flag())]);
    let silence = object(&[
        ("number", count()),
        ("matchers", list_of(found("AlertMatcher"))),
        ("from", text()),
        ("to", text()),
        ("comment", text()),
        ("created_at?", text()),
        ("created_by?", text()),
    ]);
    let silence_asked = object(&[
        ("matchers", list_of(found("AlertMatcher"))),
        ("from?", nullable(text())),
        ("to", text()),
        ("comment?", text()),
    ]);
    Shapes::from([
        ("AlertRule", object(&rule())),
        ("AlertRuleTold", object(&asked)),
        ("AlertRuleOne", object(&[("rule", found("AlertRuleTold"))])),
        ("AlertRules", object(&[("rules", list_of(found("AlertRuleTold")))])),
        ("AlertTrial", object(&[("series", list_of(series))])),
        ("Alerts", object(&[("alerts", list_of(alert))])),
        ("AlertMatcher", matcher),
        ("AlertSilence", silence),
        ("AlertSilenceAsked", silence_asked),
        ("AlertSilenceOne", object(&[("silence", found("AlertSilence"))])),
        ("AlertSilences", object(&[("silences", list_of(found("AlertSilence")))])),
    ])
}

fn rule() -> Vec<(&'static str, Value)> {
    let anomaly = object(&[
        ("deviations?", number()),
        ("weeks?", count()),
        ("least?", number()),
        ("direction?", one_of_words(&["both", "above", "below"])),
    ]);
    vec![
        ("name", text()),
        ("sql?", text()),
        ("promql?", text()),
        ("above?", number()),
        ("below?", number()),
        ("anomaly?", anomaly),
        ("recovers_at?", number()),
        ("every?", text()),
        ("for?", text()),
        ("keep?", text()),
        ("no_data?", one_of_words(&["ok", "keep", "alert"])),
        ("severity?", severity()),
        ("labels?", map_of(text())),
        ("summary?", text()),
        ("receivers?", texts()),
        ("paused?", flag()),
    ]
}

fn severity() -> Value {
    one_of_words(&["info", "warning", "critical"])
}
