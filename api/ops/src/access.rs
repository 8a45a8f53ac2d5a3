//! Who is it, may they, and is the form one of ours: asked of every request before anything else, by what the table of
//! routes says. A handler that is reached has its [`Visitor`], and a POST its [`Form`].
//!
//! Forms carry a token that follows from the session's cookie, which no other site can read; and browsers say themselves
//! where a request comes from. Not here: comparing passwords (`login`), and where sessions are kept.

pub(crate) mod cookie;
pub(crate) mod login;
pub(crate) mod network;
mod proxy;
mod session;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, Request};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, SET_COOKIE};
use http::request::Parts;
use http::{HeaderMap, Method};
use workflow::history::Hash;
use workflow::port::operators::{Operator, Role};

use crate::answer::{Trouble, see};
use crate::desk::App;
use crate::routes::Access;

pub use session::{IDLE, LONGEST};

/// Bytes of a form. The largest holds a reason and some references.
const FORM_MAX: usize = 64 * 1024;

/// Fields of a form.
const FIELDS_MAX: usize = 2_000;

/// The field that proves where a form comes from.
pub(crate) const CSRF: &str = "csrf";

/// Who asks.
#[derive(Clone)]
pub(crate) struct Visitor {
    pub(crate) operator: Arc<Operator>,
    /// What this session's forms carry.
    pub(crate) csrf: String,
    /// The session's token is known by this.
    pub(crate) session: Hash,
    /// From where.
    pub(crate) address: Address,
}

impl Visitor {
    pub(crate) fn may_act(&self) -> bool {
        self.operator.role == Role::Operator
    }
}

/// The fields of a form that is known to be ours.
#[derive(Clone, Default)]
pub(crate) struct Form(Arc<Vec<(String, String)>>);

impl Form {
    /// The first field of this name, without space around it.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.exact(name).map(str::trim)
    }

    /// A field as it was sent: a password may begin with a space.
    pub(crate) fn exact(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str())
    }
}

/// Where a request came from, as far as that is known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Address(pub(crate) Option<IpAddr>);

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(address) => address.fmt(f),
            None => f.write_str("unknown"),
        }
    }
}

/// Lets a request through, or answers it.
pub(crate) async fn pass(app: App, access: Access, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let address = proxy::address_of(&app, &parts);
    let mut cookies = Vec::new();
    let admitted = match admit(&app, access, &mut parts, address, &mut cookies).await {
        Ok(Admitted::Welcome(csrf)) => unforged(&mut parts, body, &csrf).await.map_err(IntoResponse::into_response),
        Ok(Admitted::LogInFirst(place)) => Err(see(&place)),
        Err(trouble) => Err(trouble.into_response()),
    };
    let mut response = match admitted {
        Ok(body) => next.run(Request::from_parts(parts, body)).await,
        Err(response) => response,
    };
    for cookie in cookies {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    response
}

/// What becomes of a request before its form is looked at.
enum Admitted {
    /// It may go on, with forms that carry this.
    Welcome(String),
    /// Its page is for those who are logged in.
    LogInFirst(String),
}

async fn admit(
    app: &App,
    access: Access,
    parts: &mut Parts,
    address: Address,
    cookies: &mut Vec<http::HeaderValue>,
) -> Result<Admitted, Trouble> {
    let needs_operator = match access {
        Access::Everybody => return Ok(Admitted::Welcome(String::new())),
        Access::LoggingIn => {
            let token = login::visit(app, &parts.headers, cookies);
            let csrf = csrf_of(&token);
            parts.extensions.insert(login::Visit { csrf: csrf.clone(), address });
            return Ok(Admitted::Welcome(csrf));
        }
        Access::Readers => false,
        Access::Operators => true,
    };
    let visitor = match &app.config().user_header {
        Some(header) => Some(proxy::visitor(app, header, parts, address, cookies).await?),
        None => session::visitor(app, &parts.headers, address).await?,
    };
    let Some(visitor) = visitor else {
        // A page that was asked for comes after the log-in; what was sent is not kept for later.
        return if parts.method == Method::POST || is_fragment(&parts.headers) {
            Err(Trouble::LoggedOut)
        } else {
            Ok(Admitted::LogInFirst(login::path_before(&parts.uri)))
        };
    };
    if needs_operator && !visitor.may_act() {
        return Err(Trouble::Forbidden("Your role is reader: you see everything and change nothing. Ask an operator."));
    }
    let csrf = visitor.csrf.clone();
    parts.extensions.insert(visitor);
    Ok(Admitted::Welcome(csrf))
}

/// Whether our own script asks, which shows no log-in page in the middle of another.
fn is_fragment(headers: &HeaderMap) -> bool {
    headers.contains_key("x-fragment")
}

/// Takes in the form of a POST, if it is one of ours; everything else passes as it is.
async fn unforged(parts: &mut Parts, body: Body, csrf: &str) -> Result<Body, Trouble> {
    if parts.method != Method::POST {
        return Ok(body);
    }
    let is_form = parts.headers.get(CONTENT_TYPE).is_some_and(|value| {
        value.to_str().is_ok_and(|text| text.split(';').next() == Some("application/x-www-form-urlencoded"))
    });
    let site = parts.headers.get("sec-fetch-site").map(|value| value.as_bytes());
    if !is_form || site.is_some_and(|site| site != b"same-origin") || csrf.is_empty() {
        return Err(Trouble::ForeignForm);
    }
    let bytes = to_bytes(body, FORM_MAX).await;
    let bytes = bytes.map_err(|_| Trouble::Unreadable("The form is longer than 64 KiB.".to_owned()))?;
    let fields: Vec<(String, String)> =
        serde_html_form::from_bytes(&bytes).map_err(|_| Trouble::Unreadable("The form is not a form.".to_owned()))?;
    if fields.len() > FIELDS_MAX {
        return Err(Trouble::Unreadable("The form has too many fields.".to_owned()));
    }
    let form = Form(Arc::new(fields));
    // Hashes are compared, so that the time it takes says nothing about the token.
    let is_ours = form.exact(CSRF).is_some_and(|sent| Hash::of(sent.as_bytes()) == Hash::of(csrf.as_bytes()));
    if !is_ours {
        return Err(Trouble::ForeignForm);
    }
    parts.extensions.insert(form);
    Ok(Body::empty())
}

/// What the forms of a session carry. It follows from the cookie's secret and does not lead back to it.
fn csrf_of(token: &str) -> String {
    Hash::of(format!("fincore forms\0{token}").as_bytes()).to_string()
}

/// The other end of the connection.
fn peer(parts: &Parts) -> Option<IpAddr> {
    parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip().to_canonical())
}
