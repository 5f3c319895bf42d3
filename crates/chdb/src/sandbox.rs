//! Landlock: what the process may touch, for its threads that start afterwards, for good.

use std::path::PathBuf;

use landlock::{
    ABI, Access, AccessFs, AccessNet, LandlockStatus, RestrictionStatus, Ruleset, RulesetAttr, RulesetCreatedAttr,
    RulesetError, RulesetStatus, path_beneath_rules,
};

/// The newest set of rules that this program knows how to use; older kernels enforce what they know of it.
const NEWEST: ABI = ABI::V6;

/// What stays open.
#[derive(Debug, Clone)]
pub struct Sandbox {
    /// Folders for reading and writing.
    pub writable: Vec<PathBuf>,
    /// Folders and files for reading.
    pub readable: Vec<PathBuf>,
    /// Whether TCP connections may be made.
    pub network: bool,
}

/// What a ClickHouse engine reads of its machine.
const SYSTEM_READABLE: [&str; 12] = [
    "/proc",
    "/sys",
    "/dev/urandom",
    "/dev/random",
    "/dev/null",
    "/etc/localtime",
    "/etc/timezone",
    "/etc/hosts",
    "/etc/resolv.conf",
    "/etc/nsswitch.conf",
    "/usr/share/zoneinfo",
    "/etc/ssl/certs",
];

/// Where the loader finds what libchdb itself needs.
const LOADER_READABLE: [&str; 4] = ["/lib", "/lib64", "/usr/lib", "/etc/ld.so.cache"];

impl Sandbox {
    /// Locks this thread and all that it starts; returns how far the kernel follows, in words for the ready line.
    #[must_use]
    pub fn enforce(&self) -> String {
        match self.restrict() {
            Ok(status) => describe(&status),
            Err(error) => format!("unavailable: {error}"),
        }
    }

    fn restrict(&self) -> Result<RestrictionStatus, RulesetError> {
        let mut ruleset = Ruleset::default().handle_access(AccessFs::from_all(NEWEST))?;
        if !self.network {
            ruleset = ruleset.handle_access(AccessNet::ConnectTcp)?;
        }
        let readable = self.readable.iter().map(PathBuf::as_path);
        let system = SYSTEM_READABLE.iter().chain(&LOADER_READABLE).map(std::path::Path::new);
        ruleset
            .create()?
            .add_rules(path_beneath_rules(self.writable.iter(), AccessFs::from_all(NEWEST)))?
            .add_rules(path_beneath_rules(readable.chain(system), AccessFs::from_read(NEWEST)))?
            .restrict_self()
    }
}

fn describe(status: &RestrictionStatus) -> String {
    match (status.landlock, &status.ruleset) {
        (LandlockStatus::Available { effective_abi, .. }, RulesetStatus::FullyEnforced) => {
            format!("enforced, ABI {}", effective_abi as i32)
        }
        (LandlockStatus::Available { effective_abi, .. }, RulesetStatus::PartiallyEnforced) => {
            format!("enforced in part, ABI {}: the kernel knows fewer rules", effective_abi as i32)
        }
        (LandlockStatus::NotEnabled, _) => "unavailable: switched off in this kernel".to_owned(),
        (LandlockStatus::NotImplemented, _) => "unavailable: not built into this kernel".to_owned(),
        (_, RulesetStatus::NotEnforced) => "unavailable: the kernel enforces none of its rules".to_owned(),
    }
}
