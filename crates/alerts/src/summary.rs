use crate::{Labels, Rule};

/// Returns the sentence that people are sent of an alert: the rule's, with `{value}` and `{label}` in it replaced.
#[must_use]
pub fn summary(rule: &Rule, labels: &Labels, value: Option<f64>) -> String {
    let number = value.map_or_else(|| "no value".to_owned(), |value| value.to_string());
    if rule.summary.is_empty() {
        let name = &rule.name;
        let of: Vec<String> = labels.iter().map(|(label, value)| format!("{label}={value}")).collect();
        return if of.is_empty() {
            format!("{name}: {number}")
        } else {
            format!("{name}: {number} ({})", of.join(", "))
        };
    }
    let mut text = rule.summary.replace("{value}", &number);
    for (label, value) in labels {
        text = text.replace(&format!("{{{label}}}"), value);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_has_the_value_and_the_labels() {
        let rule = |summary: &str| -> Rule {
            toml::from_str(&format!("name = 'cpu'\nsql = 'b'\nabove = 1\nsummary = '{summary}'")).expect("a rule")
        };
        let labels = Labels::from([("host".to_owned(), "web-1".to_owned())]);
        assert_eq!(summary(&rule("{host} is at {value} %"), &labels, Some(93.5)), "web-1 is at 93.5 %");
        assert_eq!(summary(&rule(""), &labels, Some(93.5)), "cpu: 93.5 (host=web-1)");
        assert_eq!(summary(&rule(""), &Labels::new(), None), "cpu: no value");
    }
}
