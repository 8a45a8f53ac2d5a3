//! Payments moved by compare-and-set, with their history rows, what caused them and their dead letters.
//!
//! Not here: deciding what the payment becomes, and trying again after a conflict. The engine does both.

use std::collections::HashSet;

use uuid::Uuid;
use workflow::definition::State;
use workflow::history::HistoryRow;
use workflow::payment::Payment;
use workflow::port::audit::AuditEntry;
use workflow::port::store::{
    Opened, Origin, RequestRecord, StoreError, Update, Updated, WebhookEvent, first_of_each_payment,
};

use crate::PostgresStore;
use crate::columns::{Events, Facts, Notifications, Requests, Standing, column, us};
use crate::error::{is_about_an_element, is_lost_race, store_error};
use crate::session::{Held, within};
use crate::{opened, operators};

pub(crate) async fn update(store: &PostgresStore, batch: &[Update]) -> Result<Vec<Updated>, StoreError> {
    if batch.is_empty() {
        return Ok(Vec::new());
    }
    let first = first_of_each_payment(batch);
    let mut ordered: Vec<&Update> =
        batch.iter().zip(&first).filter_map(|(update, first)| first.then_some(update)).collect();
    // In the order of their ids: two batches that meet wait for each other in one direction only. What moves together is
    // locked beforehand, and so goes by itself.
    ordered.sort_by_key(|update| update.payment.id);
    let (together, alone): (Vec<&Update>, Vec<&Update>) = ordered.into_iter().partition(|update| update.with.is_some());
    let mut moved = move_all(store, &alone).await?;
    moved.extend(move_all(store, &together).await?);
    let updated = |(update, first): (&Update, bool)| {
        if first && moved.contains(&update.payment.id.uuid()) { Updated::Applied } else { Updated::Conflict }
    };
    Ok(batch.iter().zip(first).map(updated).collect())
}

async fn move_all(store: &PostgresStore, batch: &[&Update]) -> Result<HashSet<Uuid>, StoreError> {
    if batch.is_empty() {
        return Ok(HashSet::new());
    }
    match move_payments(store, batch).await? {
        Ok(moved) => Ok(moved),
        Err(error) if is_about_an_element(&error) => one_by_one(store, batch).await,
        Err(error) => Err(store_error(error)),
    }
}

/// Moves each payment by itself, because one of them spoils the statement for all. Who has lost a race has a conflict.
/// An element that can never be stored is an error when it is alone; among others it is a conflict, so that they are
/// not punished for it, and whoever tries it again meets the error sooner or later.
async fn one_by_one(store: &PostgresStore, batch: &[&Update]) -> Result<HashSet<Uuid>, StoreError> {
    let mut moved = HashSet::with_capacity(batch.len());
    for update in batch {
        match move_payments(store, &[update]).await? {
            Ok(ids) => moved.extend(ids),
            Err(error) if is_lost_race(&error) => {}
            Err(error) if is_about_an_element(&error) && batch.len() > 1 => {
                tracing::error!(payment = %update.payment.id, %error, "a move cannot be stored");
            }
            Err(error) => return Err(store_error(error)),
        }
    }
    Ok(moved)
}

async fn move_payments(store: &PostgresStore, batch: &[&Update]) -> Result<sqlx::Result<HashSet<Uuid>>, StoreError> {
    let change = Change::of(batch)?;
    let mut held = store.writer().await?;
    let outcome = within(held.patience(), update_payments(&mut held, &change)).await;
    Ok(held.settle(outcome).map(HashSet::from_iter))
}

/// A batch of updates as columns. What only some of them have is named by the payment it moves.
struct Change<'a> {
    expected_seq: Vec<i64>,
    expected_fence: Vec<i64>,
    with_id: Vec<Option<Uuid>>,
    opened: String,
    acts: String,
    standing: Standing<'a>,
    facts: Facts<'a>,
    moved_by_event: Vec<Uuid>,
    events: Events<'a>,
    moved_by_request: Vec<Uuid>,
    requests: Requests<'a>,
    letters: Letters,
    told: Notifications<'a>,
    named: Vec<Uuid>,
    named_at: Vec<&'a str>,
    names: Vec<&'a str>,
}

impl<'a> Change<'a> {
    fn of(batch: &[&'a Update]) -> Result<Self, StoreError> {
        let moves: Vec<&Update> = batch.iter().flat_map(|update| update.moves()).collect();
        let payments: Vec<&Payment> = column(&moves, |update| update.payment.as_ref());
        let opened: Vec<&Opened> = batch.iter().filter_map(|update| update.opens.as_deref()).collect();
        let rows: Vec<&HistoryRow> =
            moves.iter().flat_map(|update| &update.rows).chain(opened.iter().map(|opened| &opened.row)).collect();
        let mut moved_by_event = Vec::new();
        let mut events: Vec<&WebhookEvent> = Vec::new();
        let mut moved_by_request = Vec::new();
        let mut requests: Vec<&RequestRecord> = Vec::new();
        let mut acts: Vec<AuditEntry> = Vec::new();
        let (mut named, mut named_at, mut names) = (Vec::new(), Vec::new(), Vec::new());
        for update in &moves {
            if let Some(name) = &update.learned_reference {
                named.push(update.payment.id.uuid());
                named_at.push(update.payment.psp.as_str());
                names.push(name.as_str());
            }
        }
        for update in batch {
            match &update.origin {
                Origin::Plain => {}
                Origin::Webhook(event) => {
                    moved_by_event.push(update.payment.id.uuid());
                    events.push(event);
                }
                Origin::Request(record) => {
                    moved_by_request.push(update.payment.id.uuid());
                    requests.push(record);
                }
                Origin::Act(entry) => acts.push(entry.clone()),
            }
        }
        Ok(Self {
            expected_seq: column(&moves, |update| update.expected_seq),
            expected_fence: column(&moves, |update| update.expected_fence),
            with_id: batch.iter().flat_map(|update| partners(update)).collect(),
            opened: opened::rows(&opened)?,
            acts: operators::rows(&acts),
            standing: Standing::of(&payments)?,
            facts: Facts::of(&rows),
            moved_by_event,
            events: Events::of(&events),
            moved_by_request,
            requests: Requests::of(&requests),
            letters: Letters::of(&moves),
            told: Notifications::of(&moves.iter().flat_map(|update| &update.notifications).collect::<Vec<_>>()),
            named,
            named_at,
            names,
        })
    }
}

/// For each payment that an update moves, the other one that moves with it.
fn partners(update: &Update) -> impl Iterator<Item = Option<Uuid>> + use<> {
    let with = update.with.as_ref().map(|with| with.payment.id.uuid());
    let back = with.map(|_| Some(update.payment.id.uuid()));
    std::iter::once(with).chain(back)
}

/// Dead letters, each named by the history row that sent the payment to a person.
#[derive(Default)]
struct Letters {
    payment_id: Vec<Uuid>,
    seq: Vec<i64>,
    at_us: Vec<i64>,
    reason: Vec<&'static str>,
    last_error: Vec<String>,
}

impl Letters {
    fn of(batch: &[&Update]) -> Self {
        let mut letters = Self::default();
        for update in batch {
            let sending = update.rows.iter().find(|row| row.fact.to == State::InReview).or(update.rows.last());
            if let (Some(letter), Some(row)) = (&update.dead_letter, sending) {
                letters.payment_id.push(update.payment.id.uuid());
                letters.seq.push(row.seq);
                letters.at_us.push(us(row.fact.at));
                letters.reason.push(letter.reason.into());
                letters.last_error.push(letter.last_error.to_string());
            }
        }
        letters
    }
}

/// Returns the payments that were moved.
#[expect(clippy::too_many_lines, reason = "one statement, with one line a parameter")]
async fn update_payments(held: &mut Held, change: &Change<'_>) -> sqlx::Result<Vec<Uuid>> {
    let Change { standing, facts, events, requests, letters, told, .. } = change;
    sqlx::query_file_scalar!(
        "queries/update_payments.sql",
        &change.moved_by_event,
        &events.psp as &[&str],
        &events.event_id as &[&str],
        &events.event_type as &[&str],
        &events.body as &[&[u8]],
        &events.received_at_us,
        &events.payment_id as &[Option<Uuid>],
        &events.outcome as &[&str],
        &change.moved_by_request,
        &requests.merchant_id,
        &requests.route as &[&str],
        &requests.key as &[&str],
        &requests.fingerprint as &[[u8; 32]],
        &requests.payment_id as &[Option<Uuid>],
        &requests.status,
        &requests.body as &[Option<&str>],
        &requests.created_at_us,
        &standing.id,
        &change.expected_seq,
        &change.expected_fence,
        &standing.state as &[&str],
        &standing.state_since_us,
        &standing.goal as &[&str],
        &standing.seq,
        &standing.head_hash as &[[u8; 32]],
        &standing.fence,
        &standing.lease_until_us as &[Option<i64>],
        &standing.next_wake_at_us as &[Option<i64>],
        &standing.attempt,
        &standing.claims,
        &standing.operation,
        &standing.psp_reference as &[Option<&str>],
        &standing.amount_authorized_minor,
        &standing.amount_to_capture_minor as &[Option<i64>],
        &standing.amount_captured_minor,
        &standing.amount_refunded_minor,
        &standing.failure as &[Option<String>],
        &standing.next_action as &[Option<String>],
        &standing.updated_at_us,
        &standing.psp as &[&str],
        &standing.payment_method as &[&str],
        &standing.action_result as &[Option<&str>],
        &standing.amount_charged_back_minor,
        &standing.key_activity as &[Option<&str>],
        &standing.key_since_us as &[Option<i64>],
        &standing.doubt as &[Option<&str>],
        &standing.route as &[Option<String>],
        &facts.payment_id,
        &facts.seq,
        &facts.at_us,
        &facts.event as &[&str],
        &facts.actor as &[&str],
        &facts.from_state as &[Option<&str>],
        &facts.to_state as &[&str],
        &facts.attempt,
        &facts.verdict as &[&str],
        &facts.data,
        &facts.payload_hash as &[Option<[u8; 32]>],
        &facts.hash as &[[u8; 32]],
        &letters.payment_id,
        &letters.seq,
        &letters.at_us,
        &letters.reason as &[&str],
        &letters.last_error,
        &change.named,
        &change.named_at as &[&str],
        &change.names as &[&str],
        &standing.refunds as &[Option<String>],
        &change.with_id as &[Option<Uuid>],
        &standing.amount_refund_pending_minor,
        &change.opened,
        &told.id,
        &told.payment_id as &[Option<Uuid>],
        &told.sequence as &[Option<i64>],
        &told.event_type as &[&str],
        &told.at_us,
        &told.payload as &[&str],
        &standing.proposal as &[Option<String>],
        &change.acts
    )
    .fetch_all(held)
    .await
}
