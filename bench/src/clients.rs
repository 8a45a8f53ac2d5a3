//! Clients of FinCore: they start charges, over HTTP or in the process, and where wanted wait for their end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use async_trait::async_trait;
use workflow::definition::State;
use workflow::engine::client::{Charge, Replayed, Request};
use workflow::history::Hash;
use workflow::ids::PaymentId;
use workflow::money::Amount;
use workflow::payment::{CaptureMethod, Payment};
use workflow::port::store::RequestScope;

use crate::load::Client;
use crate::system::System;
use crate::wire::Wire;

/// What is charged: the least a client has to send.
const BODY: &str = r#"{"amount":1999,"currency":"eur","payment_method":"pm_card_visa"}"#;

/// Where a round ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Until {
    /// The charge is stored.
    Accepted,
    /// The money is captured.
    Succeeded,
}

/// Idempotency keys that are not used twice.
struct Keys {
    prefix: String,
    count: u64,
}

impl Keys {
    /// `run` tells apart the cells of one benchmark, `client` the clients in a cell.
    fn new(run: u64, client: usize) -> Self {
        Self { prefix: format!("run{run}client{client}n"), count: 0 }
    }

    fn next(&mut self) -> String {
        self.count += 1;
        format!("{}{}", self.prefix, self.count)
    }
}

async fn wait(system: &System, id: PaymentId) -> anyhow::Result<()> {
    match system.ends.of(id).await {
        Some(State::Succeeded) => Ok(()),
        Some(other) => bail!("{id} ended as {other}"),
        None => bail!("{id} never ended"),
    }
}

/// One that speaks to the API.
pub(crate) struct Caller {
    system: Arc<System>,
    wire: Wire,
    head: String,
    keys: Keys,
    until: Until,
}

impl Caller {
    pub(crate) async fn new(system: &Arc<System>, run: u64, client: usize, until: Until) -> anyhow::Result<Self> {
        let wire = Wire::connect(system.address).await?;
        Ok(Self { system: Arc::clone(system), wire, head: system.head(BODY), keys: Keys::new(run, client), until })
    }
}

#[async_trait]
impl Client for Caller {
    async fn round(&mut self) -> anyhow::Result<Option<Duration>> {
        let started = Instant::now();
        let request = format!("{}{}\r\n\r\n{BODY}", self.head, self.keys.next());
        let answer = self.wire.exchange(request.as_bytes()).await?;
        ensure!(answer.status == 202, "the API answered {}", answer.status);
        if self.until == Until::Accepted {
            return Ok(None);
        }
        let accepted = started.elapsed();
        let location = answer.location.context("the API's answer has no location")?;
        let id = location.rsplit('/').next().unwrap_or_default().parse()?;
        wait(&self.system, id).await?;
        Ok(Some(accepted))
    }
}

/// One that calls the engine in its own process.
pub(crate) struct Insider {
    system: Arc<System>,
    charge: Charge,
    keys: Keys,
    until: Until,
}

impl Insider {
    pub(crate) fn new(system: &Arc<System>, run: u64, client: usize, until: Until) -> anyhow::Result<Self> {
        let charge = Charge {
            fallbacks: Vec::new(),
            psp: "sandbox".to_owned(),
            payment_method: "pm_card_visa".to_owned(),
            amount: Amount::try_from(1999_i64)?,
            currency: "eur".parse()?,
            capture_method: CaptureMethod::Automatic,
            return_url: None,
            description: None,
            metadata: std::collections::BTreeMap::new(),
        };
        Ok(Self { system: Arc::clone(system), charge, keys: Keys::new(run, client), until })
    }

    /// Starts a charge.
    pub(crate) async fn start(&mut self) -> anyhow::Result<PaymentId> {
        let scope = RequestScope {
            merchant_id: self.system.merchant,
            route: "POST /v1/charges".to_owned(),
            key: self.keys.next(),
        };
        let request = Request { scope, fingerprint: Hash::of(BODY.as_bytes()), actor: "bench".to_owned() };
        let reply = self.system.engine.start(self.charge.clone(), request, &render).await?;
        ensure!(reply.replayed == Replayed::No, "an idempotency key was used twice");
        Ok(reply.payment_id)
    }
}

#[async_trait]
impl Client for Insider {
    async fn round(&mut self) -> anyhow::Result<Option<Duration>> {
        let started = Instant::now();
        let payment_id = self.start().await?;
        if self.until == Until::Accepted {
            return Ok(None);
        }
        let accepted = started.elapsed();
        wait(&self.system, payment_id).await?;
        Ok(Some(accepted))
    }
}

/// About as long as the API's answer.
fn render(payment: &Payment) -> String {
    format!(
        r#"{{"id":"{}","object":"charge","amount":{},"currency":"{}","status":"{}","created":"{}","text":"{:0400}"}}"#,
        payment.id, payment.amount_minor, payment.currency, payment.state, payment.created_at, 0
    )
}
