//! The operators' pages over a world, and people who look at them: each with their cookies, and with the last form's token.
//!
//! Not here: a real browser (`tests/third_party/browser`).

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::ConnectInfo;
use ops::{Cookies, OpsConfig, OpsState};
use reqwest::StatusCode;
use reqwest::header::{CONTENT_TYPE, COOKIE, HeaderMap, LOCATION, SET_COOKIE};
use secrecy::{ExposeSecret, SecretString};
use tower::ServiceExt as _;
use workflow::ids::OperatorId;
use workflow::port::clock::Clock;
use workflow::port::operators::{Added, Operator, Operators, Role};
use workflow::shared::Nothing;

use crate::database::TestDatabase;
use crate::world::World;
use crate::written::{self, Kind};

/// More than any page has.
const PAGE_MAX: usize = 4 * 1024 * 1024;

/// The pages of a world.
pub struct Pages {
    /// The world.
    pub world: World,
    /// Who operates.
    pub operators: Arc<dyn Operators>,
    /// The pages without a socket.
    pub router: Router,
}

impl Pages {
    /// Pages over a fresh world, as on one's own machine.
    pub async fn over(database: &TestDatabase) -> Self {
        Self::with(database, OpsConfig { cookies: Cookies::Plain, ..OpsConfig::default() }).await
    }

    /// The same, configured otherwise.
    pub async fn with(database: &TestDatabase, config: OpsConfig) -> Self {
        let world = World::over(database.store().await).await;
        let desk = database.desk().await;
        let router = ops::router(OpsState {
            engine: Arc::clone(&world.engine),
            operators: Arc::clone(&desk.operators),
            overview: desk.overview,
            breakers: Arc::new(Nothing),
            psps: world.psps.gateways().keys().cloned().collect(),
            config,
        });
        Self { world, operators: desk.operators, router }
    }

    /// Makes somebody an operator.
    ///
    /// # Panics
    /// When the name is taken.
    pub async fn add(&self, name: &str, role: Role) -> SecretString {
        let password = ops::password::made_up();
        written::is_secret(password.expose_secret());
        let operator = Operator {
            id: OperatorId::new(self.world.clock.now(), [rand::random(), rand::random()]),
            name: name.to_owned(),
            role,
            password_hash: Some(ops::password::hash(&password).expect("it is long enough")),
            created_at: self.world.clock.now(),
            disabled_at: None,
        };
        assert_eq!(self.operators.add_operator(&operator).await.expect("the store answers"), Added::Yes);
        password
    }

    /// Somebody who is not logged in.
    #[must_use]
    pub fn visitor(&self) -> Visitor {
        Visitor {
            router: self.router.clone(),
            address: SocketAddr::from(([192, 0, 2, 7], 40_000)),
            cookies: Vec::new(),
            csrf: String::new(),
            headers: Vec::new(),
        }
    }

    /// Somebody of this role who is logged in.
    ///
    /// # Panics
    /// When they cannot log in.
    pub async fn logged_in(&self, name: &str, role: Role) -> Visitor {
        let password = self.add(name, role).await;
        let mut visitor = self.visitor();
        let answer = visitor.log_in(name, &password).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text);
        visitor.get("/ops").await;
        visitor
    }
}

/// Somebody with a browser.
#[derive(Clone)]
pub struct Visitor {
    router: Router,
    /// From where.
    pub address: SocketAddr,
    /// Names and values, as the browser keeps them.
    pub cookies: Vec<(String, String)>,
    /// What the last page's forms carried.
    pub csrf: String,
    /// Headers that go with every request.
    pub headers: Vec<(String, String)>,
}

/// What a page answered.
pub struct Answer {
    /// How it went.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// What it says.
    pub text: String,
}

impl Answer {
    /// Where it leads.
    #[must_use]
    pub fn location(&self) -> &str {
        self.headers.get(LOCATION).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

impl Visitor {
    /// Looks at a page.
    pub async fn get(&mut self, path: &str) -> Answer {
        self.ask(http_request("GET", path).body(Body::empty())).await
    }

    /// Sends a form with the token of the last page.
    pub async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let csrf = self.csrf.clone();
        let fields: Vec<_> = fields.iter().copied().chain([("csrf", csrf.as_str())]).collect();
        self.post_as_it_is(path, &fields).await
    }

    /// Sends a form with these fields and no others.
    ///
    /// # Panics
    /// When the fields are no form.
    pub async fn post_as_it_is(&mut self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let mut body = url::form_urlencoded::Serializer::new(String::new());
        body.extend_pairs(fields);
        let request = http_request("POST", path).header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        self.ask(request.body(Body::from(body.finish()))).await
    }

    /// Logs in from the page for it.
    pub async fn log_in(&mut self, name: &str, password: &SecretString) -> Answer {
        self.get("/ops/login").await;
        self.post("/ops/login", &[("name", name), ("password", password.expose_secret()), ("next", "/ops")]).await
    }

    /// Sends any request with this visitor's cookies.
    ///
    /// # Panics
    /// When it is none.
    pub async fn ask(&mut self, request: Result<axum::http::Request<Body>, axum::http::Error>) -> Answer {
        let mut request = request.expect("it is a request");
        let cookies: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        if !cookies.is_empty() {
            let cookies = cookies.join("; ").parse().expect("tokens are visible characters");
            request.headers_mut().insert(COOKIE, cookies);
        }
        for (name, value) in &self.headers {
            let name: reqwest::header::HeaderName = name.parse().expect("a header");
            request.headers_mut().append(name, value.parse().expect("a header's value"));
        }
        request.extensions_mut().insert(ConnectInfo(self.address));
        let response = self.router.clone().oneshot(request).await.expect("a router answers");
        let (status, headers) = (response.status(), response.headers().clone());
        for cookie in headers.get_all(SET_COOKIE) {
            self.keep(cookie.to_str().expect("it is text"));
        }
        let bytes = to_bytes(response.into_body(), PAGE_MAX).await.expect("a page has an end");
        let text = String::from_utf8_lossy(&bytes).into_owned();
        written::keep(Kind::Page, text.as_bytes());
        if let Some((_, after)) = text.split_once("name=\"csrf\" value=\"") {
            self.csrf = after.split('"').next().unwrap_or_default().to_owned();
        }
        Answer { status, headers, text }
    }

    fn keep(&mut self, cookie: &str) {
        let (pair, rest) = cookie.split_once(';').unwrap_or((cookie, ""));
        let (name, value) = pair.split_once('=').expect("a cookie has a name");
        self.cookies.retain(|(kept, _)| kept != name);
        if !rest.contains("Max-Age=0") {
            written::is_secret(value);
            self.cookies.push((name.to_owned(), value.to_owned()));
        }
    }
}

fn http_request(method: &str, path: &str) -> axum::http::request::Builder {
    axum::http::Request::builder().method(method).uri(path)
}
