//! Logging in and out. Every try is counted by name and by address before the password is looked at, and every outcome is
//! written into the audit log.

use askama::Template;
use axum::Extension;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use http::header::SET_COOKIE;
use http::{HeaderMap, HeaderValue, StatusCode, Uri};
use jiff::SignedDuration;
use secrecy::SecretString;
use workflow::history::Hash;
use workflow::ids::AuditId;
use workflow::port::audit::{AuditAct, AuditEntry, AuditOutcome, Via};
use workflow::port::operators::{LoginLimit, Operator, Tried, is_name};

use super::cookie::{self, Purpose};
use super::{Address, Form, Visitor, session};
use crate::answer::{Trouble, page_with, see};
use crate::desk::App;
use crate::pages::assets;
use crate::password::{self, Match};

/// Where one logs in.
const PATH: &str = "/ops/login";

/// How often a name may be tried: a person who mistypes does not notice it, and who guesses has six thousand guesses a day.
const BY_NAME: LoginLimit = LoginLimit { burst: 10, every: SignedDuration::from_secs(15) };

/// How often an address may try: an office may have one for everybody.
const BY_ADDRESS: LoginLimit = LoginLimit { burst: 30, every: SignedDuration::from_secs(5) };

/// Somebody who is about to log in.
#[derive(Clone)]
pub(crate) struct Visit {
    pub(super) csrf: String,
    pub(super) address: Address,
}

/// How a log-in ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Outcome {
    /// The password was right.
    LoggedIn,
    /// A trusted proxy said who it is.
    ThroughProxy,
    /// The name or the password was wrong, or the operator is disabled.
    Refused,
    /// It was tried too often.
    TooOften,
    /// The session was ended by its owner.
    LoggedOut,
}

impl Outcome {
    const fn name(self) -> &'static str {
        match self {
            Self::LoggedIn => "logged_in",
            Self::ThroughProxy => "through_proxy",
            Self::Refused => "refused",
            Self::TooOften => "too_often",
            Self::LoggedOut => "logged_out",
        }
    }

    /// As the audit log has it: what was done, with what it was about, and how it came out.
    fn audited(self) -> (AuditAct, Option<&'static str>, AuditOutcome) {
        let refused = |why: &str| AuditOutcome::Refused(why.to_owned());
        match self {
            Self::LoggedIn => (AuditAct::LogIn, Some("password"), AuditOutcome::Done),
            Self::ThroughProxy => (AuditAct::LogIn, Some("proxy"), AuditOutcome::Done),
            Self::Refused => (AuditAct::LogIn, Some("password"), refused("the name or the password is wrong")),
            Self::TooOften => (AuditAct::LogIn, Some("password"), refused("it was tried too often")),
            Self::LoggedOut => (AuditAct::LogOut, None, AuditOutcome::Done),
        }
    }
}

/// The secret of somebody who is not logged in yet, for their form; made when they have none.
pub(super) fn visit(app: &App, headers: &HeaderMap, cookies: &mut Vec<HeaderValue>) -> String {
    let how = app.config().cookies;
    cookie::read(headers, Purpose::Visit, how).unwrap_or_else(|| {
        let token = cookie::token();
        cookies.push(cookie::keep(&token, Purpose::Visit, how));
        token
    })
}

/// The log-in page for somebody who asked for this one.
pub(super) fn path_before(uri: &Uri) -> String {
    let wanted = uri.path_and_query().map_or("/ops", http::uri::PathAndQuery::as_str);
    let query = serde_html_form::to_string([("next", wanted)]).unwrap_or_default();
    format!("{PATH}?{query}")
}

/// Where to go afterwards: one of our pages, whatever the link said.
fn next_page(asked: Option<&str>) -> &str {
    let is_ours = |path: &&str| {
        (*path == "/ops" || path.starts_with("/ops/") || path.starts_with("/ops?"))
            && !path.starts_with(PATH)
            && path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\')
    };
    asked.filter(is_ours).unwrap_or("/ops")
}

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage<'a> {
    csrf: &'a str,
    next: &'a str,
    name: &'a str,
    refused: bool,
    style: &'a str,
}

pub(crate) async fn ask(
    State(app): State<App>,
    Extension(visit): Extension<Visit>,
    Query(query): Query<Vec<(String, String)>>,
) -> Response {
    if app.config().user_header.is_some() {
        return see("/ops");
    }
    let next = query.iter().find(|(name, _)| name == "next").map(|(_, value)| value.as_str());
    let style = assets::style_path();
    let page = LoginPage { csrf: &visit.csrf, next: next_page(next), name: "", refused: false, style };
    page_with(StatusCode::OK, &page)
}

pub(crate) async fn log_in(
    State(app): State<App>,
    Extension(visit): Extension<Visit>,
    Extension(form): Extension<Form>,
    headers: HeaderMap,
) -> Result<Response, Trouble> {
    if app.config().user_header.is_some() {
        return Err(Trouble::Forbidden("The proxy in front logs people in; there are no passwords here."));
    }
    let name = form.get("name").unwrap_or_default().to_lowercase();
    let password = SecretString::from(form.exact("password").unwrap_or_default().to_owned());
    let by_name = Hash::of(format!("name\0{name}").as_bytes());
    if tried_too_often(&app, by_name, visit.address).await? {
        note(&app, &name, visit.address, Outcome::TooOften).await?;
        return Err(Trouble::TooOften);
    }
    let Some(operator) = right_one(&app, &name, password).await? else {
        note(&app, &name, visit.address, Outcome::Refused).await?;
        let next = next_page(form.get("next"));
        let style = assets::style_path();
        let page = LoginPage { csrf: &visit.csrf, next, name: &name, refused: true, style };
        return Ok(page_with(StatusCode::UNAUTHORIZED, &page));
    };
    let (visitor, cookie) = session::open(&app, &headers, operator, visit.address).await?;
    note(&app, &visitor.operator.name, visit.address, Outcome::LoggedIn).await?;
    app.state.operators.forgive_login(by_name).await?;
    let mut response = see(next_page(form.get("next")));
    // What came before the log-in is worth nothing after it.
    for cookie in [cookie, cookie::forget(Purpose::Visit, app.config().cookies)] {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    Ok(response)
}

pub(crate) async fn log_out(
    State(app): State<App>,
    Extension(visitor): Extension<Visitor>,
) -> Result<Response, Trouble> {
    app.state.operators.close_session(visitor.session).await?;
    note(&app, &visitor.operator.name, visitor.address, Outcome::LoggedOut).await?;
    let forget = cookie::forget(Purpose::Session, app.config().cookies);
    Ok(([(SET_COOKIE, forget)], see(PATH)).into_response())
}

/// Counts the try, by address and by name, wherever it is made.
async fn tried_too_often(app: &App, by_name: Hash, address: Address) -> Result<bool, Trouble> {
    let (now, store) = (app.now(), &app.state.operators);
    let by_address = Hash::of(format!("address\0{address}").as_bytes());
    // The address first: one that tries too often cannot lock anybody else out.
    Ok(store.try_login(by_address, BY_ADDRESS, now).await? == Tried::TooOften
        || store.try_login(by_name, BY_NAME, now).await? == Tried::TooOften)
}

/// The operator of this name, if that is their password. It takes as long when there is none.
async fn right_one(app: &App, name: &str, password: SecretString) -> Result<Option<Operator>, Trouble> {
    let operator = if is_name(name) { app.state.operators.operator(name).await? } else { None };
    let operator = operator.filter(|operator| operator.disabled_at.is_none());
    let stored = operator.as_ref().and_then(|operator| operator.password_hash.clone());
    let _place = app.passwords.acquire().await.map_err(|_closed| Trouble::Defect)?;
    let compared = tokio::task::spawn_blocking(move || password::compare(&password, stored.as_ref())).await;
    let is_right = compared.map_err(|_panicked| Trouble::Defect)? == Match::Yes;
    Ok(operator.filter(|_| is_right))
}

/// Writes how a log-in ended into the audit log. One that cannot be written down is not let in.
pub(super) async fn note(app: &App, name: &str, address: Address, outcome: Outcome) -> Result<(), Trouble> {
    metrics::counter!("fincore_ops_logins_total", "outcome" => outcome.name()).increment(1);
    let known = if is_name(name) { app.state.operators.operator(name).await? } else { None };
    let (act, subject, came_to) = outcome.audited();
    let at = app.now();
    let entry = AuditEntry {
        id: AuditId::new(at, app.state.engine.random_pair()),
        at,
        // People type passwords into the field for the name: what is nobody's name is not written down.
        actor: known.as_ref().map_or("unknown", |operator| operator.name.as_str()).to_owned(),
        role: known.map(|operator| operator.role),
        act,
        payment_id: None,
        subject: subject.map(str::to_owned),
        reason: None,
        outcome: came_to,
        via: Via::Web,
        remote: Some(address.to_string()),
    };
    Ok(app.state.engine.store().enter(&[entry]).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_leads_to_our_own_pages_after_the_log_in_and_nowhere_else() {
        for ours in ["/ops", "/ops/payments?state=in_review", "/ops/payments/ch_1", "/ops?live=1"] {
            assert_eq!(next_page(Some(ours)), ours);
        }
        for foreign in
            ["", "//evil.example", "https://evil.example", "/opsx", "/ops/\\evil", "/ops/login", "/ops/a b", "/v1"]
        {
            assert_eq!(next_page(Some(foreign)), "/ops", "{foreign}");
        }
    }
}
