//! The testkit's mock PSP in front of the real API: what somebody who mocks a PSP over HTTP relies on.

use std::collections::HashMap;
use std::sync::Arc;

use testkit::dialect::Happened;
use testkit::{MockPsp, Rig, assert_ledger};
use tokio_util::sync::CancellationToken;
use workflow::definition::State;
use workflow::port::clock::Clock;
use workflow::port::store::Mode;
use workflow::shared::Shared;

/// The rig's API on a loopback port, as a URL for webhooks.
async fn webhook_url(rig: &Rig) -> String {
    let state = api::ApiState {
        engine: Arc::clone(&rig.engine),
        gateways: Arc::new(HashMap::from([("stripe".to_owned(), Arc::clone(&rig.gateway))])),
        config: api::ApiConfig {
            psps: api::PspOrder::new("stripe", Vec::new()),
            docs_url: None,
            psp_modes: HashMap::from([("stripe".to_owned(), Mode::Test)]),
            rate_limit: None,
            webhook_reach: workflow::endpoint_url::Reach::Public,
        },
        metrics: Arc::new(String::new),
        shared: Shared::alone(Arc::clone(&rig.clock) as Arc<dyn Clock>),
        stop: CancellationToken::new(),
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, api::router(state)).await });
    format!("http://{address}/v1/webhooks/stripe")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mocked_webhooks_over_http_move_the_payment_once_and_forged_ones_do_not() {
    let psp = MockPsp::stripe().await;
    psp.authorize().stays_pending();
    let rig = Rig::stripe(&psp).await;
    let url = webhook_url(&rig).await;
    let id = rig.charge(1_200, "eur").await;
    rig.work().await;
    assert_eq!(rig.state(id).await, State::AwaitingWebhook);
    psp.settles(id);
    let news = psp.webhooks().of(id).telling(Happened::Authorized).at(rig.clock.now());
    let hour = jiff::SignedDuration::from_hours(1);
    for bad in [news.clone().forged(), news.clone().tampered(), news.clone().stale(hour), news.clone().stale(-hour)] {
        assert_eq!(bad.deliver_to(&url).await, [400]);
    }
    assert_eq!(rig.state(id).await, State::AwaitingWebhook);
    assert_eq!(news.doubled().deliver_to(&url).await, [200, 200]);
    rig.work().await;
    assert_eq!(rig.state(id).await, State::Succeeded);
    assert_eq!(psp.webhooks().reversed().at(rig.clock.now()).deliver_to(&url).await, [200; 3]);
    assert_ledger(&psp.effects().to_string(), "authorized 12.00 EUR\ncaptured 12.00 EUR");
    rig.finish(&psp).await;
}
