//! Deliveries claimed, and what came of them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use sqlx::{Connection, SqliteConnection};
use uuid::Uuid;
use workflow::ids::EndpointId;
use workflow::port::outbound::{BACKLOG_MOST, Backlog, DeliveryClaim, DeliveryOutcome, DeliveryResult, Dispatch};
use workflow::port::row::outbound::{BacklogColumns, DispatchColumns};
use workflow::port::store::StoreError;

use crate::SqliteStore;
use crate::columns::us;
use crate::connect::within;
use crate::error::store_error;

pub(crate) async fn claim_deliveries(
    store: &SqliteStore,
    claim: DeliveryClaim<'_>,
) -> Result<Vec<Dispatch>, StoreError> {
    if !is_anything_due(store, &claim).await? {
        return Ok(Vec::new());
    }
    let mut held = store.writer().await?;
    let outcome = within(held.patience(), claim_together(&mut held, &claim)).await;
    held.settle(outcome).map_err(store_error)?.into_iter().map(Dispatch::try_from).collect()
}

/// Looked up beside the one writer, who is then asked only when there is something to claim.
async fn is_anything_due(store: &SqliteStore, claim: &DeliveryClaim<'_>) -> Result<bool, StoreError> {
    let mut held = store.reader().await?;
    let outcome = within(held.patience(), select_endpoints_due(&mut held, claim.now)).await;
    let due = held.settle(outcome).map_err(store_error)?;
    Ok(due.iter().any(|endpoint| !claim.busy.contains(&EndpointId::from_uuid(endpoint.id))))
}

/// One transaction: nobody else writes during it, so what was found is still to be had.
async fn claim_together(
    connection: &mut SqliteConnection,
    claim: &DeliveryClaim<'_>,
) -> sqlx::Result<Vec<DispatchColumns>> {
    let mut tx = connection.begin_with("begin immediate").await?;
    let mut due = Vec::new();
    for endpoint in select_endpoints_due(&mut tx, claim.now).await? {
        if claim.busy.contains(&EndpointId::from_uuid(endpoint.id)) {
            continue;
        }
        let share = if endpoint.failing_since_us.is_none() { claim.limit_per_endpoint } else { 1 };
        due.extend(select_due(&mut tx, endpoint.id, claim.now, share.into()).await?);
    }
    due.sort_by_key(|due| due.next_attempt_at_us);
    due.truncate(usize::try_from(claim.limit).unwrap_or(usize::MAX));
    let mut claimed = Vec::with_capacity(due.len());
    for due in due {
        update_claimed(&mut tx, &due, claim.lease_until).await?;
        claimed.extend(select_dispatch(&mut tx, &due).await?);
    }
    tx.commit().await?;
    Ok(claimed)
}

struct EndpointDue {
    id: Uuid,
    failing_since_us: Option<i64>,
}

struct Due {
    event_id: Uuid,
    endpoint_id: Uuid,
    next_attempt_at_us: Option<i64>,
}

/// Jumps from endpoint to endpoint over the index of what is due, so that an endpoint with a hundred thousand deliveries
/// costs as much as one with a single one.
async fn select_endpoints_due(connection: &mut SqliteConnection, now: Timestamp) -> sqlx::Result<Vec<EndpointDue>> {
    let now_us = us(now);
    sqlx::query_as!(
        EndpointDue,
        r#"with recursive waiting (endpoint_id) as (
            select min(endpoint_id) from outbound_deliveries where next_attempt_at_us is not null
            union all
            select (
                select min(later.endpoint_id) from outbound_deliveries as later
                where later.next_attempt_at_us is not null and later.endpoint_id > waiting.endpoint_id
            )
            from waiting where waiting.endpoint_id is not null
        )
        select endpoint.id as "id!: Uuid", endpoint.failing_since_us
        from waiting cross join webhook_endpoints as endpoint on endpoint.id = waiting.endpoint_id
        where endpoint.disabled_at_us is null
            and (endpoint.rests_until_us is null or endpoint.rests_until_us <= ?1)
            and exists (
                select 1 from outbound_deliveries
                where endpoint_id = endpoint.id and next_attempt_at_us <= ?1
            )"#,
        now_us
    )
    .fetch_all(connection)
    .await
}

async fn select_due(
    connection: &mut SqliteConnection,
    endpoint_id: Uuid,
    now: Timestamp,
    limit: i64,
) -> sqlx::Result<Vec<Due>> {
    let now_us = us(now);
    sqlx::query_as!(
        Due,
        r#"select event_id as "event_id: Uuid", endpoint_id as "endpoint_id: Uuid", next_attempt_at_us
        from outbound_deliveries where endpoint_id = ? and next_attempt_at_us <= ?
        order by next_attempt_at_us limit ?"#,
        endpoint_id,
        now_us,
        limit
    )
    .fetch_all(connection)
    .await
}

async fn update_claimed(connection: &mut SqliteConnection, due: &Due, lease_until: Timestamp) -> sqlx::Result<()> {
    let lease_until_us = us(lease_until);
    sqlx::query!(
        "update outbound_deliveries set attempts = attempts + 1, tries = tries + 1, next_attempt_at_us = ?
        where event_id = ? and endpoint_id = ?",
        lease_until_us,
        due.event_id,
        due.endpoint_id
    )
    .execute(connection)
    .await?;
    Ok(())
}

async fn select_dispatch(connection: &mut SqliteConnection, due: &Due) -> sqlx::Result<Option<DispatchColumns>> {
    sqlx::query_as!(
        DispatchColumns,
        r#"select delivery.event_id as "event_id!: Uuid", delivery.endpoint_id as "endpoint_id!: Uuid",
            delivery.attempts as "attempts!: i32", delivery.tries as "tries!: i32", delivery.since_us as "since_us!",
            event.payment_id as "payment_id: Uuid", event.payload as "payload!", endpoint.url as "url!", endpoint.secret as "secret!",
            endpoint.former_secret, endpoint.former_secret_expires_at_us, endpoint.failing_since_us
        from outbound_deliveries as delivery
        cross join outbound_events as event on event.id = delivery.event_id
        cross join webhook_endpoints as endpoint on endpoint.id = delivery.endpoint_id
        where delivery.event_id = ? and delivery.endpoint_id = ?"#,
        due.event_id,
        due.endpoint_id
    )
    .fetch_optional(connection)
    .await
}

pub(crate) async fn settle_deliveries(
    store: &SqliteStore,
    batch: &[DeliveryResult],
    failing_since: Timestamp,
) -> Result<Vec<EndpointId>, StoreError> {
    if batch.is_empty() {
        return Ok(Vec::new());
    }
    let mut held = store.writer().await?;
    let outcome = within(held.patience(), settle_together(&mut held, batch, failing_since)).await;
    let disabled = held.settle(outcome).map_err(store_error)?;
    Ok(disabled.into_iter().map(EndpointId::from_uuid).collect())
}

async fn settle_together(
    connection: &mut SqliteConnection,
    batch: &[DeliveryResult],
    failing_since: Timestamp,
) -> sqlx::Result<Vec<Uuid>> {
    let mut tx = connection.begin_with("begin immediate").await?;
    let mut healths: BTreeMap<Uuid, Health> = BTreeMap::new();
    for result in batch {
        insert_attempt(&mut tx, result).await?;
        update_delivery(&mut tx, result).await?;
        healths.entry(result.endpoint_id.uuid()).or_default().add(result);
    }
    let mut disabled = Vec::new();
    for (endpoint_id, health) in healths {
        disabled.extend(update_health(&mut tx, endpoint_id, &health, failing_since).await?);
    }
    tx.commit().await?;
    Ok(disabled)
}

/// What a batch says of one endpoint.
#[derive(Default)]
struct Health {
    has_arrived: bool,
    is_gone: bool,
    at_us: Option<i64>,
    rests_until_us: Option<i64>,
}

impl Health {
    fn add(&mut self, result: &DeliveryResult) {
        let at_us = us(result.attempt.at);
        self.at_us = Some(self.at_us.map_or(at_us, |first| first.min(at_us)));
        match result.outcome {
            DeliveryOutcome::Delivered => self.has_arrived = true,
            DeliveryOutcome::Gone => self.is_gone = true,
            DeliveryOutcome::Again { endpoint_rests_until, .. } => {
                self.rests_until_us = self.rests_until_us.max(endpoint_rests_until.map(us));
            }
            DeliveryOutcome::Exhausted => {}
        }
    }
}

/// Of a delivery that was deleted with its endpoint nothing is written any more.
async fn insert_attempt(connection: &mut SqliteConnection, result: &DeliveryResult) -> sqlx::Result<()> {
    let (event_id, endpoint_id) = (result.event_id.uuid(), result.endpoint_id.uuid());
    let attempt = &result.attempt;
    let at_us = us(attempt.at);
    let status = attempt.status.map(i64::from);
    sqlx::query!(
        "insert into outbound_attempts (event_id, endpoint_id, attempt, at_us, duration_ms, status, response, error)
        select event_id, endpoint_id, ?3, ?4, ?5, ?6, ?7, ?8 from outbound_deliveries
        where event_id = ?1 and endpoint_id = ?2
        on conflict do nothing",
        event_id,
        endpoint_id,
        attempt.attempt,
        at_us,
        attempt.duration_ms,
        status,
        attempt.response,
        attempt.error
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// What arrived has arrived, whoever says so. That it did not counts only under the last claim.
async fn update_delivery(connection: &mut SqliteConnection, result: &DeliveryResult) -> sqlx::Result<()> {
    let (event_id, endpoint_id) = (result.event_id.uuid(), result.endpoint_id.uuid());
    let (state, next_at_us) = match result.outcome {
        DeliveryOutcome::Delivered => ("delivered", None),
        DeliveryOutcome::Exhausted => ("failed", None),
        DeliveryOutcome::Again { next_at, .. } => ("pending", Some(us(next_at))),
        DeliveryOutcome::Gone => ("pending", Some(us(result.attempt.at))),
    };
    sqlx::query!(
        "update outbound_deliveries set state = ?3, next_attempt_at_us = ?4
        where event_id = ?1 and endpoint_id = ?2 and state = 'pending' and (?3 = 'delivered' or attempts = ?5)",
        event_id,
        endpoint_id,
        state,
        next_at_us,
        result.attempt.attempt
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Returns the endpoint if it is disabled by it. Nothing is written for the usual delivery, which arrives at an endpoint
/// that is well.
async fn update_health(
    connection: &mut SqliteConnection,
    endpoint_id: Uuid,
    health: &Health,
    failing_since: Timestamp,
) -> sqlx::Result<Option<Uuid>> {
    let failing_since_us = us(failing_since);
    let disabled = sqlx::query_scalar!(
        r#"with verdict (reason) as (
            select case
                when ?3 then 'gone'
                when not ?2 and failing_since_us <= ?6 then 'failing'
            end
            from webhook_endpoints where id = ?1
        )
        update webhook_endpoints
        set failing_since_us = case when not ?2 then coalesce(failing_since_us, ?4) end,
            rests_until_us = ?5,
            disabled_at_us = case when verdict.reason is not null then ?4 end,
            disabled_reason = verdict.reason,
            updated_at_us = case when verdict.reason is null then updated_at_us else ?4 end,
            version = version + (verdict.reason is not null)
        from verdict
        where id = ?1 and disabled_at_us is null
            and (verdict.reason is not null or ?2 = (failing_since_us is not null) or ?5 is not rests_until_us)
        returning disabled_at_us"#,
        endpoint_id,
        health.has_arrived,
        health.is_gone,
        health.at_us,
        health.rests_until_us,
        failing_since_us
    )
    .fetch_optional(connection)
    .await?;
    Ok(disabled.flatten().map(|_| endpoint_id))
}

pub(crate) async fn backlog(store: &SqliteStore, now: Timestamp) -> Result<Backlog, StoreError> {
    let mut held = store.reader().await?;
    let outcome = within(held.patience(), select_backlog(&mut held, us(now))).await;
    Backlog::try_from(held.settle(outcome).map_err(store_error)?)
}

async fn select_backlog(connection: &mut SqliteConnection, now_us: i64) -> sqlx::Result<BacklogColumns> {
    // The index is in the order of endpoints, whose few rows are looked up.
    sqlx::query_as!(
        BacklogColumns,
        r#"select count(*) as "pending!: i64",
            min(next_attempt_at_us) filter (where next_attempt_at_us <= ?1) as "due_since_us: i64"
        from (
            select next_attempt_at_us
            from outbound_deliveries indexed by outbound_deliveries_due cross join webhook_endpoints on id = endpoint_id
            where next_attempt_at_us is not null and disabled_at_us is null limit ?2
        )"#,
        now_us,
        BACKLOG_MOST
    )
    .fetch_one(connection)
    .await
}
