//! The audit log, and the PSP accounts that operators have paused.
//!
//! Not here: entries of acts that move a payment; they are part of the statement that moves it (`update.rs`).

use async_trait::async_trait;
use serde_json::{Value, json};
use uuid::Uuid;
use workflow::ids::{AuditId, PaymentId};
use workflow::port::audit::{AuditEntry, AuditFilter, AuditLog, AuditOutcome};
use workflow::port::pauses::{Pause, Pauses};
use workflow::port::row::operators::{AuditRow, PauseRow};
use workflow::port::store::{StoreError, Updated};

use crate::PostgresStore;
use crate::columns::us;
use crate::error::store_error;
use crate::session::{Held, within};

#[async_trait]
impl AuditLog for PostgresStore {
    async fn enter(&self, entries: &[AuditEntry]) -> Result<(), StoreError> {
        if entries.is_empty() {
            return Ok(());
        }
        let mut held = self.writer().await?;
        let outcome = within(held.patience(), insert_entries(&mut held, &rows(entries))).await;
        held.settle(outcome).map_err(store_error)
    }

    async fn entries(
        &self,
        filter: &AuditFilter,
        before: Option<AuditId>,
        limit: u32,
    ) -> Result<Vec<AuditEntry>, StoreError> {
        let mut held = self.reader().await?;
        let outcome = within(held.patience(), select_entries(&mut held, filter, before, limit.into())).await;
        held.settle(outcome).map_err(store_error)?.into_iter().map(AuditEntry::try_from).collect()
    }
}

#[async_trait]
impl Pauses for PostgresStore {
    async fn pauses(&self) -> Result<Vec<Pause>, StoreError> {
        let mut held = self.reader().await?;
        let outcome = within(held.patience(), select_pauses(&mut held)).await;
        held.settle(outcome).map_err(store_error)?.into_iter().map(Pause::try_from).collect()
    }

    async fn pause(&self, pause: &Pause, entry: &AuditEntry) -> Result<Updated, StoreError> {
        let mut held = self.writer().await?;
        let outcome = within(held.patience(), insert_pause(&mut held, pause, &rows(std::slice::from_ref(entry)))).await;
        held.settle(outcome).map(applied).map_err(store_error)
    }

    async fn resume(&self, psp: &str, entry: &AuditEntry) -> Result<Updated, StoreError> {
        let mut held = self.writer().await?;
        let outcome = within(held.patience(), delete_pause(&mut held, psp, &rows(std::slice::from_ref(entry)))).await;
        held.settle(outcome).map(applied).map_err(store_error)
    }
}

/// By how many entries were written: each statement writes one, and only with its change.
fn applied(entries: u64) -> Updated {
    if entries == 0 { Updated::Conflict } else { Updated::Applied }
}

/// Entries as rows in JSON, by the names of their columns: they are few, and the statement that moves payments has many
/// parameters already.
pub(crate) fn rows(entries: &[AuditEntry]) -> String {
    Value::Array(entries.iter().cloned().map(|entry| row(entry.bounded())).collect()).to_string()
}

fn row(entry: AuditEntry) -> Value {
    let refused_because = match entry.outcome {
        AuditOutcome::Done => None,
        AuditOutcome::Refused(why) => Some(why),
    };
    json!({
        "id": entry.id.uuid(),
        "at_us": us(entry.at),
        "actor": entry.actor,
        "role": entry.role.map(<&str>::from),
        "act": <&str>::from(entry.act),
        "payment_id": entry.payment_id.map(PaymentId::uuid),
        "subject": entry.subject,
        "reason": entry.reason,
        "refused_because": refused_because,
        "via": <&str>::from(entry.via),
        "remote": entry.remote,
    })
}

async fn insert_entries(held: &mut Held, rows: &str) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into audit_log select input.* from jsonb_populate_recordset(null::audit_log, $1::text::jsonb) as input",
        rows
    )
    .execute(held)
    .await?;
    Ok(())
}

/// Selects entries; the list of columns, and what every list asks for, are written once.
macro_rules! select_entries {
    ($which:literal, $limits:expr, $($parameter:expr),+) => {
        sqlx::query_as!(
            AuditRow,
            "select id, at_us, actor, role, act, payment_id, subject, reason, refused_because, via, remote
            from audit_log
            where id < $1 and at_us >= $2 and ($3::text is null or act = $3) and " + $which + "
            order by id desc limit $4",
            $limits.before,
            $limits.since_us,
            $limits.act,
            $limits.limit,
            $($parameter),+
        )
    };
}

/// What every list of entries asks for.
struct Limits {
    before: Uuid,
    since_us: i64,
    act: Option<&'static str>,
    limit: i64,
}

/// By the index that the filter names; without one, along the ids.
async fn select_entries(
    held: &mut Held,
    filter: &AuditFilter,
    before: Option<AuditId>,
    limit: i64,
) -> sqlx::Result<Vec<AuditRow>> {
    let limits = Limits {
        before: before.map_or(Uuid::max(), AuditId::uuid),
        since_us: filter.since.map_or(i64::MIN, us),
        act: filter.act.map(Into::into),
        limit,
    };
    let actor = filter.actor.as_deref();
    match (filter.payment_id, actor) {
        (Some(id), _) => {
            select_entries!("payment_id = $5 and ($6::text is null or actor = $6)", limits, id.uuid(), actor)
                .fetch_all(held)
                .await
        }
        (None, Some(actor)) => select_entries!("actor = $5", limits, actor).fetch_all(held).await,
        (None, None) => select_entries!("$5", limits, true).fetch_all(held).await,
    }
}

async fn select_pauses(held: &mut Held) -> sqlx::Result<Vec<PauseRow>> {
    sqlx::query_as!(PauseRow, "select psp, since_us, by_whom, why from psp_pauses order by psp").fetch_all(held).await
}

async fn insert_pause(held: &mut Held, pause: &Pause, entry: &str) -> sqlx::Result<u64> {
    let done = sqlx::query!(
        "with paused as (
            insert into psp_pauses (psp, since_us, by_whom, why) values ($1, $2, $3, $4)
            on conflict do nothing
            returning psp
        )
        insert into audit_log
        select input.* from jsonb_populate_recordset(null::audit_log, $5::text::jsonb) as input
        where exists (select from paused)",
        pause.psp,
        us(pause.since),
        pause.by,
        pause.why,
        entry
    )
    .execute(held)
    .await?;
    Ok(done.rows_affected())
}

async fn delete_pause(held: &mut Held, psp: &str, entry: &str) -> sqlx::Result<u64> {
    let done = sqlx::query!(
        "with resumed as (delete from psp_pauses where psp = $1 returning psp)
        insert into audit_log
        select input.* from jsonb_populate_recordset(null::audit_log, $2::text::jsonb) as input
        where exists (select from resumed)",
        psp,
        entry
    )
    .execute(held)
    .await?;
    Ok(done.rows_affected())
}
