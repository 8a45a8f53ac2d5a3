//! Deliveries claimed, and what came of them.

use jiff::Timestamp;
use uuid::Uuid;
use workflow::ids::EndpointId;
use workflow::port::outbound::{BACKLOG_MOST, Backlog, DeliveryClaim, DeliveryOutcome, DeliveryResult, Dispatch};
use workflow::port::row::outbound::{BacklogColumns, DispatchColumns};
use workflow::port::store::StoreError;

use crate::PostgresStore;
use crate::columns::{column, us};
use crate::error::store_error;
use crate::session::{Held, within};

pub(crate) async fn claim_deliveries(
    store: &PostgresStore,
    claim: DeliveryClaim<'_>,
) -> Result<Vec<Dispatch>, StoreError> {
    let mut held = store.writer().await?;
    let outcome = within(held.patience(), claim_due(&mut held, &claim)).await;
    held.settle(outcome).map_err(store_error)?.into_iter().map(Dispatch::try_from).collect()
}

/// Who comes second to the same deliveries gets those that are left, perhaps none, and looks again.
async fn claim_due(held: &mut Held, claim: &DeliveryClaim<'_>) -> sqlx::Result<Vec<DispatchColumns>> {
    let busy: Vec<Uuid> = claim.busy.iter().map(|id| id.uuid()).collect();
    sqlx::query_file_as!(
        DispatchColumns,
        "queries/claim_deliveries.sql",
        us(claim.now),
        us(claim.lease_until),
        i64::from(claim.limit),
        i64::from(claim.limit_per_endpoint),
        &busy
    )
    .fetch_all(held)
    .await
}

pub(crate) async fn settle_deliveries(
    store: &PostgresStore,
    batch: &[DeliveryResult],
    failing_since: Timestamp,
) -> Result<Vec<EndpointId>, StoreError> {
    if batch.is_empty() {
        return Ok(Vec::new());
    }
    let mut ordered: Vec<&DeliveryResult> = batch.iter().collect();
    // In one order: two batches that meet wait for each other in one direction only.
    ordered.sort_by_key(|result| (result.endpoint_id, result.event_id));
    let mut held = store.writer().await?;
    let outcome = within(held.patience(), update_settled(&mut held, &ordered, failing_since)).await;
    let disabled = held.settle(outcome).map_err(store_error)?;
    Ok(disabled.into_iter().map(EndpointId::from_uuid).collect())
}

/// Returns the endpoints that were disabled.
async fn update_settled(
    held: &mut Held,
    batch: &[&DeliveryResult],
    failing_since: Timestamp,
) -> sqlx::Result<Vec<Uuid>> {
    let outcomes: Vec<Outcome> = batch.iter().map(|result| Outcome::of(result)).collect();
    sqlx::query_file_scalar!(
        "queries/settle_deliveries.sql",
        &column(batch, |result| result.event_id.uuid()),
        &column(batch, |result| result.endpoint_id.uuid()),
        &column(batch, |result| result.attempt.attempt),
        &column(batch, |result| us(result.attempt.at)),
        &column(batch, |result| result.attempt.duration_ms),
        &column(batch, |result| result.attempt.status.map(i32::from)) as &[Option<i32>],
        &column(batch, |result| result.attempt.response.as_deref()) as &[Option<&str>],
        &column(batch, |result| result.attempt.error.as_deref()) as &[Option<&str>],
        &outcomes.iter().map(|outcome| outcome.state).collect::<Vec<_>>() as &[&str],
        &outcomes.iter().map(|outcome| outcome.next_at_us).collect::<Vec<_>>() as &[Option<i64>],
        &outcomes.iter().map(|outcome| outcome.rests_until_us).collect::<Vec<_>>() as &[Option<i64>],
        &outcomes.iter().map(|outcome| outcome.is_gone).collect::<Vec<_>>(),
        us(failing_since)
    )
    .fetch_all(held)
    .await
}

/// What follows, as columns.
struct Outcome {
    state: &'static str,
    next_at_us: Option<i64>,
    rests_until_us: Option<i64>,
    is_gone: bool,
}

impl Outcome {
    fn of(result: &DeliveryResult) -> Self {
        let ended = |state| Self { state, next_at_us: None, rests_until_us: None, is_gone: false };
        match result.outcome {
            DeliveryOutcome::Delivered => ended("delivered"),
            DeliveryOutcome::Exhausted => ended("failed"),
            DeliveryOutcome::Again { next_at, endpoint_rests_until } => {
                Self { next_at_us: Some(us(next_at)), rests_until_us: endpoint_rests_until.map(us), ..ended("pending") }
            }
            DeliveryOutcome::Gone => {
                Self { next_at_us: Some(us(result.attempt.at)), is_gone: true, ..ended("pending") }
            }
        }
    }
}

pub(crate) async fn backlog(store: &PostgresStore, now: Timestamp) -> Result<Backlog, StoreError> {
    let mut held = store.reader().await?;
    let outcome = within(held.patience(), select_backlog(&mut held, us(now))).await;
    Backlog::try_from(held.settle(outcome).map_err(store_error)?)
}

async fn select_backlog(held: &mut Held, now_us: i64) -> sqlx::Result<BacklogColumns> {
    sqlx::query_as!(
        BacklogColumns,
        r#"select count(*) as "pending!", min(next_attempt_at_us) filter (where next_attempt_at_us <= $1) as due_since_us
        from (
            select next_attempt_at_us from outbound_deliveries join webhook_endpoints on id = endpoint_id
            where next_attempt_at_us is not null and disabled_at_us is null limit $2
        ) as pending"#,
        now_us,
        i64::from(BACKLOG_MOST)
    )
    .fetch_one(held)
    .await
}
