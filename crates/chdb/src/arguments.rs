use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use tidegate_chdb::{Access, User, Users};

/// The embedded ClickHouse behind its HTTP interface.
#[derive(Debug, Parser)]
#[command(name = "tidegate-engine", version)]
pub(crate) struct Arguments {
    /// The data folder, made when absent.
    #[arg(long, required_unless_present = "memory", conflicts_with = "memory")]
    pub(crate) path: Option<PathBuf>,

    /// Keep data for as long as the process lives only.
    #[arg(long)]
    pub(crate) memory: bool,

    /// libchdb's file; found beside the executable or in the repository's lib folder otherwise.
    #[arg(long = "lib", env = "TIDEGATE_LIBCHDB", value_name = "FILE")]
    pub(crate) library: Option<PathBuf>,

    /// Where to listen; port 0 takes a free one, told in the ready line.
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDR")]
    pub(crate) http: String,

    /// A second address, for users' own clients.
    #[arg(long, value_name = "ADDR")]
    pub(crate) publish: Option<String>,

    /// The user that may do everything; it exists only with a password.
    #[arg(long, default_value = "tidegate", value_name = "NAME")]
    pub(crate) user: String,

    /// The environment variable with that user's password, so that it is not in the list of processes.
    #[arg(long, value_name = "VAR")]
    pub(crate) password_env: Option<String>,

    /// The user that may only read; it exists only with a password.
    #[arg(long, default_value = "reader", value_name = "NAME")]
    pub(crate) reader: String,

    /// The environment variable with that user's password.
    #[arg(long, value_name = "VAR")]
    pub(crate) reader_password_env: Option<String>,

    /// What the user `default`, who has no password, may do.
    #[arg(long, value_enum, default_value_t = DefaultAccess::None)]
    pub(crate) default_access: DefaultAccess,

    /// Memory of everything in the engine together, in bytes; 0.9 of the machine's otherwise.
    #[arg(long, value_name = "BYTES")]
    pub(crate) max_memory: Option<u64>,

    /// Queries that run at once; four times as many may wait.
    #[arg(long, default_value_t = 64, value_name = "N")]
    pub(crate) max_queries: usize,

    /// How long a query waits for its turn, in milliseconds.
    #[arg(long, default_value_t = 10_000, value_name = "MS")]
    pub(crate) queue_ms: u64,

    /// Threads that merge parts in the background.
    #[arg(long, default_value_t = 2, value_name = "N")]
    pub(crate) background_pool: u32,

    /// Let SQL reach S3, PostgreSQL and other servers.
    #[arg(long)]
    pub(crate) allow_network: bool,

    /// Let storage policies reach S3; SQL still reaches nothing.
    #[arg(long)]
    pub(crate) storage_network: bool,

    /// A further folder that the engine may write to: cold disks, backups. May be given several times.
    #[arg(long, value_name = "DIR")]
    pub(crate) allow_path: Vec<PathBuf>,

    /// The folder of backups: `BACKUP … TO Disk('backups', 'NAME')` writes below it.
    #[arg(long, value_name = "DIR")]
    pub(crate) backups: Option<PathBuf>,

    /// End when standard input ends, which is when the parent does.
    #[arg(long)]
    pub(crate) exit_with_parent: bool,

    /// ClickHouse configuration to merge: storage policies, backup targets.
    #[arg(long, value_name = "FILE")]
    pub(crate) extra_config: Option<PathBuf>,

    /// What to log, in the words of `RUST_LOG`.
    #[arg(long, default_value = "info", value_name = "FILTER")]
    pub(crate) log: String,
}

/// What the user without a password may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DefaultAccess {
    /// Everything.
    Full,
    /// Read.
    Read,
    /// Nothing: the user does not exist.
    None,
}

impl Arguments {
    /// Returns the users that these arguments make.
    pub(crate) fn users(&self) -> Result<Users, String> {
        let mut users = Vec::new();
        let named =
            [(&self.user, &self.password_env, Access::Full), (&self.reader, &self.reader_password_env, Access::Read)];
        for (name, variable, access) in named {
            if let Some(variable) = variable {
                users.push(User { name: name.clone(), password: password(variable)?, access });
            }
        }
        let default = match self.default_access {
            DefaultAccess::Full => Some(Access::Full),
            DefaultAccess::Read => Some(Access::Read),
            DefaultAccess::None => None,
        };
        users.extend(default.map(|access| User { name: "default".into(), password: String::new(), access }));
        if users.is_empty() {
            return Err("nobody could log in: give --password-env, --reader-password-env or --default-access".into());
        }
        Ok(Users(users))
    }
}

#[expect(clippy::disallowed_methods, reason = "the command line names the variable; nothing below main reads one")]
fn password(variable: &str) -> Result<String, String> {
    match std::env::var(variable) {
        Ok(password) if !password.is_empty() => Ok(password),
        _ => Err(format!("the environment variable {variable} holds no password")),
    }
}
