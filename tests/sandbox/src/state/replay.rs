//! Builds the state at start, from the journal if there is one.
//!
//! Not here: the journal's format (`journal`).

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use super::State;
use crate::answer::Answer;
use crate::faults::Faults;
use crate::idempotency::{Answers, Key};
use crate::journal::{Journal, Keys, Record};
use crate::webhook::Webhooks;

impl State {
    pub(crate) fn open(journal: Option<&Path>, webhooks: Arc<Webhooks>, base_url: String) -> io::Result<Self> {
        let mut state = Self {
            intents: HashMap::new(),
            refunds: HashMap::new(),
            refunds_of: HashMap::new(),
            disputes: HashMap::new(),
            ledger: Vec::new(),
            faults: Faults::default(),
            answers: Answers::default(),
            journal: None,
            webhooks,
            base_url,
        };
        if let Some(path) = journal {
            state.journal = Some(Journal::open(path, |record| state.apply(record))?);
        }
        Ok(state)
    }

    fn apply(&mut self, record: Record<'static>) -> io::Result<()> {
        if record.keys == Keys::Forgotten {
            self.answers.forget_all();
        }
        if let Some(intent) = record.intent {
            if let Some(dispute) = &intent.dispute {
                self.disputes.insert(dispute.id.clone(), intent.id.clone());
            }
            self.intents.insert(intent.id.clone(), intent.into_owned());
        }
        if let Some(refund) = record.refund {
            self.keep_refund(refund.into_owned());
        }
        self.ledger.extend(record.entries.into_owned());
        if let Some(fired) = record.fired {
            self.faults.remember(fired);
        }
        if let Some(answer) = record.answer {
            let mut fingerprint = [0; 32];
            hex::decode_to_slice(&answer.fingerprint, &mut fingerprint)
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            let key = Key { text: answer.key.into_owned(), fingerprint };
            let body = answer.body.into_owned().into();
            self.answers.finish(&key, Answer { status: answer.status, body });
        }
        Ok(())
    }
}
