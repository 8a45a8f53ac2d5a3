//! Alerts by AWS: an SNS topic, which people and programs subscribe to, and the SQS dead-letter queue, where what the
//! workflow has given up lies beside what the queue has given up.
//!
//! Not here: when to tell and whom; the store remembers who was told.

use async_trait::async_trait;
use aws_sdk_sns::types::MessageAttributeValue as TopicAttribute;
use aws_sdk_sqs::types::{Message, MessageAttributeValue as QueueAttribute};
use tokio::sync::OnceCell;
use workflow::ids::PaymentId;
use workflow::port::alert::{Alert, Alerter, NotTold};
use workflow::port::queue::Wake;

use crate::connect::{self, AwsOptions};
use crate::message;
use crate::sqs::{SqsOptions, SqsQueue};

/// SNS takes 100 characters.
const SUBJECT_MAX: usize = 100;

/// Messages that one look takes out of the dead-letter queue. With more, look again.
const MAX_MOVED: usize = 10_000;

/// Messages of one answer, by SQS.
const RECEIVED_AT_ONCE: i32 = 10;

/// How long messages that were looked at stay invisible, in seconds: longer than a look takes.
const LOOK_S: i32 = 300;

/// An SNS topic.
pub struct TopicAlert {
    topic_arn: String,
    aws: AwsOptions,
    client: OnceCell<aws_sdk_sns::Client>,
}

impl TopicAlert {
    /// Tells the topic of this name (`arn:aws:sns:REGION:ACCOUNT:NAME`); its region, where nothing else says it, is the
    /// one in the name.
    #[must_use]
    pub fn new(topic_arn: impl Into<String>, endpoint_url: Option<String>) -> Self {
        let topic_arn = topic_arn.into();
        let region = topic_arn.split(':').nth(3).map(str::to_owned);
        Self { topic_arn, aws: AwsOptions { endpoint_url, region }, client: OnceCell::new() }
    }

    /// The same with a client of the caller's.
    #[must_use]
    pub fn over(client: aws_sdk_sns::Client, topic_arn: impl Into<String>) -> Self {
        Self { client: OnceCell::new_with(Some(client)), ..Self::new(topic_arn, None) }
    }

    async fn client(&self) -> &aws_sdk_sns::Client {
        let open = async || aws_sdk_sns::Client::new(&connect::config(&self.aws).await);
        self.client.get_or_init(open).await
    }
}

#[async_trait]
impl Alerter for TopicAlert {
    fn name(&self) -> &'static str {
        "sns"
    }

    async fn tell(&self, alert: &Alert) -> Result<(), NotTold> {
        let attribute = |value: String| TopicAttribute::builder().data_type("String").string_value(value).build();
        let mut publish = self.client().await.publish().topic_arn(&self.topic_arn).message(alert.to_json().to_string());
        publish = publish.subject(subject(alert));
        for (name, value) in attributes(alert) {
            publish = publish.message_attributes(name, attribute(value).map_err(not_told)?);
        }
        if self.topic_arn.ends_with(".fifo") {
            publish = publish.message_group_id(alert.payment_id.to_string()).message_deduplication_id(alert.id());
        }
        publish.send().await.map_err(|error| not_told(aws_sdk_sns::Error::from(error)))?;
        Ok(())
    }
}

/// The dead-letter queue of the queue that carries the work.
pub struct DeadLetterQueue {
    url: String,
    aws: AwsOptions,
    client: OnceCell<aws_sdk_sqs::Client>,
}

impl DeadLetterQueue {
    /// The dead-letter queue at this URL.
    #[must_use]
    pub fn new(options: SqsOptions) -> Self {
        Self { url: options.queue_url, aws: options.aws, client: OnceCell::new() }
    }

    /// The same with a client of the caller's.
    #[must_use]
    pub fn over(client: aws_sdk_sqs::Client, url: impl Into<String>) -> Self {
        Self { client: OnceCell::new_with(Some(client)), ..Self::new(SqsOptions::new(url, None)) }
    }

    async fn client(&self) -> &aws_sdk_sqs::Client {
        let open = async || aws_sdk_sqs::Client::new(&connect::config(&self.aws).await);
        self.client.get_or_init(open).await
    }

    /// Moves messages about these payments back to their queue, and returns how many those were. What cannot be read, or
    /// is about other payments, stays. A message that is moved twice, or in vain, changes nothing: the row decides.
    ///
    /// # Errors
    /// The dead-letter queue did not answer; what was moved stays moved, and running it again is safe.
    pub async fn move_back(
        &self,
        queue: &SqsQueue,
        is_wanted: impl Fn(PaymentId) -> bool + Sync,
    ) -> Result<usize, aws_sdk_sqs::Error> {
        let (mut moved, mut looked, mut others) = (0, 0, Vec::new());
        while looked < MAX_MOVED {
            let messages = self.look().await?;
            if messages.is_empty() {
                break;
            }
            looked += messages.len();
            for message in messages {
                let (Some(body), Some(receipt)) = (message.body(), message.receipt_handle()) else { continue };
                let wake = message::read(body, None).ok().filter(|wake| is_wanted(wake.payment_id));
                match wake {
                    Some(wake) if queue.send(vec![wake.clone()]).await.is_empty() => {
                        self.client()
                            .await
                            .delete_message()
                            .queue_url(&self.url)
                            .receipt_handle(receipt)
                            .send()
                            .await?;
                        moved += 1;
                    }
                    Some(_) | None => others.push(receipt.to_owned()),
                }
            }
        }
        for receipt in others {
            let put_back = self.client().await.change_message_visibility().queue_url(&self.url).receipt_handle(receipt);
            // Otherwise it is visible when its time is over.
            let _later = put_back.visibility_timeout(0).send().await;
        }
        Ok(moved)
    }

    async fn look(&self) -> Result<Vec<Message>, aws_sdk_sqs::Error> {
        let receive = self.client().await.receive_message().queue_url(&self.url);
        let received = receive.max_number_of_messages(RECEIVED_AT_ONCE).visibility_timeout(LOOK_S).send().await?;
        Ok(received.messages.unwrap_or_default())
    }
}

#[async_trait]
impl Alerter for DeadLetterQueue {
    fn name(&self) -> &'static str {
        "sqs"
    }

    async fn tell(&self, alert: &Alert) -> Result<(), NotTold> {
        let attribute = |value: String| QueueAttribute::builder().data_type("String").string_value(value).build();
        let body = message::write(&Wake::of(alert.payment_id, alert.seq));
        let mut send = self.client().await.send_message().queue_url(&self.url).message_body(body);
        for (name, value) in attributes(alert) {
            send = send.message_attributes(name, attribute(value).map_err(not_told)?);
        }
        if self.url.ends_with(".fifo") {
            send = send.message_group_id(alert.payment_id.to_string()).message_deduplication_id(alert.id());
        }
        send.send().await.map_err(|error| not_told(aws_sdk_sqs::Error::from(error)))?;
        Ok(())
    }
}

/// What filters and people read beside the message. None of it is empty, which AWS refuses.
fn attributes(alert: &Alert) -> [(&'static str, String); 5] {
    let last_error = if alert.last_error.is_empty() { "none" } else { &alert.last_error };
    [
        ("alert", alert.id()),
        ("payment", alert.payment_id.to_string()),
        ("reason", alert.reason.to_string()),
        ("last_error", last_error.to_owned()),
        ("psp", alert.psp.clone()),
    ]
}

fn subject(alert: &Alert) -> String {
    let subject = format!("FinCore: {} needs a person ({})", alert.payment_id, alert.reason);
    subject.chars().filter(char::is_ascii).take(SUBJECT_MAX).collect()
}

fn not_told(error: impl std::error::Error + Send + Sync + 'static) -> NotTold {
    NotTold(Box::new(error))
}
