use sqlx::SqliteConnection;
use tidegate_model::UnixNanos;
use tidegate_model::limits::{ALERT_RULES_MAX, ALERT_SILENCES_MAX};

use super::{Catalog, CatalogError};

/// A rule that was made over the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedRule {
    /// Its name.
    pub name: String,
    /// The rule, as JSON.
    pub rule: String,
    /// When it was made or changed.
    pub updated_at: UnixNanos,
    /// By whom.
    pub updated_by: String,
}

/// Where one alert is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedAlert {
    /// The rule.
    pub rule: String,
    /// What tells it from the rule's others, as JSON.
    pub labels: String,
    /// Its state, as JSON; `None`: it is idle, and forgotten.
    pub state: Option<String>,
    /// When people were told last that it is bad; `None`: they were told that it is over, or nothing.
    pub told_at: Option<UnixNanos>,
}

/// What a receiver is to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewAlertMessage {
    /// Who gets it.
    pub receiver: String,
    /// What it says, as JSON.
    pub body: String,
}

/// What a receiver has not taken yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertMessage {
    /// Its number; later ones are larger, and none is used twice.
    pub number: i64,
    /// What it says, as JSON.
    pub body: String,
    /// How often it was sent in vain.
    pub attempts: u32,
    /// When it is to be sent.
    pub due_at: UnixNanos,
}

/// A silence that somebody asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedSilence {
    /// Its number.
    pub number: i64,
    /// The silence, as JSON.
    pub silence: String,
    /// When it was asked for.
    pub created_at: UnixNanos,
    /// By whom.
    pub created_by: String,
}

impl Catalog {
    /// Lists rules by their names.
    pub async fn alert_rules(&self) -> Result<Vec<SavedRule>, CatalogError> {
        let sql = "SELECT name, rule, updated_at, updated_by FROM alert_rules ORDER BY name";
        let rows: Vec<(String, String, i64, String)> =
            sqlx::query_as(sql).fetch_all(&self.pool).await.map_err(CatalogError::database("list alert rules"))?;
        let rule = |(name, rule, at, updated_by)| SavedRule { name, rule, updated_at: UnixNanos(at), updated_by };
        Ok(rows.into_iter().map(rule).collect())
    }

    /// Keeps a rule, or changes the one of its name; says whether it is new.
    pub async fn keep_alert_rule(&self, rule: &SavedRule) -> Result<bool, CatalogError> {
        let failed = || CatalogError::database("keep an alert rule");
        let mut transaction = self.pool.begin().await.map_err(failed())?;
        let before: (i64, i64) = sqlx::query_as("SELECT count(*), coalesce(sum(name = ?), 0) FROM alert_rules")
            .bind(&rule.name)
            .fetch_one(&mut *transaction)
            .await
            .map_err(failed())?;
        let is_new = before.1 == 0;
        if is_new && before.0 >= i64::from(ALERT_RULES_MAX) {
            return Err(CatalogError::TooManyAlerts { what: "rules", most: ALERT_RULES_MAX });
        }
        let sql = "INSERT INTO alert_rules (name, rule, updated_at, updated_by) VALUES (?, ?, ?, ?)
             ON CONFLICT (name) DO UPDATE SET rule = excluded.rule, updated_at = excluded.updated_at,
                 updated_by = excluded.updated_by";
        sqlx::query(sql)
            .bind(&rule.name)
            .bind(&rule.rule)
            .bind(rule.updated_at.0)
            .bind(&rule.updated_by)
            .execute(&mut *transaction)
            .await
            .map_err(failed())?;
        transaction.commit().await.map_err(failed())?;
        Ok(is_new)
    }

    /// Forgets a rule and where its alerts are; says whether there was one.
    pub async fn forget_alert_rule(&self, name: &str) -> Result<bool, CatalogError> {
        let failed = || CatalogError::database("forget an alert rule");
        let mut transaction = self.pool.begin().await.map_err(failed())?;
        let gone = sqlx::query("DELETE FROM alert_rules WHERE name = ?").bind(name).execute(&mut *transaction).await;
        let gone = gone.map_err(failed())?.rows_affected() > 0;
        let states = sqlx::query("DELETE FROM alert_states WHERE rule = ?").bind(name).execute(&mut *transaction).await;
        states.map_err(failed())?;
        transaction.commit().await.map_err(failed())?;
        Ok(gone)
    }

    /// Lists what is known of alerts that are not idle.
    pub async fn alert_states(&self) -> Result<Vec<SavedAlert>, CatalogError> {
        let sql = "SELECT rule, labels, state, told_at FROM alert_states ORDER BY rule, labels";
        let rows: Vec<(String, String, String, Option<i64>)> =
            sqlx::query_as(sql).fetch_all(&self.pool).await.map_err(CatalogError::database("list alerts"))?;
        let alert = |(rule, labels, state, told_at): (String, String, String, Option<i64>)| SavedAlert {
            rule,
            labels,
            state: Some(state),
            told_at: told_at.map(UnixNanos),
        };
        Ok(rows.into_iter().map(alert).collect())
    }

    /// Writes where alerts are now, and what receivers are to be sent of it: both, or neither.
    pub async fn change_alerts(
        &self,
        alerts: &[SavedAlert],
        messages: &[NewAlertMessage],
        now: UnixNanos,
    ) -> Result<(), CatalogError> {
        let failed = || CatalogError::database("write where alerts are");
        let mut transaction = self.pool.begin().await.map_err(failed())?;
        for alert in alerts {
            put(&mut transaction, alert).await.map_err(failed())?;
        }
        for message in messages {
            sqlx::query("INSERT INTO alert_messages (receiver, body, due_at) VALUES (?, ?, ?)")
                .bind(&message.receiver)
                .bind(&message.body)
                .bind(now.0)
                .execute(&mut *transaction)
                .await
                .map_err(failed())?;
        }
        transaction.commit().await.map_err(failed())
    }

    /// Returns the oldest message that a receiver has not taken.
    pub async fn next_alert_message(&self, receiver: &str) -> Result<Option<AlertMessage>, CatalogError> {
        let sql =
            "SELECT number, body, attempts, due_at FROM alert_messages WHERE receiver = ? ORDER BY number LIMIT 1";
        let row: Option<(i64, String, u32, i64)> = sqlx::query_as(sql)
            .bind(receiver)
            .fetch_optional(&self.pool)
            .await
            .map_err(CatalogError::database("find the next message of an alert"))?;
        let message =
            |(number, body, attempts, due_at)| AlertMessage { number, body, attempts, due_at: UnixNanos(due_at) };
        Ok(row.map(message))
    }

    /// Notes that a message was sent in vain, and when it is sent again.
    pub async fn delay_alert_message(&self, number: i64, due_at: UnixNanos) -> Result<(), CatalogError> {
        let sql = "UPDATE alert_messages SET attempts = attempts + 1, due_at = ? WHERE number = ?";
        let changed = sqlx::query(sql).bind(due_at.0).bind(number).execute(&self.pool).await;
        changed.map(drop).map_err(CatalogError::database("note what became of a message"))
    }

    /// Lets a message go that was taken or given up.
    pub async fn forget_alert_message(&self, number: i64) -> Result<(), CatalogError> {
        let gone = sqlx::query("DELETE FROM alert_messages WHERE number = ?").bind(number).execute(&self.pool).await;
        gone.map(drop).map_err(CatalogError::database("note what became of a message"))
    }

    /// Lists silences that are not over.
    pub async fn alert_silences(&self, now: UnixNanos) -> Result<Vec<SavedSilence>, CatalogError> {
        let sql = "SELECT number, silence, created_at, created_by FROM alert_silences WHERE until > ? ORDER BY number";
        let rows: Vec<(i64, String, i64, String)> = sqlx::query_as(sql)
            .bind(now.0)
            .fetch_all(&self.pool)
            .await
            .map_err(CatalogError::database("list silences"))?;
        let silence =
            |(number, silence, at, created_by)| SavedSilence { number, silence, created_at: UnixNanos(at), created_by };
        Ok(rows.into_iter().map(silence).collect())
    }

    /// Keeps a silence until its end, and forgets those that are over; returns its number.
    pub async fn add_alert_silence(
        &self,
        silence: &str,
        until: UnixNanos,
        (now, actor): (UnixNanos, &str),
    ) -> Result<i64, CatalogError> {
        let failed = || CatalogError::database("keep a silence");
        let mut transaction = self.pool.begin().await.map_err(failed())?;
        sqlx::query("DELETE FROM alert_silences WHERE until <= ?")
            .bind(now.0)
            .execute(&mut *transaction)
            .await
            .map_err(failed())?;
        let sql = "INSERT INTO alert_silences (silence, until, created_at, created_by)
             SELECT ?, ?, ?, ? WHERE (SELECT count(*) FROM alert_silences) < ? RETURNING number";
        let number: Option<(i64,)> = sqlx::query_as(sql)
            .bind(silence)
            .bind(until.0)
            .bind(now.0)
            .bind(actor)
            .bind(ALERT_SILENCES_MAX)
            .fetch_optional(&mut *transaction)
            .await
            .map_err(failed())?;
        transaction.commit().await.map_err(failed())?;
        number.map(|(number,)| number).ok_or(CatalogError::TooManyAlerts { what: "silences", most: ALERT_SILENCES_MAX })
    }

    /// Ends a silence; says whether there was one.
    pub async fn forget_alert_silence(&self, number: i64) -> Result<bool, CatalogError> {
        let gone = sqlx::query("DELETE FROM alert_silences WHERE number = ?").bind(number).execute(&self.pool).await;
        Ok(gone.map_err(CatalogError::database("end a silence"))?.rows_affected() > 0)
    }
}

async fn put(transaction: &mut SqliteConnection, alert: &SavedAlert) -> Result<(), sqlx::Error> {
    let Some(state) = &alert.state else {
        let sql = "DELETE FROM alert_states WHERE rule = ? AND labels = ?";
        return sqlx::query(sql).bind(&alert.rule).bind(&alert.labels).execute(transaction).await.map(drop);
    };
    let sql = "INSERT INTO alert_states (rule, labels, state, told_at) VALUES (?, ?, ?, ?)
         ON CONFLICT (rule, labels) DO UPDATE SET state = excluded.state, told_at = excluded.told_at";
    let put = sqlx::query(sql).bind(&alert.rule).bind(&alert.labels).bind(state);
    put.bind(alert.told_at.map(|at| at.0)).execute(transaction).await.map(drop)
}
