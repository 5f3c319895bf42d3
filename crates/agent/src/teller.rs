use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use tidegate_model::Clock;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use crate::files::FileStatus;
use crate::rows::{Attributes, Value};
use crate::settings::Settings;
use crate::status::{self, Status};
use crate::writer::Shared;

/// Writes the file that `tidegate agent status` reads.
#[derive(Clone)]
pub(crate) struct Teller {
    pub(crate) shared: Arc<Shared>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) followed: Arc<Mutex<Vec<FileStatus>>>,
    pub(crate) identity: Identity,
    pub(crate) server: String,
    pub(crate) data: PathBuf,
}

impl Teller {
    pub(crate) async fn run(self, mut stop: watch::Receiver<bool>) {
        let mut tick = interval(status::EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut last = None;
        loop {
            tokio::select! {
                _ = tick.tick() => last = self.tell(last),
                _ = stop.wait_for(|stop| *stop) => return,
            }
        }
    }

    /// Tells how it ended.
    pub(crate) fn last_word(&self) {
        self.tell(None);
    }

    fn tell(&self, last: Option<String>) -> Option<String> {
        let files = self.followed.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let status = Status::of(&self.shared, &self.identity.agent, &self.identity.session, &self.server, files);
        status::write(&self.data, status, self.clock.now(), last)
    }
}

/// Who sends: the same as long as the folder lives, and another at each start.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    pub(crate) agent: String,
    pub(crate) session: String,
}

impl Identity {
    /// Returns the attributes of everything that it sends.
    pub(crate) fn resource(&self, settings: &Settings) -> Attributes {
        let mut resource: Attributes = vec![
            ("service.instance.id".into(), Value::Text(self.agent.clone())),
            ("agent.id".into(), Value::Text(self.agent.clone())),
            ("session.id".into(), Value::Text(self.session.clone())),
            ("host.name".into(), Value::Text(sysinfo::System::host_name().unwrap_or_default())),
            ("os.type".into(), Value::Text(std::env::consts::OS.into())),
        ];
        for (name, value) in &settings.resource {
            resource.retain(|(known, _)| known != name);
            resource.push((name.clone(), Value::Text(value.clone())));
        }
        resource
    }
}
