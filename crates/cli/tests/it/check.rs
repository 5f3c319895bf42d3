use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal as Kill, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;
use tidegate_load::{Encoding, Source, free_addresses};
use tidegate_model::Signal;

use crate::cardinality::Api;

const NOT_CHECKED: i32 = 7;
const TIME: &str = "1769850000000000000";

/// A folder for a check's files, and for the temporary server that it starts.
struct Place {
    folder: TempDir,
}

impl Place {
    fn new() -> Result<Self> {
        Ok(Self { folder: tempfile::tempdir()? })
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> Result<String> {
        fs::write(self.folder.path().join(name), bytes)?;
        Ok(self.path(name))
    }

    fn command(&self, arguments: &[&str]) -> Result<Command> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).context("the repository's folder")?;
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
        command.arg("check").args(arguments).env("TIDEGATE_LIBCHDB", root.join("lib/libchdb.so"));
        command.env("TMPDIR", self.folder.path()).current_dir(self.folder.path());
        Ok(command)
    }

    /// Runs a check, and looks that it left nothing behind.
    fn check(&self, arguments: &[&str]) -> Result<Output> {
        let output = self.command(arguments)?.stdin(Stdio::null()).output()?;
        self.is_left_clean()?;
        Ok(output)
    }

    /// Runs a check and reads its JSON report; returns it with the exit code.
    fn report(&self, arguments: &[&str]) -> Result<(Option<i32>, Value)> {
        let arguments: Vec<&str> = arguments.iter().copied().chain(["--format", "json"]).collect();
        let output = self.check(&arguments)?;
        let report = serde_json::from_slice(&output.stdout);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        Ok((output.status.code(), report.with_context(|| format!("{arguments:?}: {told}"))?))
    }

    fn is_left_clean(&self) -> Result<()> {
        let entries: Vec<PathBuf> =
            fs::read_dir(self.folder.path())?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
        let left = entries.iter().find(|path| path.to_string_lossy().contains("tidegate-check-"));
        ensure!(left.is_none(), "{left:?} was left behind");
        Ok(())
    }
}

/// A request of log records, one of each user.
fn logs(users: std::ops::Range<u32>, key: &str) -> Value {
    let text = |text: &str| json!({ "stringValue": text });
    let record = |user: u32| {
        json!({ "timeUnixNano": TIME, "severityText": "INFO", "severityNumber": 9, "body": text(&format!("login of {user}")),
            "attributes": [{ "key": key, "value": text(&format!("u{user}")) }] })
    };
    let resource = json!({ "attributes": [{ "key": "service.name", "value": text("shop") }] });
    json!({ "resourceLogs": [{ "resource": resource, "scopeLogs": [{ "logRecords": users.map(record).collect::<Vec<_>>() }] }] })
}

#[test]
fn a_recording_is_within_its_limits_or_warns_or_fails() -> Result<()> {
    let place = Place::new()?;
    // The same request twice, as it was sent twice; and one record with a trace id that is none.
    let mut bad = logs(0..1, "user");
    bad["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0]["traceId"] = json!("abc");
    let lines = [logs(0..5, "user"), logs(0..5, "user"), bad].map(|request| request.to_string()).join("\n");
    let file = place.write("recorded.jsonl", lines)?;
    let (code, report) = place.report(&[&file, "--warn", "rejected=2"])?;
    assert_eq!((code, &report["verdict"], &report["exit_code"]), (Some(0), &json!("ok"), &json!(0)), "{report}");
    assert_eq!(
        (&report["summary"]["samples"]["logs"], &report["summary"]["total_attributes"]),
        (&json!(10), &json!(2))
    );
    let told = json!([{ "file": file, "requests": 3, "accepted": 10, "rejected": 1,
        "refusals": ["request 3, record 1: resourceLogs[0].scopeLogs[0].logRecords[0].traceId: an id of 3 characters, \
            not 32 hex digits or none"] }]);
    assert_eq!((&report["files"], &report["rejected"]), (&told, &json!([{ "table": "logs", "rejected": 1 }])));

    for (arguments, code, threshold) in [
        (vec![], 1, "rejected"),
        (vec!["--warn", "attribute.user=5", "--warn", "rejected=2"], 1, "attribute_cardinality"),
        (vec!["--fail", "attribute_cardinality=5"], 2, "attribute_cardinality"),
        (vec!["--forbid", "user"], 2, "forbidden_attributes"),
        (vec!["--fail", "samples=10"], 2, "samples"),
    ] {
        let arguments: Vec<&str> = std::iter::once(file.as_str()).chain(arguments).collect();
        let (ended, report) = place.report(&arguments)?;
        assert_eq!(ended, Some(code), "{arguments:?}: {report}");
        assert_eq!(report["findings"][0]["threshold"], threshold, "{arguments:?}: {report}");
    }
    let limits = place.write("limits.toml", "forbidden_attributes = [\"user\"]\nrejected = { warn = 9 }\n")?;
    let output = place.check(&[&file, "--thresholds", &limits, "--output", &place.path("report.txt")])?;
    assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0));
    let text = fs::read_to_string(place.path("report.txt"))?;
    for part in
        ["critical: 1 critical", "login of <*>", "`user` must not come, and came 10 times", "refused: 1 rows of logs"]
    {
        ensure!(text.contains(part), "{part} is not in\n{text}");
    }
    Ok(())
}

#[test]
fn every_form_of_a_recording_tells_the_same() -> Result<()> {
    let place = Place::new()?;
    let source = Source::new(11, TIME.parse()?);
    let requests: Vec<Vec<u8>> = Signal::ALL.iter().map(|signal| source.request(*signal, 0, 120)).collect();
    let all = requests.concat();
    let framed = |request: &Vec<u8>| -> Result<Vec<u8>> {
        let packed = Encoding::Zstd.encode(request.clone())?;
        Ok([&u32::try_from(packed.len())?.to_be_bytes()[..], &packed].concat())
    };
    let frames = requests.iter().map(framed).collect::<Result<Vec<_>>>()?.concat();
    let expected = json!({ "metrics": 120, "spans": 120, "logs": 120 });
    for (name, bytes) in [
        ("plain.pb", all.clone()),
        ("requests.pb.gz", Encoding::Gzip.encode(all.clone())?),
        ("requests.pb.zst", Encoding::Zstd.encode(all)?),
        ("exporter.bin", frames),
    ] {
        let file = place.write(name, bytes)?;
        let (code, report) = place.report(&[&file])?;
        assert_eq!((code, &report["summary"]["samples"]), (Some(0), &expected), "{name}: {report}");
        let services = report["services"].as_array().map(Vec::len);
        assert_eq!((services, &report["summary"]["exact"]), (Some(2), &json!(true)), "{name}: {report}");
    }
    Ok(())
}

#[test]
fn a_saved_session_shows_what_is_new_and_what_grew() -> Result<()> {
    let place = Place::new()?;
    let (before, after) = (
        place.write("before.json", logs(0..4, "user").to_string())?,
        place.write("after.json", logs(0..40, "user").to_string())?,
    );
    let extra = place.write("extra.json", logs(0..4, "tenant").to_string())?;
    let saved = place.path("main.json.gz");
    assert_eq!(place.report(&[&before, "--save", &saved])?.0, Some(0));

    let (code, same) = place.report(&[&before, "--compare", &saved])?;
    assert_eq!(
        (code, &same["comparison"]["changes"], &same["comparison"]["from"]),
        (Some(0), &json!([]), &json!("main"))
    );
    let (code, grown) = place.report(&[&after, &extra, "--compare", &saved])?;
    assert_eq!((code, &grown["comparison"]["summary"]["attributes"]["added"]), (Some(2), &json!(1)), "{grown}");
    let is_critical = |finding: &Value| finding["severity"] == "critical" && finding["name"] == "user";
    ensure!(grown["findings"].as_array().is_some_and(|all| all.iter().any(is_critical)), "{grown}");
    let text = place.check(&[&after, "--compare", &saved])?;
    let text = String::from_utf8(text.stdout)?;
    ensure!(text.contains("Compared with the session main:") && text.contains("ten times as many values"), "{text}");
    Ok(())
}

#[test]
fn a_check_that_cannot_be_made_says_why_and_is_no_verdict() -> Result<()> {
    let place = Place::new()?;
    let good = place.write("good.json", logs(0..1, "user").to_string())?;
    let text = place.write("notes.txt", "hello")?;
    let cut_off = place.write("cut.json", &logs(0..1, "user").to_string()[..90])?;
    let limits = place.write("limits.toml", "metric_serie = { warn = 1 }\n")?;
    let [nobody] = free_addresses()?;
    let nobody = format!("http://{nobody}");
    for (arguments, code, part) in [
        (vec![], NOT_CHECKED, "name what to check"),
        (vec!["--for", "soon"], NOT_CHECKED, "write it like 30s"),
        (vec!["--fr", "30s"], NOT_CHECKED, "unexpected argument '--fr'"),
        (vec![&good, "--for", "1s"], NOT_CHECKED, "cannot be used with"),
        (vec![&good, "--last", "1h"], NOT_CHECKED, "give --server as well"),
        (vec![&good, "--warn", "serie=3"], NOT_CHECKED, "there is no threshold `serie`"),
        (vec![&good, "--thresholds", &limits], NOT_CHECKED, "unknown field `metric_serie`"),
        (vec![&good, "--thresholds", "none.toml"], NOT_CHECKED, "none.toml cannot be read"),
        (vec![&good, "--compare", "none.json.gz"], NOT_CHECKED, "the session none.json.gz"),
        (vec![&good, "--compare", &text], NOT_CHECKED, "not a session's file"),
        (vec![&good, "--save", "No.json"], NOT_CHECKED, "of a-z, 0-9 and -"),
        (vec!["none.json"], NOT_CHECKED, "the file none.json cannot be opened"),
        (vec![&text], NOT_CHECKED, "it is not recorded OTLP"),
        (vec![&cut_off], NOT_CHECKED, "the file was cut off"),
        (vec!["--server", &nobody], 3, "no server answers"),
    ] {
        let output = place.check(&arguments)?;
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {told}");
        ensure!(told.contains(part), "{arguments:?} should say {part}: {told}");
    }
    assert_eq!(place.check(&["--help"])?.status.code(), Some(0));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_sent_while_it_listens_is_reported_at_an_interrupt() -> Result<()> {
    let place = Place::new()?;
    let [http, grpc] = free_addresses()?.map(|address| address.to_string());
    let arguments =
        ["--for", "1h", "--otlp-http", &http, "--otlp-grpc", &grpc, "--format", "json", "--fail", "samples=7"];
    let mut check = place.command(&arguments)?.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    listens(&mut check)?;
    let client = reqwest::Client::new();
    for users in [0..5, 5..7] {
        let request = client.post(format!("http://{http}/v1/logs")).header("content-type", "application/json");
        let status = request.body(logs(users, "user").to_string()).send().await?.status();
        assert_eq!(status, 200);
    }
    let pid = Pid::from_raw(i32::try_from(check.id())?).context("a process")?;
    kill_process(pid, Kill::INT)?;
    let mut text = String::new();
    check.stdout.take().context("its output")?.read_to_string(&mut text)?;
    let code = check.wait()?.code();
    let report: Value = serde_json::from_str(&text).context(text)?;
    assert_eq!((code, &report["summary"]["samples"]["logs"]), (Some(2), &json!(7)), "{report}");
    assert_eq!(report["attributes"][0]["key"], "user", "{report}");
    place.is_left_clean()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silence_after_the_last_row_ends_it() -> Result<()> {
    let place = Place::new()?;
    let [http, grpc] = free_addresses()?.map(|address| address.to_string());
    let arguments = ["--idle", "1s", "--otlp-http", &http, "--otlp-grpc", &grpc];
    let mut check = place.command(&arguments)?.stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
    listens(&mut check)?;
    let request =
        reqwest::Client::new().post(format!("http://{http}/v1/logs")).header("content-type", "application/json");
    request.body(logs(0..1, "user").to_string()).send().await?;
    assert_eq!(check.wait()?.code(), Some(0));
    place.is_left_clean()
}

/// Waits until a check says that it listens.
fn listens(check: &mut Child) -> Result<()> {
    let stderr = check.stderr.take().context("its messages")?;
    for line in BufReader::new(stderr).lines() {
        if line?.contains("Ctrl+C ends it early") {
            return Ok(());
        }
    }
    anyhow::bail!("it ended before it listened")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_server_is_checked_and_keeps_no_trace() -> Result<()> {
    let (api, place) = (Api::start().await?, Place::new()?);
    let url = format!("http://{}", api.stack.http);
    let (code, report) = place.report(&["--server", &url])?;
    let summary = api.good("/api/v1/summary").await?;
    assert_eq!((code, &report["summary"]), (Some(0), &summary));
    assert_eq!(report["metrics"].as_array().map(Vec::len), Some(5));
    let (code, report) = place.report(&["--server", &url, "--service", "cart", "--fail", "services=1"])?;
    assert_eq!((code, &report["services"][0]["service_name"]), (Some(2), &json!("cart")), "{report}");
    let later = place.report(&["--server", &url, "--from", "2026-01-31T10:00:00Z"])?.1;
    assert_eq!(later["summary"]["samples"], json!({ "metrics": 1, "spans": 0, "logs": 0 }), "{later}");

    let saved = place.path("before.json.gz");
    place.report(&["--server", &url, "--save", &saved])?;
    assert_eq!(api.ask(reqwest::Method::POST, "/api/v1/sessions", "{\"name\":\"kept\"}").await?.0, 201);
    for session in [saved.as_str(), "kept"] {
        let (code, report) = place.report(&["--server", &url, "--compare", session])?;
        assert_eq!((code, &report["comparison"]["changes"]), (Some(0), &json!([])), "{report}");
    }
    let sessions = api.good("/api/v1/sessions").await?;
    assert_eq!((&sessions["total"], &sessions["sessions"][0]["id"]), (&json!(1), &json!("kept")), "{sessions}");
    let absent = place.check(&["--server", &url, "--compare", "absent"])?;
    assert_eq!(absent.status.code(), Some(4), "{}", String::from_utf8_lossy(&absent.stderr));
    Ok(())
}
