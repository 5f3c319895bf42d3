use std::collections::BTreeSet;

use anyhow::bail;
use clap::Args;
use serde::Deserialize;
use serde_json::{Value, json};

use super::items::TemplateService;
use super::listing::{self, Listing, Places, number, words};
use super::{ReadArgs, Template, pages};
use crate::client::{Client, ClientError, encoded};

/// What `tidegate templates` is told.
#[derive(Debug, Args)]
pub(crate) struct TemplatesArgs {
    /// One template, by its id or its text: its severities and services
    id: Option<String>,
    /// Only templates of at least so many records
    #[arg(long, value_name = "N", default_value_t = 1, conflicts_with = "id")]
    min: u64,
    /// Only templates that at least so many services log
    #[arg(long, value_name = "N", default_value_t = 1, conflicts_with = "id")]
    min_services: u64,
    #[command(flatten)]
    read: ReadArgs,
}

#[derive(Deserialize)]
struct SeverityOfService {
    severity: String,
}

/// Prints the templates of log bodies, the most frequent first, or one of them.
pub(crate) async fn templates(args: TemplatesArgs) -> anyhow::Result<()> {
    let client = Client::new(&args.read.url)?;
    match &args.id {
        Some(id) => one(&client, id, &args.read).await,
        None => all(&client, &args).await,
    }
}

async fn all(client: &Client, args: &TemplatesArgs) -> anyhow::Result<()> {
    let mut parameters = args.read.narrowed();
    parameters.push(("min_count", args.min.to_string()));
    parameters.push(("min_services", args.min_services.to_string()));
    let list = ("/api/v1/logs/patterns", "patterns");
    let (templates, total) = pages::<Template>(client, list, &parameters, args.read.limit).await?;
    let row = |template: Template| {
        vec![
            Value::from(template.template_id),
            number(template.total_count),
            words(template.severity_breakdown.keys().map(String::as_str)),
            words(template.services.iter().map(|service| service.service_name.as_str())),
            Value::from(template.template),
        ]
    };
    let columns = ["id", "#count", "severities", "services", "template"];
    let listing = Listing::new("Templates", &columns, templates.into_iter().map(row).collect());
    listing::print(&listing, Places { total, unit: "templates" }, args.read.format)
}

/// The API tells of a template in one severity at a time, so each severity that there is is asked for.
async fn one(client: &Client, id: &str, read: &ReadArgs) -> anyhow::Result<()> {
    let list = ("/api/v1/logs/by-service", "data");
    let (known, _) = pages::<SeverityOfService>(client, list, &read.narrowed(), 0).await?;
    let severities: BTreeSet<String> = known.into_iter().map(|one| one.severity).collect();
    let mut answers: Vec<(String, Template)> = Vec::new();
    for severity in severities {
        let path = format!("/api/v1/logs/patterns/{}/{}", encoded(&severity), encoded(id));
        match client.get::<Template>(&path, &read.narrowed()).await {
            Ok(answer) => answers.push((severity, answer)),
            Err(error) if is_absent(&error) => {}
            Err(error) => return Err(error),
        }
    }
    let Some((_, template)) = answers.first() else {
        bail!("there is no template `{id}` in this window\n  `tidegate templates --limit 0` lists what there is");
    };
    let total: u64 = answers.iter().map(|(_, answer)| answer.total_count).sum();
    let heading = format!(
        "{}\n{total} records; id {}; an example: {}",
        template.template, template.template_id, template.example_body
    );
    let rows = answers.iter().flat_map(|(severity, answer)| {
        let row = |service: &TemplateService| {
            vec![Value::from(severity.as_str()), json!(service.service_name), number(service.sample_count)]
        };
        answer.services.iter().map(row).collect::<Vec<_>>()
    });
    let listing = Listing::new("Who logs it", &["severity", "service", "#count"], rows.collect());
    let answer = json!({
        "template_id": template.template_id,
        "template": template.template,
        "example_body": template.example_body,
        "total_count": total,
        "services": listing.objects(),
    });
    listing::print_one(&heading, &[listing], &answer, read.format)
}

fn is_absent(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(ClientError::Refused { status: 404, .. }))
}
