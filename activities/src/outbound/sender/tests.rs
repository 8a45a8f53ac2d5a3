//! What is reached and what is not, over real connections.

use std::collections::VecDeque;
use std::sync::Mutex;

use tokio::net::TcpListener;
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, ResponseTemplate};
use workflow::signing::SigningSecret;

use super::*;

const NOT_PUBLIC: Seen = Seen::Nothing("the URL's name leads to no public address");
const NOT_SENT_TO: Seen = Seen::Nothing("the URL is none that events are sent to");

/// Answers with these in turn, then with the last one, and counts how often it is asked.
struct Told(Mutex<(VecDeque<Vec<IpAddr>>, usize)>);

impl Told {
    fn new(answers: &[&[&str]]) -> Arc<Self> {
        let parsed = |answer: &&[&str]| answer.iter().map(|address| address.parse().unwrap()).collect();
        Arc::new(Self(Mutex::new((answers.iter().map(parsed).collect(), 0))))
    }

    fn asked(&self) -> usize {
        self.0.lock().unwrap().1
    }
}

#[async_trait]
impl Names for Told {
    async fn addresses(&self, _name: &str) -> io::Result<Vec<IpAddr>> {
        let (answers, asked) = &mut *self.0.lock().unwrap();
        *asked += 1;
        let answer = answers.front().cloned().ok_or(io::ErrorKind::NotFound)?;
        if answers.len() > 1 {
            answers.pop_front();
        }
        Ok(answer)
    }
}

async fn post(sender: &Sender, url: &str) -> Seen {
    let keys = [SigningSecret::shared([1; 32]).key().unwrap()];
    let at = Timestamp::UNIX_EPOCH;
    sender.post(Letter { url, id: "evt_1", at, keys: &keys, body: "{}".to_owned() }).await
}

/// Something on this machine that must not be reached: whether somebody connected to it is asked at the end.
struct Inner(TcpListener);

impl Inner {
    async fn listen() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    fn port(&self) -> u16 {
        self.0.local_addr().unwrap().port()
    }

    /// Connections wait in the listener's queue until they are accepted.
    async fn was_reached(self) -> bool {
        tokio::time::timeout(Duration::from_millis(50), self.0.accept()).await.is_ok()
    }
}

#[tokio::test]
async fn a_name_that_leads_inside_is_not_followed_there() {
    for inside in ["127.0.0.1", "::1", "::ffff:127.0.0.1", "0.0.0.0", "10.0.0.1", "169.254.169.254", "fd00:ec2::254"] {
        let inner = Inner::listen().await;
        let sender = Sender::resolving(Reach::Public, Told::new(&[&[inside]])).unwrap();
        let url = format!("https://shop.example.com:{}/", inner.port());
        assert_eq!(post(&sender, &url).await, NOT_PUBLIC, "{inside}");
        assert!(!inner.was_reached().await, "{inside}");
    }
}

#[tokio::test]
async fn with_the_switch_open_the_same_is_reached() {
    let inner = Inner::listen().await;
    let sender = Sender::resolving(Reach::PublicAndLoopback, Told::new(&[&["127.0.0.1"]])).unwrap();
    let url = format!("https://shop.example.com:{}/", inner.port());
    let (reached, seen) = tokio::join!(inner.was_reached(), post(&sender, &url));
    // Whoever is there speaks no TLS. That the connection was made is what shows that the tests around could fail.
    assert!(reached && matches!(seen, Seen::Nothing(_)) && seen != NOT_PUBLIC, "{seen:?}");
}

#[tokio::test]
async fn a_name_that_leads_elsewhere_a_moment_later_gains_nothing() {
    let inner = Inner::listen().await;
    let names = Told::new(&[&["93.184.216.34"], &["127.0.0.1"]]);
    let seen_before = names.addresses("rebinding.example.com").await.unwrap();
    assert!(seen_before.iter().all(|address| endpoint_url::may_reach(*address, Reach::Public)));
    let sender = Sender::resolving(Reach::Public, Arc::clone(&names) as Arc<dyn Names>).unwrap();
    let url = format!("https://rebinding.example.com:{}/", inner.port());
    assert_eq!(post(&sender, &url).await, NOT_PUBLIC);
    assert_eq!(names.asked(), 2, "asked once, for the connection itself");
    assert!(!inner.was_reached().await);
}

#[tokio::test]
async fn of_several_addresses_only_the_public_ones_are_tried() {
    let names = Told::new(&[&["127.0.0.1", "93.184.216.34", "10.0.0.1", "2606:4700:4700::1111", "::1"]]);
    let resolver = PublicNames { names, reach: Reach::Public };
    let found: Vec<_> =
        resolver.resolve("shop.example.com".parse().unwrap()).await.unwrap().map(|to| to.ip()).collect();
    assert_eq!(found, ["93.184.216.34", "2606:4700:4700::1111"].map(|address| address.parse::<IpAddr>().unwrap()));
}

#[tokio::test]
async fn a_name_that_does_not_exist_is_told_like_one_that_leads_inside() {
    let sender = Sender::resolving(Reach::Public, Told::new(&[])).unwrap();
    assert_eq!(post(&sender, "https://nobody.example.com/").await, NOT_PUBLIC);
}

#[tokio::test]
async fn addresses_in_urls_are_judged_without_being_resolved() {
    let names = Told::new(&[&["93.184.216.34"]]);
    let sender = Sender::resolving(Reach::Public, Arc::clone(&names) as Arc<dyn Names>).unwrap();
    let inner = Inner::listen().await;
    let port = inner.port();
    for host in ["127.0.0.1", "2130706433", "0x7f.1", "0177.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "localhost", "127.1"]
    {
        for scheme in ["https", "http"] {
            assert_eq!(post(&sender, &format!("{scheme}://{host}:{port}/")).await, NOT_SENT_TO, "{scheme}://{host}");
        }
    }
    assert_eq!(names.asked(), 0);
    assert!(!inner.was_reached().await);
}

#[tokio::test]
async fn redirects_and_proxies_of_the_environment_are_not_followed() {
    let (server, inner) = (MockServer::start().await, Inner::listen().await);
    for status in [301, 302, 303, 307, 308] {
        server.reset().await;
        let location = format!("http://127.0.0.1:{}/", inner.port());
        let redirect = ResponseTemplate::new(status).insert_header("location", location.as_str());
        Mock::given(any()).respond_with(redirect).mount(&server).await;
        let sender = Sender::new(Reach::PublicAndLoopback).unwrap();
        let seen = post(&sender, &format!("{}/hooks", server.uri())).await;
        assert_eq!(seen, Seen::Answer { status, retry_after_ms: None, said: String::new() });
    }
    assert!(!inner.was_reached().await);
}

#[tokio::test]
async fn of_a_long_answer_the_first_kilobyte_is_kept_as_text_that_can_be_shown() {
    let server = MockServer::start().await;
    let mut long = b"\x00\x1b[31m\xffred\n".to_vec();
    long.resize(300_000, b'x');
    let answer = ResponseTemplate::new(503).set_body_bytes(long).insert_header("retry-after", "7");
    Mock::given(any()).respond_with(answer).mount(&server).await;
    let sender = Sender::new(Reach::PublicAndLoopback).unwrap();
    let Seen::Answer { status, retry_after_ms, said } = post(&sender, &server.uri()).await else {
        panic!("it answered")
    };
    assert_eq!((status, retry_after_ms), (503, Some(7_000)));
    assert!(
        said.starts_with("\u{fffd}\u{fffd}[31m\u{fffd}red\nxxx") && said.chars().count() == 1_024,
        "{}",
        said.len()
    );
}
