//! Answers from tables that seldom get a row, kept until one comes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::TryStreamExt;
use serde::de::DeserializeOwned;
use tidegate_model::{Seq, TableSpec};

use super::read::{Reader, Sql, row_of, told};
use crate::errors::Failure;

/// Answers that are kept; the lists of the reference ask for about twenty.
const KEPT: usize = 256;
/// Longer ones are not worth their room: 16 MiB with all others.
const BYTES_MAX: usize = 64 << 10;
/// After so long retention may have taken rows.
const KEPT_FOR: Duration = Duration::from_secs(60);

/// Answers, by their statements; what is not asked for again is forgotten.
#[derive(Debug, Default)]
pub(super) struct Steady {
    answers: Mutex<HashMap<String, Kept>>,
}

#[derive(Debug, Clone)]
struct Kept {
    /// The newest row of each table before it was asked.
    heads: Vec<Seq>,
    at: Instant,
    lines: Arc<Vec<u8>>,
}

impl Steady {
    fn find(&self, statement: &str, heads: &[Seq]) -> Option<Arc<Vec<u8>>> {
        let kept = self.lock().get(statement).cloned()?;
        (kept.heads == heads && kept.at.elapsed() < KEPT_FOR).then_some(kept.lines)
    }

    fn keep(&self, statement: String, heads: Vec<Seq>, lines: Vec<u8>) -> Arc<Vec<u8>> {
        let lines = Arc::new(lines);
        if lines.len() <= BYTES_MAX {
            let mut answers = self.lock();
            if answers.len() >= KEPT {
                answers.clear();
            }
            answers.insert(statement, Kept { heads, at: Instant::now(), lines: Arc::clone(&lines) });
        }
        lines
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Kept>> {
        // A panic elsewhere leaves the map whole: each change is a single call.
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reader {
    /// Returns a statement's rows, as long as nothing came to its tables those that were read before.
    pub(super) async fn steady_rows<T>(&self, tables: &[&TableSpec], sql: Sql) -> Result<Vec<T>, Failure>
    where
        T: DeserializeOwned + Send + 'static,
    {
        // Where others write, too, nobody here knows of their rows.
        let is_alone = self.stages.query.rollup.as_ref().is_some_and(|rollup| rollup.totals().is_some());
        if !is_alone || !self.sources.is_plain() {
            return self.rows(sql).await;
        }
        let names: Vec<_> = tables.iter().map(|table| table.name.clone()).collect();
        let heads = self.stages.buffer.snapshot(&names).into_iter().map(|tail| tail.head).collect::<Vec<_>>();
        let (statement, answers) = (sql.as_key(), &self.stages.cardinality.steady);
        let lines = match answers.find(&statement, &heads) {
            Some(lines) => lines,
            None => {
                let body = self.asked(sql).await?.body.map_err(told);
                let lines = body.try_fold(Vec::new(), |mut lines, piece| async move {
                    lines.extend_from_slice(&piece);
                    Ok(lines)
                });
                answers.keep(statement, heads, lines.await?)
            }
        };
        lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(row_of).collect()
    }
}
