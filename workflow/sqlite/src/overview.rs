//! What operators read across all merchants. Each statement looks at a bounded number of rows.
//!
//! Not here: one payment and its history (`read.rs`), dead letters (`letters.rs`), and lists for clients (`lists.rs`).

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::SqliteConnection;
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

use crate::SqliteStore;
use crate::columns::us;
use crate::connect::within;
use crate::error::store_error;
use crate::read::select_payments;

#[async_trait]
impl Overview for SqliteStore {
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

pub(crate) async fn open_payments(store: &SqliteStore, now: Timestamp) -> Result<OpenPayments, StoreError> {
    let _turn = store.list_turn().await?;
    let late = us(now.saturating_sub(OVERDUE_AFTER).unwrap_or(Timestamp::MIN));
    let mut held = store.reader().await?;
    let outcome = within(held.patience(), select_standings(&mut held, us(now), late)).await;
    desk::open_payments(held.settle(outcome).map_err(store_error)?)
}

async fn select_standings(
    connection: &mut SqliteConnection,
    now_us: i64,
    late_us: i64,
) -> sqlx::Result<Vec<StandingRow>> {
    sqlx::query_as!(
        StandingRow,
        r#"select refund_of is not null as "is_refund!: bool", definition_version as "definition_version!: i32",
            state as "state!", count(*) as "count!: i64", min(state_since_us) as "oldest_since_us!: i64",
            count(*) filter (where next_wake_at_us <= ?1) as "due!: i64",
            min(next_wake_at_us) filter (where next_wake_at_us <= ?1) as "due_since_us: i64",
            count(*) filter (where next_wake_at_us <= ?3) as "overdue!: i64"
        from (
            select refund_of, definition_version, state, state_since_us, next_wake_at_us
            from payments indexed by payments_next_wake where next_wake_at_us is not null limit ?2
        )
        group by 1, 2, 3
        order by 1, 2, 3"#,
        now_us,
        OPEN_MOST,
        late_us
    )
    .fetch_all(connection)
    .await
}

async fn select_recent(connection: &mut SqliteConnection, limit: i64) -> sqlx::Result<Vec<RecentRow>> {
    sqlx::query_as!(
        RecentRow,
        r#"select id as "id: Uuid", psp, state, definition_version as "definition_version: i32", created_at_us,
            updated_at_us
        from payments order by id desc limit ?"#,
        limit
    )
    .fetch_all(connection)
    .await
}

async fn select_worked(connection: &mut SqliteConnection, payments: i64) -> sqlx::Result<Vec<WorkedRow>> {
    sqlx::query_as!(
        WorkedRow,
        r#"select payment_id as "payment_id!: Uuid", psp as "psp!", event as "event!", at_us as "at_us!"
        from (select id, psp from payments order by id desc limit ?) as recent
        join payment_history on payment_id = id
        where actor like 'worker%'
        order by payment_id, seq"#,
        payments
    )
    .fetch_all(connection)
    .await
}

/// A step as the statements take it.
struct Asked<'a> {
    walk: Walk,
    source: &'static str,
    bounds: Bounds,
    look_at: i64,
    skip: i64,
    merchant_id: Option<Uuid>,
    state: Option<&'static str>,
    psp: Option<&'a str>,
    least_minor: i64,
    most_minor: i64,
    currency: Option<String>,
    failure_part: Option<String>,
    waiting_since_us: Option<i64>,
    min_attempts: i32,
    definition_version: Option<i32>,
    limit: i64,
}

impl<'a> Asked<'a> {
    fn of(step: &FindStep<'a>) -> Self {
        let filter = step.filter;
        Self {
            walk: step.walk,
            source: filter.source().name(),
            bounds: step.bounds(),
            look_at: 2 * i64::from(step.look_at),
            skip: i64::from(step.look_at) - 1,
            merchant_id: filter.merchant_id.map(|id| id.uuid()),
            state: filter.state.map(Into::into),
            psp: filter.psp.as_deref(),
            least_minor: *filter.amount_minor.start(),
            most_minor: *filter.amount_minor.end(),
            currency: filter.currency.map(|currency| currency.to_string()),
            failure_part: filter.failure_part(),
            waiting_since_us: filter.waiting_since.map(us),
            min_attempts: filter.min_attempts,
            definition_version: filter.definition_version,
            limit: step.limit.into(),
        }
    }
}

async fn find(store: &SqliteStore, step: &FindStep<'_>) -> Result<Listed, StoreError> {
    let _turn = store.list_turn().await?;
    let mut asked = Asked::of(step);
    let mut reach: Option<Uuid> = None;
    if step.filter.source() != FindSource::Open {
        let mut held = store.reader().await?;
        let outcome = within(held.patience(), select_reach(&mut held, &asked)).await;
        reach = held.settle(outcome).map_err(store_error)?;
        // The end is fixed first: what is added at the beginning meanwhile moves nothing out.
        asked.bounds = asked.bounds.up_to(step.walk, reach);
    }
    let mut held = store.reader().await?;
    let outcome = within(held.patience(), select_found(&mut held, &asked)).await;
    let rows = held.settle(outcome).map_err(store_error)?;
    let payments = rows.into_iter().map(Payment::try_from).collect::<Result<Vec<_>, _>>()?;
    let is_full = payments.len() >= step.limit as usize;
    let next = if is_full { payments.last().map(|payment| payment.id) } else { reach.map(PaymentId::from_uuid) };
    Ok(Listed { payments, next })
}

/// The payments that fit among those that are looked at. Three walks stand in one statement: those that are not meant are
/// empty without being read, because what excludes them has no column in it.
macro_rules! found {
    ($asked:expr, $order:literal) => {
        select_payments!(
            "where id in (
                select id from (
                    select * from (
                        select id, merchant_id, psp, state, amount_minor, currency, failure, state_since_us, attempt,
                            definition_version, next_wake_at_us
                        from payments where ?1 = 'all' and id > ?2 and id < ?3 order by id " $order " limit ?4
                    ) union all select * from (
                        select id, merchant_id, psp, state, amount_minor, currency, failure, state_since_us, attempt,
                            definition_version, next_wake_at_us
                        from payments where ?1 = 'merchant' and merchant_id = ?6 and id > ?2 and id < ?3
                        order by id " $order " limit ?4
                    ) union all select * from (
                        select id, merchant_id, psp, state, amount_minor, currency, failure, state_since_us, attempt,
                            definition_version, next_wake_at_us
                        from payments indexed by payments_next_wake
                        where ?1 = 'open' and next_wake_at_us is not null limit ?5
                    ) where id > ?2 and id < ?3
                )
                where (?6 is null or merchant_id = ?6)
                    and (?7 is null or state = ?7)
                    and (?8 is null or psp = ?8)
                    and amount_minor between ?9 and ?10
                    and (?11 is null or currency = ?11)
                    and (?12 is null or instr(failure, ?12) > 0)
                    and (?13 is null or next_wake_at_us is not null and state_since_us <= ?13)
                    and attempt >= ?14
                    and (?15 is null or definition_version = ?15)
                order by id " $order " limit ?16
            )
            order by id " $order,
            $asked.source,
            $asked.bounds.above,
            $asked.bounds.below,
            $asked.look_at,
            OPEN_MOST,
            $asked.merchant_id,
            $asked.state,
            $asked.psp,
            $asked.least_minor,
            $asked.most_minor,
            $asked.currency,
            $asked.failure_part,
            $asked.waiting_since_us,
            $asked.min_attempts,
            $asked.definition_version,
            $asked.limit
        )
    };
}

async fn select_found(connection: &mut SqliteConnection, asked: &Asked<'_>) -> sqlx::Result<Vec<PaymentRow>> {
    match asked.walk {
        Walk::Older => found!(asked, "desc").fetch_all(connection).await,
        Walk::Newer => found!(asked, "asc").fetch_all(connection).await,
    }
}

/// The last of the payments that are looked at, if there are so many.
macro_rules! find_reach {
    ($asked:expr, $order:literal) => {
        sqlx::query_scalar!(
            r#"select id as "last!: Uuid" from (
                select id from (
                    select id from payments where ?1 = 'all' and id > ?2 and id < ?3
                    order by id "#
                + $order
                + r#" limit 1 offset ?4
                ) union all select id from (
                    select id from payments where ?1 = 'merchant' and merchant_id = ?5 and id > ?2 and id < ?3
                    order by id "#
                + $order
                + r#" limit 1 offset ?4
                )
            ) as met limit 1"#,
            $asked.source,
            $asked.bounds.above,
            $asked.bounds.below,
            $asked.skip,
            $asked.merchant_id
        )
    };
}

async fn select_reach(connection: &mut SqliteConnection, asked: &Asked<'_>) -> sqlx::Result<Option<Uuid>> {
    match asked.walk {
        Walk::Older => find_reach!(asked, "desc").fetch_optional(connection).await,
        Walk::Newer => find_reach!(asked, "asc").fetch_optional(connection).await,
    }
}

async fn select_by_any_reference(
    connection: &mut SqliteConnection,
    psp_reference: &str,
    limit: i64,
) -> sqlx::Result<Vec<Uuid>> {
    sqlx::query_scalar!(
        r#"select payment_id as "payment_id: Uuid" from psp_references where psp_reference = ? order by psp limit ?"#,
        psp_reference,
        limit
    )
    .fetch_all(connection)
    .await
}

async fn select_payment_of_event(connection: &mut SqliteConnection, id: Uuid) -> sqlx::Result<Option<Option<Uuid>>> {
    sqlx::query_scalar!(r#"select payment_id as "payment_id: Uuid" from outbound_events where id = ?"#, id)
        .fetch_optional(connection)
        .await
}

async fn select_unmatched(
    connection: &mut SqliteConnection,
    before_us: i64,
    limit: i64,
) -> sqlx::Result<Vec<InboxColumns>> {
    sqlx::query_as!(
        InboxColumns,
        r#"select psp, event_id, event_type, received_at_us, payment_id as "payment_id: Uuid", outcome
        from webhook_events where outcome = 'unmatched' and received_at_us < ?
        order by received_at_us desc limit ?"#,
        before_us,
        limit
    )
    .fetch_all(connection)
    .await
}

async fn select_refused(
    connection: &mut SqliteConnection,
    before_us: i64,
    limit: i64,
) -> sqlx::Result<Vec<InboxColumns>> {
    sqlx::query_as!(
        InboxColumns,
        r#"select psp, event_id, event_type, received_at_us, payment_id as "payment_id: Uuid", outcome
        from webhook_events where outcome in ('illegal', 'unreadable') and received_at_us < ?
        order by received_at_us desc limit ?"#,
        before_us,
        limit
    )
    .fetch_all(connection)
    .await
}

/// There are a few endpoints to a merchant: all of them are read, and what is on its way is counted as far as the bound.
async fn select_endpoints(connection: &mut SqliteConnection, limit: i64) -> sqlx::Result<Vec<TroubledRow>> {
    sqlx::query_as!(
        TroubledRow,
        r#"select id as "id: Uuid", merchant_id as "merchant_id: Uuid", url, disabled_at_us, disabled_reason,
            failing_since_us,
            (select count(*) from (
                select 1 from outbound_deliveries
                where endpoint_id = endpoint.id and next_attempt_at_us is not null limit ?2
            )) as "pending!: i64",
            (select min(since_us) from (
                select since_us from outbound_deliveries
                where endpoint_id = endpoint.id and next_attempt_at_us is not null limit ?2
            )) as "pending_since_us: i64"
        from webhook_endpoints as endpoint
        order by coalesce(failing_since_us, disabled_at_us) nulls last, id desc limit ?1"#,
        limit,
        PENDING_MOST
    )
    .fetch_all(connection)
    .await
}
