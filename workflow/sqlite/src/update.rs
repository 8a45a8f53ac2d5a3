//! Payments moved by compare-and-set, with their history rows, what caused them and their dead letters.
//!
//! Not here: deciding what the payment becomes, and trying again after a conflict. The engine does both.

use std::collections::HashSet;

use sqlx::{Connection, SqliteConnection};
use uuid::Uuid;
use workflow::definition::State;
use workflow::history::HistoryRow;
use workflow::port::store::{Origin, StoreError, Update, Updated, first_of_each_payment};

use crate::SqliteStore;
use crate::columns::{self, us};
use crate::connect::within;
use crate::error::{is_about_an_element, store_error};
use crate::operators::insert_entry;
use crate::outbound::announce;
use crate::start::{insert_payments, insert_request, select_request};
use crate::webhooks::{insert_psp_references, replace_webhook, webhook_is_handled};

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
    match move_all(&mut tx, batch, first).await {
        Ok(results) => {
            tx.commit().await?;
            Ok(results)
        }
        Err(error) => {
            // On a full disk SQLite has rolled back by itself; the first error is the one that tells.
            let _ = tx.rollback().await;
            Err(error)
        }
    }
}

/// Moves what stands for itself, which is nearly everything, together; what has to be looked at first, one by one.
async fn move_all(connection: &mut SqliteConnection, batch: &[Update], first: &[bool]) -> sqlx::Result<Vec<Updated>> {
    let stands_for_itself =
        |update: &Update| update.origin == Origin::Plain && update.with.is_none() && update.opens.is_none();
    let firsts = || batch.iter().zip(first).filter_map(|(update, first)| first.then_some(update));
    let plain: Vec<&Update> = firsts().filter(|update| stands_for_itself(update)).collect();
    let mut moved = move_payments(connection, &plain).await?;
    for update in firsts().filter(|update| !stands_for_itself(update)) {
        if move_with_its_own(connection, update).await? == Updated::Applied {
            moved.insert(update.payment.id.uuid());
        }
    }
    let updated = |(update, first): (&Update, &bool)| {
        if *first && moved.contains(&update.payment.id.uuid()) { Updated::Applied } else { Updated::Conflict }
    };
    Ok(batch.iter().zip(first).map(updated).collect())
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
async fn move_with_its_own(connection: &mut SqliteConnection, update: &Update) -> sqlx::Result<Updated> {
    let handled = match &update.origin {
        Origin::Plain | Origin::Act(_) => false,
        Origin::Webhook(event) => webhook_is_handled(connection, event).await?,
        Origin::Request(record) => select_request(connection, &record.scope).await?.is_some(),
    };
    if handled {
        return Ok(Updated::Conflict);
    }
    if let Some(with) = &update.with
        && !(stands(connection, update).await? && stands(connection, with).await?)
    {
        return Ok(Updated::Conflict);
    }
    if move_payments(connection, &update.moves().collect::<Vec<_>>()).await?.is_empty() {
        return Ok(Updated::Conflict);
    }
    if let Some(opened) = &update.opens {
        insert_payments(connection, [opened.payment.as_ref()]).await?;
        insert_facts(connection, [&opened.row]).await?;
    }
    match &update.origin {
        Origin::Plain => {}
        Origin::Webhook(event) => replace_webhook(connection, event).await?,
        Origin::Request(record) => insert_request(connection, record).await?,
        Origin::Act(entry) => insert_entry(connection, entry).await?,
    }
    Ok(Updated::Applied)
}

/// Moves the payments that are where their updates expect them, each with what explains it, and returns those.
async fn move_payments(connection: &mut SqliteConnection, updates: &[&Update]) -> sqlx::Result<HashSet<Uuid>> {
    if updates.is_empty() {
        return Ok(HashSet::new());
    }
    let moved: HashSet<Uuid> = update_payments(connection, updates).await?.into_iter().collect();
    let applied: Vec<&Update> =
        updates.iter().copied().filter(|update| moved.contains(&update.payment.id.uuid())).collect();
    if applied.is_empty() {
        return Ok(moved);
    }
    insert_facts(connection, applied.iter().flat_map(|update| &update.rows)).await?;
    if let Some(names) = columns::names(&applied)? {
        insert_psp_references(connection, &names).await?;
    }
    for update in &applied {
        insert_dead_letter(connection, update).await?;
    }
    announce(connection, &applied.iter().flat_map(|update| &update.notifications).collect::<Vec<_>>()).await?;
    Ok(moved)
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

/// Returns the payments that were moved.
async fn update_payments(connection: &mut SqliteConnection, updates: &[&Update]) -> sqlx::Result<Vec<Uuid>> {
    let moves = columns::moves(updates)?;
    sqlx::query_scalar!(
        r#"update payments set
            state = value ->> 'state',
            state_since_us = value ->> 'state_since_us',
            goal = value ->> 'goal',
            seq = value ->> 'seq',
            head_hash = unhex(value ->> 'head_hash'),
            fence = value ->> 'fence',
            lease_until_us = value ->> 'lease_until_us',
            next_wake_at_us = value ->> 'next_wake_at_us',
            attempt = value ->> 'attempt',
            claims = value ->> 'claims',
            operation = value ->> 'operation',
            psp_reference = value ->> 'psp_reference',
            amount_authorized_minor = value ->> 'amount_authorized_minor',
            amount_to_capture_minor = value ->> 'amount_to_capture_minor',
            amount_captured_minor = value ->> 'amount_captured_minor',
            amount_refunded_minor = value ->> 'amount_refunded_minor',
            failure = value ->> 'failure',
            next_action = value ->> 'next_action',
            updated_at_us = value ->> 'updated_at_us',
            psp = value ->> 'psp',
            payment_method = value ->> 'payment_method',
            action_result = value ->> 'action_result',
            amount_charged_back_minor = value ->> 'amount_charged_back_minor',
            key_activity = value ->> 'key_activity',
            key_since_us = value ->> 'key_since_us',
            doubt = value ->> 'doubt',
            route = value ->> 'route',
            refunds = value ->> 'refunds',
            amount_refund_pending_minor = value ->> 'amount_refund_pending_minor',
            proposal = value ->> 'proposal'
        from jsonb_each(?)
        where payments.id = unhex(value ->> 'id')
            and payments.seq = value ->> 'expected_seq'
            and payments.fence = value ->> 'expected_fence'
        returning payments.id as "id: Uuid""#,
        moves
    )
    .fetch_all(connection)
    .await
}

pub(crate) async fn insert_facts<'a>(
    connection: &mut SqliteConnection,
    rows: impl IntoIterator<Item = &'a HistoryRow>,
) -> sqlx::Result<()> {
    let facts = columns::facts(rows)?;
    sqlx::query!(
        "insert into payment_history (
            payment_id, seq, at_us, event, actor, from_state, to_state, attempt, verdict, data, payload_hash, hash
        )
        select
            unhex(value ->> 'payment_id'), value ->> 'seq', value ->> 'at_us', value ->> 'event', value ->> 'actor',
            value ->> 'from_state', value ->> 'to_state', value ->> 'attempt', value ->> 'verdict', value ->> 'data',
            unhex(value ->> 'payload_hash'), unhex(value ->> 'hash')
        from jsonb_each(?)",
        facts
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
