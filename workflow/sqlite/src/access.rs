//! Operators, their sessions, and how often a log-in was tried.
//!
//! Not here: passwords and tokens. Only what hashes leave of them is stored.

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::{Connection, SqliteConnection};
use uuid::Uuid;
use workflow::history::Hash;
use workflow::port::operators::{Added, LoginLimit, Operator, Operators, Session, Tried};
use workflow::port::row::desk::{OperatorRow, SessionRow};
use workflow::port::store::StoreError;

use crate::SqliteStore;
use crate::columns::us;
use crate::connect::within;
use crate::error::store_error;

/// Rows that are forgotten along the way, at most: more than one try or one session makes.
const FORGET: i64 = 100;

#[async_trait]
impl Operators for SqliteStore {
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
        let outcome = within(held.patience(), change(&mut held, operator)).await;
        held.settle(outcome).map_err(store_error)
    }

    async fn open_session(&self, session: &Session, seen_before: Timestamp) -> Result<(), StoreError> {
        let mut held = self.writer().await?;
        let outcome = within(held.patience(), open(&mut held, session, us(seen_before))).await;
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
        let outcome = within(held.patience(), count(&mut held, &subject.0, limit, us(now))).await;
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
async fn insert_operator(connection: &mut SqliteConnection, operator: &Operator) -> sqlx::Result<u64> {
    let id = operator.id.uuid();
    let role: &str = operator.role.into();
    let password_hash = operator.password_hash.as_ref().map(|hash| hash.expose());
    let created_at_us = us(operator.created_at);
    let disabled_at_us = operator.disabled_at.map(us);
    let done = sqlx::query!(
        "insert into operators (id, name, role, password_hash, created_at_us, disabled_at_us)
        values (?, ?, ?, ?, ?, ?) on conflict (name) do nothing",
        id,
        operator.name,
        role,
        password_hash,
        created_at_us,
        disabled_at_us
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected())
}

async fn select_operators(connection: &mut SqliteConnection, limit: i64) -> sqlx::Result<Vec<OperatorRow>> {
    sqlx::query_as!(
        OperatorRow,
        r#"select id as "id: Uuid", name, role, password_hash, created_at_us, disabled_at_us
        from operators order by name limit ?"#,
        limit
    )
    .fetch_all(connection)
    .await
}

async fn select_operator(connection: &mut SqliteConnection, name: &str) -> sqlx::Result<Option<OperatorRow>> {
    sqlx::query_as!(
        OperatorRow,
        r#"select id as "id: Uuid", name, role, password_hash, created_at_us, disabled_at_us
        from operators where name = ?"#,
        name
    )
    .fetch_optional(connection)
    .await
}

async fn change(connection: &mut SqliteConnection, operator: &Operator) -> sqlx::Result<()> {
    let mut tx = connection.begin_with("begin immediate").await?;
    update_operator(&mut tx, operator).await?;
    delete_sessions(&mut tx, operator.id.uuid()).await?;
    tx.commit().await
}

async fn update_operator(connection: &mut SqliteConnection, operator: &Operator) -> sqlx::Result<()> {
    let id = operator.id.uuid();
    let role: &str = operator.role.into();
    let password_hash = operator.password_hash.as_ref().map(|hash| hash.expose());
    let disabled_at_us = operator.disabled_at.map(us);
    sqlx::query!(
        "update operators set role = ?, password_hash = ?, disabled_at_us = ? where id = ?",
        role,
        password_hash,
        disabled_at_us,
        id
    )
    .execute(connection)
    .await?;
    Ok(())
}

async fn delete_sessions(connection: &mut SqliteConnection, operator_id: Uuid) -> sqlx::Result<()> {
    sqlx::query!("delete from operator_sessions where operator_id = ?", operator_id).execute(connection).await?;
    Ok(())
}

async fn open(connection: &mut SqliteConnection, session: &Session, seen_before_us: i64) -> sqlx::Result<()> {
    let mut tx = connection.begin_with("begin immediate").await?;
    delete_old_sessions(&mut tx, seen_before_us).await?;
    insert_session(&mut tx, session).await?;
    tx.commit().await
}

async fn delete_old_sessions(connection: &mut SqliteConnection, seen_before_us: i64) -> sqlx::Result<()> {
    sqlx::query!(
        "delete from operator_sessions where token_hash in (
            select token_hash from operator_sessions where seen_at_us < ? order by seen_at_us limit ?
        )",
        seen_before_us,
        FORGET
    )
    .execute(connection)
    .await?;
    Ok(())
}

async fn insert_session(connection: &mut SqliteConnection, session: &Session) -> sqlx::Result<()> {
    let token_hash = &session.token_hash.0[..];
    let operator_id = session.operator_id.uuid();
    let (created_at_us, seen_at_us) = (us(session.created_at), us(session.seen_at));
    sqlx::query!(
        "insert into operator_sessions (token_hash, operator_id, created_at_us, seen_at_us) values (?, ?, ?, ?)",
        token_hash,
        operator_id,
        created_at_us,
        seen_at_us
    )
    .execute(connection)
    .await?;
    Ok(())
}

async fn select_session(connection: &mut SqliteConnection, token_hash: &[u8]) -> sqlx::Result<Option<SessionRow>> {
    sqlx::query_as!(
        SessionRow,
        r#"select token_hash, operator_sessions.created_at_us as session_created_at_us, seen_at_us,
            id as "id: Uuid", name, role, password_hash, operators.created_at_us, disabled_at_us
        from operator_sessions join operators on id = operator_id where token_hash = ?"#,
        token_hash
    )
    .fetch_optional(connection)
    .await
}

async fn update_seen(connection: &mut SqliteConnection, token_hash: &[u8], at_us: i64) -> sqlx::Result<()> {
    sqlx::query!(
        "update operator_sessions set seen_at_us = ?2 where token_hash = ?1 and seen_at_us < ?2",
        token_hash,
        at_us
    )
    .execute(connection)
    .await?;
    Ok(())
}

async fn delete_session(connection: &mut SqliteConnection, token_hash: &[u8]) -> sqlx::Result<()> {
    sqlx::query!("delete from operator_sessions where token_hash = ?", token_hash).execute(connection).await?;
    Ok(())
}

async fn count(connection: &mut SqliteConnection, subject: &[u8], limit: LoginLimit, now_us: i64) -> sqlx::Result<u64> {
    let mut tx = connection.begin_with("begin immediate").await?;
    delete_empty_throttles(&mut tx, now_us).await?;
    let counted = count_try(&mut tx, subject, limit, now_us).await?;
    tx.commit().await?;
    Ok(counted)
}

async fn delete_empty_throttles(connection: &mut SqliteConnection, now_us: i64) -> sqlx::Result<()> {
    sqlx::query!(
        "delete from login_throttles where subject in (
            select subject from login_throttles where empty_at_us < ? order by empty_at_us limit ?
        )",
        now_us,
        FORGET
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// A leaky bucket in one statement: what is in it grows by one try's worth, if that fits. Returns how many were counted:
/// one, or none.
async fn count_try(
    connection: &mut SqliteConnection,
    subject: &[u8],
    limit: LoginLimit,
    now_us: i64,
) -> sqlx::Result<u64> {
    let (cost_us, capacity_us) = (limit.cost_us(), limit.capacity_us());
    let done = sqlx::query!(
        "insert into login_throttles (subject, empty_at_us) values (?1, ?2 + ?3)
        on conflict (subject) do update set empty_at_us = max(login_throttles.empty_at_us, ?2) + ?3
        where max(login_throttles.empty_at_us, ?2) + ?3 <= ?2 + ?4",
        subject,
        now_us,
        cost_us,
        capacity_us
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected())
}

async fn delete_throttle(connection: &mut SqliteConnection, subject: &[u8]) -> sqlx::Result<()> {
    sqlx::query!("delete from login_throttles where subject = ?", subject).execute(connection).await?;
    Ok(())
}
