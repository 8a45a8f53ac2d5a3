//! Operators, their sessions, and how often a log-in was tried.
//!
//! Not here: passwords and tokens. Only what hashes leave of them is stored.

use async_trait::async_trait;
use jiff::Timestamp;
use workflow::history::Hash;
use workflow::port::operators::{Added, LoginLimit, Operator, Operators, Session, Tried};
use workflow::port::row::desk::{OperatorRow, SessionRow};
use workflow::port::store::StoreError;

use crate::PostgresStore;
use crate::columns::us;
use crate::error::store_error;
use crate::session::{Held, within};

/// Rows that are forgotten along the way, at most: more than one try or one session makes.
const FORGET: i64 = 100;

#[async_trait]
impl Operators for PostgresStore {
    async fn add_operator(&self, operator: &Operator) -> Result<Added, StoreError> {
        let mut held = self.writer().await?;
        let outcome = within(held.patience(), insert_operator(&mut held, operator)).await;
        let stored = held.settle(outcome).map_err(store_error)?;
        Ok(if stored == 1 { Added::Yes } else { Added::NameTaken })
    }

    async fn operators(&self, limit: u32) -> Result<Vec<Operator>, StoreError> {
        let mut held = self.reader().await?;
        let outcome = within(held.patience(), select_operators(&mut held, limit.into())).await;
        held.settle(outcome).map_err(store_error)?.into_iter().map(Operator::try_from).collect()
    }

    async fn operator(&self, name: &str) -> Result<Option<Operator>, StoreError> {
        let mut held = self.reader().await?;
        let outcome = within(held.patience(), select_operator(&mut held, name)).await;
        held.settle(outcome).map_err(store_error)?.map(Operator::try_from).transpose()
    }

    async fn change_operator(&self, operator: &Operator) -> Result<(), StoreError> {
        let mut held = self.writer().await?;
        let outcome = within(held.patience(), update_operator(&mut held, operator)).await;
        held.settle(outcome).map_err(store_error)
    }

    async fn open_session(&self, session: &Session, seen_before: Timestamp) -> Result<(), StoreError> {
        let mut held = self.writer().await?;
        let outcome = within(held.patience(), insert_session(&mut held, session, us(seen_before))).await;
        held.settle(outcome).map_err(store_error)
    }

    async fn session(&self, token_hash: Hash) -> Result<Option<(Session, Operator)>, StoreError> {
        let mut held = self.reader().await?;
        let outcome = within(held.patience(), select_session(&mut held, &token_hash.0)).await;
        held.settle(outcome).map_err(store_error)?.map(SessionRow::try_into).transpose()
    }

    async fn session_seen(&self, token_hash: Hash, at: Timestamp) -> Result<(), StoreError> {
        let mut held = self.writer().await?;
        let outcome = within(held.patience(), update_seen(&mut held, &token_hash.0, us(at))).await;
        held.settle(outcome).map_err(store_error)
    }

    async fn close_session(&self, token_hash: Hash) -> Result<(), StoreError> {
        let mut held = self.writer().await?;
        let outcome = within(held.patience(), delete_session(&mut held, &token_hash.0)).await;
        held.settle(outcome).map_err(store_error)
    }

    async fn try_login(&self, subject: Hash, limit: LoginLimit, now: Timestamp) -> Result<Tried, StoreError> {
        let mut held = self.writer().await?;
        let outcome = within(held.patience(), count_try(&mut held, &subject.0, limit, us(now))).await;
        let counted = held.settle(outcome).map_err(store_error)?;
        Ok(if counted == 0 { Tried::TooOften } else { Tried::Allowed })
    }

    async fn forgive_login(&self, subject: Hash) -> Result<(), StoreError> {
        let mut held = self.writer().await?;
        let outcome = within(held.patience(), delete_throttle(&mut held, &subject.0)).await;
        held.settle(outcome).map_err(store_error)
    }
}

/// Returns how many were stored: one, or none when the name is taken.
async fn insert_operator(held: &mut Held, operator: &Operator) -> sqlx::Result<u64> {
    let done = sqlx::query!(
        "insert into operators (id, name, role, password_hash, created_at_us, disabled_at_us)
        values ($1, $2, $3, $4, $5, $6) on conflict (name) do nothing",
        operator.id.uuid(),
        operator.name,
        <&str>::from(operator.role),
        operator.password_hash.as_ref().map(|hash| hash.expose()),
        us(operator.created_at),
        operator.disabled_at.map(us)
    )
    .execute(held)
    .await?;
    Ok(done.rows_affected())
}

async fn select_operators(held: &mut Held, limit: i64) -> sqlx::Result<Vec<OperatorRow>> {
    sqlx::query_as!(
        OperatorRow,
        "select id, name, role, password_hash, created_at_us, disabled_at_us from operators order by name limit $1",
        limit
    )
    .fetch_all(held)
    .await
}

async fn select_operator(held: &mut Held, name: &str) -> sqlx::Result<Option<OperatorRow>> {
    sqlx::query_as!(
        OperatorRow,
        "select id, name, role, password_hash, created_at_us, disabled_at_us from operators where name = $1",
        name
    )
    .fetch_optional(held)
    .await
}

async fn update_operator(held: &mut Held, operator: &Operator) -> sqlx::Result<()> {
    sqlx::query!(
        "with changed as (
            update operators set role = $2, password_hash = $3, disabled_at_us = $4 where id = $1
        )
        delete from operator_sessions where operator_id = $1",
        operator.id.uuid(),
        <&str>::from(operator.role),
        operator.password_hash.as_ref().map(|hash| hash.expose()),
        operator.disabled_at.map(us)
    )
    .execute(held)
    .await?;
    Ok(())
}

async fn insert_session(held: &mut Held, session: &Session, seen_before_us: i64) -> sqlx::Result<()> {
    sqlx::query!(
        "with forgotten as (
            delete from operator_sessions where token_hash = any (array(
                select token_hash from operator_sessions where seen_at_us < $5 order by seen_at_us limit $6
            ))
        )
        insert into operator_sessions (token_hash, operator_id, created_at_us, seen_at_us) values ($1, $2, $3, $4)",
        &session.token_hash.0[..],
        session.operator_id.uuid(),
        us(session.created_at),
        us(session.seen_at),
        seen_before_us,
        FORGET
    )
    .execute(held)
    .await?;
    Ok(())
}

async fn select_session(held: &mut Held, token_hash: &[u8]) -> sqlx::Result<Option<SessionRow>> {
    sqlx::query_as!(
        SessionRow,
        "select token_hash, operator_sessions.created_at_us as session_created_at_us, seen_at_us,
            id, name, role, password_hash, operators.created_at_us, disabled_at_us
        from operator_sessions join operators on id = operator_id where token_hash = $1",
        token_hash
    )
    .fetch_optional(held)
    .await
}

async fn update_seen(held: &mut Held, token_hash: &[u8], at_us: i64) -> sqlx::Result<()> {
    sqlx::query!(
        "update operator_sessions set seen_at_us = $2 where token_hash = $1 and seen_at_us < $2",
        token_hash,
        at_us
    )
    .execute(held)
    .await?;
    Ok(())
}

async fn delete_session(held: &mut Held, token_hash: &[u8]) -> sqlx::Result<()> {
    sqlx::query!("delete from operator_sessions where token_hash = $1", token_hash).execute(held).await?;
    Ok(())
}

/// A leaky bucket in one statement: what is in it grows by one try's worth, if that fits. Returns how many were counted:
/// one, or none. Rows whose buckets are empty are forgotten along the way.
async fn count_try(held: &mut Held, subject: &[u8], limit: LoginLimit, now_us: i64) -> sqlx::Result<u64> {
    let done = sqlx::query!(
        "with forgotten as (
            delete from login_throttles where subject = any (array(
                select subject from login_throttles where empty_at_us < $2 and subject <> $1
                order by empty_at_us limit $5
            ))
        )
        insert into login_throttles (subject, empty_at_us) values ($1, $2::bigint + $3::bigint)
        on conflict (subject) do update set empty_at_us = greatest(login_throttles.empty_at_us, $2) + $3
        where greatest(login_throttles.empty_at_us, $2) + $3 <= $2 + $4::bigint",
        subject,
        now_us,
        limit.cost_us(),
        limit.capacity_us(),
        FORGET
    )
    .execute(held)
    .await?;
    Ok(done.rows_affected())
}

async fn delete_throttle(held: &mut Held, subject: &[u8]) -> sqlx::Result<()> {
    sqlx::query!("delete from login_throttles where subject = $1", subject).execute(held).await?;
    Ok(())
}
