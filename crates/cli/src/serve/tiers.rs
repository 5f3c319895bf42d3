use std::fs::{self, File, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::settings::{Backend, Settings};

/// The storage policy of every table of an engine that has, or had, a cold volume.
pub(crate) const POLICY: &str = "tiered";
/// Says where the cold volume of a data folder is, once it has one.
const MARK: &str = "cold-volume";
const CONFIG: &str = "tiers.xml";

/// What the engine is told of its volumes.
#[derive(Debug)]
pub(crate) struct Tiers {
    /// ClickHouse's configuration of them.
    pub(crate) config: PathBuf,
    /// The folder of the cold volume, which the engine must be let into.
    pub(crate) folder: Option<PathBuf>,
    /// Whether the cold volume is over the network.
    pub(crate) network: bool,
}

/// Where old partitions go.
enum Cold {
    Folder(PathBuf),
    S3,
}

impl Tiers {
    /// Writes the engine's volumes below its folder; `None`: there is no cold one, and never was.
    pub(crate) fn write(settings: &Settings, engine: &Path) -> Result<Option<Self>> {
        let cold = cold(settings)?;
        let place = cold.as_ref().map(|cold| place(cold, settings));
        check_mark(engine, place.as_deref())?;
        let Some(cold) = cold else { return Ok(None) };
        fs::create_dir_all(engine).with_context(|| format!("make the engine's folder {}", engine.display()))?;
        let (config, mark) = (engine.join(CONFIG), engine.join(MARK));
        write_own(&config, &xml(&cold, settings)).with_context(|| format!("write {}", config.display()))?;
        let written = write_own(&mark, &place.unwrap_or_default());
        written.with_context(|| format!("write {}", mark.display()))?;
        let network = matches!(cold, Cold::S3);
        let folder = if let Cold::Folder(folder) = cold { Some(folder) } else { None };
        Ok(Some(Self { config, folder, network }))
    }
}

fn cold(settings: &Settings) -> Result<Option<Cold>> {
    let own = &settings.lifecycle;
    if settings.storage.backend != Backend::Embedded {
        return Ok(None);
    }
    if own.cold_s3 {
        return Ok(Some(Cold::S3));
    }
    if own.cold_folder.as_os_str().is_empty() {
        return Ok(None);
    }
    let folder = &own.cold_folder;
    let made = fs::create_dir_all(folder).and_then(|()| folder.canonicalize());
    made.map(|folder| Some(Cold::Folder(folder))).with_context(|| {
        format!("the cold folder {} cannot be made; mend `lifecycle.cold_folder` or its owner", folder.display())
    })
}

fn place(cold: &Cold, settings: &Settings) -> String {
    match cold {
        Cold::Folder(folder) => format!("folder {}", folder.display()),
        Cold::S3 => format!("S3 {}", endpoint(settings)),
    }
}

/// Refuses settings with which rows in the cold volume would not be found.
fn check_mark(engine: &Path, place: Option<&str>) -> Result<()> {
    let mark = engine.join(MARK);
    let was = match fs::read_to_string(&mark) {
        Ok(was) => was,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error).with_context(|| format!("read {}", mark.display())),
    };
    if place == Some(was.trim()) {
        return Ok(());
    }
    bail!(
        "rows of this data folder are in the cold volume `{}`, and the settings name {}; set `lifecycle.cold_folder` or \
         `lifecycle.cold_s3` and `s3` as they were",
        was.trim(),
        place.map_or("none".to_owned(), |place| format!("`{place}`"))
    )
}

/// Writes a file that only we may read: it may hold a key.
fn write_own(path: &Path, text: &str) -> std::io::Result<()> {
    let mut file = File::options().write(true).create(true).truncate(true).open(path)?;
    file.set_permissions(Permissions::from_mode(0o600))?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn endpoint(settings: &Settings) -> String {
    let s3 = &settings.s3;
    let prefix = s3.prefix.trim_matches('/');
    let below = if prefix.is_empty() { "cold".to_owned() } else { format!("{prefix}/cold") };
    let address = s3.address();
    let host = address.split_once("://").filter(|_| !s3.path_style);
    let bucket = match host {
        Some((scheme, host)) => format!("{scheme}://{}.{host}", s3.bucket),
        None => format!("{address}/{}", s3.bucket),
    };
    format!("{bucket}/{below}/")
}

/// The volume `default` keeps its name and disk: a table may only go to a policy that has all it had before.
fn xml(cold: &Cold, settings: &Settings) -> String {
    let disks = match cold {
        Cold::Folder(folder) => {
            format!("<cold><type>local</type><path>{}/</path></cold>", escaped(&folder.display().to_string()))
        }
        Cold::S3 => s3_disks(settings),
    };
    // With a cache or without, the same disk below it has the rows.
    let is_bare = matches!(cold, Cold::S3) && settings.lifecycle.cold_cache_bytes == 0;
    let volume = if is_bare { "cold_s3" } else { "cold" };
    format!(
        "<clickhouse>
  <storage_configuration>
    <disks>{disks}</disks>
    <policies>
      <{POLICY}>
        <volumes>
          <default><disk>default</disk></default>
          <cold><disk>{volume}</disk></cold>
        </volumes>
        <move_factor>0</move_factor>
      </{POLICY}>
    </policies>
  </storage_configuration>
</clickhouse>
"
    )
}

/// Few tries and short waits: a query must learn that the server is away, and not hang.
fn s3_disks(settings: &Settings) -> String {
    let (s3, cache) = (&settings.s3, settings.lifecycle.cold_cache_bytes);
    let disk = format!(
        "<endpoint>{}</endpoint><region>{}</region><access_key_id>{}</access_key_id>\
         <secret_access_key>{}</secret_access_key><skip_access_check>true</skip_access_check>\
         <retry_attempts>3</retry_attempts><connect_timeout_ms>2000</connect_timeout_ms>\
         <request_timeout_ms>10000</request_timeout_ms>",
        escaped(&endpoint(settings)),
        escaped(&s3.region),
        escaped(&s3.access_key_id),
        escaped(&s3.secret_access_key),
    );
    if cache == 0 {
        return format!("<cold_s3><type>s3</type>{disk}</cold_s3>");
    }
    format!(
        "<cold_s3><type>s3</type>{disk}</cold_s3>\
         <cold><type>cache</type><disk>cold_s3</disk><path>cold/</path><max_size>{cache}</max_size></cold>"
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cold_volume_that_is_in_use_cannot_be_taken_out_of_the_settings() {
        let folder = tempfile::tempdir().expect("a folder");
        let engine = folder.path().join("engine");
        let mut settings = Settings::default();
        assert!(Tiers::write(&settings, &engine).expect("no tiers").is_none());
        settings.lifecycle.cold_folder = folder.path().join("cold");
        let tiers = Tiers::write(&settings, &engine).expect("tiers").expect("a cold volume");
        assert!(tiers.folder.is_some() && !tiers.network);
        let text = fs::read_to_string(&tiers.config).expect("the configuration");
        assert!(text.contains("<cold><type>local</type>"), "{text}");
        settings.lifecycle.cold_folder = folder.path().join("other");
        let refused = Tiers::write(&settings, &engine).expect_err("another folder").to_string();
        assert!(refused.contains("cold`") && refused.contains("other`"), "{refused}");
        settings.lifecycle.cold_folder = PathBuf::new();
        assert!(Tiers::write(&settings, &engine).is_err());
    }

    #[test]
    fn the_key_of_an_s3_volume_is_in_a_file_of_our_own() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut settings = Settings::default();
        (settings.lifecycle.cold_s3, settings.s3.bucket) = (true, "rows".into());
        (settings.s3.endpoint, settings.s3.secret_access_key) = ("http://127.0.0.1:1".into(), "a<b".into());
        let tiers = Tiers::write(&settings, folder.path()).expect("tiers").expect("a cold volume");
        let text = fs::read_to_string(&tiers.config).expect("the configuration");
        assert!(text.contains("<endpoint>http://127.0.0.1:1/rows/cold/</endpoint>"), "{text}");
        assert!(text.contains("<secret_access_key>a&lt;b</secret_access_key>"), "{text}");
        let mode = fs::metadata(&tiers.config).expect("its mode").permissions().mode();
        assert_eq!(mode & 0o077, 0);
    }
}
