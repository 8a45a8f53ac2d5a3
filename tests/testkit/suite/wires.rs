//! Damaged answers are what they say, while the effect has happened.

use std::time::Duration;

use testkit::wire::{Damage, FaultyWire};
use testkit::{MockPsp, Rig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use workflow::definition::State;

use super::{Client, PATIENCE, stripe};

/// What came on a raw connection before it ended, and how it ended.
async fn raw(url: &str, path: &str) -> (String, &'static str) {
    let address = url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("POST {path} HTTP/1.1\r\nhost: psp\r\nauthorization: Bearer x\r\ncontent-length: 0\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut seen = Vec::new();
    let deadline = tokio::time::Instant::now() + PATIENCE;
    let ended = loop {
        match tokio::time::timeout_at(deadline, stream.read_buf(&mut seen)).await {
            Ok(Ok(0)) => break "closed",
            Ok(Ok(_)) => {}
            Ok(Err(error)) if error.kind() == std::io::ErrorKind::ConnectionReset => break "reset",
            Ok(Err(error)) => panic!("{error}"),
            Err(_) => break "open",
        }
    };
    (String::from_utf8_lossy(&seen).into_owned(), ended)
}

/// The announced length of a body, and how much of it came.
fn lengths(seen: &str) -> (usize, usize) {
    let (head, body) = seen.split_once("\r\n\r\n").unwrap();
    let announced = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    (announced.parse().unwrap(), body.len())
}

#[tokio::test]
async fn each_damage_is_what_it_says_and_the_effect_has_happened() {
    let (psp, client) = stripe().await;
    let wire = FaultyWire::before(&psp.url()).await;
    for (damage, ended) in [
        (Damage::HalfBody, "closed"),
        (Damage::ResetMidAnswer, "reset"),
        (Damage::ResetBeforeAnswer, "reset"),
        (Damage::SlowDrip, "open"),
        (Damage::NoAnswer, "open"),
        (Damage::NotHttp, "closed"),
    ] {
        let id = client.register(&format!("ch_{damage:?}")).await;
        wire.next([damage]);
        let (seen, how) = raw(&wire.url(), &format!("/v1/payment_intents/{id}/confirm")).await;
        assert_eq!(how, ended, "{damage:?}: {seen}");
        match damage {
            Damage::HalfBody | Damage::ResetMidAnswer => {
                let (announced, came) = lengths(&seen);
                assert_eq!(came, announced / 2, "{damage:?}");
            }
            Damage::ResetBeforeAnswer | Damage::NoAnswer => assert_eq!(seen, ""),
            Damage::SlowDrip => assert!((3..=20).contains(&seen.len()) && seen.starts_with("HTT"), "{seen}"),
            Damage::NotHttp => assert!(!seen.starts_with("HTTP/"), "{seen}"),
            Damage::RequestLost => unreachable!("it has a test of its own"),
        }
        assert_eq!(client.status(&id).await, "requires_capture", "{damage:?}");
    }
    assert_eq!((wire.left(), psp.effects().authorized()), (0, 6));
}

#[tokio::test]
async fn a_lost_request_has_no_effect_and_without_damage_answers_pass() {
    let (psp, client) = stripe().await;
    let id = client.register("ch_1").await;
    let wire = FaultyWire::before(&psp.url()).await;
    let through = Client::of(&wire.url());
    wire.next([Damage::RequestLost]);
    assert_eq!(through.confirm(&id, "a").await, Err("broke off"));
    assert_eq!(psp.effects().authorized(), 0);
    assert_eq!(through.confirm(&id, "a").await.unwrap().0, 200);
    assert_eq!(through.status(&id).await, "requires_capture");
}

#[tokio::test]
async fn a_closed_port_refuses_and_opens_again_at_the_same_address() {
    let (psp, _) = stripe().await;
    let wire = FaultyWire::before(&psp.url()).await;
    let through = Client::of(&wire.url());
    wire.refuses().await;
    assert_eq!(through.get("/v1/payment_intents/pi_1").await, Err("refused"));
    wire.accepts().await;
    assert_eq!(through.get("/v1/payment_intents/pi_1").await.unwrap().0, 404);
}

#[tokio::test]
async fn payments_survive_every_damage_with_one_charge() {
    let psp = MockPsp::stripe().await;
    let wire = FaultyWire::before(&psp.url()).await;
    let rig = Rig::stripe_at(&psp, &wire.url()).await;
    for damage in [Damage::RequestLost, Damage::HalfBody, Damage::ResetMidAnswer, Damage::SlowDrip, Damage::NotHttp] {
        let id = rig.charge(1_200, "eur").await;
        // First the registration, then the authorization; after the inquiry, the capture.
        wire.next([damage]);
        wire.lets_pass(1);
        wire.next([damage]);
        wire.lets_pass(1);
        wire.next([damage]);
        rig.work_patiently().await;
        assert_eq!(rig.state(id).await, State::Succeeded, "{damage:?}");
        assert_eq!((psp.effects().of(id).captured(), wire.left()), (1, 0), "{damage:?}");
    }
    wire.refuses().await;
    let id = rig.charge(1_200, "eur").await;
    rig.work().await;
    assert_eq!(rig.state(id).await, State::Authorizing, "nothing was sent, so there is nothing to ask about");
    wire.accepts().await;
    rig.clock.skip(Duration::from_secs(60));
    rig.work_patiently().await;
    assert_eq!(rig.state(id).await, State::Succeeded);
    rig.finish(&psp).await;
}
