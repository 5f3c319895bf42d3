use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use tidegate_agent::settings::Settings;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::agent;

/// The folder of the agent's queue, in the data folder.
const FOLDER: &str = "agent";
/// How long an agent that failed is left alone.
const PAUSE: Duration = Duration::from_secs(5);

/// An agent in the server's process.
pub(super) struct LocalAgent {
    task: JoinHandle<()>,
    stop: watch::Sender<bool>,
}

/// Reads an agent's settings; its queue is in the server's data folder, whatever they say.
pub(super) fn settings(file: Option<&Path>, data: &Path) -> Result<Settings> {
    let mut settings = match file {
        Some(file) => agent::read(file)?,
        None => Settings::default(),
    };
    settings.data = data.join(FOLDER);
    settings.check()?;
    Ok(settings)
}

/// Starts an agent that sends to the server's own door, as any other would.
pub(super) fn start(mut settings: Settings, door: SocketAddr) -> LocalAgent {
    settings.server = format!("http://{}", reachable(door));
    let (stop, mut stopped) = watch::channel(false);
    let task = tokio::spawn(async move {
        while let Err(error) = agent::start(&settings, stopped.clone()).await {
            tracing::error!(error = format!("{error:#}"), "the agent ended; it starts again");
            tokio::select! {
                () = tokio::time::sleep(PAUSE) => {}
                _ = stopped.wait_for(|stop| *stop) => return,
            }
        }
    });
    LocalAgent { task, stop }
}

impl LocalAgent {
    /// Stops it while the server still takes what it has.
    pub(super) async fn stop(self) {
        // Without a receiver it has ended already.
        let _ = self.stop.send(true);
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the agent did not end well");
        }
    }
}

/// A door that is open everywhere is reached over loopback.
pub(super) fn reachable(mut door: SocketAddr) -> SocketAddr {
    if door.ip().is_unspecified() {
        let loopback = if door.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() };
        door.set_ip(loopback);
    }
    door
}
