//! Entries that go to SQS together: whoever comes first goes at once, whoever arrives while requests are under way
//! shares the next one. Nobody waits for it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

/// Entries of one request, by SQS.
pub(crate) const MAX_ENTRIES: usize = 10;

/// Requests under way at a time. Few, so that under load they fill up: SQS is paid by the request.
const MAX_REQUESTS: usize = 4;

type Sent = Pin<Box<dyn Future<Output = ()> + Send>>;

enum Item<T> {
    Entry(T),
    /// Answered when everything before it is over.
    Mark(oneshot::Sender<()>),
}

/// A way to SQS for entries of one kind.
pub(crate) struct Batch<T> {
    door: mpsc::Sender<Item<T>>,
}

impl<T: Send + 'static> Batch<T> {
    /// Opens it, with room for so many waiting entries. `send` gets at most [`MAX_ENTRIES`], and copes with failure.
    pub(crate) fn open(room: usize, send: impl Fn(Vec<T>) -> Sent + Send + Sync + 'static) -> Self {
        let (door, items) = mpsc::channel(room);
        tokio::spawn(run(items, Arc::new(send)));
        Self { door }
    }

    /// Hands an entry in; gives it back when there is no room.
    pub(crate) fn put(&self, entry: T) -> Result<(), T> {
        self.door.try_send(Item::Entry(entry)).map_err(|refused| match refused.into_inner() {
            Item::Entry(entry) => entry,
            Item::Mark(_) => unreachable!("an entry was handed in"),
        })
    }

    /// Waits until everything that was handed in has been sent, or could not be.
    pub(crate) async fn flush(&self) {
        let (mark, passed) = oneshot::channel();
        if self.door.send(Item::Mark(mark)).await.is_ok() {
            // It ends early only with the runtime, and then there is nothing more to wait for.
            let _ = passed.await;
        }
    }
}

async fn run<T: Send + 'static>(mut items: mpsc::Receiver<Item<T>>, send: Arc<impl Fn(Vec<T>) -> Sent>) {
    let mut requests = JoinSet::new();
    let mut arrived = Vec::with_capacity(MAX_ENTRIES);
    while items.recv_many(&mut arrived, MAX_ENTRIES).await > 0 {
        let (mut entries, mut marks) = (Vec::new(), Vec::new());
        for item in arrived.drain(..) {
            match item {
                Item::Entry(entry) => entries.push(entry),
                Item::Mark(mark) => marks.push(mark),
            }
        }
        if !entries.is_empty() {
            while requests.len() >= MAX_REQUESTS {
                requests.join_next().await;
            }
            requests.spawn(send(entries));
        }
        if !marks.is_empty() {
            while requests.join_next().await.is_some() {}
            for mark in marks {
                // Who marked may have stopped waiting.
                let _ = mark.send(());
            }
        }
    }
}
