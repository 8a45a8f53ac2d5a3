//! Dead letters, read, and who has been told of them.
//!
//! Not here: writing letters; that is part of the update that sends a payment to a person (`update.rs`).

use uuid::Uuid;
use workflow::ids::PaymentId;
use workflow::port::row::{LetterRow, NoticeColumns, notice};
use workflow::port::store::{
    DeadLetterRow, LetterFilter, LetterPlace, LetterScope, Notice, NoticeClaim, NoticeResult, NoticeRow, StoreError,
};

use crate::PostgresStore;
use crate::columns::us;
use crate::error::store_error;
use crate::session::{Held, within};

/// Selects dead letters with what is told of their payments; the list of columns is written once.
macro_rules! select_letters {
    ($which:literal, $($parameter:expr),+) => {
        sqlx::query_as!(
            LetterRow,
            r#"select letter.payment_id, letter.seq, letter.at_us, letter.reason, letter.last_error,
                payment.merchant_id, payment.psp, payment.amount_minor, payment.currency, payment.state, payment.goal,
                not exists (
                    select from dead_letters as later
                    where later.payment_id = letter.payment_id and later.seq > letter.seq
                ) as "is_last!"
            from dead_letters as letter join payments as payment on payment.id = letter.payment_id "# + $which,
            $($parameter),+
        )
    };
}

pub(crate) async fn dead_letters(
    store: &PostgresStore,
    filter: &LetterFilter,
    after: Option<LetterPlace>,
    limit: u32,
) -> Result<Vec<DeadLetterRow>, StoreError> {
    let mut held = store.reader().await?;
    let outcome = within(held.patience(), select_dead_letters(&mut held, filter, after, limit.into())).await;
    held.settle(outcome).map_err(store_error)?.into_iter().map(DeadLetterRow::try_from).collect()
}

/// Walks over the index of times and looks each payment up. Which payments wait for a person has no index: it would
/// change with nearly every move of every payment, and letters are few.
async fn select_dead_letters(
    held: &mut Held,
    filter: &LetterFilter,
    after: Option<LetterPlace>,
    limit: i64,
) -> sqlx::Result<Vec<LetterRow>> {
    let reason: Option<&str> = filter.reason.map(Into::into);
    select_letters!(
        r#"where letter.at_us >= $1 and (letter.at_us, letter.payment_id, letter.seq) < ($2, $3, $4)
            and ($5::text is null or letter.reason = $5)
            and ($6::text is null or payment.psp = $6)
            and (not $7::boolean or payment.state = 'in_review' and not exists (
                select from dead_letters as later
                where later.payment_id = letter.payment_id and later.seq > letter.seq
            ))
        order by letter.at_us desc, letter.payment_id desc, letter.seq desc limit $8"#,
        filter.since.map_or(i64::MIN, us),
        after.map_or(i64::MAX, |after| us(after.at)),
        after.map_or(Uuid::max(), |after| after.payment_id.uuid()),
        after.map_or(i64::MAX, |after| after.seq),
        reason,
        filter.psp.as_deref(),
        filter.scope == LetterScope::Open,
        limit
    )
    .fetch_all(held)
    .await
}

pub(crate) async fn dead_letters_of(
    store: &PostgresStore,
    id: PaymentId,
    limit: u32,
) -> Result<Vec<DeadLetterRow>, StoreError> {
    let mut held = store.reader().await?;
    let outcome = within(held.patience(), select_dead_letters_of(&mut held, id.uuid(), limit.into())).await;
    held.settle(outcome).map_err(store_error)?.into_iter().map(DeadLetterRow::try_from).collect()
}

async fn select_dead_letters_of(held: &mut Held, payment_id: Uuid, limit: i64) -> sqlx::Result<Vec<LetterRow>> {
    select_letters!("where letter.payment_id = $1 order by letter.seq desc limit $2", payment_id, limit)
        .fetch_all(held)
        .await
}

pub(crate) async fn claim_notices(store: &PostgresStore, claim: NoticeClaim<'_>) -> Result<Vec<Notice>, StoreError> {
    let mut held = store.writer().await?;
    let outcome = within(held.patience(), insert_notices(&mut held, claim)).await;
    let claimed = held.settle(outcome).map_err(store_error)?;
    Ok(claimed.into_iter().filter_map(|(letter, attempt)| notice(letter, attempt)).collect())
}

/// Two workers may find the same letters. The second then waits for the first one's rows, sees that they are no longer
/// to be had, and gets none of them.
async fn insert_notices(held: &mut Held, claim: NoticeClaim<'_>) -> sqlx::Result<Vec<(LetterRow, i32)>> {
    let rows = sqlx::query!(
        r#"with found as (
            select letter.payment_id, letter.seq
            from dead_letters as letter
            left join dead_letter_notices as known
                on known.payment_id = letter.payment_id and known.seq = letter.seq and known.adapter = $1
            where letter.at_us >= $2
                and (known.payment_id is null or known.told_at_us is null and known.next_at_us <= $3)
            order by letter.at_us, letter.payment_id, letter.seq limit $5
        ), claimed as (
            insert into dead_letter_notices as notice (payment_id, seq, adapter, attempts, next_at_us)
            select payment_id, seq, $1, 1, $4 from found
            on conflict (payment_id, seq, adapter) do update
                set attempts = notice.attempts + 1, next_at_us = excluded.next_at_us
                where notice.told_at_us is null and notice.next_at_us <= $3
            returning payment_id, seq, attempts
        )
        select letter.payment_id, letter.seq, letter.at_us, letter.reason, letter.last_error,
            payment.merchant_id, payment.psp, payment.amount_minor, payment.currency, payment.state, payment.goal,
            not exists (
                select from dead_letters as later
                where later.payment_id = letter.payment_id and later.seq > letter.seq
            ) as "is_last!",
            claimed.attempts
        from claimed
        join dead_letters as letter on letter.payment_id = claimed.payment_id and letter.seq = claimed.seq
        join payments as payment on payment.id = claimed.payment_id
        order by letter.at_us, letter.payment_id, letter.seq"#,
        claim.adapter,
        us(claim.written_since),
        us(claim.now),
        us(claim.lease_until),
        i64::from(claim.limit)
    )
    .fetch_all(held)
    .await?;
    let claimed = rows.into_iter().map(|row| {
        let letter = LetterRow {
            payment_id: row.payment_id,
            seq: row.seq,
            at_us: row.at_us,
            reason: row.reason,
            last_error: row.last_error,
            merchant_id: row.merchant_id,
            psp: row.psp,
            amount_minor: row.amount_minor,
            currency: row.currency,
            state: row.state,
            goal: row.goal,
            is_last: row.is_last,
        };
        (letter, row.attempts)
    });
    Ok(claimed.collect())
}

pub(crate) async fn settle_notices(store: &PostgresStore, batch: &[NoticeResult<'_>]) -> Result<(), StoreError> {
    if batch.is_empty() {
        return Ok(());
    }
    let mut held = store.writer().await?;
    let outcome = within(held.patience(), update_notices(&mut held, batch)).await;
    held.settle(outcome).map_err(store_error)
}

/// What was told stays told, whoever said so. That it was not counts only under the last claim.
async fn update_notices(held: &mut Held, batch: &[NoticeResult<'_>]) -> sqlx::Result<()> {
    let told_at_us: Vec<Option<i64>> = batch.iter().map(|result| result.outcome.told_at().map(us)).collect();
    let next_at_us: Vec<Option<i64>> = batch.iter().map(|result| result.outcome.next_at().map(us)).collect();
    sqlx::query!(
        "update dead_letter_notices as notice
        set told_at_us = input.told_at_us, next_at_us = coalesce(input.next_at_us, notice.next_at_us)
        from unnest(
            $1::uuid[], $2::bigint[], $3::text[], $4::integer[], $5::bigint[], $6::bigint[]
        ) as input (payment_id, seq, adapter, attempt, told_at_us, next_at_us)
        where notice.payment_id = input.payment_id and notice.seq = input.seq and notice.adapter = input.adapter
            and notice.told_at_us is null
            and (input.told_at_us is not null or notice.attempts = input.attempt)",
        &batch.iter().map(|result| result.payment_id.uuid()).collect::<Vec<_>>(),
        &batch.iter().map(|result| result.seq).collect::<Vec<_>>(),
        &batch.iter().map(|result| result.adapter).collect::<Vec<_>>() as &[&str],
        &batch.iter().map(|result| result.attempt).collect::<Vec<_>>(),
        &told_at_us as &[Option<i64>],
        &next_at_us as &[Option<i64>]
    )
    .execute(held)
    .await?;
    Ok(())
}

pub(crate) async fn notices_of(store: &PostgresStore, id: PaymentId, limit: u32) -> Result<Vec<NoticeRow>, StoreError> {
    let mut held = store.reader().await?;
    let outcome = within(held.patience(), select_notices_of(&mut held, id.uuid(), limit.into())).await;
    held.settle(outcome).map_err(store_error)?.into_iter().map(NoticeRow::try_from).collect()
}

async fn select_notices_of(held: &mut Held, payment_id: Uuid, limit: i64) -> sqlx::Result<Vec<NoticeColumns>> {
    sqlx::query_as!(
        NoticeColumns,
        "select payment_id, seq, adapter, attempts, next_at_us, told_at_us from dead_letter_notices
        where payment_id = $1 order by seq, adapter limit $2",
        payment_id,
        limit
    )
    .fetch_all(held)
    .await
}
