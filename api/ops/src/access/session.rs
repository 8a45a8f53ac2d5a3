//! Sessions: opened by a log-in, found by the cookie's token, and over after a while, whatever the browser thinks.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue};
use jiff::SignedDuration;
use workflow::history::Hash;
use workflow::port::operators::{Operator, Session};

use super::cookie::{self, Purpose};
use super::{Address, Visitor, csrf_of};
use crate::answer::Trouble;
use crate::desk::App;

/// A session that is not used is over after this.
pub const IDLE: SignedDuration = SignedDuration::from_mins(60);

/// Every session is over after this: a working day.
pub const LONGEST: SignedDuration = SignedDuration::from_hours(12);

/// That a session is used is written when what is written is older than this.
const NOTED_EVERY: SignedDuration = SignedDuration::from_mins(1);

/// Logs an operator in, and out of the session they had in this browser.
pub(super) async fn open(
    app: &App,
    headers: &HeaderMap,
    operator: Operator,
    address: Address,
) -> Result<(Visitor, HeaderValue), Trouble> {
    let (now, cookies, store) = (app.now(), app.config().cookies, &app.state.operators);
    if let Some(former) = cookie::read(headers, Purpose::Session, cookies) {
        store.close_session(Hash::of(former.as_bytes())).await?;
    }
    let token = cookie::token();
    let token_hash = Hash::of(token.as_bytes());
    let session = Session { token_hash, operator_id: operator.id, created_at: now, seen_at: now };
    store.open_session(&session, now.saturating_sub(IDLE).unwrap_or(now)).await?;
    let visitor = Visitor { operator: Arc::new(operator), csrf: csrf_of(&token), session: token_hash, address };
    Ok((visitor, cookie::keep(&token, Purpose::Session, cookies)))
}

/// Who is logged in, if anybody is.
pub(super) async fn visitor(app: &App, headers: &HeaderMap, address: Address) -> Result<Option<Visitor>, Trouble> {
    let Some(token) = cookie::read(headers, Purpose::Session, app.config().cookies) else { return Ok(None) };
    let token_hash = Hash::of(token.as_bytes());
    let Some((session, operator)) = app.state.operators.session(token_hash).await? else { return Ok(None) };
    let now = app.now();
    let (unused_for, open_for) = (now.duration_since(session.seen_at), now.duration_since(session.created_at));
    if unused_for > IDLE || open_for > LONGEST || operator.disabled_at.is_some() {
        app.state.operators.close_session(token_hash).await?;
        return Ok(None);
    }
    if unused_for >= NOTED_EVERY
        && let Err(error) = app.state.operators.session_seen(token_hash, now).await
    {
        // The page is worth more than the note.
        tracing::warn!(error = &error as &dyn std::error::Error, "the use of a session was not noted");
    }
    Ok(Some(Visitor { operator: Arc::new(operator), csrf: csrf_of(&token), session: token_hash, address }))
}
