//! The shared fast state on Redis: circuit breakers hear of each other, requests of API keys are counted together, who
//! waits is woken, and who polls is spared the database.
//!
//! Redis may be slow, dead or wrong at any moment. Every call has a bound ([`RedisOptions::patience`]); while there is no
//! connection, calls return at once; whatever is read is checked, and what makes no sense is as good as nothing. Keys,
//! their lives and what losing them costs stand in `docs/REDIS.md`; every key has a time to live.
//!
//! Deliberately not here: anything that must not be lost. That is the store's.

mod breakers;
mod link;
mod moves;
mod rate_limits;
mod views;

use std::sync::Arc;
use std::time::Duration;

use redis::{Client, IntoConnectionInfo, Script, io::tcp::TcpSettings};
use secrecy::{ExposeSecret, SecretString};
use workflow::port::clock::Clock;
use workflow::shared::Memory;

use link::Link;
use moves::Subscription;

/// How long a call may take. A round trip within a data centre takes a fraction of a millisecond; this is what a Redis
/// that stalls costs whoever runs into it first.
const PATIENCE: Duration = Duration::from_millis(50);

/// What this installation's keys begin with, unless told otherwise.
pub const PREFIX: &str = "fincore";

/// How Redis is used.
#[derive(Clone, Debug)]
pub struct RedisOptions {
    /// `redis://…`, or `rediss://…` with TLS.
    pub url: SecretString,
    /// The password, where it is not in the URL.
    pub password: Option<SecretString>,
    /// What keys and channels begin with, so that several installations can share a server.
    pub prefix: String,
    /// How long a call may take.
    pub patience: Duration,
}

impl RedisOptions {
    /// The usual options.
    #[must_use]
    pub fn new(url: SecretString) -> Self {
        Self { url, password: None, prefix: PREFIX.to_owned(), patience: PATIENCE }
    }
}

/// The URL cannot be used: write `redis://[user:password@]host[:port][/database]`, or `rediss://…` for TLS. Says nothing
/// of what was written, for it may hold a password.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("redis_url must be redis://[user:password@]host[:port][/database], or rediss://… for TLS")]
pub struct UrlInvalid;

/// The shared fast state on Redis.
pub struct RedisShared {
    link: Link,
    prefix: String,
    draw: Script,
    announce: Script,
    fill: Script,
    subscription: tokio::sync::Mutex<Subscription>,
    /// Counts for this process alone while Redis does not answer.
    meanwhile: Memory,
}

impl RedisShared {
    /// Begins to connect on this runtime, and goes on trying: a Redis that is not there is no error.
    ///
    /// # Errors
    /// The URL cannot be used.
    pub fn open(options: RedisOptions, clock: Arc<dyn Clock>) -> Result<Self, UrlInvalid> {
        let RedisOptions { url, password, prefix, patience } = options;
        let mut info = url.expose_secret().into_connection_info().map_err(|_| UrlInvalid)?;
        if let Some(password) = password {
            let redis = info.redis_settings().clone().set_password(password.expose_secret());
            info = info.set_redis_settings(redis);
        }
        let client = Client::open(info.set_tcp_settings(tcp())).map_err(|_| UrlInvalid)?;
        Ok(Self {
            link: Link::open(client.clone(), patience),
            prefix,
            draw: Script::new(include_str!("draw.lua")),
            announce: Script::new(include_str!("announce.lua")),
            fill: Script::new(include_str!("fill.lua")),
            subscription: tokio::sync::Mutex::new(Subscription::of(client)),
            meanwhile: Memory::new(clock),
        })
    }

    fn key(&self, kind: &str, name: impl std::fmt::Display) -> String {
        format!("{}:{kind}:{name}", self.prefix)
    }
}

/// A peer that vanished is noticed on a silent connection (the subscription) after less than half a minute.
fn tcp() -> TcpSettings {
    let keepalive = redis::io::tcp::socket2::TcpKeepalive::new()
        .with_time(Duration::from_secs(10))
        .with_interval(Duration::from_secs(5))
        .with_retries(3);
    TcpSettings::default().set_nodelay(true).set_keepalive(keepalive)
}
