//! How pages become answers, and what is said when there is no page.

use askama::Template;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderValue, LOCATION, RETRY_AFTER};
use workflow::engine::EngineError;
use workflow::port::store::StoreError;

/// A page.
pub(crate) fn page(template: &impl Template) -> Response {
    page_with(StatusCode::OK, template)
}

/// A page with another status.
pub(crate) fn page_with(status: StatusCode, template: &impl Template) -> Response {
    match template.render() {
        Ok(html) => {
            (status, [(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"))], html).into_response()
        }
        Err(error) => {
            tracing::error!(%error, "a template cannot be rendered");
            Trouble::Defect.into_response()
        }
    }
}

/// "See there": after a form, so that reloading the page sends nothing again.
pub(crate) fn see(path: &str) -> Response {
    let place = HeaderValue::try_from(path).unwrap_or(HeaderValue::from_static("/ops"));
    (StatusCode::SEE_OTHER, [(LOCATION, place)]).into_response()
}

/// Why there is no page.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// There is no such thing; says what.
    NotFound(&'static str),
    /// Only some may do this.
    Forbidden(&'static str),
    /// Who asks is not logged in, or not any more; what they sent was not done.
    LoggedOut,
    /// The form did not come from one of our pages, or from one that is too old.
    ForeignForm,
    /// What was asked for cannot be read; says what.
    Unreadable(String),
    /// Too many tries.
    TooOften,
    /// The database did not answer.
    Unavailable,
    /// It took too long.
    TooSlow,
    /// Our mistake; the log says more.
    Defect,
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::Unavailable(_) | StoreError::Held(_) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "a page could not be made");
                Self::Unavailable
            }
            StoreError::Corrupt(_) | StoreError::Refused(_) => {
                tracing::error!(error = &error as &dyn std::error::Error, "a page could not be made");
                Self::Defect
            }
        }
    }
}

impl From<EngineError> for Trouble {
    fn from(error: EngineError) -> Self {
        match &error {
            EngineError::NotFound => Self::NotFound("payment"),
            EngineError::Store(_) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "a page could not be made");
                Self::Unavailable
            }
            EngineError::Illegal { .. }
            | EngineError::KeyReused
            | EngineError::KeyInUse
            | EngineError::Contended
            | EngineError::UnknownVersion(_) => Self::Unreadable(format!("The engine refuses: {error}.")),
        }
    }
}

impl Trouble {
    fn status(&self) -> StatusCode {
        match self {
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::Forbidden(_) | Self::ForeignForm => StatusCode::FORBIDDEN,
            Self::LoggedOut => StatusCode::UNAUTHORIZED,
            Self::Unreadable(_) => StatusCode::BAD_REQUEST,
            Self::TooOften => StatusCode::TOO_MANY_REQUESTS,
            Self::Unavailable | Self::TooSlow => StatusCode::SERVICE_UNAVAILABLE,
            Self::Defect => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn title(&self) -> &'static str {
        match self {
            Self::NotFound(_) => "Not found",
            Self::Forbidden(_) => "Not allowed",
            Self::LoggedOut => "Logged out",
            Self::ForeignForm => "Nothing was done",
            Self::Unreadable(_) => "That cannot be read",
            Self::TooOften => "Too many tries",
            Self::Unavailable => "The database does not answer",
            Self::TooSlow => "This takes too long",
            Self::Defect => "Something broke",
        }
    }

    fn told(&self) -> String {
        match self {
            Self::NotFound(what) => format!("There is no such {what} here, or not any more."),
            Self::Forbidden(why) => (*why).to_owned(),
            Self::LoggedOut => "You are not logged in, or not any more. What you sent was not done.".to_owned(),
            Self::ForeignForm => "The form was not one of this session's: it was open since before you logged in, or your \
                                  browser sends no cookies. Over plain HTTP none are kept: put TLS in front, or set \
                                  ops_secure_cookies to false on a machine of your own. Go back, reload the page, and send \
                                  it again."
                .to_owned(),
            Self::Unreadable(what) => what.clone(),
            Self::TooOften => "Somebody tried to log in too often, under this name or from this address. Wait a minute, \
                               then try again."
                .to_owned(),
            Self::Unavailable => "Payments are not at risk: what was accepted is stored. Try again in a moment.".to_owned(),
            Self::TooSlow => "What you asked for may still be done. Look before you repeat it.".to_owned(),
            Self::Defect => "It is in the log of this server, with the time of now.".to_owned(),
        }
    }
}

/// Why there is no page, as a page.
#[derive(Template)]
#[template(path = "trouble.html")]
struct TroublePage<'a> {
    title: &'a str,
    told: &'a str,
    style: &'a str,
}

impl IntoResponse for Trouble {
    fn into_response(self) -> Response {
        let (status, told) = (self.status(), self.told());
        let page = TroublePage { title: self.title(), told: &told, style: crate::pages::assets::style_path() };
        // Not by `page_with`, which comes here when it cannot.
        let html = page.render().unwrap_or_else(|_| self.title().to_owned());
        let content_type = HeaderValue::from_static("text/html; charset=utf-8");
        let mut response = (status, [(CONTENT_TYPE, content_type)], html).into_response();
        if matches!(self, Self::TooOften | Self::Unavailable) {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("60"));
        }
        response
    }
}
