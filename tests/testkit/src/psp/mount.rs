//! The stage on a wiremock server.
//!
//! wiremock asks its mocks one request after the other, under one lock. So the first of our two mocks meets the request
//! and takes those that end in a closed connection; the second sends what the first put down.

use std::error::Error;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use wiremock::{Match, Mock, MockServer, Request, Respond, ResponseTemplate};

use super::stage::{Leaves, NEVER, Stage};
use crate::dialect::{Incoming, WireAnswer};

/// Mocks that a test mounts itself (priority 5, if it says nothing else) come first.
const LAST_BUT_ONE: u8 = 254;
const LAST: u8 = 255;

/// Why a connection is closed.
#[derive(Debug)]
struct HungUp;

impl fmt::Display for HungUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the scenario closes this connection without an answer")
    }
}

impl Error for HungUp {}

/// Meets each request, and holds on to how its answer leaves.
struct Meets {
    stage: Arc<Mutex<Stage>>,
    leaves: Arc<Mutex<Option<Leaves>>>,
}

impl Match for Meets {
    fn matches(&self, request: &Request) -> bool {
        let leaves = self.stage.lock().unwrap_or_else(PoisonError::into_inner).meet(Incoming::from(request));
        let hangs_up = leaves == Leaves::HangUp;
        *self.leaves.lock().unwrap_or_else(PoisonError::into_inner) = Some(leaves);
        hangs_up
    }
}

struct Sends {
    leaves: Arc<Mutex<Option<Leaves>>>,
}

impl Respond for Sends {
    fn respond(&self, _request: &Request) -> ResponseTemplate {
        match self.leaves.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(Leaves::Whole(answer)) => template(&answer),
            Some(Leaves::Never | Leaves::HangUp) | None => ResponseTemplate::new(504).set_delay(NEVER),
        }
    }
}

fn template(answer: &WireAnswer) -> ResponseTemplate {
    let template = ResponseTemplate::new(answer.status).set_body_raw(answer.body.clone(), "application/json");
    answer
        .headers
        .iter()
        .fold(template, |template, (name, value)| template.append_header(name.as_str(), value.as_str()))
}

/// A server that plays this stage.
pub(super) async fn mount(stage: &Arc<Mutex<Stage>>) -> MockServer {
    let server = MockServer::builder().disable_request_recording().start().await;
    let leaves = Arc::new(Mutex::new(None));
    let meets = Meets { stage: Arc::clone(stage), leaves: Arc::clone(&leaves) };
    let hangs_up = Mock::given(meets).respond_with_err(|_: &Request| HungUp);
    hangs_up.with_priority(LAST_BUT_ONE).mount(&server).await;
    Mock::given(wiremock::matchers::any()).respond_with(Sends { leaves }).with_priority(LAST).mount(&server).await;
    server
}
