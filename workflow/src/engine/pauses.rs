//! PSP accounts that are paused: nothing is claimed for them, in whatever process. Payments that are due there stay due.
//!
//! Not here: what is under way when the pause begins; those calls end and are recorded.

use std::collections::HashSet;
use std::sync::{Arc, RwLock};

use jiff::{SignedDuration, Timestamp};

use super::operator::{Performed, Refusal};
use super::{Engine, EngineError};
use crate::acts::By;
use crate::group_commit::Lane;
use crate::ids::AuditId;
use crate::port::audit::{AuditAct, AuditEntry, AuditOutcome};
use crate::port::pauses::Pause;
use crate::port::store::{Store, Updated};

/// How long a process goes by what it has read: a pause holds everywhere this much later at the latest.
const READ_AGAIN_AFTER: SignedDuration = SignedDuration::from_secs(1);

/// The longest name of a PSP account that can be paused, in bytes. Settings allow shorter ones only.
const LONGEST_NAME: usize = 200;

/// What this process knows of the pauses.
pub(super) struct KnownPauses {
    known: RwLock<Known>,
    /// Many payments are looked at in the same moment: one read is for all of them, and lets all of them go on together.
    reads: Lane<(), Arc<HashSet<String>>>,
}

impl KnownPauses {
    pub(super) fn of(store: Arc<dyn Store>) -> Self {
        let reads = Lane::open("pauses", move |asked| {
            let store = Arc::clone(&store);
            Box::pin(async move {
                let paused: HashSet<String> = store.pauses().await?.into_iter().map(|pause| pause.psp).collect();
                let paused = Arc::new(paused);
                Ok(asked.iter().map(|()| Arc::clone(&paused)).collect())
            })
        });
        Self { known: RwLock::default(), reads }
    }
}

#[derive(Default, Clone)]
struct Known {
    read_at: Option<Timestamp>,
    paused: Arc<HashSet<String>>,
}

impl Engine {
    /// The paused accounts, as they were a second ago at the latest.
    pub(super) async fn paused(&self) -> Result<Arc<HashSet<String>>, EngineError> {
        let now = self.now();
        let known = self.pauses.known.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        let is_fresh =
            |read_at: Timestamp| (SignedDuration::ZERO..READ_AGAIN_AFTER).contains(&now.duration_since(read_at));
        if known.read_at.is_some_and(is_fresh) {
            return Ok(known.paused);
        }
        let paused = self.pauses.reads.commit(()).await?;
        let fresh = Known { read_at: Some(now), paused: Arc::clone(&paused) };
        *self.pauses.known.write().unwrap_or_else(std::sync::PoisonError::into_inner) = fresh;
        Ok(paused)
    }

    /// Pauses a PSP account: from now on nothing is sent there, in no process.
    ///
    /// # Errors
    /// The store did not answer.
    pub async fn pause_psp(&self, psp: &str, by: &By) -> Result<Performed<()>, EngineError> {
        if let Some(why) = refused(psp, by) {
            return self.refuse_psp(AuditAct::PausePsp, psp, by, why).await;
        }
        let pause = Pause { psp: psp.to_owned(), since: self.now(), by: by.operator.clone(), why: by.why.clone() };
        let entry = self.psp_entry(AuditAct::PausePsp, psp, by, AuditOutcome::Done);
        match self.store.pause(&pause, &entry).await? {
            Updated::Applied => Ok(self.changed()),
            Updated::Conflict => self.refuse_psp(AuditAct::PausePsp, psp, by, "it is paused already").await,
        }
    }

    /// Lets a paused PSP account go on: what is due there is found by the next sweep.
    ///
    /// # Errors
    /// The store did not answer.
    pub async fn resume_psp(&self, psp: &str, by: &By) -> Result<Performed<()>, EngineError> {
        if let Some(why) = refused(psp, by) {
            return self.refuse_psp(AuditAct::ResumePsp, psp, by, why).await;
        }
        let entry = self.psp_entry(AuditAct::ResumePsp, psp, by, AuditOutcome::Done);
        match self.store.resume(psp, &entry).await? {
            Updated::Applied => Ok(self.changed()),
            Updated::Conflict => self.refuse_psp(AuditAct::ResumePsp, psp, by, "it is not paused").await,
        }
    }

    /// Here it holds at once.
    fn changed(&self) -> Performed<()> {
        *self.pauses.known.write().unwrap_or_else(std::sync::PoisonError::into_inner) = Known::default();
        Performed::Done(Box::new(()))
    }

    async fn refuse_psp(
        &self,
        act: AuditAct,
        psp: &str,
        by: &By,
        why: &'static str,
    ) -> Result<Performed<()>, EngineError> {
        let entry = self.psp_entry(act, psp, by, AuditOutcome::Refused(why.to_owned()));
        self.store.enter(&[entry]).await?;
        Ok(Performed::Refused(Refusal { state: None, why: why.to_owned(), is_undecided: false }))
    }

    fn psp_entry(&self, act: AuditAct, psp: &str, by: &By, outcome: AuditOutcome) -> AuditEntry {
        let at = self.now();
        AuditEntry {
            id: AuditId::new(at, self.random_pair()),
            at,
            actor: by.operator.clone(),
            role: by.role,
            act,
            payment_id: None,
            subject: Some(psp.to_owned()),
            reason: Some(by.why.clone()),
            outcome,
            via: by.via,
            remote: by.remote.clone(),
        }
    }
}

fn refused(psp: &str, by: &By) -> Option<&'static str> {
    let is_name = (1..=LONGEST_NAME).contains(&psp.len()) && psp.chars().all(|letter| letter.is_ascii_graphic());
    by.refused().or((!is_name).then_some("this is not the name of a PSP account"))
}
