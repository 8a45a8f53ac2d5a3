//! A thousand clients that hang up at random moments of a request.

use std::time::Duration;

use fincore_tests::world::World;
use rand::{RngExt, SeedableRng};
use secrecy::ExposeSecret;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use workflow::definition::State;
use workflow::ids::PaymentId;

fincore_tests::on_each_database_and_behind_a_pooler! {
    async fn clients_that_hang_up_lose_nothing_that_was_acknowledged(database: TestDatabase) {
        let world = World::over(database.store().await).await;
        let seed: u64 = rand::random();
        eprintln!("seed {seed}");
        let mut rng = rand::rngs::StdRng::seed_from_u64(seed);
        let mut acknowledged = Vec::new();
        for round in 0..20 {
            let clients = (0..50).map(|client| {
                let patience = Duration::from_micros(rng.random_range(0..6_000));
                hang_up(&world, format!("hang-{round}-{client}"), patience)
            });
            acknowledged.extend(futures_util::future::join_all(clients).await.into_iter().flatten());
        }
        for id in &acknowledged {
            assert!(world.store.load(&[*id]).await.unwrap()[0].is_some(), "{id} was acknowledged and is lost");
        }
        world.charge("pm_card_visa", "automatic").await;
        world.work_until_idle().await;
        if database.is_postgres() {
            // Nothing is under way any more; behind a pooler each statement has a transaction.
            let left = "select count(*) from pg_stat_activity
                where datname = current_database() and state like 'idle in transaction%'";
            assert_eq!(database.number(left).await, 0, "a connection was left inside a transaction");
        }
        let all = world.store.walk(None, 2_000).await.unwrap();
        eprintln!("{} acknowledged, {} stored", acknowledged.len(), all.len());
        assert!(all.len() > acknowledged.len() && all.iter().all(|payment| payment.state == State::Succeeded));
        world.finish().await;
    }
}

/// A client that sends a charge and goes away after a while, wherever things stand then.
async fn hang_up(world: &World, key: String, patience: Duration) -> Option<PaymentId> {
    let body = json!({"amount": 1200, "currency": "eur", "payment_method": "pm_card_visa"}).to_string();
    let request = format!(
        "POST /v1/charges HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nIdempotency-Key: {key}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        world.secret.expose_secret(),
        body.len()
    );
    let talk = async {
        let mut stream = tokio::net::TcpStream::connect(world.api).await.ok()?;
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut answer = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            let read = stream.read(&mut buffer).await.ok()?;
            answer.extend_from_slice(&buffer[..read]);
            let text = String::from_utf8_lossy(&answer);
            if let Some(at) = text.find("\"id\":\"ch_") {
                return text.get(at + 6..at + 41)?.parse().ok();
            }
            if read == 0 {
                return None;
            }
        }
    };
    tokio::time::timeout(patience, talk).await.ok().flatten()
}
