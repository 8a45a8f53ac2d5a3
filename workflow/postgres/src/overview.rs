//! What operators read across all merchants. Each statement looks at a bounded number of rows.
//!
//! Not here: one payment and its history (`read.rs`), dead letters (`letters.rs`), and lists for clients (`lists.rs`).

use async_trait::async_trait;
use jiff::Timestamp;
use uuid::Uuid;
use workflow::ids::{EventId, PaymentId};
use workflow::payment::Payment;
use workflow::port::overview::{
    EndpointRow, FindSource, FindStep, Inbox, InboxRow, OPEN_MOST, OVERDUE_AFTER, OpenPayments, Overview, PENDING_MOST,
    RecentPayment, WorkerRow,
};
use workflow::port::row::PaymentRow;
use workflow::port::row::desk::{self, InboxColumns, RecentRow, StandingRow, TroubledRow, WorkedRow};
use workflow::port::store::{Bounds, Listed, StoreError, Walk};

use crate::PostgresStore;
use crate::columns::us;
use crate::error::store_error;
use crate::read::select_payments;
use crate::session::{Held, within};

#[async_trait]
impl Overview for PostgresStore {
    async fn recent_payments(&self, limit: u32) -> Result<Vec<RecentPayment>, StoreError> {
        let _turn = self.list_turn().await?;
        let mut held = self.reader().await?;
        let outcome = within(held.patience(), select_recent(&mut held, limit.into())).await;
        held.settle(outcome).map_err(store_error)?.into_iter().map(RecentPayment::try_from).collect()
    }

    async fn recent_worker_rows(&self, payments: u32) -> Result<Vec<WorkerRow>, StoreError> {
        let _turn = self.list_turn().await?;
        let mut held = self.reader().await?;
        let outcome = within(held.patience(), select_worked(&mut held, payments.into())).await;
        held.settle(outcome).map_err(store_error)?.into_iter().map(WorkerRow::try_from).collect()
    }

    async fn find(&self, step: &FindStep<'_>) -> Result<Listed, StoreError> {
        find(self, step).await
    }

    async fn by_any_reference(&self, psp_reference: &str, limit: u32) -> Result<Vec<PaymentId>, StoreError> {
        let mut held = self.reader().await?;
        let outcome = within(held.patience(), select_by_any_reference(&mut held, psp_reference, limit.into())).await;
        Ok(held.settle(outcome).map_err(store_error)?.into_iter().map(PaymentId::from_uuid).collect())
    }

    async fn payment_of_event(&self, id: EventId) -> Result<Option<PaymentId>, StoreError> {
        let mut held = self.reader().await?;
        let outcome = within(held.patience(), select_payment_of_event(&mut held, id.uuid())).await;
        Ok(held.settle(outcome).map_err(store_error)?.flatten().map(PaymentId::from_uuid))
    }

    async fn inbox(&self, which: Inbox, before: Timestamp, limit: u32) -> Result<Vec<InboxRow>, StoreError> {
        let (before_us, limit) = (us(before), i64::from(limit));
        let mut held = self.reader().await?;
        let outcome = match which {
            Inbox::Unmatched => within(held.patience(), select_unmatched(&mut held, before_us, limit)).await,
            Inbox::Refused => within(held.patience(), select_refused(&mut held, before_us, limit)).await,
        };
        held.settle(outcome).map_err(store_error)?.into_iter().map(InboxRow::try_from).collect()
    }

    async fn all_endpoints(&self, limit: u32) -> Result<Vec<EndpointRow>, StoreError> {
        let _turn = self.list_turn().await?;
        let mut held = self.reader().await?;
        let outcome = within(held.patience(), select_endpoints(&mut held, limit.into())).await;
        held.settle(outcome).map_err(store_error)?.into_iter().map(EndpointRow::try_from).collect()
    }
}

/// The limit also keeps the planner from walking along another index than that of open payments.
pub(crate) async fn open_payments(store: &PostgresStore, now: Timestamp) -> Result<OpenPayments, StoreError> {
    let _turn = store.list_turn().await?;
    let late = us(now.saturating_sub(OVERDUE_AFTER).unwrap_or(Timestamp::MIN));
    let mut held = store.reader().await?;
    let outcome = within(held.patience(), select_standings(&mut held, us(now), late)).await;
    desk::open_payments(held.settle(outcome).map_err(store_error)?)
}

async fn select_standings(held: &mut Held, now_us: i64, late_us: i64) -> sqlx::Result<Vec<StandingRow>> {
    sqlx::query_as!(
        StandingRow,
        r#"select is_refund as "is_refund!", definition_version, state, count(*) as "count!",
            min(state_since_us) as "oldest_since_us!",
            count(*) filter (where next_wake_at_us <= $1) as "due!",
            min(next_wake_at_us) filter (where next_wake_at_us <= $1) as due_since_us,
            count(*) filter (where next_wake_at_us <= $3) as "overdue!"
        from (
            select refund_of is not null as is_refund, definition_version, state, state_since_us, next_wake_at_us
            from payments where wake_hour is not null limit $2
        ) as open
        group by is_refund, definition_version, state
        order by is_refund, definition_version, state"#,
        now_us,
        i64::from(OPEN_MOST),
        late_us
    )
    .fetch_all(held)
    .await
}

async fn select_recent(held: &mut Held, limit: i64) -> sqlx::Result<Vec<RecentRow>> {
    sqlx::query_as!(
        RecentRow,
        "select id, psp, state, definition_version, created_at_us, updated_at_us from payments order by id desc limit $1",
        limit
    )
    .fetch_all(held)
    .await
}

async fn select_worked(held: &mut Held, payments: i64) -> sqlx::Result<Vec<WorkedRow>> {
    sqlx::query_as!(
        WorkedRow,
        "select payment_id, psp, event, at_us
        from (select id, psp from payments order by id desc limit $1) as recent
        join payment_history on payment_id = id
        where actor like 'worker%'
        order by payment_id, seq",
        payments
    )
    .fetch_all(held)
    .await
}

async fn find(store: &PostgresStore, step: &FindStep<'_>) -> Result<Listed, StoreError> {
    let _turn = store.list_turn().await?;
    let (source, mut bounds) = (step.filter.source(), step.bounds());
    let mut reach: Option<Uuid> = None;
    if source != FindSource::Open {
        let mut held = store.reader().await?;
        let outcome = within(held.patience(), select_reach(&mut held, step, source, bounds)).await;
        reach = held.settle(outcome).map_err(store_error)?;
        // The end is fixed first: what is added at the beginning meanwhile moves nothing out.
        bounds = bounds.up_to(step.walk, reach);
    }
    let mut held = store.reader().await?;
    let outcome = within(held.patience(), select_found(&mut held, step, source, bounds)).await;
    let rows = held.settle(outcome).map_err(store_error)?;
    let payments = rows.into_iter().map(Payment::try_from).collect::<Result<Vec<_>, _>>()?;
    let is_full = payments.len() >= step.limit as usize;
    let next = if is_full { payments.last().map(|payment| payment.id) } else { reach.map(PaymentId::from_uuid) };
    Ok(Listed { payments, next })
}

/// The payments that fit among those that are looked at. Three walks stand in one statement: those that are not meant are
/// empty without being read, because what excludes them has no column in it.
macro_rules! found {
    ($step:expr, $source:expr, $bounds:expr, $order:literal) => {{
        let filter = $step.filter;
        select_payments!(
            "where id = any (array(
                select id from (
                    (select id, merchant_id, psp, state, amount_minor, currency, failure, state_since_us, attempt,
                        definition_version, next_wake_at_us
                    from payments where $1 = 'all' and id > $2 and id < $3 order by id " $order " limit $4)
                    union all
                    (select id, merchant_id, psp, state, amount_minor, currency, failure, state_since_us, attempt,
                        definition_version, next_wake_at_us
                    from payments where $1 = 'merchant' and merchant_id = $6 and id > $2 and id < $3
                    order by id " $order " limit $4)
                    union all
                    (select * from (
                        select id, merchant_id, psp, state, amount_minor, currency, failure, state_since_us, attempt,
                            definition_version, next_wake_at_us
                        from payments where $1 = 'open' and wake_hour is not null limit $5
                    ) as open where id > $2 and id < $3)
                ) as walked
                where ($6::uuid is null or merchant_id = $6)
                    and ($7::text is null or state = $7)
                    and ($8::text is null or psp = $8)
                    and amount_minor between $9 and $10
                    and ($11::text is null or currency = $11)
                    and ($12::text is null or position($12 in failure) > 0)
                    and ($13::bigint is null or next_wake_at_us is not null and state_since_us <= $13)
                    and attempt >= $14
                    and ($15::integer is null or definition_version = $15)
                order by id " $order " limit $16
            ))
            order by id " $order,
            $source.name(),
            $bounds.above,
            $bounds.below,
            2 * i64::from($step.look_at),
            i64::from(OPEN_MOST),
            filter.merchant_id.map(|id| id.uuid()),
            filter.state.map(<&str>::from),
            filter.psp.as_deref(),
            *filter.amount_minor.start(),
            *filter.amount_minor.end(),
            filter.currency.map(|currency| currency.to_string()),
            filter.failure_part(),
            filter.waiting_since.map(us),
            filter.min_attempts,
            filter.definition_version,
            i64::from($step.limit)
        )
    }};
}

async fn select_found(
    held: &mut Held,
    step: &FindStep<'_>,
    source: FindSource,
    bounds: Bounds,
) -> sqlx::Result<Vec<PaymentRow>> {
    match step.walk {
        Walk::Older => found!(step, source, bounds, "desc").fetch_all(held).await,
        Walk::Newer => found!(step, source, bounds, "asc").fetch_all(held).await,
    }
}

/// The last of the payments that are looked at, if there are so many.
macro_rules! find_reach {
    ($step:expr, $source:expr, $bounds:expr, $order:literal) => {
        sqlx::query_scalar!(
            r#"select id as "last!" from (
                (select id from payments where $1 = 'all' and id > $2 and id < $3
                order by id "#
                + $order
                + r#" limit 1 offset $4)
                union all
                (select id from payments where $1 = 'merchant' and merchant_id = $5 and id > $2 and id < $3
                order by id "#
                + $order
                + r#" limit 1 offset $4)
            ) as met limit 1"#,
            $source.name(),
            $bounds.above,
            $bounds.below,
            i64::from($step.look_at) - 1,
            $step.filter.merchant_id.map(|id| id.uuid())
        )
    };
}

async fn select_reach(
    held: &mut Held,
    step: &FindStep<'_>,
    source: FindSource,
    bounds: Bounds,
) -> sqlx::Result<Option<Uuid>> {
    match step.walk {
        Walk::Older => find_reach!(step, source, bounds, "desc").fetch_optional(held).await,
        Walk::Newer => find_reach!(step, source, bounds, "asc").fetch_optional(held).await,
    }
}

async fn select_by_any_reference(held: &mut Held, psp_reference: &str, limit: i64) -> sqlx::Result<Vec<Uuid>> {
    sqlx::query_scalar!(
        "select payment_id from psp_references where psp_reference = $1 order by psp limit $2",
        psp_reference,
        limit
    )
    .fetch_all(held)
    .await
}

async fn select_payment_of_event(held: &mut Held, id: Uuid) -> sqlx::Result<Option<Option<Uuid>>> {
    sqlx::query_scalar!("select payment_id from outbound_events where id = $1", id).fetch_optional(held).await
}

async fn select_unmatched(held: &mut Held, before_us: i64, limit: i64) -> sqlx::Result<Vec<InboxColumns>> {
    sqlx::query_as!(
        InboxColumns,
        "select psp, event_id, event_type, received_at_us, payment_id, outcome
        from webhook_events where outcome = 'unmatched' and received_at_us < $1
        order by received_at_us desc limit $2",
        before_us,
        limit
    )
    .fetch_all(held)
    .await
}

async fn select_refused(held: &mut Held, before_us: i64, limit: i64) -> sqlx::Result<Vec<InboxColumns>> {
    sqlx::query_as!(
        InboxColumns,
        "select psp, event_id, event_type, received_at_us, payment_id, outcome
        from webhook_events where outcome in ('illegal', 'unreadable') and received_at_us < $1
        order by received_at_us desc limit $2",
        before_us,
        limit
    )
    .fetch_all(held)
    .await
}

/// There are a few endpoints to a merchant: all of them are read, and what is on its way is counted as far as the bound.
async fn select_endpoints(held: &mut Held, limit: i64) -> sqlx::Result<Vec<TroubledRow>> {
    sqlx::query_as!(
        TroubledRow,
        r#"select endpoint.id, merchant_id, url, disabled_at_us, disabled_reason, failing_since_us,
            pending.count as "pending!", pending.since_us as pending_since_us
        from (
            select id, merchant_id, url, disabled_at_us, disabled_reason, failing_since_us from webhook_endpoints
            order by coalesce(failing_since_us, disabled_at_us), id desc limit $1
        ) as endpoint, lateral (
            select count(*) as count, min(since_us) as since_us from (
                select since_us from outbound_deliveries
                where endpoint_id = endpoint.id and next_attempt_at_us is not null limit $2
            ) as counted
        ) as pending
        order by coalesce(failing_since_us, disabled_at_us), endpoint.id desc"#,
        limit,
        PENDING_MOST
    )
    .fetch_all(held)
    .await
}
