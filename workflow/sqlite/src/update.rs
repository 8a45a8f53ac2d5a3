//! Payments moved by compare-and-set, with their history rows, what caused them and their dead letters.
//!
//! Not here: deciding what the payment becomes, and trying again after a conflict. The engine does both.

use sqlx::{Connection, SqliteConnection};
use workflow::definition::State;
use workflow::history::HistoryRow;
use workflow::port::store::{Origin, StoreError, Update, Updated, first_of_each_payment};

use crate::SqliteStore;
use crate::columns::{json, us};
use crate::connect::within;
use crate::error::{is_about_an_element, store_error};
use crate::operators::insert_entry;
use crate::outbound::announce;
use crate::start::{insert_payment, insert_request, select_request};
use crate::webhooks::{insert_psp_reference, replace_webhook, webhook_is_handled};

pub(crate) async fn update(store: &SqliteStore, batch: &[Update]) -> Result<Vec<Updated>, StoreError> {
    if batch.is_empty() {
        return Ok(Vec::new());
    }
    let first = first_of_each_payment(batch);
    let mut held = store.writer().await?;
    let outcome = within(held.patience(), together(&mut held, batch, &first)).await;
    match held.settle(outcome) {
        Err(error) if is_about_an_element(&error) && batch.len() > 1 => one_by_one(store, batch, &first).await,
        result => result.map_err(store_error),
    }
}

async fn together(connection: &mut SqliteConnection, batch: &[Update], first: &[bool]) -> sqlx::Result<Vec<Updated>> {
    let mut tx = connection.begin_with("begin immediate").await?;
    let mut results = Vec::with_capacity(batch.len());
    for (update, first) in batch.iter().zip(first) {
        let result = if *first { move_payment(&mut tx, update).await } else { Ok(Updated::Conflict) };
        match result {
            Ok(updated) => results.push(updated),
            Err(error) => {
                // On a full disk SQLite has rolled back by itself; the first error is the one that tells.
                let _ = tx.rollback().await;
                return Err(error);
            }
        }
    }
    tx.commit().await?;
    Ok(results)
}

/// Moves each payment in a transaction of its own, because one of them spoils the one for all. An element that can never
/// be stored is an error when it is alone; among others it is a conflict, so that they are not punished for it, and
/// whoever tries it again meets the error sooner or later.
async fn one_by_one(store: &SqliteStore, batch: &[Update], first: &[bool]) -> Result<Vec<Updated>, StoreError> {
    let mut results = Vec::with_capacity(batch.len());
    for (update, first) in batch.iter().zip(first) {
        let mut held = store.writer().await?;
        let (update_alone, first_alone) = (std::slice::from_ref(update), std::slice::from_ref(first));
        let outcome = within(held.patience(), together(&mut held, update_alone, first_alone)).await;
        match held.settle(outcome) {
            Ok(updated) => results.extend(updated),
            Err(error) if is_about_an_element(&error) => {
                tracing::error!(payment = %update.payment.id, %error, "a move cannot be stored");
                results.push(Updated::Conflict);
            }
            Err(error) => return Err(store_error(error)),
        }
    }
    Ok(results)
}

/// Moves one payment, or two that belong together, unless one has moved since or what caused it was handled before.
/// Looking first is enough here: nobody else writes during this transaction.
async fn move_payment(connection: &mut SqliteConnection, update: &Update) -> sqlx::Result<Updated> {
    let handled = match &update.origin {
        Origin::Plain | Origin::Act(_) => false,
        Origin::Webhook(event) => webhook_is_handled(connection, event).await?,
        Origin::Request(record) => select_request(connection, &record.scope).await?.is_some(),
    };
    if handled {
        return Ok(Updated::Conflict);
    }
    if let Some(with) = &update.with
        && !stands(connection, with).await?
    {
        return Ok(Updated::Conflict);
    }
    for moved in update.moves() {
        if update_payment(connection, moved).await? == 0 {
            return Ok(Updated::Conflict);
        }
        for row in &moved.rows {
            insert_fact(connection, row).await?;
        }
        if let Some(reference) = &moved.learned_reference {
            let payment = &moved.payment;
            insert_psp_reference(connection, &payment.psp, reference, payment.id.uuid()).await?;
        }
        insert_dead_letter(connection, moved).await?;
        for notification in &moved.notifications {
            announce(connection, notification).await?;
        }
    }
    if let Some(opened) = &update.opens {
        insert_payment(connection, &opened.payment).await?;
        insert_fact(connection, &opened.row).await?;
    }
    match &update.origin {
        Origin::Plain => {}
        Origin::Webhook(event) => replace_webhook(connection, event).await?,
        Origin::Request(record) => insert_request(connection, record).await?,
        Origin::Act(entry) => insert_entry(connection, entry).await?,
    }
    Ok(Updated::Applied)
}

/// Whether a payment is where an update expects it.
async fn stands(connection: &mut SqliteConnection, update: &Update) -> sqlx::Result<bool> {
    let id = update.payment.id.uuid();
    let found = sqlx::query_scalar!(
        r#"select 1 as "found: i64" from payments where id = ? and seq = ? and fence = ?"#,
        id,
        update.expected_seq,
        update.expected_fence
    )
    .fetch_optional(connection)
    .await?;
    Ok(found.is_some())
}

/// Returns how many payments were moved: one or none.
async fn update_payment(connection: &mut SqliteConnection, update: &Update) -> sqlx::Result<u64> {
    let payment = &update.payment;
    let id = payment.id.uuid();
    let state: &str = payment.state.into();
    let state_since_us = us(payment.state_since);
    let goal: &str = payment.goal.into();
    let head_hash = &payment.head_hash.0[..];
    let lease_until_us = payment.lease_until.map(us);
    let next_wake_at_us = payment.next_wake_at.map(us);
    let failure = payment.failure.as_ref().map(json).transpose()?;
    let next_action = payment.next_action.as_ref().map(json).transpose()?;
    let updated_at_us = us(payment.updated_at);
    let key_activity: Option<&str> = payment.key_use.map(|used| used.activity.into());
    let key_since_us = payment.key_use.map(|used| us(used.since));
    let doubt: Option<&str> = payment.doubt.map(Into::into);
    let route = (!payment.route.is_empty()).then(|| json(&payment.route)).transpose()?;
    let refunds = (!payment.refunds.is_empty()).then(|| json(&payment.refunds)).transpose()?;
    let proposal = payment.proposal.as_ref().map(json).transpose()?;
    let done = sqlx::query!(
        "update payments set
            state = ?, state_since_us = ?, goal = ?, seq = ?, head_hash = ?, fence = ?, lease_until_us = ?,
            next_wake_at_us = ?, attempt = ?, claims = ?, operation = ?, psp_reference = ?,
            amount_authorized_minor = ?, amount_to_capture_minor = ?, amount_captured_minor = ?,
            amount_refunded_minor = ?, failure = ?, next_action = ?, updated_at_us = ?, psp = ?, payment_method = ?,
            action_result = ?, amount_charged_back_minor = ?, key_activity = ?, key_since_us = ?, doubt = ?, route = ?,
            refunds = ?, amount_refund_pending_minor = ?, proposal = ?
        where id = ? and seq = ? and fence = ?",
        state,
        state_since_us,
        goal,
        payment.seq,
        head_hash,
        payment.fence,
        lease_until_us,
        next_wake_at_us,
        payment.attempt,
        payment.claims,
        payment.operation,
        payment.psp_reference,
        payment.amount_authorized_minor,
        payment.amount_to_capture_minor,
        payment.amount_captured_minor,
        payment.amount_refunded_minor,
        failure,
        next_action,
        updated_at_us,
        payment.psp,
        payment.payment_method,
        payment.action_result,
        payment.amount_charged_back_minor,
        key_activity,
        key_since_us,
        doubt,
        route,
        refunds,
        payment.amount_refund_pending_minor,
        proposal,
        id,
        update.expected_seq,
        update.expected_fence
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected())
}

pub(crate) async fn insert_fact(connection: &mut SqliteConnection, row: &HistoryRow) -> sqlx::Result<()> {
    let payment_id = row.payment_id.uuid();
    let at_us = us(row.fact.at);
    let event: &str = row.fact.event.into();
    let from_state: Option<&str> = row.fact.from.map(Into::into);
    let to_state: &str = row.fact.to.into();
    let verdict: &str = row.fact.verdict.into();
    let data = row.fact.data.to_string();
    let payload_hash = row.fact.payload_hash.as_ref().map(|hash| &hash.0[..]);
    let hash = &row.hash.0[..];
    sqlx::query!(
        "insert into payment_history (
            payment_id, seq, at_us, event, actor, from_state, to_state, attempt, verdict, data, payload_hash, hash
        ) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        payment_id,
        row.seq,
        at_us,
        event,
        row.fact.actor,
        from_state,
        to_state,
        row.fact.attempt,
        verdict,
        data,
        payload_hash,
        hash
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Keeps the update's dead letter, if it has one, under the history row that sent the payment to a person.
async fn insert_dead_letter(connection: &mut SqliteConnection, update: &Update) -> sqlx::Result<()> {
    let sending = update.rows.iter().find(|row| row.fact.to == State::InReview).or(update.rows.last());
    let (Some(letter), Some(row)) = (&update.dead_letter, sending) else { return Ok(()) };
    let payment_id = row.payment_id.uuid();
    let at_us = us(row.fact.at);
    let reason: &str = letter.reason.into();
    let last_error = letter.last_error.to_string();
    sqlx::query!(
        "insert into dead_letters (payment_id, seq, at_us, reason, last_error) values (?, ?, ?, ?, ?)",
        payment_id,
        row.seq,
        at_us,
        reason,
        last_error
    )
    .execute(connection)
    .await?;
    Ok(())
}
