use serde::Serialize;
use serde::de::DeserializeOwned;
use tidegate_model::UnixNanos;

use super::{Catalog, CatalogError};

/// What a decision is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PolicyKind {
    /// How long rows are kept, and where.
    Retention,
    /// How many may come.
    Quota,
    /// How many may come into all datasets of one tenant, whose name then stands for the dataset's.
    TenantQuota,
    /// Since when a retention that nobody decided is known here.
    Notice,
    /// Where spans of one project are written and read, whose id then stands for the dataset's name.
    Tracing,
}

impl PolicyKind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Retention => "retention",
            Self::Quota => "quota",
            Self::TenantQuota => "tenant_quota",
            Self::Notice => "notice",
            Self::Tracing => "tracing",
        }
    }
}

/// What somebody decided for a dataset, one of its tables, or a built-in table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy<T> {
    /// The dataset, or the built-in table.
    pub slug: String,
    /// The table of the dataset; empty: all that have no policy of their own.
    pub label: String,
    /// What was decided.
    pub policy: T,
    /// When.
    pub updated_at: UnixNanos,
    /// By whom; empty where nobody said.
    pub updated_by: String,
}

type PolicyRow = (String, String, String, i64, String);

impl Catalog {
    /// Keeps a decision, in the place of the one before.
    pub async fn put_policy<T: Serialize>(&self, kind: PolicyKind, policy: &Policy<T>) -> Result<(), CatalogError> {
        let unwritable = |_| CatalogError::Corrupt { what: format!("the {} of `{}`", kind.as_str(), policy.slug) };
        sqlx::query("INSERT OR REPLACE INTO policies (slug, label, kind, policy, updated_at, updated_by) VALUES (?, ?, ?, ?, ?, ?)")
            .bind(&policy.slug)
            .bind(&policy.label)
            .bind(kind.as_str())
            .bind(serde_json::to_string(&policy.policy).map_err(unwritable)?)
            .bind(policy.updated_at.0)
            .bind(&policy.updated_by)
            .execute(&self.pool)
            .await
            .map_err(CatalogError::database("write a policy"))?;
        Ok(())
    }

    /// Forgets a decision; says whether there was one.
    pub async fn remove_policy(&self, kind: PolicyKind, slug: &str, label: &str) -> Result<bool, CatalogError> {
        let removed = sqlx::query("DELETE FROM policies WHERE slug = ? AND label = ? AND kind = ?")
            .bind(slug)
            .bind(label)
            .bind(kind.as_str())
            .execute(&self.pool)
            .await
            .map_err(CatalogError::database("remove a policy"))?;
        Ok(removed.rows_affected() > 0)
    }

    /// Lists all decisions of a kind.
    pub async fn policies<T: DeserializeOwned>(&self, kind: PolicyKind) -> Result<Vec<Policy<T>>, CatalogError> {
        let rows: Vec<PolicyRow> = sqlx::query_as(
            "SELECT slug, label, policy, updated_at, updated_by FROM policies WHERE kind = ? ORDER BY slug, label",
        )
        .bind(kind.as_str())
        .fetch_all(&self.pool)
        .await
        .map_err(CatalogError::database("read the policies"))?;
        let read = |(slug, label, policy, updated_at, updated_by): PolicyRow| {
            let policy = serde_json::from_str(&policy);
            let policy =
                policy.map_err(|_| CatalogError::Corrupt { what: format!("the {} of `{slug}`", kind.as_str()) })?;
            Ok(Policy { slug, label, policy, updated_at: UnixNanos(updated_at), updated_by })
        };
        rows.into_iter().map(read).collect()
    }
}
