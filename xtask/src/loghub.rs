use std::path::Path;

use crate::step;

const USAGE: &str = "usage: cargo xtask loghub FOLDER [ORDERS]
  FOLDER   holds LogHub's *_2k.log_structured.csv (github.com/logpai/loghub-2.0 and its predecessor)
  ORDERS   also scores so many shuffles of each set's lines";

/// Builds the miner's scorer in release mode and runs it over a folder.
pub(crate) fn run(args: &[String]) -> Result<(), String> {
    let [folder, orders @ ..] = args else { return Err(USAGE.to_owned()) };
    if orders.len() > 1 || orders.iter().any(|orders| orders.parse::<u32>().is_err()) {
        return Err(USAGE.to_owned());
    }
    // The scorer runs at the repository's root, whatever folder this is called from.
    let folder = Path::new(folder).canonicalize().map_err(|error| format!("the folder {folder}: {error}\n{USAGE}"))?;
    let folder = folder.to_str().ok_or_else(|| format!("the folder's name is not UTF-8\n{USAGE}"))?;
    let mut command =
        vec!["run", "--release", "--locked", "--package", "tidegate-templates", "--example", "loghub", "--"];
    command.push(folder);
    command.extend(orders.iter().map(String::as_str));
    step("cargo", &command, &[])
}
