//! A connection that breaks where an HTTP mock cannot break it: in the middle of an answer, byte by byte, or before there
//! is one. Put it in front of a PSP, and the effect happens while its answer is damaged.
//!
//! It speaks just enough HTTP/1.1 for that: one request on each connection, with a `Content-Length`. Not here: faults
//! that are answers (the mock PSP has those).

mod http1;

use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use http1::{cut_at_body, exchange, read_request};

/// Connections at a time; a test has a few.
const MAX_CONNECTIONS: usize = 64;
/// Longer than any test waits for a connection that hangs.
const NEVER: Duration = Duration::from_secs(120);
/// Between two bytes of a drip.
const DRIP: Duration = Duration::from_millis(100);

/// What happens to the next answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Damage {
    /// The request is not passed on, and the connection is closed.
    RequestLost,
    /// The answer's head and half of its body, then the connection is closed in good order.
    HalfBody,
    /// The answer's head and half of its body, then the connection is reset.
    ResetMidAnswer,
    /// The connection is reset before the answer's first byte.
    ResetBeforeAnswer,
    /// The answer, one byte every 100 ms.
    SlowDrip,
    /// No answer, and the connection stays open.
    NoAnswer,
    /// Bytes that are not HTTP.
    NotHttp,
}

/// A listener on a loopback port in front of something that answers.
pub struct FaultyWire {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    upstream: String,
    /// What becomes of the next answers; those without a damage pass.
    plan: Mutex<VecDeque<Option<Damage>>>,
    slots: Arc<Semaphore>,
}

impl Shared {
    fn plan(&self) -> MutexGuard<'_, VecDeque<Option<Damage>>> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FaultyWire {
    /// In front of what listens at `url`, such as [`crate::MockPsp::url`]. Until a [`Damage`] is ordered, answers pass.
    ///
    /// # Panics
    /// When the URL is not `http://host:port`, or no loopback port is free.
    pub async fn before(url: &str) -> Self {
        let upstream = url.strip_prefix("http://").map(|rest| rest.trim_end_matches('/').to_owned());
        let upstream = upstream.expect("an http:// URL of this machine");
        let shared = Shared { upstream, plan: Mutex::default(), slots: Arc::new(Semaphore::new(MAX_CONNECTIONS)) };
        let shared = Arc::new(shared);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a loopback port is free");
        let address = listener.local_addr().expect("it is bound");
        let accepting = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Self { address, shared, accepting: Mutex::new(Some(accepting)) }
    }

    /// `http://127.0.0.1:…`, without a trailing slash.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The next answers are damaged like this, in this order; those after them pass.
    pub fn next(&self, damages: impl IntoIterator<Item = Damage>) {
        self.shared.plan().extend(damages.into_iter().map(Some));
    }

    /// The next answers pass, before those that are damaged.
    pub fn lets_pass(&self, answers: usize) {
        self.shared.plan().extend(std::iter::repeat_n(None, answers));
    }

    /// Damages that have not happened yet.
    #[must_use]
    pub fn left(&self) -> usize {
        self.shared.plan().iter().flatten().count()
    }

    /// Connections are refused from now on. Those that are open stay so.
    pub async fn refuses(&self) {
        let accepting = self.accepting.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(accepting) = accepting {
            accepting.abort();
            // The port is closed when the task is gone.
            let _aborted = accepting.await;
        }
    }

    /// Connections are accepted again, at the same address.
    ///
    /// # Panics
    /// When another program took the port meanwhile.
    pub async fn accepts(&self) {
        let listener = TcpListener::bind(self.address).await.expect("nobody took the port meanwhile");
        let accepting = tokio::spawn(accept(listener, Arc::clone(&self.shared)));
        let before = self.accepting.lock().unwrap_or_else(PoisonError::into_inner).replace(accepting);
        assert!(before.is_none(), "accepts() follows refuses()");
    }
}

impl Drop for FaultyWire {
    fn drop(&mut self) {
        if let Some(accepting) = self.accepting.lock().unwrap_or_else(PoisonError::into_inner).take() {
            accepting.abort();
        }
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((stream, _)) = listener.accept().await {
        let Ok(slot) = Arc::clone(&shared.slots).acquire_owned().await else { return };
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            // Who speaks no HTTP here is hung up on; the client sees it.
            let _broken = tokio::time::timeout(NEVER, carry(stream, &shared)).await;
            drop(slot);
        });
    }
}

/// One request and what becomes of its answer.
async fn carry(mut client: TcpStream, shared: &Shared) -> io::Result<()> {
    client.set_nodelay(true)?;
    let Some(request) = read_request(&mut client).await? else { return Ok(()) };
    let damage = shared.plan().pop_front().flatten();
    if damage == Some(Damage::RequestLost) {
        return Ok(());
    }
    let answer = exchange(&shared.upstream, &request).await?;
    let half = cut_at_body(&answer);
    match damage {
        None => client.write_all(&answer).await?,
        Some(Damage::RequestLost) => {}
        Some(Damage::HalfBody) => client.write_all(half).await?,
        Some(Damage::ResetMidAnswer) => {
            client.write_all(half).await?;
            return reset(client).await;
        }
        Some(Damage::ResetBeforeAnswer) => return reset(client).await,
        Some(Damage::SlowDrip) => {
            for byte in answer {
                client.write_all(&[byte]).await?;
                tokio::time::sleep(DRIP).await;
            }
        }
        Some(Damage::NoAnswer) => tokio::time::sleep(NEVER).await,
        Some(Damage::NotHttp) => client.write_all(b"\x16\x03\x01 this is not HTTP\r\n\r\n").await?,
    }
    client.shutdown().await
}

/// A socket that lingers for no time is reset when it is closed, and what was not yet read is lost.
async fn reset(client: TcpStream) -> io::Result<()> {
    /// Time for what was written to be read: a reset overtakes what is still in the buffers.
    const LET_READ: Duration = Duration::from_millis(50);
    tokio::time::sleep(LET_READ).await;
    client.set_zero_linger()
}
