//! The client against servers that misbehave in every way we know: each test says what may be concluded.

use std::net::SocketAddr;

use jiff::Timestamp;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use wiremock::matchers::{body_string, header, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::*;

const TIMEOUT: Duration = Duration::from_millis(400);
const SECRET: &str = "sk_test_51NeverShown";

struct NoonClock;

impl Clock for NoonClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_second(1_700_000_000).unwrap()
    }
}

fn client(base_url: &str) -> PspClient {
    let account = Account::bearer("psp", base_url, SECRET.into()).unwrap();
    PspClient::new(account, Arc::new(NoonClock)).unwrap()
}

fn post() -> Request {
    Request {
        method: Method::Post,
        path: "/v1/things?q=hidden".to_owned(),
        headers: vec![("idempotency-key", "key-1".to_owned())],
        body: "a=b".to_owned(),
    }
}

async fn send(client: &PspClient) -> Result<Answer, Outcome> {
    client.send(Operation::Authorize, post(), TIMEOUT).await
}

/// Serves one connection after the other with the same behaviour; says how many came.
async fn raw<F, Fut>(serve: F) -> (String, Arc<std::sync::atomic::AtomicUsize>)
where
    F: Fn(TcpStream) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send,
{
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let count = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counter = Arc::clone(&count);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            counter.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            serve(stream).await;
        }
    });
    (url, count)
}

async fn read_request(stream: &mut TcpStream) {
    let mut request = Vec::new();
    let mut buffer = [0; 4_096];
    while !request.ends_with(b"a=b") {
        let read = stream.read(&mut buffer).await.unwrap();
        assert!(read > 0, "the client hung up");
        request.extend_from_slice(&buffer[..read]);
    }
}

/// A server that reads the request, answers with these bytes and closes.
async fn answers_with(bytes: Vec<u8>) -> String {
    let (url, _) = raw(move |mut stream| {
        let bytes = bytes.clone();
        async move {
            read_request(&mut stream).await;
            // The client may hang up first; that is its right.
            let _refused = stream.write_all(&bytes).await;
        }
    })
    .await;
    url
}

fn assert_unknown(result: Result<Answer, Outcome>, expected: Unknown) {
    match result {
        Err(Outcome::Unknown { why, detail }) => {
            assert_eq!(why, expected, "{detail}");
            assert_is_clean(&detail);
        }
        other => panic!("expected unknown ({expected}), got {other:?}"),
    }
}

fn assert_not_sent(result: Result<Answer, Outcome>, expected: &str) {
    match result {
        Err(Outcome::NotSent { why, .. }) => {
            assert!(why.contains(expected), "{why}");
            assert_is_clean(&why);
        }
        other => panic!("expected not sent ({expected}), got {other:?}"),
    }
}

fn assert_is_clean(text: &str) {
    for secret in ["hidden", "51Never", "key-1", "a=b", "127.0.0.1", "SENSITIVE"] {
        assert!(!text.contains(secret), "{text}");
    }
}

#[tokio::test]
async fn an_answer_comes_back_whole_and_the_request_carries_what_it_should() {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .and(path("/v1/things"))
        .and(header("authorization", format!("Bearer {SECRET}")))
        .and(header("idempotency-key", "key-1"))
        .and(body_string("a=b"))
        .respond_with(ResponseTemplate::new(429).insert_header("retry-after", "3").set_body_string("slow"))
        .expect(1)
        .mount(&server)
        .await;
    let answer = send(&client(&server.uri())).await.unwrap();
    assert_eq!(answer, Answer { status: 429, retry_after_ms: Some(3_000), body: b"slow".to_vec() });
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_is_not_followed() {
    let server = MockServer::start().await;
    Mock::given(path("/v1/things"))
        .respond_with(ResponseTemplate::new(307).insert_header("location", "/elsewhere"))
        .mount(&server)
        .await;
    Mock::given(path("/elsewhere")).respond_with(ResponseTemplate::new(200)).expect(0).mount(&server).await;
    assert_eq!(send(&client(&server.uri())).await.unwrap().status, 307);
}

#[tokio::test]
async fn a_refused_connection_proves_that_nothing_was_sent() {
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    assert_not_sent(send(&client(&url)).await, "refused");
}

#[tokio::test]
async fn a_name_that_does_not_resolve_proves_that_nothing_was_sent() {
    let client = client("https://psp.invalid");
    assert_not_sent(client.send(Operation::Capture, post(), Duration::from_secs(10)).await, "resolved");
}

#[tokio::test]
async fn a_failed_tls_handshake_proves_that_nothing_was_sent() {
    let (url, _) = raw(|mut stream| async move {
        let mut hello = [0; 512];
        let _read = stream.read(&mut hello).await;
        let _written = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
    })
    .await;
    assert_not_sent(send(&client(&url.replace("http:", "https:"))).await, "TLS");
}

#[tokio::test]
async fn what_cannot_be_sent_as_it_stands_is_not_sent() {
    let client = client("http://127.0.0.1:1");
    let request = Request { body: "x".repeat(MAX_REQUEST_BYTES + 1), ..post() };
    assert_not_sent(client.send(Operation::Refund, request, TIMEOUT).await, "larger");
    let request = Request { headers: vec![("idempotency-key", "new\nline".to_owned())], ..post() };
    assert_not_sent(client.send(Operation::Refund, request, TIMEOUT).await, "header");
    let request = Request { path: "/../secret".to_owned(), ..post() };
    assert_not_sent(client.send(Operation::Refund, request, TIMEOUT).await, "path");
}

#[tokio::test]
async fn a_late_answer_is_unknown() {
    let server = MockServer::start().await;
    let late = ResponseTemplate::new(200).set_delay(Duration::from_secs(30));
    Mock::given(method("POST")).respond_with(late).mount(&server).await;
    assert_unknown(send(&client(&server.uri())).await, Unknown::Timeout);
}

#[tokio::test]
async fn a_connection_that_breaks_before_the_answer_is_unknown_and_not_tried_again() {
    let (url, connections) = raw(|mut stream| async move { read_request(&mut stream).await }).await;
    assert_unknown(send(&client(&url)).await, Unknown::ConnectionLost);
    assert_eq!(connections.load(std::sync::atomic::Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_reset_is_unknown() {
    let (url, _) = raw(|mut stream| async move {
        read_request(&mut stream).await;
        stream.set_zero_linger().unwrap();
    })
    .await;
    assert_unknown(send(&client(&url)).await, Unknown::ConnectionLost);
}

#[tokio::test]
async fn a_reused_connection_that_breaks_during_the_second_request_is_unknown_and_not_tried_again() {
    let (url, connections) = raw(|mut stream| async move {
        read_request(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
        read_request(&mut stream).await;
    })
    .await;
    let client = client(&url);
    assert_eq!(send(&client).await.unwrap().body, b"ok");
    assert_unknown(send(&client).await, Unknown::ConnectionLost);
    assert_eq!(connections.load(std::sync::atomic::Ordering::SeqCst), 1);
}

#[tokio::test]
async fn half_an_answer_is_unknown() {
    let half = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"half\":".to_vec();
    assert_unknown(send(&client(&answers_with(half).await)).await, Unknown::Unreadable);
}

#[tokio::test]
async fn half_a_head_is_unknown() {
    assert_unknown(send(&client(&answers_with(b"HTTP/1.1 2".to_vec()).await)).await, Unknown::ConnectionLost);
}

#[tokio::test]
async fn what_is_not_http_is_unknown() {
    for garbage in [&b"SENSITIVE garbage\r\n\r\n"[..], b"HTTP/1.1 abc SENSITIVE\r\n\r\n", b"\x00\x01\x02\r\n\r\n"] {
        assert_unknown(send(&client(&answers_with(garbage.to_vec()).await)).await, Unknown::Unreadable);
    }
}

#[tokio::test]
async fn an_answer_that_never_ends_is_unknown_within_the_time_limit() {
    let (url, _) = raw(|mut stream| async move {
        read_request(&mut stream).await;
        let _written = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n").await;
        while stream.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    let started = Instant::now();
    assert_unknown(send(&client(&url)).await, Unknown::Timeout);
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn an_answer_beyond_the_limit_is_unknown_whether_it_says_so_or_not() {
    let announced = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", MAX_ANSWER_BYTES + 1).into_bytes();
    assert_unknown(send(&client(&answers_with(announced).await)).await, Unknown::Unreadable);
    let mut endless = b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n".to_vec();
    endless.resize(endless.len() + MAX_ANSWER_BYTES + 1, b'x');
    assert_unknown(send(&client(&answers_with(endless).await)).await, Unknown::Unreadable);
}

#[tokio::test]
async fn the_breaker_keeps_calls_from_a_psp_that_does_not_answer() {
    let server = MockServer::start().await;
    let policy = BreakerPolicy { no_answers_to_open: 2, ..BreakerPolicy::default() };
    Mock::given(method("POST")).respond_with(ResponseTemplate::new(503)).expect(2).mount(&server).await;
    let account = Account::bearer("psp", &server.uri(), SECRET.into()).unwrap();
    let client = PspClient::sharing(&Connections::new().unwrap(), account, Arc::new(NoonClock), policy);
    assert_eq!(send(&client).await.unwrap().status, 503);
    assert_eq!(send(&client).await.unwrap().status, 503);
    assert_not_sent(send(&client).await, "circuit breaker open");
}

#[tokio::test]
async fn declines_and_throttling_never_open_the_breaker() {
    let server = MockServer::start().await;
    let policy = BreakerPolicy { no_answers_to_open: 1, ..BreakerPolicy::default() };
    for status in [402, 429, 401, 409, 307] {
        Mock::given(method("POST")).respond_with(ResponseTemplate::new(status)).up_to_n_times(1).mount(&server).await;
    }
    let account = Account::bearer("psp", &server.uri(), SECRET.into()).unwrap();
    let client = PspClient::sharing(&Connections::new().unwrap(), account, Arc::new(NoonClock), policy);
    for status in [402, 429, 401, 409, 307] {
        assert_eq!(send(&client).await.unwrap().status, status);
    }
}

#[tokio::test]
async fn a_server_that_nobody_vouches_for_is_not_spoken_to_whichever_roots_are_trusted() {
    // It speaks no TLS at all, so that there is no certificate to be made; what matters is that nothing was sent.
    let (url, count) = raw(|mut stream| async move {
        let mut hello = [0; 1];
        stream.read_exact(&mut hello).await.unwrap();
        assert_eq!(hello, [22], "a TLS handshake, and not the request");
    })
    .await;
    for (number, roots) in [Roots::Machine, Roots::Bundled].into_iter().enumerate() {
        let account = Account::bearer("psp", &url.replace("http://", "https://"), SECRET.into()).unwrap();
        let connections = Connections::trusting(roots).unwrap();
        let client = PspClient::sharing(&connections, account, Arc::new(NoonClock), BreakerPolicy::default());
        assert!(matches!(send(&client).await.unwrap_err(), Outcome::NotSent { .. }), "{roots:?}");
        assert_eq!(count.load(std::sync::atomic::Ordering::SeqCst), number + 1);
    }
}
