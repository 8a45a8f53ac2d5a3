//! Polling: takes messages only when there is room for them, so that their time does not run out in our hands.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_sqs::types::{Message, MessageSystemAttributeName};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use workflow::port::queue::{Delivery, Receipt, Settlement};

use super::batch::MAX_ENTRIES;
use super::{LONG_POLL, Shared};
use crate::message::{self, TRACE_ATTRIBUTE, UNREADABLE_PAUSE};

/// After a poll that failed; doubled with each one that follows, up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Polls until told to stop.
pub(super) async fn poll(shared: Arc<Shared>, hand_in: mpsc::Sender<Delivery>, stop: CancellationToken) {
    let mut pause = FIRST_PAUSE;
    loop {
        let room = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            room = hand_in.reserve_many(MAX_ENTRIES) => room,
        };
        let Ok(room) = room else { return };
        // Not broken off when it is time to stop: SQS may be handing out messages already.
        match shared.receive().await {
            Ok(messages) => {
                pause = FIRST_PAUSE;
                for (place, message) in room.zip(messages) {
                    if let Some(delivery) = shared.delivery(message).await {
                        place.send(delivery);
                    }
                }
            }
            Err(error) => {
                drop(room);
                metrics::counter!("fincore_queue_poll_failures_total").increment(1);
                tracing::warn!(error = &error as &dyn std::error::Error, "queue not reached; the sweeper goes on");
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(pause) => pause = (pause * 2).min(LONGEST_PAUSE),
                }
            }
        }
    }
}

impl Shared {
    async fn receive(&self) -> Result<Vec<Message>, aws_sdk_sqs::Error> {
        let request = self.poller().await.receive_message().queue_url(&self.queue_url);
        let answer = request
            .max_number_of_messages(i32::try_from(MAX_ENTRIES).unwrap_or(1))
            .wait_time_seconds(i32::try_from(LONG_POLL.as_secs()).unwrap_or_default())
            .message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount)
            .message_attribute_names(TRACE_ATTRIBUTE)
            .send()
            .await?;
        Ok(answer.messages.unwrap_or_default())
    }

    /// What a message says. One that cannot be read is left to the queue.
    async fn delivery(&self, message: Message) -> Option<Delivery> {
        let attributes = message.attributes();
        let receives = attributes.and_then(|all| all.get(&MessageSystemAttributeName::ApproximateReceiveCount));
        let receives = receives.and_then(|count| count.parse().ok()).unwrap_or(1);
        let trace = message.message_attributes().and_then(|all| all.get(TRACE_ATTRIBUTE)?.string_value());
        let receipt = message.receipt_handle().map(|handle| Receipt(handle.to_owned()));
        match message::read(message.body().unwrap_or_default(), trace) {
            Ok(wake) => Some(Delivery { wake, receipt, receives }),
            Err(error) => {
                message::report(&error, message.message_id(), receives);
                if let Some(receipt) = receipt {
                    self.settle(vec![(receipt, Settlement::Again(UNREADABLE_PAUSE))]).await;
                }
                None
            }
        }
    }
}
