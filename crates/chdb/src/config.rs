//! The engine's generated configuration, and the proof after boot that it was taken.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::connection::Connection;

/// Formatting on several threads holds many blocks of a wide answer at once: 600 MiB where one thread takes 60.
const BOUNDED_OUTPUT: &str = "<output_format_parallel_formatting>0</output_format_parallel_formatting>";

/// From this level on a part may have a file for each column. An insert's part has all columns in one: with a file each an
/// insert of 57,000 rows of 42 columns makes 150 files, and half of its processor time is the file system's.
const FILES_OF_COLUMNS: (&str, &str) = ("min_level_for_wide_part", "1");

/// What the engine is booted with.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// The data folder; the database lies in `db` below it.
    pub folder: PathBuf,
    /// Memory of all queries, merges and caches together; `None`: ClickHouse's 0.9 of the machine's.
    pub memory_bytes_max: Option<u64>,
    /// Threads that merge and mutate.
    pub background_pool: u32,
    /// Whether S3, PostgreSQL and other servers may be reached by SQL.
    pub network: bool,
    /// A further XML file, merged: storage policies, backup targets, named collections.
    pub extra: Option<PathBuf>,
    /// The folder that the disk `backups` is; `None`: there is no such disk.
    pub backups: Option<PathBuf>,
}

/// The disk that backups go to.
const BACKUPS_DISK: &str = "backups";

/// The engine runs, but not with what it was told.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file could not be written or read.
    #[error("write the engine's configuration to `{path}`")]
    File {
        /// The file.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// A setting has another value than the file gave it.
    #[error("the engine ignored its configuration: `{name}` is `{found}`, not `{expected}`")]
    Ignored {
        /// The setting.
        name: String,
        /// Its value in the running engine.
        found: String,
        /// Its value in the file.
        expected: String,
    },
    /// The running engine could not be asked.
    #[error("ask the engine for its settings")]
    Ask(#[source] crate::Exception),
}

impl EngineConfig {
    /// Writes the files and returns the arguments that boot the engine with them.
    pub fn write(&self) -> Result<Vec<String>, ConfigError> {
        let folder = self.folder.join("config");
        let users = folder.join("users.xml");
        let main = folder.join("config.xml");
        fs::create_dir_all(&folder).map_err(|source| failed(&folder, source))?;
        // ClickHouse merges what it finds in `<name>.d` beside its configuration file.
        let merged = folder.join("config.d");
        fs::create_dir_all(&merged).map_err(|source| failed(&merged, source))?;
        let copy = merged.join("extra.xml");
        match &self.extra {
            Some(extra) => fs::copy(extra, &copy).map(|_| ()),
            None => fs::remove_file(&copy).or_else(|error| match error.kind() {
                io::ErrorKind::NotFound => Ok(()),
                _ => Err(error),
            }),
        }
        .map_err(|source| failed(&copy, source))?;
        fs::write(&users, self.users_xml()).map_err(|source| failed(&users, source))?;
        fs::write(&main, self.main_xml(&users)).map_err(|source| failed(&main, source))?;
        Ok(vec![format!("--config-file={}", main.display()), format!("--path={}", self.folder.join("db").display())])
    }

    fn main_xml(&self, users: &Path) -> String {
        let mut xml = String::from("<clickhouse>\n");
        let mut set = |name: &str, value: &str| {
            writeln!(xml, "    <{name}>{}</{name}>", escaped(value)).expect("a String takes all text");
        };
        set("users_config", &users.display().to_string());
        for (name, value) in self.asserted() {
            set(name, &value);
        }
        set("mark_cache_size", &(256_u64 << 20).to_string());
        set("uncompressed_cache_size", "0");
        let (name, value) = FILES_OF_COLUMNS;
        writeln!(xml, "    <merge_tree><{name}>{value}</{name}></merge_tree>").expect("a String takes all text");
        if let Some(folder) = &self.backups {
            xml.push_str(&backups_xml(folder));
        }
        xml.push_str("</clickhouse>\n");
        xml
    }

    /// The settings whose values the running engine must show.
    fn asserted(&self) -> Vec<(&'static str, String)> {
        let mut settings = vec![("background_pool_size", self.background_pool.to_string())];
        settings.extend(self.memory_bytes_max.map(|bytes| ("max_server_memory_usage", bytes.to_string())));
        settings
    }

    /// The one user that libchdb knows. Our own users are told apart before a statement gets here;
    /// what no one may do is taken from this one.
    fn users_xml(&self) -> String {
        let sources = if self.network { "FILE" } else { "SOURCES" };
        let revoked = [
            format!("{sources} ON *.*"),
            "SYSTEM SHUTDOWN ON *.*".to_owned(),
            "TABLE ENGINE ON File".to_owned(),
            "TABLE ENGINE ON Executable".to_owned(),
            "TABLE ENGINE ON ExecutablePool".to_owned(),
        ];
        let mut grants = String::from("<query>GRANT ALL ON *.*</query>");
        for privilege in &revoked {
            write!(grants, "\n                <query>REVOKE {privilege}</query>").expect("a String takes all text");
        }
        let memory = self
            .memory_bytes_max
            .map_or_else(String::new, |bytes| format!("<max_memory_usage>{}</max_memory_usage>", bytes / 10 * 9));
        format!(
            "<clickhouse>
    <profiles><default>{memory}{BOUNDED_OUTPUT}</default></profiles>
    <quotas><default/></quotas>
    <users>
        <default>
            <password></password>
            <networks><ip>::/0</ip></networks>
            <profile>default</profile>
            <quota>default</quota>
            <grants>
                {grants}
            </grants>
        </default>
    </users>
</clickhouse>
"
        )
    }

    /// Asks the running engine whether the files were taken: it ignores a missing file and unknown words in silence.
    pub fn prove(&self, connection: &mut Connection) -> Result<(), ConfigError> {
        let server = self.asserted().into_iter().map(|(name, expected)| ("server_settings", name, expected));
        let (name, expected) = FILES_OF_COLUMNS;
        for (table, name, expected) in server.chain([("merge_tree_settings", name, expected.to_owned())]) {
            let sql = format!("SELECT value FROM system.{table} WHERE name = '{name}'");
            let found = connection.run(&sql, "TSVRaw").map_err(ConfigError::Ask)?.trim().to_owned();
            if found != expected {
                return Err(ConfigError::Ignored { name: name.to_owned(), found, expected });
            }
        }
        if let Some(folder) = &self.backups {
            let sql = format!("SELECT path FROM system.disks WHERE name = '{BACKUPS_DISK}'");
            let found = connection.run(&sql, "TSVRaw").map_err(ConfigError::Ask)?.trim().to_owned();
            let expected = format!("{}/", folder.display());
            if found != expected {
                return Err(ConfigError::Ignored { name: format!("disk {BACKUPS_DISK}"), found, expected });
            }
        }
        let grants = connection.run("SHOW GRANTS", "TSVRaw").map_err(ConfigError::Ask)?;
        if grants.contains("SYSTEM SHUTDOWN") {
            let (name, found) = ("grants".to_owned(), "everything".to_owned());
            return Err(ConfigError::Ignored { name, found, expected: "the generated list".to_owned() });
        }
        Ok(())
    }
}

fn backups_xml(folder: &Path) -> String {
    let path = escaped(&folder.display().to_string());
    format!(
        "    <storage_configuration><disks><{BACKUPS_DISK}><type>local</type><path>{path}/</path></{BACKUPS_DISK}></disks></storage_configuration>
    <backups><allowed_disk>{BACKUPS_DISK}</allowed_disk></backups>\n"
    )
}

fn failed(path: &Path, source: io::Error) -> ConfigError {
    ConfigError::File { path: path.display().to_string(), source }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
