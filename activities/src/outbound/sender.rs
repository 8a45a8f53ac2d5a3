//! Posts to places that merchants chose, and to nothing that only this machine or its network can reach.
//!
//! What counts is the address of the connection: names are resolved by `PublicNames`, which hands out only addresses
//! that may be reached, so a name that points elsewhere a moment later gains nothing. Addresses in URLs are not resolved;
//! they are judged with the URL, before each post. No redirects, no proxies of the environment, no repeats.
//!
//! Not here: which addresses those are ([`workflow::endpoint_url`]), and what an answer means ([`super::verdict`]).

use std::error::Error;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use workflow::endpoint_url::{self, Reach};
use workflow::signing::SigningKey;

use crate::gateway::client::failure::causes;
use crate::gateway::client::{ClientNotBuilt, retry_after};
use crate::signed_post::SignedPost;

/// Time for the whole exchange, as the specification recommends: receivers have to put the event somewhere and answer.
pub(super) const TIMEOUT: Duration = Duration::from_secs(15);
/// Time for a connection, TLS included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Idle connections are dropped before the 60 s after which load balancers commonly drop theirs.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// Idle connections kept per host.
const POOL_MAX_IDLE: usize = 4;
/// Bytes of an answer that are kept for the log of deliveries.
const MAX_KEPT_BYTES: usize = 1_024;
/// Bytes of an answer that are read, so that the connection can be used again.
const MAX_READ_BYTES: usize = 64 * 1_024;
/// Time for the rest of an answer whose status is known: it decides nothing any more.
const BODY_TIMEOUT: Duration = Duration::from_secs(2);

/// Resolves names. The machine does; tests have their own.
#[async_trait]
pub trait Names: Send + Sync {
    /// All addresses of a name.
    ///
    /// # Errors
    /// There are none, or nobody answered.
    async fn addresses(&self, name: &str) -> io::Result<Vec<IpAddr>>;
}

/// As the machine resolves names.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemNames;

#[async_trait]
impl Names for SystemNames {
    async fn addresses(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        Ok(tokio::net::lookup_host((name, 0)).await?.map(|address| address.ip()).collect())
    }
}

/// A name leads to no address that may be reached. One that does not exist is told in the same words: who asks is not to
/// learn the names of our network.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the name leads to no public address")]
struct NotPublic;

/// Resolves names to addresses that may be reached, right before a connection is made.
struct PublicNames {
    names: Arc<dyn Names>,
    reach: Reach,
}

impl Resolve for PublicNames {
    fn resolve(&self, name: Name) -> Resolving {
        let (names, reach) = (Arc::clone(&self.names), self.reach);
        Box::pin(async move {
            let found = names.addresses(name.as_str()).await.unwrap_or_default();
            let public: Vec<SocketAddr> = found
                .into_iter()
                .filter(|address| endpoint_url::may_reach(*address, reach))
                .map(|address| SocketAddr::new(address, 0))
                .collect();
            if public.is_empty() {
                return Err(Box::new(NotPublic) as Box<dyn Error + Send + Sync>);
            }
            Ok(Box::new(public.into_iter()) as Addrs)
        })
    }
}

/// What was seen of an attempt.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Seen {
    /// The receiver answered.
    Answer {
        /// The status.
        status: u16,
        /// How long it asks to wait.
        retry_after_ms: Option<u64>,
        /// The first bytes of what it said, as text that can be shown.
        said: String,
    },
    /// It did not, for a reason in our words.
    Nothing(&'static str),
}

/// One event to be posted.
pub(super) struct Letter<'a> {
    pub(super) url: &'a str,
    pub(super) id: &'a str,
    pub(super) at: Timestamp,
    pub(super) keys: &'a [SigningKey],
    pub(super) body: String,
}

/// Posts events.
pub struct Sender {
    http: reqwest::Client,
    reach: Reach,
}

impl Sender {
    /// Connections of their own; none is open yet.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new(reach: Reach) -> Result<Self, ClientNotBuilt> {
        Self::resolving(reach, Arc::new(SystemNames))
    }

    /// The same, with names resolved like this.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn resolving(reach: Reach, names: Arc<dyn Names>) -> Result<Self, ClientNotBuilt> {
        // Whoever was first has installed a provider; reqwest uses that one, so an error here means nothing.
        let _already = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .user_agent(concat!("FinCore/", env!("CARGO_PKG_VERSION"), " (webhooks)"))
            .http1_only()
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_idle_timeout(POOL_IDLE_TIMEOUT)
            .pool_max_idle_per_host(POOL_MAX_IDLE)
            .dns_resolver(Arc::new(PublicNames { names, reach }))
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .no_proxy()
            .retry(reqwest::retry::never().max_retries_per_request(0))
            .build()
            .map_err(ClientNotBuilt)?;
        Ok(Self { http, reach })
    }

    /// Posts once.
    pub(super) async fn post(&self, letter: Letter<'_>) -> Seen {
        // Judged again: the switch may have been open when it was stored, and addresses in URLs are judged nowhere else.
        let Ok(url) = endpoint_url::parse(letter.url, self.reach) else {
            return Seen::Nothing("the URL is none that events are sent to");
        };
        let Letter { id, at, keys, body, .. } = letter;
        let post = SignedPost { id, at_second: at.as_second(), body, keys, timeout: TIMEOUT };
        match post.to(&self.http, url).send().await {
            Ok(response) => {
                let status = response.status().as_u16();
                let retry_after = response.headers().get(http::header::RETRY_AFTER);
                let retry_after_ms =
                    retry_after.and_then(|value| value.to_str().ok()).and_then(|text| retry_after::parse_ms(text, at));
                Seen::Answer { status, retry_after_ms, said: said(response).await }
            }
            Err(error) => Seen::Nothing(words(&error)),
        }
    }
}

/// The first bytes of an answer.
async fn said(mut response: reqwest::Response) -> String {
    let (mut kept, mut read) = (Vec::new(), 0);
    let reading = async {
        while let Ok(Some(chunk)) = response.chunk().await {
            let room = MAX_KEPT_BYTES.saturating_sub(kept.len()).min(chunk.len());
            kept.extend_from_slice(&chunk[..room]);
            read += chunk.len();
            if read > MAX_READ_BYTES {
                break;
            }
        }
    };
    // What has come until then is kept.
    let _in_time = tokio::time::timeout(BODY_TIMEOUT, reading).await;
    let text = String::from_utf8_lossy(&kept);
    text.chars().map(|letter| if letter.is_control() && letter != '\n' { '\u{fffd}' } else { letter }).collect()
}

/// Why there was no answer. The words are ours: foreign ones may name addresses of our network.
fn words(error: &reqwest::Error) -> &'static str {
    if causes(error).any(|cause| cause.is::<NotPublic>()) {
        return "the URL's name leads to no public address";
    }
    if error.is_connect() {
        if error.is_timeout() {
            return "no connection within 5 s";
        }
        if causes(error).any(|cause| cause.is::<rustls::Error>()) {
            return "the TLS handshake failed";
        }
        return "no connection could be made";
    }
    if error.is_timeout() { "no answer within 15 s" } else { "the connection broke before an answer came" }
}

#[cfg(test)]
mod tests;
