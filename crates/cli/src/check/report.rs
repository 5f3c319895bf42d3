use std::io::Write;

use serde::Serialize;
use serde_json::{Value, json};

use super::findings::{Finding, Verdict};
use super::observed::Observed;
use super::own::FileOutcome;
use crate::catalogue::{Listing, bytes, number, words};

/// The layout of the JSON report.
const VERSION: &str = "1.0";

/// Everything that a check tells.
pub(super) struct Report<'a> {
    pub(super) observed: &'a Observed,
    pub(super) findings: &'a [Finding],
    pub(super) verdict: Verdict,
    pub(super) files: &'a [FileOutcome],
    pub(super) seconds: u64,
    /// Items of each list; 0 is all.
    pub(super) limit: usize,
}

impl Report<'_> {
    /// Writes the report for a person.
    pub(super) fn write_text(&self, out: &mut dyn Write) -> anyhow::Result<()> {
        let (observed, summary) = (self.observed, &self.observed.summary);
        writeln!(out, "{} after {} s, at {}", self.headline(), self.seconds, observed.time)?;
        self.signals().write_section(out)?;
        writeln!(
            out,
            "{} services, {} attributes ({} of them with more than 100 values)",
            summary.total_services, summary.total_attributes, summary.high_cardinality_count
        )?;
        if let Some(cap) = &summary.cap {
            writeln!(out, "not exact: {cap}")?;
        }
        for section in [self.attributes(), self.metrics(), self.templates(), self.services()] {
            section.write_section(out)?;
        }
        self.write_refused(out)?;
        if let Some(comparison) = &observed.comparison {
            self.write_comparison(comparison, out)?;
        }
        self.write_findings(out)
    }

    /// Writes the report for a program.
    pub(super) fn write_json(&self, out: &mut dyn Write) -> anyhow::Result<()> {
        let observed = self.observed;
        let report = json!({
            "version": VERSION,
            "generated_at": observed.time,
            "duration_seconds": self.seconds,
            "tidegate_version": env!("CARGO_PKG_VERSION"),
            "verdict": self.verdict,
            "exit_code": self.verdict.code(),
            "summary": observed.summary,
            "metrics": self.listed("metric_series", &observed.metrics, |metric| &metric.name),
            "spans": self.first(&observed.spans),
            "logs": self.first(&observed.logs),
            "log_templates": self.first(&observed.templates),
            "attributes": self.listed("attribute_cardinality", &observed.attributes, |attribute| &attribute.key),
            "services": self.first(&observed.services),
            "rejected": observed.rejected,
            "files": self.files,
            "comparison": observed.comparison,
            "findings": self.findings,
        });
        serde_json::to_writer_pretty(&mut *out, &report)?;
        Ok(writeln!(out)?)
    }

    fn first<'i, T>(&self, items: &'i [T]) -> &'i [T] {
        if self.limit == 0 { items } else { &items[..items.len().min(self.limit)] }
    }

    /// Tells items with the verdict on each.
    fn listed<T: Serialize>(&self, threshold: &str, items: &[T], name: impl Fn(&T) -> &String) -> Vec<Value> {
        let told = self.first(items).iter().map(|item| {
            let own = self.findings.iter().filter(|one| one.threshold == threshold && one.name == *name(item));
            let verdict = own.map(|one| one.severity).max().unwrap_or(Verdict::Ok);
            let mut value = json!(item);
            value["verdict"] = json!(verdict);
            value
        });
        told.collect()
    }

    fn headline(&self) -> String {
        let count = |severity| self.findings.iter().filter(|one| one.severity == severity).count();
        let (critical, warnings) = (count(Verdict::Critical), count(Verdict::Warning));
        match self.verdict {
            Verdict::Ok => "ok: within every threshold,".to_owned(),
            verdict => {
                let warnings = if warnings == 1 { "1 warning".to_owned() } else { format!("{warnings} warnings") };
                format!("{}: {critical} critical, {warnings},", verdict.as_str())
            }
        }
    }

    fn signals(&self) -> Listing {
        let (observed, summary) = (self.observed, &self.observed.summary);
        let metric_bytes: u64 = observed.metrics.iter().map(|metric| metric.bytes).sum();
        let span_bytes: u64 = observed.spans.iter().map(|span| span.bytes).sum();
        let log_bytes: u64 = observed.logs.iter().map(|log| log.bytes).sum();
        let metrics = format!("{} metrics, {} series", summary.total_metrics, summary.active_series);
        let spans = format!("{} span names", summary.total_span_names);
        let logs = format!("{} templates, {} severities", summary.total_log_patterns, summary.total_log_severities);
        let row = |signal: &str, items: String, samples: u64, size: u64| {
            vec![Value::from(signal), Value::from(items), number(samples), Value::from(bytes(size))]
        };
        let rows = vec![
            row("metrics", metrics, summary.samples.metrics, metric_bytes),
            row("traces", spans, summary.samples.spans, span_bytes),
            row("logs", logs, summary.samples.logs, log_bytes),
        ];
        Listing::new("Signals", &["signal", "what", "#samples", "size"], rows)
    }

    fn attributes(&self) -> Listing {
        let rows = self.first(&self.observed.attributes).iter().map(|attribute| {
            vec![
                json!(attribute.key),
                number(attribute.estimated_cardinality),
                number(attribute.count),
                Value::from(bytes(attribute.bytes)),
                words(attribute.signal_types.iter().map(String::as_str)),
            ]
        });
        let columns = ["key", "#cardinality", "#count", "size", "signals"];
        Listing::new("Attributes with the most distinct values", &columns, rows.collect())
    }

    fn metrics(&self) -> Listing {
        let rows = self.first(&self.observed.metrics).iter().map(|metric| {
            let kind = json!(metric.kind);
            vec![json!(metric.name), kind, number(metric.active_series), number(metric.sample_count)]
        });
        Listing::new("Metrics with the most series", &["metric", "type", "#series", "#points"], rows.collect())
    }

    fn templates(&self) -> Listing {
        let rows = self.first(&self.observed.templates).iter().map(|template| {
            let services = template.services.iter().map(|service| service.service_name.as_str());
            vec![number(template.total_count), words(services), json!(template.template)]
        });
        Listing::new("Log templates", &["#records", "services", "template"], rows.collect())
    }

    fn services(&self) -> Listing {
        let rows = self.first(&self.observed.services).iter().map(|service| {
            let (name, summary) = (json!(service.service_name), &service.summary);
            let samples = &summary.samples;
            let numbers = [samples.metrics, samples.spans, samples.logs, summary.active_series];
            [name].into_iter().chain(numbers.map(number)).chain([Value::from(bytes(summary.bytes))]).collect()
        });
        let columns = ["service", "#data points", "#spans", "#log records", "#series", "size"];
        Listing::new("Services", &columns, rows.collect())
    }

    fn write_refused(&self, out: &mut dyn Write) -> std::io::Result<()> {
        for table in &self.observed.rejected {
            writeln!(out, "\nrefused: {} rows of {}", table.rejected, table.table)?;
        }
        for file in self.files {
            writeln!(
                out,
                "\n{}: {} accepted, {} refused, in {} requests",
                file.file, file.accepted, file.rejected, file.requests
            )?;
            file.refusals.iter().try_for_each(|refusal| writeln!(out, "  {refusal}"))?;
        }
        Ok(())
    }

    fn write_comparison(&self, comparison: &Value, out: &mut dyn Write) -> anyhow::Result<()> {
        let (from, summary) = (comparison["from"].as_str().unwrap_or_default(), &comparison["summary"]);
        writeln!(out, "\nCompared with the session {from}:")?;
        for what in ["metrics", "spans", "logs", "attributes"] {
            let [added, removed, changed] = ["added", "removed", "changed"].map(|kind| summary[what][kind].as_u64());
            let [added, removed, changed] = [added, removed, changed].map(Option::unwrap_or_default);
            writeln!(out, "  {what}: {added} new, {removed} gone, {changed} changed")?;
        }
        let changes: Vec<&Value> = comparison["changes"].as_array().into_iter().flatten().collect();
        let rows = self.first(&changes).iter().map(|change| {
            let details = change["details"].as_array().into_iter().flatten();
            let told = details.filter_map(|detail| detail["message"].as_str());
            vec![change["type"].clone(), change["signal_type"].clone(), change["name"].clone(), words(told)]
        });
        Listing::new("What is new, and what grew", &["change", "what", "name", "how"], rows.collect())
            .write_section(out)
    }

    fn write_findings(&self, out: &mut dyn Write) -> anyhow::Result<()> {
        let rows = self
            .findings
            .iter()
            .map(|one| vec![Value::from(one.severity.as_str()), json!(one.threshold), json!(one.message)]);
        Listing::new("Thresholds that were reached", &["severity", "threshold", "what"], rows.collect())
            .write_section(out)
    }
}
