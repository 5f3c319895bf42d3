use serde::{Deserialize, Serialize};
use tidegate_model::{Retention, TableName, UnixNanos};

use super::{Expire, ExpireError};
use crate::catalog::{Policy, PolicyKind};

const NANOS_OF_SECOND: i64 = 1_000_000_000;

/// What the settings keep of a table for which nobody decided anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableDefault {
    /// The table.
    pub table: TableName,
    /// What is kept of it.
    pub retention: Retention,
    /// The program's own default begins to hold so many seconds after it is first known to an installation; `None`:
    /// somebody wrote it into the settings, and it holds.
    pub notice: Option<u64>,
}

/// A retention that does not hold yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pending {
    /// What will be kept.
    pub retention: Retention,
    /// When that begins.
    pub from: UnixNanos,
}

/// What the catalog has of a notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Noted {
    at: UnixNanos,
}

impl Expire {
    /// Notes the defaults that this installation did not know before: from now on their notice runs.
    pub async fn note_defaults(&self) -> Result<(), ExpireError> {
        let known = self.sources.catalog.policies::<Noted>(PolicyKind::Notice).await?;
        let now = self.sources.clock.now();
        let ours = self.sources.defaults.iter().filter(|default| default.notice.is_some());
        for default in ours.filter(|default| known.iter().all(|own| own.slug != default.table.as_str())) {
            let noted = Policy {
                slug: default.table.to_string(),
                label: String::new(),
                policy: Noted { at: now },
                updated_at: now,
                updated_by: String::new(),
            };
            self.sources.catalog.put_policy(PolicyKind::Notice, &noted).await?;
        }
        Ok(())
    }

    /// Says what the settings keep of each table now, and what they will.
    pub(super) async fn defaults(&self) -> Result<Vec<(TableName, Retention, Option<Pending>)>, ExpireError> {
        let known = self.sources.catalog.policies::<Noted>(PolicyKind::Notice).await?;
        let now = self.sources.clock.now();
        let of = |default: &TableDefault| {
            let table = default.table.clone();
            let Some(notice) = default.notice.filter(|_| default.retention.max_age.is_some()) else {
                return (table, default.retention, None);
            };
            // What is not noted yet begins with its note.
            let noted = known.iter().find(|own| own.slug == table.as_str()).map_or(now, |own| own.policy.at);
            let notice = i64::try_from(notice).unwrap_or(i64::MAX).saturating_mul(NANOS_OF_SECOND);
            let from = UnixNanos(noted.0.saturating_add(notice));
            if now >= from {
                return (table, default.retention, None);
            }
            let meanwhile = Retention { max_age: None, ..default.retention };
            (table, meanwhile, Some(Pending { retention: default.retention, from }))
        };
        Ok(self.sources.defaults.iter().map(of).collect())
    }
}
