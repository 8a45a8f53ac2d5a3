//! What becomes of what is said: which executions it concerns, and what they are told.

use std::collections::{HashMap, HashSet};

use futures_util::future::join_all;
use workflow::definition;
use workflow::ids::PaymentId;
use workflow::port::executions::Execution;
use workflow::port::store::StoreError;
use workflow::port::timeouts::{Followed, Standing, Task};
use workflow::trace::TraceContext;

use super::calls::{Arrived, unsaid};
use super::{Keeping, Shared, first_look};

/// What somebody has to say to Step Functions.
pub(super) enum Said {
    /// A payment is new or has moved.
    Followed(Followed),
    /// A worker has acted on a task's message.
    Asked { payment_id: PaymentId, seq: i64, task: Task },
    /// A worker can do nothing with a task's payment.
    Refused { task: Task, why: String },
}

/// An execution to be started.
pub(super) struct Start {
    pub(super) standing: Standing,
    pub(super) trace: Option<TraceContext>,
    /// Whether one of this payment has ended already: it needs another name.
    pub(super) again: bool,
}

/// What an execution is told.
enum Word {
    /// Its payment stands there now.
    Stands(Standing),
    /// Somebody is at it.
    Lives,
}

impl Shared {
    /// Hears what was said, and says it to Step Functions. What cannot be said now is kept, or asked for again.
    pub(super) async fn hear(&self, said: Vec<Said>) {
        let (mut starts, mut moved, mut asked, mut refused) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for said in said {
            match said {
                Said::Followed(followed) if begins(&followed) => starts.push(Start {
                    standing: followed.standing,
                    trace: followed.trace,
                    again: followed.from.is_some(),
                }),
                Said::Followed(followed) => moved.push(followed),
                Said::Asked { payment_id, seq, task } => asked.push((payment_id, seq, task)),
                Said::Refused { task, why } => refused.push((task, why)),
            }
        }
        tokio::join!(self.start(starts), self.moved(moved), self.asked(asked), async {
            join_all(refused.iter().map(|(task, why)| self.fails(&task.token, why))).await;
        });
    }

    /// Starts executions, and keeps what could not be started.
    async fn start(&self, starts: Vec<Start>) {
        if self.options.keeping == Keeping::WhatItHas {
            return;
        }
        let arrived = join_all(starts.iter().map(|start| self.starts(start))).await;
        let left = starts.iter().zip(arrived).filter(|(_, arrived)| *arrived == Arrived::No);
        let left = left.map(|(start, _)| Execution {
            payment_id: start.standing.payment_id,
            token: None,
            state: start.standing.state,
            since: start.standing.since,
            seq: start.standing.seq,
        });
        self.keep(left.collect()).await;
    }

    /// Tells the tasks of payments that moved. A payment that comes to rest and has no task has perhaps no execution.
    async fn moved(&self, moved: Vec<Followed>) {
        let ids: HashSet<PaymentId> = moved.iter().map(|followed| followed.standing.payment_id).collect();
        let ids: Vec<PaymentId> = ids.into_iter().collect();
        let known = match self.known(&ids).await {
            Ok(known) => known,
            Err(error) => return lost(&error, moved.len()),
        };
        let mut latest: HashMap<PaymentId, Followed> = HashMap::new();
        for followed in moved {
            let last = latest.entry(followed.standing.payment_id).or_insert(followed);
            if last.standing.seq < followed.standing.seq {
                *last = followed;
            }
        }
        let (mut words, mut starts) = (Vec::new(), Vec::new());
        for (id, Followed { standing, trace, .. }) in latest {
            match known.get(&id) {
                Some(execution) => words.extend(word(execution, standing).map(|word| (execution.clone(), word))),
                None if definition::waits(standing.state) => starts.push(Start { standing, trace, again: false }),
                None => {}
            }
        }
        tokio::join!(self.tell(words), self.start(starts));
    }

    /// Answers tasks whose payments have left, and keeps the others.
    async fn asked(&self, asked: Vec<(PaymentId, i64, Task)>) {
        let standings = match self.standings(asked.iter().map(|(id, ..)| *id)).await {
            Ok(standings) => standings,
            Err(error) => return lost(&error, asked.len()),
        };
        let (mut words, mut stay) = (Vec::new(), Vec::new());
        for (payment_id, seq, task) in asked {
            let Some(standing) = standings.get(&payment_id).copied() else { continue };
            let Task { token, state, timed_out } = task;
            let execution = Execution { payment_id, token: Some(token), state, since: standing.since, seq };
            match word(&execution, standing) {
                _ if timed_out => words.push((execution, Word::Stands(standing))),
                Some(word @ Word::Stands(_)) => words.push((execution, word)),
                Some(Word::Lives) | None => stay.push(execution),
            }
        }
        tokio::join!(self.tell(words), self.watch(stay));
    }

    /// Keeps tasks whose payments stay where they are. One that moved before its task was kept was not told to anybody, so
    /// it is looked at once more.
    async fn watch(&self, executions: Vec<Execution>) {
        if executions.is_empty() {
            return;
        }
        self.keep(executions.clone()).await;
        match self.standings(executions.iter().map(|execution| execution.payment_id)).await {
            Ok(standings) => self.tell(self.words(executions, &standings)).await,
            Err(error) => lost(&error, executions.len()),
        }
    }

    /// Looks at what may have been forgotten: executions that were not started, and tasks that nobody answered.
    pub(super) async fn look(&self, limit: u32) -> usize {
        let looked = async {
            let executions = self.store.watch_executions(self.clock.now(), limit).await?;
            let standings = self.standings(executions.iter().map(|execution| execution.payment_id)).await?;
            Ok::<_, StoreError>((executions, standings))
        };
        let (executions, standings) = match looked.await {
            Ok(looked) => looked,
            Err(error) => {
                lost(&error, 0);
                return 0;
            }
        };
        let (to_start, to_tell): (Vec<_>, Vec<_>) =
            executions.into_iter().partition(|execution| execution.token.is_none());
        let words = self.words(to_tell, &standings);
        let said = words.len() + to_start.len();
        tokio::join!(self.tell(words), self.start_late(to_start, &standings));
        said
    }

    /// Starts what could not be started. What has ended meanwhile needs no clock any more.
    async fn start_late(&self, executions: Vec<Execution>, standings: &HashMap<PaymentId, Standing>) {
        let started = executions.into_iter().map(|execution| async move {
            let standing = standings.get(&execution.payment_id).copied();
            let open = standing.filter(|standing| !definition::has_ended(standing.state));
            let arrived = match open {
                Some(standing) => self.starts(&Start { standing, trace: None, again: false }).await,
                None => Arrived::Yes,
            };
            (arrived == Arrived::Yes).then_some(execution)
        });
        let started: Vec<_> = join_all(started).await.into_iter().flatten().collect();
        self.forget(started).await;
    }

    /// Tells executions, and forgets those that were told. The others are looked at again soon.
    async fn tell(&self, words: Vec<(Execution, Word)>) {
        let told = words.into_iter().map(|(execution, word)| async move {
            let token = execution.token.clone().unwrap_or_default();
            match word {
                Word::Lives => {
                    self.lives(&token).await;
                    None
                }
                Word::Stands(standing) => Some((self.stands(&token, standing).await, execution)),
            }
        });
        let (told, left): (Vec<_>, Vec<_>) =
            join_all(told).await.into_iter().flatten().partition(|(arrived, _)| *arrived == Arrived::Yes);
        let executions = |pairs: Vec<(Arrived, Execution)>| pairs.into_iter().map(|(_, execution)| execution).collect();
        tokio::join!(self.forget(executions(told)), self.keep(executions(left)));
    }

    fn words(&self, executions: Vec<Execution>, standings: &HashMap<PaymentId, Standing>) -> Vec<(Execution, Word)> {
        let word = |execution: Execution| {
            let word = word(&execution, *standings.get(&execution.payment_id)?)?;
            Some((execution, word))
        };
        executions.into_iter().filter_map(word).collect()
    }

    async fn known(&self, ids: &[PaymentId]) -> Result<HashMap<PaymentId, Execution>, StoreError> {
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        let executions = self.store.executions(ids).await?;
        Ok(executions.into_iter().map(|execution| (execution.payment_id, execution)).collect())
    }

    async fn standings(
        &self,
        ids: impl Iterator<Item = PaymentId>,
    ) -> Result<HashMap<PaymentId, Standing>, StoreError> {
        let ids: Vec<PaymentId> = ids.collect();
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        let payments = self.store.load(&ids).await?;
        Ok(payments.iter().flatten().map(|payment| (payment.id, Standing::of(payment))).collect())
    }

    async fn keep(&self, executions: Vec<Execution>) {
        if executions.is_empty() {
            return;
        }
        let kept = self.store.keep_executions(&executions, first_look(self.clock.as_ref())).await;
        if let Err(error) = kept {
            lost(&error, executions.len());
        }
    }

    /// What is not forgotten is said once more, and that it is old news is normal.
    async fn forget(&self, executions: Vec<Execution>) {
        if executions.is_empty() {
            return;
        }
        if let Err(error) = self.store.forget_executions(&executions).await {
            lost(&error, 0);
        }
    }
}

/// Whether a payment needs an execution from now on: it is new, or comes back after its end.
fn begins(followed: &Followed) -> bool {
    followed.from.is_none_or(definition::has_ended) && !definition::has_ended(followed.standing.state)
}

/// What a task is told while its payment stands there. A backoff that is over by now counts as one: only an answer makes
/// Step Functions bring the next message.
fn word(execution: &Execution, standing: Standing) -> Option<Word> {
    let stays = execution.state == standing.state && execution.since == standing.since;
    if !stays || standing.backs_off_until.is_some() {
        return Some(Word::Stands(standing));
    }
    standing.is_leased.then_some(Word::Lives)
}

fn lost(error: &StoreError, words: usize) {
    unsaid(words);
    let error = error as &dyn std::error::Error;
    tracing::warn!(words, error, "the database did not answer, so Step Functions was not told; it asks again");
}
