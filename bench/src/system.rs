//! A whole FinCore on one database: API, engine and, where wanted, a worker; put together by the program's own wiring.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use activities::gateway::accounts::Purpose;
use activities::psps::Psps;
use anyhow::Context;

use fincore::app::{self, Schema, Serving, Workers};
use fincore::settings::Settings;
use metrics_exporter_prometheus::PrometheusHandle;
use secrecy::{ExposeSecret, SecretString};
use tokio_util::sync::CancellationToken;
use workflow::engine::Engine;
use workflow::ids::{ApiKeyId, MerchantId};
use workflow::port::clock::{Clock, Random, SystemClock, SystemRandom};
use workflow::port::store::Mode;

use crate::observed::{Counters, Ends, Observed};

/// A running FinCore.
pub(crate) struct System {
    pub(crate) address: SocketAddr,
    pub(crate) secret: SecretString,
    pub(crate) merchant: MerchantId,
    pub(crate) engine: Arc<Engine>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) ends: Arc<Ends>,
    stop: CancellationToken,
}

impl System {
    /// Opens the settings' database, migrates it and starts everything on the runtime it is called on.
    pub(crate) async fn start(
        settings: Settings,
        workers: Workers,
        metrics: PrometheusHandle,
    ) -> anyhow::Result<Arc<Self>> {
        let (counters, ends) = (Arc::new(Counters::default()), Arc::new(Ends::default()));
        let database = app::open(&settings, Schema::Migrate).await?;
        let store = Arc::clone(&database.store);
        let (secret, merchant) = key(store.as_ref()).await?;
        let observed = Observed { store, counters: Arc::clone(&counters), ends: Arc::clone(&ends) };
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let shared = app::shared(&settings, workers, &clock)?;
        let psps = app::psps(&settings, Purpose::CallsAndWebhooks, &clock, &shared)?;
        let queue = app::queue(&settings, workers).await;
        let engine = app::engine(Arc::new(observed), queue, &psps, clock, &shared, &settings)?;
        let listener = app::listen(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await?;
        let address = listener.local_addr()?;
        let stop = CancellationToken::new();
        if workers == Workers::Here {
            let worker = app::worker(Arc::clone(&engine), Arc::clone(&psps), &settings, workers)?;
            let stop = stop.clone();
            tokio::spawn(async move { worker.run(stop).await });
        }
        let system =
            Self { address, secret, merchant, engine: Arc::clone(&engine), counters, ends, stop: stop.clone() };
        tokio::spawn(serve(Serving { listener, engine, database, metrics, shared, stop }, psps, settings));
        Ok(Arc::new(system))
    }

    /// The head of every request to the API, up to the idempotency key.
    pub(crate) fn head(&self, body: &str) -> String {
        format!(
            "POST /v1/charges HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n\
             content-length: {}\r\nidempotency-key: ",
            self.address,
            self.secret.expose_secret(),
            body.len()
        )
    }

    pub(crate) fn stop(&self) {
        self.stop.cancel();
    }
}

async fn serve(serving: Serving, psps: Arc<Psps>, settings: Settings) {
    let served = app::serve_api(serving, &psps, &settings).await;
    if let Err(error) = served.context("the API ended") {
        eprintln!("{error:#}");
    }
}

/// A merchant with a key.
async fn key(store: &dyn workflow::port::store::Store) -> anyhow::Result<(SecretString, MerchantId)> {
    let now = SystemClock.now();
    let random = || [SystemRandom.next(), SystemRandom.next()];
    let merchant = MerchantId::new(now, random());
    let mut bytes = [0; 32];
    for part in bytes.chunks_mut(8) {
        part.copy_from_slice(&SystemRandom.next().to_le_bytes());
    }
    let (secret, key) = api::new_api_key(bytes, Mode::Test, ApiKeyId::new(now, random()), merchant, now);
    store.add_api_key(&key).await?;
    Ok((secret, merchant))
}
