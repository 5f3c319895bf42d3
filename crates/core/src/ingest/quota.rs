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
    /// The dataset's tenant, where the limit is that of all its datasets together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
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
    datasets: Book,
    /// Each of all datasets of one tenant together.
    tenants: Book,
    /// Requests that were refused, by the quota.
    refused: BTreeMap<&'static str, u64>,
}

/// Quotas by name, and how far they are used.
#[derive(Debug, Default)]
struct Book {
    default: Quota,
    own: HashMap<String, Quota>,
    used: HashMap<String, Used>,
}

/// Who sends: a dataset, and its tenant where it has one.
#[derive(Debug, Clone, Copy)]
pub struct Payer<'a> {
    /// The dataset, or `logs`, `spans`, `metrics`.
    pub dataset: &'a str,
    /// Who answers for it together with others.
    pub tenant: Option<&'a str>,
}

impl<'a> Payer<'a> {
    /// A dataset that answers for itself alone.
    #[must_use]
    pub const fn dataset(dataset: &'a str) -> Self {
        Self { dataset, tenant: None }
    }
}

/// What a dataset or a tenant has left of its second, and what it has stored.
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
    /// Says what holds for a dataset where nothing else was decided.
    pub fn set_default(&self, default: Quota) {
        self.lock().datasets.default = default;
    }

    /// Decides for one dataset; `None`: the default holds again.
    pub fn set(&self, dataset: &str, quota: Option<Quota>) {
        self.lock().datasets.set(dataset, quota);
    }

    /// Decides for all datasets of one tenant together; `None`: there is no limit again.
    pub fn set_tenant(&self, tenant: &str, quota: Option<Quota>) {
        self.lock().tenants.set(tenant, quota);
    }

    /// Returns what holds for a dataset, and whether it was decided for it.
    #[must_use]
    pub fn of(&self, dataset: &str) -> (Quota, bool) {
        self.lock().datasets.of(dataset)
    }

    /// Returns what holds for all datasets of a tenant together, and whether it was decided.
    #[must_use]
    pub fn of_tenant(&self, tenant: &str) -> (Quota, bool) {
        self.lock().tenants.of(tenant)
    }

    /// Says whether some dataset or tenant may only store so much.
    #[must_use]
    pub fn counts_stored(&self) -> bool {
        let state = self.lock();
        [&state.datasets, &state.tenants].into_iter().any(Book::counts_stored)
    }

    /// Notes how many bytes each dataset and each tenant has stored; of others nothing is.
    pub fn set_stored(&self, datasets: &HashMap<String, u64>, tenants: &HashMap<String, u64>) {
        let mut state = self.lock();
        state.datasets.set_stored(datasets);
        state.tenants.set_stored(tenants);
    }

    /// Returns how many bytes a dataset had stored when that was looked at last.
    #[must_use]
    pub fn stored(&self, dataset: &str) -> u64 {
        self.lock().datasets.stored(dataset)
    }

    /// Returns how many bytes a tenant's datasets had stored then.
    #[must_use]
    pub fn stored_of_tenant(&self, tenant: &str) -> u64 {
        self.lock().tenants.stored(tenant)
    }

    /// Returns how many requests each quota refused since the start.
    #[must_use]
    pub fn refused(&self) -> BTreeMap<&'static str, u64> {
        self.lock().refused.clone()
    }

    /// Takes a request's rows and bytes from what is left, all or nothing.
    pub fn take(&self, payer: Payer<'_>, rows: u64, bytes: u64, now: Duration) -> Result<(), OverQuota> {
        let mut state = self.lock();
        let taken = state.take(payer, (rows, bytes), now);
        if let Err(over) = &taken {
            *state.refused.entry(over.quota).or_default() += 1;
        }
        taken
    }

    /// Gives back what a request took that wrote nothing.
    pub fn give_back(&self, payer: Payer<'_>, rows: u64, bytes: u64) {
        let mut state = self.lock();
        state.datasets.give_back(payer.dataset, rows, bytes);
        if let Some(tenant) = payer.tenant {
            state.tenants.give_back(tenant, rows, bytes);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn take(&mut self, payer: Payer<'_>, cost: (u64, u64), now: Duration) -> Result<(), OverQuota> {
        if cost.0 == 0 {
            return Ok(());
        }
        let over = |over: Over, tenant: Option<&str>| OverQuota {
            dataset: payer.dataset.to_owned(),
            tenant: tenant.map(str::to_owned),
            quota: over.quota,
            limit: over.limit,
            used: over.used,
            left: over.left,
            retry_after_ms: over.retry_after_ms,
        };
        // Both are asked before anything is taken from either.
        let own = self.datasets.look(payer.dataset, cost, now).map_err(|error| over(error, None))?;
        if let Some(tenant) = payer.tenant {
            let left = self.tenants.look(tenant, cost, now).map_err(|error| over(error, Some(tenant)))?;
            self.tenants.put(tenant, left);
        }
        self.datasets.put(payer.dataset, own);
        Ok(())
    }
}

/// Which limit is passed.
struct Over {
    quota: &'static str,
    limit: u64,
    used: u64,
    left: i64,
    retry_after_ms: u64,
}

/// What is left once a request has taken its part: rows and bytes.
type Left = [Option<Bucket>; 2];

impl Book {
    fn set(&mut self, name: &str, quota: Option<Quota>) {
        match quota {
            Some(quota) => drop(self.own.insert(name.to_owned(), quota)),
            None => drop(self.own.remove(name)),
        }
    }

    fn of(&self, name: &str) -> (Quota, bool) {
        let own = self.own.get(name);
        (own.copied().unwrap_or(self.default), own.is_some())
    }

    fn counts_stored(&self) -> bool {
        self.default.stored_bytes.is_some() || self.own.values().any(|quota| quota.stored_bytes.is_some())
    }

    fn set_stored(&mut self, stored: &HashMap<String, u64>) {
        self.used.values_mut().for_each(|used| used.stored_bytes = 0);
        for (name, bytes) in stored {
            self.used.entry(name.clone()).or_default().stored_bytes = *bytes;
        }
    }

    fn stored(&self, name: &str) -> u64 {
        self.used.get(name).map_or(0, |used| used.stored_bytes)
    }

    /// Says what is left once a request has taken its part; nothing is taken yet.
    fn look(&self, name: &str, (rows, bytes): (u64, u64), now: Duration) -> Result<Left, Over> {
        let (quota, _) = self.of(name);
        let stored = self.stored(name);
        if let Some(limit) = quota.stored_bytes.filter(|limit| stored >= *limit) {
            let left = signed(limit).saturating_sub(signed(stored));
            let (quota, retry_after_ms) = ("storedBytes", QUOTA_STORED_RETRY_MS);
            return Err(Over { quota, limit, used: stored, left, retry_after_ms });
        }
        let used = self.used.get(name);
        let of_rows = ("rowsPerSecond", quota.rows_per_second, used.and_then(|used| used.rows), rows);
        let of_bytes = ("bytesPerSecond", quota.bytes_per_second, used.and_then(|used| used.bytes), bytes);
        let mut left = [None; 2];
        for (left, (quota, limit, bucket, cost)) in left.iter_mut().zip([of_rows, of_bytes]) {
            let Some(limit) = limit else { continue };
            let bucket = filled(bucket, limit, now);
            if bucket.left <= 0.0 {
                let retry_after_ms = bucket.wait_ms(limit);
                return Err(Over { quota, limit, used: cost, left: floor(bucket.left), retry_after_ms });
            }
            *left = Some(bucket.without(cost));
        }
        Ok(left)
    }

    fn put(&mut self, name: &str, [rows, bytes]: Left) {
        if rows.is_some() || bytes.is_some() || self.used.contains_key(name) {
            let used = self.used.entry(name.to_owned()).or_default();
            (used.rows, used.bytes) = (rows, bytes);
        }
    }

    fn give_back(&mut self, name: &str, rows: u64, bytes: u64) {
        let Some(used) = self.used.get_mut(name) else { return };
        for (bucket, taken) in [(&mut used.rows, rows), (&mut used.bytes, bytes)] {
            if let Some(bucket) = bucket {
                bucket.left += as_float(taken);
            }
        }
    }
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
            if quotas.take(Payer::dataset("d"), 7, 1, Duration::from_millis(step * 10)).is_ok() {
                taken += 7;
            }
        }
        assert!((10_000..=10_000 + 100 + 7).contains(&taken), "{taken} rows in 100 s");
    }

    #[test]
    fn a_large_request_passes_and_is_paid_for() {
        let quotas = rows(10);
        quotas.take(Payer::dataset("d"), 50, 1, Duration::ZERO).expect("a full second is left");
        let over = quotas.take(Payer::dataset("d"), 1, 1, Duration::from_secs(1)).expect_err("it is paid for");
        assert_eq!((over.quota, over.limit, over.left, over.retry_after_ms), ("rowsPerSecond", 10, -30, 3_100));
        assert!(quotas.take(Payer::dataset("d"), 1, 1, Duration::from_millis(4_100)).is_ok());
        assert!(quotas.take(Payer::dataset("other"), 1, 1, Duration::ZERO).is_ok(), "datasets do not share");
    }

    #[test]
    fn what_is_refused_or_given_back_costs_nothing() {
        let quotas = Quotas::default();
        let both = Quota { rows_per_second: Some(10), bytes_per_second: Some(10), ..Quota::default() };
        quotas.set("d", Some(both));
        quotas.take(Payer::dataset("d"), 1, 20, Duration::ZERO).expect("room");
        let over = quotas.take(Payer::dataset("d"), 1, 1, Duration::ZERO).expect_err("no bytes are left");
        assert_eq!((over.quota, over.left), ("bytesPerSecond", -10));
        quotas.give_back(Payer::dataset("d"), 1, 20);
        assert!(quotas.take(Payer::dataset("d"), 10, 10, Duration::ZERO).is_ok(), "the refused request took no row");
        quotas.set("d", None);
        assert!(quotas.take(Payer::dataset("d"), 1_000, 1_000, Duration::ZERO).is_ok());
    }

    #[test]
    fn a_full_dataset_takes_rows_again_when_some_are_gone() {
        let quotas = Quotas::default();
        quotas.set("d", Some(Quota { stored_bytes: Some(100), ..Quota::default() }));
        assert!(quotas.counts_stored());
        quotas.set_stored(&HashMap::from([("d".to_owned(), 130)]), &HashMap::new());
        let over = quotas.take(Payer::dataset("d"), 1, 1, Duration::ZERO).expect_err("it is full");
        assert_eq!((over.quota, over.used, over.left), ("storedBytes", 130, -30));
        quotas.set_stored(&HashMap::new(), &HashMap::new());
        assert!(quotas.take(Payer::dataset("d"), 1, 1, Duration::ZERO).is_ok());
    }

    #[test]
    fn datasets_of_one_tenant_share_its_quota_and_a_refusal_costs_neither() {
        let quotas = Quotas::default();
        quotas.set("a", Some(Quota { rows_per_second: Some(5), ..Quota::default() }));
        let limits = Quota { rows_per_second: Some(10), stored_bytes: Some(100), ..Quota::default() };
        quotas.set_tenant("acme", Some(limits));
        let of = |dataset| Payer { dataset, tenant: Some("acme") };
        quotas.take(of("b"), 10, 1, Duration::ZERO).expect("the tenant's second");
        let over = quotas.take(of("a"), 1, 1, Duration::ZERO).expect_err("the other dataset took it");
        assert_eq!((over.dataset.as_str(), over.tenant.as_deref(), over.limit), ("a", Some("acme"), 10));
        assert!(quotas.take(Payer::dataset("c"), 1_000, 1, Duration::ZERO).is_ok(), "another tenant's");
        quotas.give_back(of("b"), 10, 1);
        quotas.take(of("a"), 5, 1, Duration::ZERO).expect("the refused request took nothing of its dataset");
        let over = quotas.take(of("a"), 1, 1, Duration::ZERO).expect_err("its own are spent");
        assert_eq!((over.tenant, over.limit), (None, 5));
        quotas.take(of("b"), 5, 1, Duration::ZERO).expect("what the dataset refused is the tenant's still");
        assert!(quotas.counts_stored());
        quotas.set_stored(&HashMap::new(), &HashMap::from([("acme".to_owned(), 100)]));
        let over = quotas.take(of("b"), 1, 1, Duration::from_secs(9)).expect_err("all together are full");
        assert_eq!((over.quota, over.tenant.as_deref(), over.used), ("storedBytes", Some("acme"), 100));
    }
}
