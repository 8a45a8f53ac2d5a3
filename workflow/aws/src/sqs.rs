//! Amazon SQS as the queue: standard or FIFO (then one message group per payment).
//!
//! Telling and settling go in batches behind the caller's back; receiving polls for as long as SQS allows and keeps little
//! more in hand than the worker takes. Every message may come twice, late, out of order or never: the row decides, and
//! the sweeper finds what was lost. What cannot be read stays in the queue until its redrive policy moves it to the
//! dead-letter queue.

pub(crate) mod batch;
mod receive;
mod send;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::QueueAttributeName;
use tokio::sync::{Mutex, OnceCell, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use workflow::port::queue::{Delivery, Queue, Receipt, Settlement, Wake};

use crate::connect::{self, AwsOptions};
use batch::{Batch, MAX_ENTRIES};

/// Wakes and settlements that wait for a request. With more, SQS is not keeping up, and the sweeper helps out.
const ROOM: usize = 10_000;

/// How long a poll waits for messages. SQS allows 20 s, which is a fourth of the requests; but a poll must not be broken
/// off (what it brings would be invisible to others for a whole visibility timeout), and so ending waits this long.
const LONG_POLL: Duration = Duration::from_secs(5);

/// Beside the poll itself, for the answer to arrive.
const POLL_GRACE: Duration = Duration::from_secs(5);

/// Polls under way at a time. Each brings up to ten messages, and is answered at once when there are some.
const POLLERS: usize = 4;

/// A payment that is due is left to SQS for this long before a sweep works on it. Longer than a message takes on a busy
/// day; what waits in the queue for longer is worked on twice as early by the sweep, and the message is then in vain.
pub const GRACE: Duration = Duration::from_secs(10);

/// A message should stay invisible for as long as a worker may hold its payment: a lease and a little.
const LEAST_VISIBILITY: Duration = Duration::from_secs(90);

/// A message is delivered once for each attempt of its payment, which goes to a person after 100 claims; and now and then
/// while another worker holds it. The queue must not give it up before.
const LEAST_RECEIVES: u64 = 200;

/// How a queue is used.
#[derive(Clone, Debug)]
pub struct SqsOptions {
    /// The queue. A FIFO queue's ends in `.fifo`.
    pub queue_url: String,
    /// Where AWS is.
    pub aws: AwsOptions,
}

impl SqsOptions {
    /// A queue at AWS. Its region, where nothing else says it, is the one in its URL.
    #[must_use]
    pub fn new(queue_url: impl Into<String>, endpoint_url: Option<String>) -> Self {
        let queue_url = queue_url.into();
        let region = region_in(&queue_url).map(str::to_owned);
        Self { queue_url, aws: AwsOptions { endpoint_url, region } }
    }

    /// Whether it is a FIFO queue.
    #[must_use]
    pub fn is_fifo(&self) -> bool {
        self.queue_url.ends_with(".fifo")
    }
}

/// `https://sqs.eu-central-1.amazonaws.com/123456789012/name` is in `eu-central-1`.
fn region_in(queue_url: &str) -> Option<&str> {
    let host = queue_url.split("//").nth(1)?.split('/').next()?;
    let mut labels = host.split('.');
    (labels.next()? == "sqs").then(|| labels.next()).flatten().filter(|_| host.contains(".amazonaws."))
}

/// Whether this process takes messages from the queue, or only tells it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Listening {
    /// It polls, from the first [`Queue::receive`] on.
    Yes,
    /// Others do: workers elsewhere, or a Lambda event source mapping.
    No,
}

/// An SQS queue.
pub struct SqsQueue {
    shared: Arc<Shared>,
    wakes: Batch<Wake>,
    settlements: Batch<(Receipt, Settlement)>,
    received: Mutex<mpsc::Receiver<Delivery>>,
    stop: CancellationToken,
    pollers: TaskTracker,
}

/// What the tasks behind a queue use.
pub(crate) struct Shared {
    /// Made when first used: finding credentials and reading certificates takes as long as starting a whole function, which
    /// may never have to say a word to the queue.
    clients: OnceCell<Clients>,
    aws: AwsOptions,
    queue_url: String,
    is_fifo: bool,
}

struct Clients {
    calls: Client,
    /// Waits for longer.
    polls: Client,
}

impl From<&SdkConfig> for Clients {
    fn from(config: &SdkConfig) -> Self {
        let timeouts = TimeoutConfig::builder()
            .operation_attempt_timeout(LONG_POLL + POLL_GRACE)
            .operation_timeout((LONG_POLL + POLL_GRACE) * 2)
            .build();
        let polls = aws_sdk_sqs::config::Builder::from(config).timeout_config(timeouts).build();
        Self { calls: Client::new(config), polls: Client::from_conf(polls) }
    }
}

impl Shared {
    async fn clients(&self) -> &Clients {
        self.clients.get_or_init(async || Clients::from(&connect::config(&self.aws).await)).await
    }

    async fn client(&self) -> &Client {
        &self.clients().await.calls
    }

    async fn poller(&self) -> &Client {
        &self.clients().await.polls
    }
}

impl SqsQueue {
    /// A queue. Nothing is called, nor looked for, before something is told or awaited.
    #[must_use]
    pub fn open(options: SqsOptions, listening: Listening) -> Self {
        Self::with(OnceCell::new(), options, listening)
    }

    /// The same with a configuration of the caller's.
    #[must_use]
    pub fn over(config: &SdkConfig, queue_url: &str, listening: Listening) -> Self {
        let clients = OnceCell::new_with(Some(Clients::from(config)));
        Self::with(clients, SqsOptions::new(queue_url, None), listening)
    }

    fn with(clients: OnceCell<Clients>, options: SqsOptions, listening: Listening) -> Self {
        let is_fifo = options.is_fifo();
        let SqsOptions { queue_url, aws } = options;
        let shared = Arc::new(Shared { clients, aws, queue_url, is_fifo });
        let (stop, pollers) = (CancellationToken::new(), TaskTracker::new());
        let (hand_in, received) = mpsc::channel(POLLERS * MAX_ENTRIES);
        if listening == Listening::Yes {
            for _ in 0..POLLERS {
                pollers.spawn(receive::poll(Arc::clone(&shared), hand_in.clone(), stop.clone()));
            }
        }
        pollers.close();
        let (telling, settling) = (Arc::clone(&shared), Arc::clone(&shared));
        Self {
            wakes: Batch::open(ROOM, move |wakes| {
                let shared = Arc::clone(&telling);
                Box::pin(async move { send::lost(shared.send(wakes).await.len()) })
            }),
            settlements: Batch::open(ROOM, move |settlements| {
                let shared = Arc::clone(&settling);
                Box::pin(async move { shared.settle(settlements).await })
            }),
            shared,
            received: Mutex::new(received),
            stop,
            pollers,
        }
    }

    /// Tells the queue at once and waits for its answer. Returns the wakes that it did not take.
    pub async fn send(&self, wakes: Vec<Wake>) -> Vec<Wake> {
        let mut left = Vec::new();
        for some in wakes.chunks(MAX_ENTRIES) {
            left.extend(self.shared.send(some.to_vec()).await);
        }
        left
    }

    /// Waits until everything that was told and settled has been sent, or could not be.
    pub async fn flush(&self) {
        self.wakes.flush().await;
        self.settlements.flush().await;
    }

    /// What about the queue's own settings will cost time or hide failures, each with what to do about it.
    ///
    /// # Errors
    /// The queue did not answer, or this process may not ask.
    pub async fn shortcomings(&self) -> Result<Vec<String>, aws_sdk_sqs::Error> {
        let asked = self.shared.client().await.get_queue_attributes().queue_url(&self.shared.queue_url);
        let answer = asked.attribute_names(QueueAttributeName::All).send().await?;
        let attribute = |name: QueueAttributeName| answer.attributes().and_then(|all| all.get(&name));
        let mut found = Vec::new();
        match attribute(QueueAttributeName::RedrivePolicy) {
            None => found.push("the queue has no redrive policy, so messages that cannot be read come again for days: give it a dead-letter queue".to_owned()),
            Some(policy) => found.extend(max_receives(policy).filter(|most| *most < LEAST_RECEIVES).map(|most| {
                format!("the queue gives messages up after {most} deliveries, but one message brings all retries of a payment: set maxReceiveCount to {LEAST_RECEIVES} or more")
            })),
        }
        let visibility = attribute(QueueAttributeName::VisibilityTimeout).and_then(|seconds| seconds.parse().ok());
        if let Some(seconds) = visibility.filter(|seconds| Duration::from_secs(*seconds) < LEAST_VISIBILITY) {
            let least = LEAST_VISIBILITY.as_secs();
            found.push(format!("the queue's visibility timeout is {seconds} s, so messages come again while they are worked on: set {least} s or more"));
        }
        Ok(found)
    }
}

/// Some write the number as a text.
fn max_receives(redrive_policy: &str) -> Option<u64> {
    let policy: serde_json::Value = serde_json::from_str(redrive_policy).ok()?;
    let most = policy.get("maxReceiveCount")?;
    most.as_u64().or_else(|| most.as_str()?.parse().ok())
}

#[async_trait]
impl Queue for SqsQueue {
    fn tell(&self, wakes: Vec<Wake>) {
        let refused = wakes.into_iter().filter_map(|wake| self.wakes.put(wake).err()).count();
        if refused > 0 {
            send::lost(refused);
        }
    }

    async fn receive(&self, max: usize) -> Vec<Delivery> {
        let mut deliveries = Vec::new();
        if self.received.lock().await.recv_many(&mut deliveries, max).await == 0 {
            // Closed: there will be none.
            std::future::pending::<()>().await;
        }
        deliveries
    }

    fn settle(&self, receipt: Receipt, settlement: Settlement) {
        if self.settlements.put((receipt, settlement)).is_err() {
            metrics::counter!("fincore_queue_unsettled_total").increment(1);
        }
    }

    async fn close(&self) {
        self.stop.cancel();
        self.pollers.wait().await;
        let mut received = self.received.lock().await;
        received.close();
        while let Some(delivery) = received.recv().await {
            if let Some(receipt) = delivery.receipt {
                self.settle(receipt, Settlement::Again(Duration::ZERO));
            }
        }
        self.flush().await;
    }
}

#[cfg(test)]
mod tests {
    use super::region_in;

    #[test]
    fn the_region_is_read_from_a_queues_url_at_aws_only() {
        assert_eq!(region_in("https://sqs.eu-central-1.amazonaws.com/123456789012/payments"), Some("eu-central-1"));
        assert_eq!(region_in("https://sqs.cn-north-1.amazonaws.com.cn/123456789012/payments.fifo"), Some("cn-north-1"));
        assert_eq!(region_in("http://sqs.us-east-1.localhost:4566/000000000000/payments"), None);
        assert_eq!(region_in("http://127.0.0.1:4566/000000000000/payments"), None);
        assert_eq!(region_in(""), None);
    }
}
