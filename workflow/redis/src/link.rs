//! The one connection for commands: shared by all callers, whose commands travel in each other's company, and made anew
//! in the background when it broke or stalled. While there is none, whoever asks is told so at once.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, ErrorKind, RedisError, RedisResult, ServerErrorKind};
use tokio::sync::Notify;
use tokio::task::AbortHandle;

/// Reaching the server, TLS and greeting included.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// The first pause between tries to connect.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// The longest pause: a server that is back is used again within a second or two.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// After a loss, so long nobody asks: one that accepts connections and then stalls must not delay every caller.
const REST: Duration = Duration::from_millis(500);
/// Commands on their way before callers have to queue for the connection.
const PIPELINE: usize = 1_024;

/// See the head of this file.
pub(crate) struct Link {
    state: Arc<State>,
    patience: Duration,
    keeper: AbortHandle,
}

#[derive(Default)]
struct State {
    connection: Mutex<Option<Connected>>,
    broken: Notify,
}

#[derive(Clone)]
struct Connected {
    number: u64,
    connection: MultiplexedConnection,
}

impl Link {
    pub(crate) fn open(client: Client, patience: Duration) -> Self {
        let state = Arc::new(State::default());
        let keeper = tokio::spawn(keep(client, Arc::clone(&state), patience)).abort_handle();
        Self { state, patience, keeper }
    }

    /// Asks Redis; none when it did not answer in time, or with an error.
    pub(crate) async fn ask<T, F>(&self, ask: impl FnOnce(MultiplexedConnection) -> F) -> Option<T>
    where
        F: Future<Output = RedisResult<T>>,
    {
        let connected = self.state.get()?;
        let failed = match tokio::time::timeout(self.patience, ask(connected.connection)).await {
            Ok(Ok(answer)) => return Some(answer),
            Ok(Err(error)) if !is_of_the_connection(&error) => {
                metrics::counter!("fincore_redis_failures_total", "why" => "refused").increment(1);
                tracing::debug!(%error, "Redis refused a command");
                return None;
            }
            Ok(Err(error)) => error.category().to_owned(),
            Err(_elapsed) => "no answer in time".to_owned(),
        };
        metrics::counter!("fincore_redis_failures_total", "why" => "unreachable").increment(1);
        self.state.lose(connected.number, &failed);
        None
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

/// Whether another connection may help: it broke, or leads to a server that became a replica, or is still loading.
fn is_of_the_connection(error: &RedisError) -> bool {
    let kind = error.kind();
    error.is_unrecoverable_error()
        || kind == ErrorKind::Io
        || kind == ErrorKind::Server(ServerErrorKind::ReadOnly)
        || kind == ErrorKind::Server(ServerErrorKind::BusyLoading)
}

impl State {
    fn get(&self) -> Option<Connected> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, connected: Option<Connected>) {
        *self.connection.lock().unwrap_or_else(PoisonError::into_inner) = connected;
    }

    /// Many callers may find out about one connection; the first says so.
    fn lose(&self, number: u64, why: &str) {
        let mut connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        if connection.as_ref().is_some_and(|connected| connected.number == number) {
            *connection = None;
            self.broken.notify_one();
            tracing::warn!(why, "Redis does not answer: going on without, and connecting again");
        }
    }
}

/// Connects, waits until that connection is lost, and so on.
async fn keep(client: Client, state: Arc<State>, patience: Duration) {
    let backoff = ExponentialBuilder::default()
        .with_min_delay(FIRST_PAUSE)
        .with_max_delay(LONGEST_PAUSE)
        .with_jitter()
        .without_max_times();
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT_TIMEOUT))
        // Ours runs as well; the library's own bound is for the greeting.
        .set_response_timeout(Some(CONNECT_TIMEOUT.max(patience)))
        .set_pipeline_buffer_size(PIPELINE);
    for number in 0.. {
        let connect = || client.get_multiplexed_async_connection_with_config(&config);
        let told = |error: &RedisError, _pause: Duration| tracing::debug!(%error, "cannot connect to Redis");
        let Ok(connection) = connect.retry(backoff).notify(told).await else { continue };
        state.set(Some(Connected { number, connection }));
        tracing::info!("connected to Redis");
        state.broken.notified().await;
        tokio::time::sleep(REST).await;
    }
}
