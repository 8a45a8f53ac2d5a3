//! The audit log, and the PSP accounts that operators have paused.
//!
//! Not here: when entries of acts that move a payment are written; that is in the transaction that moves it (`update.rs`).

use async_trait::async_trait;
use sqlx::{Connection, SqliteConnection};
use uuid::Uuid;
use workflow::ids::{AuditId, PaymentId};
use workflow::port::audit::{AuditEntry, AuditFilter, AuditLog, AuditOutcome};
use workflow::port::pauses::{Pause, Pauses};
use workflow::port::row::operators::{AuditRow, PauseRow};
use workflow::port::store::{StoreError, Updated};

use crate::SqliteStore;
use crate::columns::us;
use crate::connect::within;
use crate::error::store_error;

#[async_trait]
impl AuditLog for SqliteStore {
    async fn enter(&self, entries: &[AuditEntry]) -> Result<(), StoreError> {
        if entries.is_empty() {
            return Ok(());
        }
        let mut held = self.writer().await?;
        let outcome = within(held.patience(), insert_entries(&mut held, entries)).await;
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
impl Pauses for SqliteStore {
    async fn pauses(&self) -> Result<Vec<Pause>, StoreError> {
        let mut held = self.reader().await?;
        let outcome = within(held.patience(), select_pauses(&mut held)).await;
        held.settle(outcome).map_err(store_error)?.into_iter().map(Pause::try_from).collect()
    }

    async fn pause(&self, pause: &Pause, entry: &AuditEntry) -> Result<Updated, StoreError> {
        let mut held = self.writer().await?;
        let outcome = within(held.patience(), pause_together(&mut held, pause, entry)).await;
        held.settle(outcome).map_err(store_error)
    }

    async fn resume(&self, psp: &str, entry: &AuditEntry) -> Result<Updated, StoreError> {
        let mut held = self.writer().await?;
        let outcome = within(held.patience(), resume_together(&mut held, psp, entry)).await;
        held.settle(outcome).map_err(store_error)
    }
}

async fn insert_entries(connection: &mut SqliteConnection, entries: &[AuditEntry]) -> sqlx::Result<()> {
    let mut tx = connection.begin_with("begin immediate").await?;
    for entry in entries {
        insert_entry(&mut tx, entry).await?;
    }
    tx.commit().await
}

async fn pause_together(connection: &mut SqliteConnection, pause: &Pause, entry: &AuditEntry) -> sqlx::Result<Updated> {
    let mut tx = connection.begin_with("begin immediate").await?;
    if insert_pause(&mut tx, pause).await? == 0 {
        tx.rollback().await?;
        return Ok(Updated::Conflict);
    }
    insert_entry(&mut tx, entry).await?;
    tx.commit().await?;
    Ok(Updated::Applied)
}

async fn resume_together(connection: &mut SqliteConnection, psp: &str, entry: &AuditEntry) -> sqlx::Result<Updated> {
    let mut tx = connection.begin_with("begin immediate").await?;
    if delete_pause(&mut tx, psp).await? == 0 {
        tx.rollback().await?;
        return Ok(Updated::Conflict);
    }
    insert_entry(&mut tx, entry).await?;
    tx.commit().await?;
    Ok(Updated::Applied)
}

pub(crate) async fn insert_entry(connection: &mut SqliteConnection, entry: &AuditEntry) -> sqlx::Result<()> {
    let entry = entry.clone().bounded();
    let (id, at_us) = (entry.id.uuid(), us(entry.at));
    let role: Option<&str> = entry.role.map(Into::into);
    let act: &str = entry.act.into();
    let payment_id = entry.payment_id.map(PaymentId::uuid);
    let via: &str = entry.via.into();
    let refused_because = match entry.outcome {
        AuditOutcome::Done => None,
        AuditOutcome::Refused(why) => Some(why),
    };
    sqlx::query!(
        "insert into audit_log (
            id, at_us, actor, role, act, payment_id, subject, reason, refused_because, via, remote
        ) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        id,
        at_us,
        entry.actor,
        role,
        act,
        payment_id,
        entry.subject,
        entry.reason,
        refused_because,
        via,
        entry.remote
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Selects entries; the list of columns, and what every list asks for, are written once.
macro_rules! select_entries {
    ($which:literal, $limits:expr, $($parameter:expr),+) => {
        sqlx::query_as!(
            AuditRow,
            r#"select id as "id: Uuid", at_us, actor, role, act, payment_id as "payment_id: Uuid", subject, reason,
                refused_because, via, remote
            from audit_log
            where id < ?1 and at_us >= ?2 and (?3 is null or act = ?3) and "# + $which + "
            order by id desc limit ?4",
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
    connection: &mut SqliteConnection,
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
    let (payment_id, actor) = (filter.payment_id.map(PaymentId::uuid), filter.actor.as_deref());
    match (payment_id, actor) {
        (Some(id), _) => {
            select_entries!("payment_id = ?5 and (?6 is null or actor = ?6)", limits, id, actor)
                .fetch_all(connection)
                .await
        }
        (None, Some(actor)) => select_entries!("actor = ?5", limits, actor).fetch_all(connection).await,
        (None, None) => select_entries!("?5", limits, true).fetch_all(connection).await,
    }
}

async fn select_pauses(connection: &mut SqliteConnection) -> sqlx::Result<Vec<PauseRow>> {
    sqlx::query_as!(PauseRow, "select psp, since_us, by_whom, why from psp_pauses order by psp")
        .fetch_all(connection)
        .await
}

/// Returns how many accounts were paused by it: one or none.
async fn insert_pause(connection: &mut SqliteConnection, pause: &Pause) -> sqlx::Result<u64> {
    let since_us = us(pause.since);
    let done = sqlx::query!(
        "insert into psp_pauses (psp, since_us, by_whom, why) values (?, ?, ?, ?) on conflict do nothing",
        pause.psp,
        since_us,
        pause.by,
        pause.why
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected())
}

/// Returns how many pauses ended by it: one or none.
async fn delete_pause(connection: &mut SqliteConnection, psp: &str) -> sqlx::Result<u64> {
    let done = sqlx::query!("delete from psp_pauses where psp = ?", psp).execute(connection).await?;
    Ok(done.rows_affected())
}
