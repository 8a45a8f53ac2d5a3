//! Dead letters, read, and who has been told of them.
//!
//! Not here: writing letters; that is part of the update that sends a payment to a person (`update.rs`).

use sqlx::{Connection, SqliteConnection};
use uuid::Uuid;
use workflow::ids::PaymentId;
use workflow::port::row::{LetterRow, NoticeColumns, notice};
use workflow::port::store::{
    DeadLetterRow, LetterFilter, LetterPlace, LetterScope, Notice, NoticeClaim, NoticeResult, NoticeRow, StoreError,
};

use crate::SqliteStore;
use crate::columns::us;
use crate::connect::within;
use crate::error::store_error;

/// Selects dead letters with what is told of their payments; the list of columns is written once.
macro_rules! select_letters {
    ($which:literal, $($parameter:expr),+) => {
        sqlx::query_as!(
            LetterRow,
            r#"select letter.payment_id as "payment_id!: Uuid", letter.seq as "seq!", letter.at_us as "at_us!",
                letter.reason as "reason!", letter.last_error as "last_error!",
                payment.merchant_id as "merchant_id!: Uuid", payment.psp as "psp!",
                payment.amount_minor as "amount_minor!", payment.currency as "currency!", payment.state as "state!",
                payment.goal as "goal!",
                not exists (
                    select 1 from dead_letters as later
                    where later.payment_id = letter.payment_id and later.seq > letter.seq
                ) as "is_last!: bool"
            from dead_letters as letter cross join payments as payment on payment.id = letter.payment_id "# + $which,
            $($parameter),+
        )
    };
}

pub(crate) async fn dead_letters(
    store: &SqliteStore,
    filter: &LetterFilter,
    after: Option<LetterPlace>,
    limit: u32,
) -> Result<Vec<DeadLetterRow>, StoreError> {
    let mut held = store.reader().await?;
    let outcome = within(held.patience(), select_dead_letters(&mut held, filter, after, limit.into())).await;
    held.settle(outcome).map_err(store_error)?.into_iter().map(DeadLetterRow::try_from).collect()
}

/// Walks over the index of times and looks each payment up (`cross join` keeps that order). Which payments wait for a
/// person has no index on the other database, and needs none here: letters are few.
async fn select_dead_letters(
    connection: &mut SqliteConnection,
    filter: &LetterFilter,
    after: Option<LetterPlace>,
    limit: i64,
) -> sqlx::Result<Vec<LetterRow>> {
    let since_us = filter.since.map_or(i64::MIN, us);
    let after_us = after.map_or(i64::MAX, |after| us(after.at));
    let after_id = after.map_or(Uuid::max(), |after| after.payment_id.uuid());
    let after_seq = after.map_or(i64::MAX, |after| after.seq);
    let reason: Option<&str> = filter.reason.map(Into::into);
    let only_open = filter.scope == LetterScope::Open;
    select_letters!(
        r#"where letter.at_us >= ?1 and (letter.at_us, letter.payment_id, letter.seq) < (?2, ?3, ?4)
            and (?5 is null or letter.reason = ?5)
            and (?6 is null or payment.psp = ?6)
            and (not ?7 or payment.state = 'in_review' and not exists (
                select 1 from dead_letters as later
                where later.payment_id = letter.payment_id and later.seq > letter.seq
            ))
        order by letter.at_us desc, letter.payment_id desc, letter.seq desc limit ?8"#,
        since_us,
        after_us,
        after_id,
        after_seq,
        reason,
        filter.psp,
        only_open,
        limit
    )
    .fetch_all(connection)
    .await
}

pub(crate) async fn dead_letters_of(
    store: &SqliteStore,
    id: PaymentId,
    limit: u32,
) -> Result<Vec<DeadLetterRow>, StoreError> {
    let mut held = store.reader().await?;
    let outcome = within(held.patience(), select_dead_letters_of(&mut held, id.uuid(), limit.into())).await;
    held.settle(outcome).map_err(store_error)?.into_iter().map(DeadLetterRow::try_from).collect()
}

async fn select_dead_letters_of(
    connection: &mut SqliteConnection,
    payment_id: Uuid,
    limit: i64,
) -> sqlx::Result<Vec<LetterRow>> {
    select_letters!("where letter.payment_id = ? order by letter.seq desc limit ?", payment_id, limit)
        .fetch_all(connection)
        .await
}

pub(crate) async fn claim_notices(store: &SqliteStore, claim: NoticeClaim<'_>) -> Result<Vec<Notice>, StoreError> {
    let mut held = store.writer().await?;
    let outcome = within(held.patience(), claim_together(&mut held, claim)).await;
    let claimed = held.settle(outcome).map_err(store_error)?;
    Ok(claimed.into_iter().filter_map(|(letter, attempt)| notice(letter, attempt)).collect())
}

/// One transaction: nobody else writes during it, so what was found is still to be had.
async fn claim_together(
    connection: &mut SqliteConnection,
    claim: NoticeClaim<'_>,
) -> sqlx::Result<Vec<(LetterRow, i32)>> {
    let mut tx = connection.begin_with("begin immediate").await?;
    let mut claimed = Vec::new();
    for letter in select_untold(&mut tx, claim).await? {
        let attempt = insert_notice(&mut tx, claim, &letter).await?;
        claimed.push((letter, attempt));
    }
    tx.commit().await?;
    Ok(claimed)
}

async fn select_untold(connection: &mut SqliteConnection, claim: NoticeClaim<'_>) -> sqlx::Result<Vec<LetterRow>> {
    let (since_us, now_us, limit) = (us(claim.written_since), us(claim.now), i64::from(claim.limit));
    select_letters!(
        r#"left join dead_letter_notices as known
            on known.payment_id = letter.payment_id and known.seq = letter.seq and known.adapter = ?1
        where letter.at_us >= ?2
            and (known.payment_id is null or known.told_at_us is null and known.next_at_us <= ?3)
        order by letter.at_us, letter.payment_id, letter.seq limit ?4"#,
        claim.adapter,
        since_us,
        now_us,
        limit
    )
    .fetch_all(connection)
    .await
}

/// Returns which attempt it is.
async fn insert_notice(
    connection: &mut SqliteConnection,
    claim: NoticeClaim<'_>,
    letter: &LetterRow,
) -> sqlx::Result<i32> {
    let lease_until_us = us(claim.lease_until);
    sqlx::query_scalar!(
        r#"insert into dead_letter_notices (payment_id, seq, adapter, attempts, next_at_us) values (?, ?, ?, 1, ?)
        on conflict (payment_id, seq, adapter) do update
            set attempts = attempts + 1, next_at_us = excluded.next_at_us
        returning attempts as "attempts: i32""#,
        letter.payment_id,
        letter.seq,
        claim.adapter,
        lease_until_us
    )
    .fetch_one(connection)
    .await
}

pub(crate) async fn settle_notices(store: &SqliteStore, batch: &[NoticeResult<'_>]) -> Result<(), StoreError> {
    if batch.is_empty() {
        return Ok(());
    }
    let mut held = store.writer().await?;
    let outcome = within(held.patience(), settle_together(&mut held, batch)).await;
    held.settle(outcome).map_err(store_error)
}

async fn settle_together(connection: &mut SqliteConnection, batch: &[NoticeResult<'_>]) -> sqlx::Result<()> {
    let mut tx = connection.begin_with("begin immediate").await?;
    for result in batch {
        update_notice(&mut tx, result).await?;
    }
    tx.commit().await
}

/// What was told stays told, whoever said so. That it was not counts only under the last claim.
async fn update_notice(connection: &mut SqliteConnection, result: &NoticeResult<'_>) -> sqlx::Result<()> {
    let payment_id = result.payment_id.uuid();
    let (told_at_us, next_at_us) = (result.outcome.told_at().map(us), result.outcome.next_at().map(us));
    sqlx::query!(
        "update dead_letter_notices set told_at_us = ?1, next_at_us = coalesce(?2, next_at_us)
        where payment_id = ?3 and seq = ?4 and adapter = ?5 and told_at_us is null
            and (?1 is not null or attempts = ?6)",
        told_at_us,
        next_at_us,
        payment_id,
        result.seq,
        result.adapter,
        result.attempt
    )
    .execute(connection)
    .await?;
    Ok(())
}

pub(crate) async fn notices_of(store: &SqliteStore, id: PaymentId, limit: u32) -> Result<Vec<NoticeRow>, StoreError> {
    let mut held = store.reader().await?;
    let outcome = within(held.patience(), select_notices_of(&mut held, id.uuid(), limit.into())).await;
    held.settle(outcome).map_err(store_error)?.into_iter().map(NoticeRow::try_from).collect()
}

async fn select_notices_of(
    connection: &mut SqliteConnection,
    payment_id: Uuid,
    limit: i64,
) -> sqlx::Result<Vec<NoticeColumns>> {
    sqlx::query_as!(
        NoticeColumns,
        r#"select payment_id as "payment_id: Uuid", seq, adapter, attempts as "attempts: i32", next_at_us, told_at_us
        from dead_letter_notices where payment_id = ? order by seq, adapter limit ?"#,
        payment_id,
        limit
    )
    .fetch_all(connection)
    .await
}
