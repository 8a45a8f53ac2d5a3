//! What a failed HTTP exchange proves: nothing sent, or anything may have happened.
//!
//! The words are ours. No foreign error text is passed on, because it may quote a URL or what was received.

use std::error::Error;
use std::io;

use workflow::event::Unknown;
use workflow::port::gateway::{Operation, Outcome};

use super::not_sent;

/// The exchange failed before the head of an answer was there.
pub(super) fn before_head(operation: Operation, error: &reqwest::Error) -> Outcome {
    if error.is_builder() {
        return not_sent(operation, "the request could not be built");
    }
    // hyper-util calls only those errors `Connect` that happen before a connection is handed out: DNS, TCP, TLS and
    // their time limit.
    if error.is_connect() {
        return not_sent(operation, connect_words(error));
    }
    if error.is_timeout() {
        return unknown(operation, Unknown::Timeout, "no answer within the time limit");
    }
    if is_invalid_http(error) {
        return unknown(operation, Unknown::Unreadable, "the answer is not HTTP");
    }
    unknown(operation, Unknown::ConnectionLost, "the connection broke before an answer came")
}

/// The exchange failed while the body was being read.
pub(super) fn after_head(operation: Operation, error: &reqwest::Error) -> Outcome {
    if error.is_timeout() {
        return unknown(operation, Unknown::Timeout, "the answer was not complete within the time limit");
    }
    unknown(operation, Unknown::Unreadable, "the answer was cut short")
}

fn unknown(operation: Operation, why: Unknown, words: &str) -> Outcome {
    Outcome::Unknown { why, detail: format!("{operation}: {words}") }
}

fn connect_words(error: &reqwest::Error) -> &'static str {
    if error.is_timeout() {
        return "no connection within the time limit";
    }
    if error.is_dns() {
        return "the PSP's name could not be resolved";
    }
    for cause in causes(error) {
        if cause.downcast_ref::<io::Error>().is_some_and(|io| io.kind() == io::ErrorKind::ConnectionRefused) {
            return "the connection was refused";
        }
        if cause.is::<rustls::Error>() {
            return "the TLS handshake failed";
        }
    }
    "no connection could be made"
}

/// hyper does not let us name its parse errors without depending on it; their texts are fixed words without
/// content. A text we do not know is taken for a broken connection, which asks for the same care.
fn is_invalid_http(error: &reqwest::Error) -> bool {
    causes(error).any(|cause| {
        let text = cause.to_string();
        text.starts_with("invalid ") || text == "message head is too large"
    })
}

/// Everything an error was caused by. An I/O error that wraps another error leaves it out of its sources.
pub(crate) fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    std::iter::successors(error.source(), |&cause| {
        match cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(wrapped) => Some(wrapped as &(dyn Error + 'static)),
            None => cause.source(),
        }
    })
}
