use anyhow::{Context, Result, bail};
use clap::Args;
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::{Caller, of_dataset, shown};

/// What `tidegate datasets list` is told.
#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// Only those whose slug, name or description has this text
    search: Option<String>,
    /// Only those of this status: active, archived
    #[arg(long)]
    status: Option<String>,
    /// Where the list before ended
    #[arg(long)]
    cursor: Option<String>,
    /// At most so many
    #[arg(long, short = 'n', default_value_t = 50)]
    limit: u32,
}

/// What `tidegate datasets create` is told.
#[derive(Debug, Args)]
pub(super) struct CreateArgs {
    /// The dataset's name in paths
    slug: String,
    /// Its name for people
    #[arg(long)]
    name: Option<String>,
    /// What it is for
    #[arg(long)]
    description: Option<String>,
    /// A JSON object
    #[arg(long)]
    metadata: Option<String>,
    /// A field, `name:type`; repeated for each
    #[arg(long = "field", value_name = "NAME:TYPE")]
    fields: Vec<String>,
    /// The table that has the fields
    #[arg(long, default_value = "records")]
    table: String,
}

/// What `tidegate datasets patch` is told; what is left out stays.
#[derive(Debug, Args)]
pub(super) struct PatchArgs {
    /// The dataset
    slug: String,
    /// Its name for people
    #[arg(long)]
    name: Option<String>,
    /// What it is for
    #[arg(long)]
    description: Option<String>,
    /// active or archived
    #[arg(long)]
    status: Option<String>,
    /// A JSON object, in place of the one before
    #[arg(long)]
    metadata: Option<String>,
    /// Only if the dataset is as it was at this time (`updatedAt`)
    #[arg(long)]
    if_match: Option<String>,
}

pub(super) async fn list(caller: &Caller, args: &ListArgs) -> Result<()> {
    let given = [("search", &args.search), ("status", &args.status), ("cursor", &args.cursor)];
    let given = given.into_iter().filter_map(|(name, value)| Some((name, value.clone()?)));
    let parameters: Vec<_> = given.chain([("limit", args.limit.to_string())]).collect();
    let answer = caller.ask(Method::GET, "/admin/datasets", &parameters, None).await?;
    caller.print(&answer, "datasets", &["slug", "name", "status", "quarantined", "updatedAt", "description"]);
    Ok(())
}

pub(super) async fn show(caller: &Caller, slug: &str) -> Result<()> {
    let answer = caller.ask(Method::GET, &of_dataset("/admin/datasets", slug, ""), &[], None).await?;
    print_one(caller, &answer);
    Ok(())
}

pub(super) async fn create(caller: &Caller, args: &CreateArgs) -> Result<()> {
    let mut fields = Vec::new();
    for field in &args.fields {
        let Some((name, word)) = field.rsplit_once(':') else {
            bail!("--field {field}: write the name, a colon and the type, such as `price:decimal(18,4)`");
        };
        fields.push(json!({ "name": name, "type": word }));
    }
    let mut body = named([("name", &args.name), ("description", &args.description)]);
    body.insert("slug".to_owned(), json!(args.slug));
    insert_metadata(&mut body, args.metadata.as_deref())?;
    if !fields.is_empty() {
        body.insert("schema".to_owned(), json!({ "fields": fields }));
        body.insert("tableName".to_owned(), json!(args.table));
    }
    let answer = caller.ask(Method::POST, "/admin/datasets", &[], Some(&Value::Object(body))).await?;
    print_one(caller, &answer);
    Ok(())
}

pub(super) async fn patch(caller: &Caller, args: &PatchArgs) -> Result<()> {
    let given = [
        ("name", &args.name),
        ("description", &args.description),
        ("status", &args.status),
        ("ifMatch", &args.if_match),
    ];
    let mut body = named(given);
    insert_metadata(&mut body, args.metadata.as_deref())?;
    let path = of_dataset("/admin/datasets", &args.slug, "");
    let answer = caller.ask(Method::PATCH, &path, &[], Some(&Value::Object(body))).await?;
    print_one(caller, &answer);
    Ok(())
}

pub(super) async fn archive(caller: &Caller, slug: &str) -> Result<()> {
    let answer = caller.ask(Method::POST, &of_dataset("/admin/datasets", slug, "/archive"), &[], None).await?;
    print_one(caller, &answer);
    Ok(())
}

pub(super) async fn schema(caller: &Caller, slug: &str, table: Option<&str>) -> Result<()> {
    let parameters: Vec<_> = table.map(|table| ("tableName", table.to_owned())).into_iter().collect();
    let path = of_dataset("/admin/datasets", slug, "/schema");
    let mut answer = caller.ask(Method::GET, &path, &parameters, None).await?;
    if !caller.json {
        for version in answer["versions"].as_array_mut().into_iter().flatten() {
            version["change"] = version["change"]["status"].take();
            let fields = version["fields"].as_array().into_iter().flatten();
            let fields: Vec<_> =
                fields.map(|field| format!("{}: {}", shown(&field["name"]), shown(&field["type"]))).collect();
            version["fields"] = json!(fields);
        }
    }
    caller.print(&answer, "versions", &["tableName", "version", "change", "createdAt", "actor", "fields"]);
    Ok(())
}

pub(super) async fn audit(caller: &Caller, slug: &str, limit: u32) -> Result<()> {
    let path = of_dataset("/admin/datasets", slug, "/audit");
    let answer = caller.ask(Method::GET, &path, &[("limit", limit.to_string())], None).await?;
    caller.print(&answer, "entries", &["at", "action", "success", "actor", "detail"]);
    Ok(())
}

pub(super) async fn reconcile(caller: &Caller) -> Result<()> {
    let answer = caller.ask(Method::POST, "/admin/schema/reconcile", &[], None).await?;
    caller.print(&answer, "drift", &["replica", "table", "column", "found", "wanted", "mended"]);
    let left = answer["drift"].as_array().into_iter().flatten().filter(|drift| drift["mended"] != true).count();
    if left > 0 {
        bail!(
            "{left} columns are not what the catalog says\n  rename or convert them in ClickHouse, and run this again"
        );
    }
    Ok(())
}

fn named<const N: usize>(given: [(&str, &Option<String>); N]) -> Map<String, Value> {
    given.into_iter().filter_map(|(name, value)| Some((name.to_owned(), json!(value.as_ref()?)))).collect()
}

fn insert_metadata(body: &mut Map<String, Value>, text: Option<&str>) -> Result<()> {
    if let Some(text) = text {
        let metadata: Value = serde_json::from_str(text).context("read --metadata as JSON")?;
        body.insert("metadata".to_owned(), metadata);
    }
    Ok(())
}

fn print_one(caller: &Caller, dataset: &Value) {
    if caller.json {
        println!("{dataset:#}");
        return;
    }
    for name in [
        "slug",
        "name",
        "description",
        "status",
        "storageTargetId",
        "createdBy",
        "createdAt",
        "updatedAt",
        "metadata",
        "quarantined",
    ] {
        let value = shown(&dataset[name]);
        if !value.is_empty() {
            println!("{name:<16} {value}");
        }
    }
    for table in dataset["tables"].as_array().into_iter().flatten() {
        println!(
            "\ntable {} ({}), schema version {}",
            shown(&table["tableName"]),
            shown(&table["table"]),
            table["schemaVersion"]
        );
        for field in table["fields"].as_array().into_iter().flatten() {
            println!("  {:<30} {}", shown(&field["name"]), shown(&field["type"]));
        }
    }
}
