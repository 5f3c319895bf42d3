use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tidegate_model::limits::{QUOTA_RETRY_MS_MAX, QUOTA_STORED_RETRY_MS};

/// How much may come into a dataset; `None`: as much as there is room for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Quota {
    /// Rows a second.
    pub rows_per_second: Option<u64>,
    /// Bytes of request bodies a second, uncompressed.
    pub bytes_per_second: Option<u64>,
    /// Bytes that its tables take in ClickHouse.
    pub stored_bytes: Option<u64>,
}

/// Which limit a request is past, and how it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OverQuota {
    /// The dataset, or `logs`, `spans`, `metrics`.
    pub dataset: String,
    /// `rowsPerSecond`, `bytesPerSecond` or `storedBytes`.
    pub quota: &'static str,
    /// What may be.
    pub limit: u64,
    /// What the request brings; of stored bytes what is stored.
    pub used: u64,
    /// How much is left: below zero by as much as earlier requests took ahead.
    pub left: i64,
    /// When it is worth another try (milliseconds).
    pub retry_after_ms: u64,
}

/// Quotas of all datasets and how far they are used; clones share them.
#[derive(Debug, Clone, Default)]
pub struct Quotas {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    default: Quota,
    own: HashMap<String, Quota>,
    used: HashMap<String, Used>,
    /// Requests that were refused, by the quota.
    refused: BTreeMap<&'static str, u64>,
}

/// What a dataset has left of its second, and what it has stored.
#[derive(Debug, Default)]
struct Used {
    rows: Option<Bucket>,
    bytes: Option<Bucket>,
    stored_bytes: u64,
}

/// Fills by its rate up to one second's worth. A request is let in while something is in it, whatever its size, and takes
/// ahead what is not there: large requests pass, and the rate holds over time.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    left: f64,
    filled_at: Duration,
}

impl Quotas {
    /// Says what holds where nothing else was decided.
    pub fn set_default(&self, default: Quota) {
        self.lock().default = default;
    }

    /// Decides for one dataset; `None`: the default holds again.
    pub fn set(&self, dataset: &str, quota: Option<Quota>) {
        let mut state = self.lock();
        match quota {
            Some(quota) => drop(state.own.insert(dataset.to_owned(), quota)),
            None => drop(state.own.remove(dataset)),
        }
    }

    /// Returns what holds for a dataset, and whether it was decided for it.
    #[must_use]
    pub fn of(&self, dataset: &str) -> (Quota, bool) {
        let state = self.lock();
        let own = state.own.get(dataset);
        (own.copied().unwrap_or(state.default), own.is_some())
    }

    /// Says whether some dataset may only store so much.
    #[must_use]
    pub fn counts_stored(&self) -> bool {
        let state = self.lock();
        state.default.stored_bytes.is_some() || state.own.values().any(|quota| quota.stored_bytes.is_some())
    }

    /// Notes how many bytes each dataset has stored; of others nothing is.
    pub fn set_stored(&self, stored: &HashMap<String, u64>) {
        let mut state = self.lock();
        state.used.values_mut().for_each(|used| used.stored_bytes = 0);
        for (dataset, bytes) in stored {
            state.used.entry(dataset.clone()).or_default().stored_bytes = *bytes;
        }
    }

    /// Returns how many bytes a dataset had stored when that was looked at last.
    #[must_use]
    pub fn stored(&self, dataset: &str) -> u64 {
        self.lock().used.get(dataset).map_or(0, |used| used.stored_bytes)
    }

    /// Returns how many requests each quota refused since the start.
    #[must_use]
    pub fn refused(&self) -> BTreeMap<&'static str, u64> {
        self.lock().refused.clone()
    }

    /// Takes a request's rows and bytes from what is left, all or nothing.
    pub fn take(&self, dataset: &str, rows: u64, bytes: u64, now: Duration) -> Result<(), OverQuota> {
        let mut state = self.lock();
        let taken = take(&mut state, dataset, (rows, bytes), now);
        if let Err(over) = &taken {
            *state.refused.entry(over.quota).or_default() += 1;
        }
        taken
    }

    /// Gives back what a request took that wrote nothing.
    pub fn give_back(&self, dataset: &str, rows: u64, bytes: u64) {
        let mut state = self.lock();
        let Some(used) = state.used.get_mut(dataset) else { return };
        for (bucket, taken) in [(&mut used.rows, rows), (&mut used.bytes, bytes)] {
            if let Some(bucket) = bucket {
                bucket.left += as_float(taken);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn take(state: &mut State, dataset: &str, (rows, bytes): (u64, u64), now: Duration) -> Result<(), OverQuota> {
    let quota = state.own.get(dataset).copied().unwrap_or(state.default);
    if quota == Quota::default() || rows == 0 {
        return Ok(());
    }
    let used = state.used.entry(dataset.to_owned()).or_default();
    if let Some(limit) = quota.stored_bytes.filter(|limit| used.stored_bytes >= *limit) {
        let left = signed(limit).saturating_sub(signed(used.stored_bytes));
        let (quota, used, retry_after_ms) = ("storedBytes", used.stored_bytes, QUOTA_STORED_RETRY_MS);
        return Err(OverQuota { dataset: dataset.to_owned(), quota, limit, used, left, retry_after_ms });
    }
    let over = |quota, limit, used, bucket: Bucket| OverQuota {
        dataset: dataset.to_owned(),
        quota,
        limit,
        used,
        left: floor(bucket.left),
        retry_after_ms: bucket.wait_ms(limit),
    };
    let of_rows = quota.rows_per_second.map(|limit| (limit, filled(used.rows, limit, now)));
    let of_bytes = quota.bytes_per_second.map(|limit| (limit, filled(used.bytes, limit, now)));
    if let Some((limit, bucket)) = of_rows.filter(|(_, bucket)| bucket.left <= 0.0) {
        return Err(over("rowsPerSecond", limit, rows, bucket));
    }
    if let Some((limit, bucket)) = of_bytes.filter(|(_, bucket)| bucket.left <= 0.0) {
        return Err(over("bytesPerSecond", limit, bytes, bucket));
    }
    used.rows = of_rows.map(|(_, bucket)| bucket.without(rows));
    used.bytes = of_bytes.map(|(_, bucket)| bucket.without(bytes));
    Ok(())
}

impl Bucket {
    fn without(self, taken: u64) -> Self {
        Self { left: self.left - as_float(taken), ..self }
    }

    /// Returns how long it takes until something is in it again.
    fn wait_ms(self, rate: u64) -> u64 {
        let seconds = (1.0 - self.left) / as_float(rate.max(1));
        let wait = Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX);
        u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).clamp(1, QUOTA_RETRY_MS_MAX)
    }
}

fn filled(bucket: Option<Bucket>, rate: u64, now: Duration) -> Bucket {
    let most = as_float(rate);
    let Some(bucket) = bucket else { return Bucket { left: most, filled_at: now } };
    let passed = now.saturating_sub(bucket.filled_at).as_secs_f64();
    Bucket { left: passed.mul_add(most, bucket.left).min(most), filled_at: now }
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[expect(clippy::cast_precision_loss, reason = "quotas past 2^53 are none")]
fn as_float(number: u64) -> f64 {
    number as f64
}

#[expect(clippy::cast_possible_truncation, reason = "the cast saturates, and what is told is told about")]
fn floor(number: f64) -> i64 {
    number.floor() as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(per_second: u64) -> Quotas {
        let quotas = Quotas::default();
        quotas.set_default(Quota { rows_per_second: Some(per_second), ..Quota::default() });
        quotas
    }

    #[test]
    fn over_time_no_more_rows_come_than_the_rate_says() {
        let quotas = rows(100);
        let mut taken = 0;
        for step in 0..10_000_u64 {
            if quotas.take("d", 7, 1, Duration::from_millis(step * 10)).is_ok() {
                taken += 7;
            }
        }
        assert!((10_000..=10_000 + 100 + 7).contains(&taken), "{taken} rows in 100 s");
    }

    #[test]
    fn a_large_request_passes_and_is_paid_for() {
        let quotas = rows(10);
        quotas.take("d", 50, 1, Duration::ZERO).expect("a full second is left");
        let over = quotas.take("d", 1, 1, Duration::from_secs(1)).expect_err("it is paid for");
        assert_eq!((over.quota, over.limit, over.left, over.retry_after_ms), ("rowsPerSecond", 10, -30, 3_100));
        assert!(quotas.take("d", 1, 1, Duration::from_millis(4_100)).is_ok());
        assert!(quotas.take("other", 1, 1, Duration::ZERO).is_ok(), "datasets do not share");
    }

    #[test]
    fn what_is_refused_or_given_back_costs_nothing() {
        let quotas = Quotas::default();
        let both = Quota { rows_per_second: Some(10), bytes_per_second: Some(10), ..Quota::default() };
        quotas.set("d", Some(both));
        quotas.take("d", 1, 20, Duration::ZERO).expect("room");
        let over = quotas.take("d", 1, 1, Duration::ZERO).expect_err("no bytes are left");
        assert_eq!((over.quota, over.left), ("bytesPerSecond", -10));
        quotas.give_back("d", 1, 20);
        assert!(quotas.take("d", 10, 10, Duration::ZERO).is_ok(), "the refused request took no row");
        quotas.set("d", None);
        assert!(quotas.take("d", 1_000, 1_000, Duration::ZERO).is_ok());
    }

    #[test]
    fn a_full_dataset_takes_rows_again_when_some_are_gone() {
        let quotas = Quotas::default();
        quotas.set("d", Some(Quota { stored_bytes: Some(100), ..Quota::default() }));
        assert!(quotas.counts_stored());
        quotas.set_stored(&HashMap::from([("d".to_owned(), 130)]));
        let over = quotas.take("d", 1, 1, Duration::ZERO).expect_err("it is full");
        assert_eq!((over.quota, over.used, over.left), ("storedBytes", 130, -30));
        quotas.set_stored(&HashMap::new());
        assert!(quotas.take("d", 1, 1, Duration::ZERO).is_ok());
    }
}
