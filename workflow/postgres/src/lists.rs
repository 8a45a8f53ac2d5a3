//! Lists of a merchant's charges for clients, step by step. Refunds are met on the way and left out.
//!
//! A step walks along one of four indexes ([`Source`]) and looks at the payments it meets. All four stand in one
//! statement: those that are not meant are empty without being read, because what excludes them has no column in it.
//! Not here: which index a filter is best served by, and payments for everybody else (`read.rs`).

use uuid::Uuid;
use workflow::ids::PaymentId;
use workflow::payment::Payment;
use workflow::port::row::PaymentRow;
use workflow::port::store::{Bounds, ListStep, Listed, Source, StoreError, Walk};

use crate::PostgresStore;
use crate::columns::us;
use crate::error::store_error;
use crate::read::select_payments;
use crate::session::{Held, within};

/// A step as the statements take it.
struct Asked<'a> {
    source: &'static str,
    merchant_id: Uuid,
    bounds: Bounds,
    look_at: i64,
    skip: i64,
    standing: Option<&'static str>,
    entry: Option<Uuid>,
    reference: Option<String>,
    state: Option<&'static str>,
    least_minor: i64,
    most_minor: i64,
    currency: Option<String>,
    created_from_us: i64,
    created_before_us: i64,
    limit: i64,
    step: &'a ListStep<'a>,
}

impl<'a> Asked<'a> {
    fn of(step: &'a ListStep<'a>) -> Self {
        let filter = step.filter;
        let (mut standing, mut entry, mut reference) = (None, None, None);
        let source = match filter.source() {
            Source::Reference(name) => {
                reference = Some(name);
                "reference"
            }
            Source::Metadata(hash) => {
                entry = Some(hash);
                "metadata"
            }
            Source::Standing(name) => {
                standing = Some(name);
                "standing"
            }
            Source::Merchant => "merchant",
        };
        Self {
            source,
            merchant_id: step.merchant_id.uuid(),
            bounds: step.bounds(),
            look_at: step.look_at.into(),
            skip: i64::from(step.look_at) - 1,
            standing,
            entry,
            reference,
            state: filter.state.map(Into::into),
            least_minor: *filter.amount_minor.start(),
            most_minor: *filter.amount_minor.end(),
            currency: filter.currency.map(|currency| currency.to_string()),
            created_from_us: us(filter.created_from),
            created_before_us: us(filter.created_before),
            limit: step.limit.into(),
            step,
        }
    }
}

pub(crate) async fn list(store: &PostgresStore, step: &ListStep<'_>) -> Result<Listed, StoreError> {
    let _turn = store.list_turn().await?;
    let mut asked = Asked::of(step);
    let mut reach: Option<Uuid> = None;
    if step.filter.passes_others() {
        let mut held = store.reader().await?;
        let outcome = within(held.patience(), select_reach(&mut held, &asked)).await;
        reach = held.settle(outcome).map_err(store_error)?;
        // The end is fixed first. What is added at the beginning meanwhile is looked at on top, and moves nothing out.
        asked.bounds = asked.bounds.up_to(step.walk, reach);
        asked.look_at *= 2;
    } else {
        // Whatever is looked at fits: fewer than were asked for are the last ones.
        asked.look_at = asked.limit;
    }
    let mut held = store.reader().await?;
    let outcome = within(held.patience(), select_fitting(&mut held, &asked)).await;
    let rows = held.settle(outcome).map_err(store_error)?;
    let payments = rows.into_iter().map(Payment::try_from).collect::<Result<Vec<_>, _>>()?;
    let is_full = payments.len() >= step.limit as usize;
    let next = if is_full { payments.last().map(|payment| payment.id) } else { reach.map(PaymentId::from_uuid) };
    Ok(Listed { payments, next })
}

/// The payments that fit among those that are looked at.
macro_rules! fitting {
    ($asked:expr, $order:literal) => {
        select_payments!(
            "where id = any (array(
                (select id from (
                    select id, amount_minor, currency from payments
                    where $1 = 'merchant' and merchant_id = $2 and id > $3 and id < $4
                    order by id " $order " limit $5
                ) as walked where amount_minor between $10 and $11 and ($12::text is null or currency = $12))
                union all
                (select id from (
                    select id, amount_minor, currency from payments
                    where $1 = 'standing' and merchant_id = $2 and standing = $6 and id > $3 and id < $4
                    order by id " $order " limit $5
                ) as walked where amount_minor between $10 and $11 and ($12::text is null or currency = $12))
                union all
                (select payment_id from payment_metadata
                where $1 = 'metadata' and merchant_id = $2 and entry = $7 and payment_id > $3 and payment_id < $4
                order by payment_id " $order " limit $5)
                union all
                (select payment_id from psp_references
                where $1 = 'reference' and psp_reference = $8 and payment_id > $3 and payment_id < $4
                order by payment_id " $order " limit $5)
            ))
            and merchant_id = $2
            and refund_of is null
            and ($9::text is null or state = $9)
            and amount_minor between $10 and $11
            and ($12::text is null or currency = $12)
            and created_at_us >= $13 and created_at_us < $14
            order by id " $order " limit $15",
            $asked.source,
            $asked.merchant_id,
            $asked.bounds.above,
            $asked.bounds.below,
            $asked.look_at,
            $asked.standing,
            $asked.entry,
            $asked.reference,
            $asked.state,
            $asked.least_minor,
            $asked.most_minor,
            $asked.currency,
            $asked.created_from_us,
            $asked.created_before_us,
            $asked.limit
        )
    };
}

async fn select_fitting(held: &mut Held, asked: &Asked<'_>) -> sqlx::Result<Vec<PaymentRow>> {
    match asked.step.walk {
        Walk::Older => fitting!(asked, "desc").fetch_all(held).await,
        Walk::Newer => fitting!(asked, "asc").fetch_all(held).await,
    }
}

/// The last of the payments that are looked at, if there are so many: the same walks, but for all that is skipped.
macro_rules! reach {
    ($asked:expr, $order:literal) => {
        sqlx::query_scalar!(
            r#"select id as "last!" from (
                (select id from payments
                where $1 = 'merchant' and merchant_id = $2 and id > $3 and id < $4
                order by id "#
                + $order
                + r#" limit 1 offset $5)
                union all
                (select id from payments
                where $1 = 'standing' and merchant_id = $2 and standing = $6 and id > $3 and id < $4
                order by id "#
                + $order
                + r#" limit 1 offset $5)
                union all
                (select payment_id from payment_metadata
                where $1 = 'metadata' and merchant_id = $2 and entry = $7 and payment_id > $3 and payment_id < $4
                order by payment_id "#
                + $order
                + r#" limit 1 offset $5)
                union all
                (select payment_id from psp_references
                where $1 = 'reference' and psp_reference = $8 and payment_id > $3 and payment_id < $4
                order by payment_id "#
                + $order
                + r#" limit 1 offset $5)
            ) as met limit 1"#,
            $asked.source,
            $asked.merchant_id,
            $asked.bounds.above,
            $asked.bounds.below,
            $asked.skip,
            $asked.standing,
            $asked.entry,
            $asked.reference
        )
    };
}

async fn select_reach(held: &mut Held, asked: &Asked<'_>) -> sqlx::Result<Option<Uuid>> {
    match asked.step.walk {
        Walk::Older => reach!(asked, "desc").fetch_optional(held).await,
        Walk::Newer => reach!(asked, "asc").fetch_optional(held).await,
    }
}
