//! A POST signed by the Standard Webhooks specification: what alerts and merchants' events have in common.
//!
//! Not here: the signature itself ([`workflow::signing`]), and what an answer means.

use std::time::Duration;

use url::Url;
use workflow::signing::{SigningKey, signatures};

/// What is posted.
pub(crate) struct SignedPost<'a> {
    /// The same on every attempt, so that receivers can leave out what they know.
    pub(crate) id: &'a str,
    /// When this attempt is made, in seconds since 1970. Receivers compare it with their clocks.
    pub(crate) at_second: i64,
    /// JSON.
    pub(crate) body: String,
    /// Each of these signs.
    pub(crate) keys: &'a [SigningKey],
    /// The whole exchange takes no longer.
    pub(crate) timeout: Duration,
}

impl SignedPost<'_> {
    /// The request.
    pub(crate) fn to(self, http: &reqwest::Client, url: Url) -> reqwest::RequestBuilder {
        let timestamp = self.at_second.to_string();
        let signatures = signatures(self.keys, self.id, &timestamp, self.body.as_bytes());
        http.post(url)
            .timeout(self.timeout)
            .header("content-type", "application/json")
            .header("webhook-id", self.id)
            .header("webhook-timestamp", timestamp)
            .header("webhook-signature", signatures)
            .body(self.body)
    }
}
