//! A proxy in front of a PSP that loses answers: the request arrives and takes effect, and then the connection closes.
//!
//! It may change answers on their way, for a fake that leaves out what the PSP always says. Requests pass as they are.
//! Not here: other faults; the sandbox PSP has them.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use reqwest::{Client, Method};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;

use crate::world::http_client;

/// The largest request that passes. Ours are below a few kilobytes.
const MAX_BODY: usize = 64 * 1024;
/// The longest line of a request's head, and how many there may be.
const MAX_LINE: u64 = 8 * 1024;
const MAX_LINES: usize = 64;

/// A running proxy. Dropping it ends it.
pub struct LossyProxy {
    /// Where it listens.
    pub url: String,
    orders: Arc<Mutex<Orders>>,
    serving: AbortHandle,
}

/// Which answers are lost, and what passed so far.
#[derive(Default)]
struct Orders {
    lose: Vec<Lost>,
    passed: Vec<Passed>,
}

/// Calls whose answer can be lost: the method, and the end of the path.
pub type Lost = (&'static str, &'static str);

/// A request that passed.
#[derive(Clone, Debug)]
pub struct Passed {
    /// How.
    pub method: Method,
    /// The path, without the query.
    pub path: String,
    /// Its idempotency key.
    pub key: Option<String>,
    /// Whether its answer was lost.
    pub lost: bool,
}

/// Changes an answer's document on its way; is told the status.
pub type Adapt = fn(u16, &mut Value);

/// Takes out of a request to this path what the server behind does not know.
pub type LeaveOut = fn(&str, Vec<u8>) -> Vec<u8>;

impl LossyProxy {
    /// Starts it in front of `upstream`.
    ///
    /// # Panics
    /// When no loopback port is free.
    pub async fn before(upstream: &str, leave_out: LeaveOut, adapt: Adapt) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a loopback port is free");
        let url = format!("http://{}", listener.local_addr().expect("it is bound"));
        let orders = Arc::new(Mutex::new(Orders::default()));
        let exchange = Exchange {
            http: http_client(),
            upstream: upstream.to_owned(),
            leave_out,
            adapt,
            orders: Arc::clone(&orders),
        };
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let exchange = exchange.clone();
                tokio::spawn(async move {
                    if let Err(error) = exchange.carry(stream).await {
                        eprintln!("the proxy could not carry an exchange: {error}");
                    }
                });
            }
        });
        Self { url, orders, serving: serving.abort_handle() }
    }

    /// Loses the answer of the next such call. Several orders for the same call are used up one after the other.
    pub fn lose(&self, call: Lost) {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner).lose.push(call);
    }

    /// Every request so far, in order.
    #[must_use]
    pub fn passed(&self) -> Vec<Passed> {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner).passed.clone()
    }
}

impl Drop for LossyProxy {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Orders {
    /// Notes a request, and says whether its answer is to be lost.
    fn pass(&mut self, method: Method, path: String, key: Option<String>) -> bool {
        let order = self.lose.iter().position(|(of, end)| method == *of && path.ends_with(end));
        let lost = order.map(|order| self.lose.remove(order)).is_some();
        self.passed.push(Passed { method, path, key, lost });
        lost
    }
}

#[derive(Clone)]
struct Exchange {
    http: Client,
    upstream: String,
    leave_out: LeaveOut,
    adapt: Adapt,
    orders: Arc<Mutex<Orders>>,
}

/// A request as it came in.
struct Arrival {
    method: Method,
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Exchange {
    /// One request and its answer, if that is not lost; then the connection closes.
    async fn carry(&self, stream: TcpStream) -> io::Result<()> {
        let mut stream = BufReader::new(stream);
        let Some(arrival) = read(&mut stream).await? else { return Ok(()) };
        let path = arrival.path.split('?').next().unwrap_or_default().to_owned();
        let key = arrival.headers.iter().find(|(name, _)| name == "idempotency-key").map(|(_, key)| key.clone());
        let mut request = self.http.request(arrival.method.clone(), format!("{}{}", self.upstream, arrival.path));
        for (name, value) in arrival.headers.iter().filter(|(name, _)| name != "host" && name != "content-length") {
            request = request.header(name, value);
        }
        let body = (self.leave_out)(&path, arrival.body);
        let answer = request.body(body).send().await.map_err(io::Error::other)?;
        let status = answer.status();
        let body = answer.bytes().await.map_err(io::Error::other)?;
        let mut document: Value = serde_json::from_slice(&body)?;
        (self.adapt)(status.as_u16(), &mut document);
        if self.orders.lock().unwrap_or_else(PoisonError::into_inner).pass(arrival.method, path, key) {
            return Ok(());
        }
        let body = document.to_string();
        let head = format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
            body.len()
        );
        stream.write_all(format!("{head}{body}").as_bytes()).await?;
        stream.shutdown().await
    }
}

/// Reads a request; none when the client only opened the connection and went away.
async fn read(stream: &mut BufReader<TcpStream>) -> io::Result<Option<Arrival>> {
    let bad = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let Some(first) = line(stream).await? else { return Ok(None) };
    let mut words = first.split(' ');
    let method = words.next().and_then(|word| word.parse().ok()).ok_or_else(|| bad("no method"))?;
    let path = words.next().ok_or_else(|| bad("no path"))?.to_owned();
    let (mut headers, mut length) = (Vec::new(), 0);
    loop {
        let line = line(stream).await?.ok_or_else(|| bad("half a head"))?;
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(": ").ok_or_else(|| bad("not a header"))?;
        if name.eq_ignore_ascii_case("content-length") {
            length = value.parse().map_err(|_| bad("not a length"))?;
        }
        headers.push((name.to_ascii_lowercase(), value.to_owned()));
        if headers.len() > MAX_LINES || length > MAX_BODY {
            return Err(bad("too large"));
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    Ok(Some(Arrival { method, path, headers, body }))
}

async fn line(stream: &mut BufReader<TcpStream>) -> io::Result<Option<String>> {
    let mut line = String::new();
    let read = stream.take(MAX_LINE).read_line(&mut line).await?;
    Ok((read > 0).then(|| line.trim_end().to_owned()))
}
