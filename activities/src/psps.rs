//! The PSP accounts this process works with: for each name, the gateway that speaks its language and the client that
//! carries it there.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use workflow::history::Hash;
use workflow::payment::Payment;
use workflow::port::breakers::Breakers;
use workflow::port::gateway::{Call, Capabilities, Gateway, Operation, Outcome};

use crate::gateway::client::PspClient;

/// One PSP account.
pub struct Psp {
    /// Builds requests and reads answers.
    pub gateway: Arc<dyn Gateway>,
    /// Sends and receives.
    pub client: PspClient,
}

/// What a call came to, and the hash of the bytes it was read from.
pub(crate) struct Called {
    pub(crate) outcome: Outcome,
    pub(crate) payload_hash: Option<Hash>,
}

impl Psp {
    /// Calls the PSP. Whatever happens has an outcome.
    pub(crate) async fn call(&self, operation: Operation, payment: &Payment, key: &str, timeout: Duration) -> Called {
        let key = format!("{key}-{operation}");
        let request = self.gateway.request(Call { operation, payment, key: &key });
        match self.client.send(operation, request, timeout).await {
            Ok(answer) => Called {
                outcome: self.gateway.read(operation, payment, &answer),
                payload_hash: Some(Hash::of(&answer.body)),
            },
            Err(outcome) => Called { outcome, payload_hash: None },
        }
    }
}

/// All PSP accounts, by the names they are configured by.
#[derive(Default)]
pub struct Psps {
    by_name: HashMap<String, Psp>,
}

impl Psps {
    /// The accounts, each under its gateway's name.
    #[must_use]
    pub fn new(psps: Vec<Psp>) -> Self {
        Self { by_name: psps.into_iter().map(|psp| (psp.gateway.psp().to_owned(), psp)).collect() }
    }

    /// The same accounts, whose circuit breakers hear of those of other processes.
    #[must_use]
    pub fn among(self, others: &Arc<dyn Breakers>) -> Self {
        let among = |psp: Psp| Psp { client: psp.client.among(Arc::clone(others)), ..psp };
        Self { by_name: self.by_name.into_iter().map(|(name, psp)| (name, among(psp))).collect() }
    }

    /// The account of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Psp> {
        self.by_name.get(name)
    }

    /// What each account can do.
    #[must_use]
    pub fn capabilities(&self) -> HashMap<String, Capabilities> {
        self.by_name.iter().map(|(name, psp)| (name.clone(), psp.gateway.capabilities())).collect()
    }

    /// The gateways alone, for those who only read webhooks.
    #[must_use]
    pub fn gateways(&self) -> HashMap<String, Arc<dyn Gateway>> {
        self.by_name.iter().map(|(name, psp)| (name.clone(), Arc::clone(&psp.gateway))).collect()
    }
}
