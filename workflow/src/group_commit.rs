//! Group commit: whoever comes first goes at once; whoever arrives while a commit is in flight shares the next one.
//! A caller is answered only after its own element was committed.
//!
//! The lane owns what it was given: a caller that goes away (a client that hangs up) neither cancels its element nor
//! anybody else's. A batch that is refused for what one element carries, or waits for a row that somebody holds, is tried
//! again one by one, beside the lane: nobody pays for a stranger. Not here: what a batch is written with; a lane is
//! handed a function.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;

use tokio::sync::{Semaphore, mpsc, oneshot};

use crate::port::store::StoreError;

/// Elements in one batch. Beyond a few hundred rows a statement gains nothing more and delays everybody in it.
pub const MAX_BATCH: usize = 256;

/// Elements waiting for a commit. Who comes when so many wait is made to wait before the door.
const MAX_WAITING: usize = 4_096;

/// Batches that are tried one by one at a time; the lane waits when another one fails. Each takes a connection.
const MAX_APART: usize = 2;

/// Elements of a batch that may each wait for a row that somebody holds. When so many do, it is not about a row any more
/// (a locked table, perhaps), and the rest is told so without waiting in vain one after the other.
const MAX_HELD: usize = 4;

type Committed<R> = Result<R, Arc<StoreError>>;
type Commit<R> = Pin<Box<dyn Future<Output = Result<Vec<R>, StoreError>> + Send>>;

struct Waiting<T, R> {
    /// On the heap: it is handed on several times before the batch is made.
    element: Box<T>,
    answer: oneshot::Sender<Committed<R>>,
}

/// A lane of writes (or reads) that share round trips.
pub struct Lane<T, R> {
    door: mpsc::Sender<Waiting<T, R>>,
}

impl<T: Clone + Send + Sync + 'static, R: Send + 'static> Lane<T, R> {
    /// Opens a lane. `commit` is called with at most [`MAX_BATCH`] elements, one call at a time.
    pub fn open(name: &'static str, commit: impl Fn(Arc<[T]>) -> Commit<R> + Send + Sync + 'static) -> Self {
        let (door, queue) = mpsc::channel(MAX_WAITING);
        tokio::spawn(run(name, queue, Arc::new(commit)));
        Self { door }
    }

    /// Hands an element in and waits until it is committed.
    ///
    /// # Errors
    /// The batch was not committed; the error is shared by all that were in it.
    pub fn commit(&self, element: T) -> impl Future<Output = Committed<R>> + Send {
        let (answer, answered) = oneshot::channel();
        let waiting = Waiting { element: Box::new(element), answer };
        async move {
            self.door.send(waiting).await.map_err(|_closed| gone())?;
            answered.await.map_err(|_dropped| gone())?
        }
    }
}

fn gone() -> Arc<StoreError> {
    Arc::new(StoreError::Unavailable("the group commit ended before it answered".into()))
}

async fn run<T: Clone + Send + Sync + 'static, R: Send + 'static>(
    name: &'static str,
    mut queue: mpsc::Receiver<Waiting<T, R>>,
    commit: Arc<impl Fn(Arc<[T]>) -> Commit<R> + Send + Sync + 'static>,
) {
    let apart = Arc::new(Semaphore::new(MAX_APART));
    let mut waiting = Vec::with_capacity(MAX_BATCH);
    while queue.recv_many(&mut waiting, MAX_BATCH).await > 0 {
        let (elements, answers): (Vec<Box<T>>, Vec<_>) =
            waiting.drain(..).map(|waiting| (waiting.element, waiting.answer)).unzip();
        let elements: Arc<[T]> = elements.into_iter().map(|element| *element).collect();
        let size = u32::try_from(elements.len()).unwrap_or(u32::MAX);
        metrics::histogram!("fincore_group_commit_size", "lane" => name).record(size);
        let began = Instant::now();
        let committed = contained(&*commit, &elements).await;
        metrics::histogram!("fincore_group_commit_seconds", "lane" => name).record(began.elapsed().as_secs_f64());
        match committed {
            Err(StoreError::Refused(_) | StoreError::Corrupt(_) | StoreError::Held(_)) if elements.len() > 1 => {
                let Ok(permit) = Arc::clone(&apart).acquire_owned().await else { return };
                let commit = Arc::clone(&commit);
                tokio::spawn(async move {
                    one_by_one(&elements, answers, &*commit).await;
                    drop(permit);
                });
            }
            committed => settle(answers, committed),
        }
    }
}

/// Commits each element by itself. The lane has gone on, so these are not in order with what came after them; who needs
/// an order waits for the answer.
async fn one_by_one<T: Clone, R>(
    elements: &[T],
    answers: Vec<oneshot::Sender<Committed<R>>>,
    commit: &(impl Fn(Arc<[T]>) -> Commit<R> + Sync),
) {
    let mut held = 0;
    for (element, answer) in elements.iter().zip(answers) {
        let committed = if held < MAX_HELD {
            contained(commit, &Arc::from([element.clone()])).await
        } else {
            Err(StoreError::Held("so are several others of the same batch".into()))
        };
        held += usize::from(matches!(committed, Err(StoreError::Held(_))));
        settle(vec![answer], committed);
    }
}

/// Commits so that a panic in an adapter fails this batch and not the lane. What the adapter left behind is its own: it
/// holds connections, and a connection whose statement did not end is not used again.
async fn contained<T, R>(commit: &impl Fn(Arc<[T]>) -> Commit<R>, elements: &Arc<[T]>) -> Result<Vec<R>, StoreError> {
    let mut commit = commit(Arc::clone(elements));
    std::future::poll_fn(move |context| {
        catch_unwind(AssertUnwindSafe(|| commit.as_mut().poll(context)))
            .unwrap_or_else(|_panic| Poll::Ready(Err(StoreError::Refused("the adapter panicked".into()))))
    })
    .await
}

fn settle<R>(answers: Vec<oneshot::Sender<Committed<R>>>, committed: Result<Vec<R>, StoreError>) {
    match committed {
        Ok(results) => {
            for (answer, result) in answers.into_iter().zip(results) {
                // A caller that went away needs no answer; its element is committed all the same.
                let _ = answer.send(Ok(result));
            }
        }
        Err(error) => {
            let error = Arc::new(error);
            for answer in answers {
                let _ = answer.send(Err(Arc::clone(&error)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[tokio::test]
    async fn who_arrives_during_a_commit_shares_the_next_one() {
        let sizes = Arc::new(Mutex::new(Vec::new()));
        let (open_gate, gate) = tokio::sync::watch::channel(false);
        let seen = Arc::clone(&sizes);
        let lane = Arc::new(Lane::open("test", move |batch: Arc<[u32]>| {
            seen.lock().unwrap().push(batch.len());
            let mut gate = gate.clone();
            Box::pin(async move {
                gate.wait_for(|open| *open).await.unwrap();
                Ok(batch.to_vec())
            })
        }));
        let callers: Vec<_> = (0..10)
            .map(|number| {
                let lane = Arc::clone(&lane);
                tokio::spawn(async move { lane.commit(number).await.unwrap() })
            })
            .collect();
        while sizes.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
        open_gate.send(true).unwrap();
        for (number, caller) in (0..10).zip(callers) {
            assert_eq!(caller.await.unwrap(), number);
        }
        assert!(sizes.lock().unwrap().len() <= 3, "ten callers shared few commits: {:?}", sizes.lock().unwrap());
    }

    #[tokio::test]
    async fn one_that_cannot_be_committed_does_not_fail_its_neighbours() {
        let lane = Arc::new(Lane::open("test", |batch: Arc<[u32]>| {
            Box::pin(async move {
                if batch.contains(&13) { Err(StoreError::Corrupt("13".to_owned())) } else { Ok(batch.to_vec()) }
            })
        }));
        let answers: Vec<_> = (10..20)
            .map(|number| {
                let lane = Arc::clone(&lane);
                tokio::spawn(async move { lane.commit(number).await.ok() })
            })
            .collect();
        for (number, answer) in (10..20).zip(answers) {
            assert_eq!(answer.await.unwrap(), (number != 13).then_some(number));
        }
    }

    type Batches = Arc<Mutex<Vec<Vec<u32>>>>;

    /// Commits everything but what is listed as held, and logs what it was given.
    fn lane_with_held(held: &'static [u32]) -> (Arc<Lane<u32, u32>>, Batches) {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&seen);
        let lane = Lane::open("test", move |batch: Arc<[u32]>| {
            log.lock().unwrap().push(batch.to_vec());
            let waits = batch.iter().any(|number| held.contains(number));
            Box::pin(async move { if waits { Err(StoreError::Held("by hand".into())) } else { Ok(batch.to_vec()) } })
        });
        (Arc::new(lane), seen)
    }

    async fn commit_all(lane: &Arc<Lane<u32, u32>>, numbers: std::ops::Range<u32>) -> Vec<Committed<u32>> {
        let commits = numbers.map(|number| {
            let lane = Arc::clone(lane);
            tokio::spawn(async move { lane.commit(number).await })
        });
        let mut answers = Vec::new();
        for commit in commits.collect::<Vec<_>>() {
            answers.push(commit.await.unwrap());
        }
        answers
    }

    #[tokio::test]
    async fn a_held_row_costs_its_neighbours_nothing() {
        let (lane, seen) = lane_with_held(&[13]);
        for (number, answer) in (10..20).zip(commit_all(&lane, 10..20).await) {
            assert_eq!(answer.is_ok(), number != 13, "{number}: {answer:?}");
        }
        assert_eq!(seen.lock().unwrap().iter().filter(|batch| **batch == [13]).count(), 1, "it is not asked for twice");
    }

    #[tokio::test]
    async fn when_everything_is_held_few_wait_for_it() {
        let (lane, seen) = lane_with_held(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
        for answer in commit_all(&lane, 0..10).await {
            assert!(matches!(*answer.unwrap_err(), StoreError::Held(_)));
        }
        assert!(seen.lock().unwrap().len() <= 2 * (1 + MAX_HELD), "{:?}", seen.lock().unwrap());
    }

    #[tokio::test]
    async fn a_panic_fails_its_batch_and_not_the_lane() {
        let lane = Lane::open("test", |batch: Arc<[u32]>| {
            Box::pin(async move {
                assert!(*batch != [13], "unlucky");
                Ok(batch.to_vec())
            })
        });
        assert!(lane.commit(13).await.is_err());
        assert_eq!(lane.commit(14).await.unwrap(), 14);
    }
}
