//! Requests to SQS that tell and settle, ten entries at a time.

use std::collections::HashSet;
use std::time::Duration;

use aws_sdk_sqs::error::BuildError;
use aws_sdk_sqs::types::{
    ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry, MessageAttributeValue,
    SendMessageBatchRequestEntry,
};
use workflow::port::queue::{Receipt, Settlement, Wake};

use super::Shared;
use crate::message;

/// SQS keeps a message invisible for at most 12 hours, counted from its delivery. What is put off for longer than this is
/// forgotten by the queue and found by the sweeper.
const LONGEST_DELAY: Duration = Duration::from_secs(11 * 3_600);

/// Counts wakes that no worker was told of; the sweeper finds their payments.
pub(super) fn lost(wakes: usize) {
    if wakes > 0 {
        metrics::counter!("fincore_queue_lost_total").increment(wakes as u64);
    }
}

impl Shared {
    /// Sends up to ten wakes; returns those that SQS did not take.
    pub(super) async fn send(&self, wakes: Vec<Wake>) -> Vec<Wake> {
        let entries: Result<Vec<_>, _> =
            wakes.iter().enumerate().map(|(index, wake)| self.entry(index, wake)).collect();
        let entries = match entries {
            Ok(entries) => entries,
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "queue not told");
                return wakes;
            }
        };
        let request = self.client().await.send_message_batch().queue_url(&self.queue_url).set_entries(Some(entries));
        let answer = match request.send().await {
            Ok(answer) => answer,
            Err(error) => {
                let error = aws_sdk_sqs::Error::from(error);
                let error = &error as &dyn std::error::Error;
                tracing::warn!(wakes = wakes.len(), error, "queue not told; the sweeper will find the payments");
                return wakes;
            }
        };
        let refused: HashSet<&str> = answer.failed().iter().map(|failed| failed.id()).collect();
        if let Some(first) = answer.failed().first() {
            tracing::warn!(refused = refused.len(), code = first.code(), "queue did not take all it was told");
        }
        metrics::counter!("fincore_queue_told_total").increment((wakes.len() - refused.len()) as u64);
        let indexed = wakes.into_iter().enumerate();
        indexed.filter(|(index, _)| refused.contains(index.to_string().as_str())).map(|(_, wake)| wake).collect()
    }

    fn entry(&self, index: usize, wake: &Wake) -> Result<SendMessageBatchRequestEntry, BuildError> {
        let mut entry =
            SendMessageBatchRequestEntry::builder().id(index.to_string()).message_body(message::write(wake));
        if let Some(trace) = wake.trace {
            let value = MessageAttributeValue::builder().data_type("String").string_value(trace.to_string()).build()?;
            entry = entry.message_attributes(message::TRACE_ATTRIBUTE, value);
        }
        if self.is_fifo {
            // Order matters to nobody; a group per payment lets as many payments be worked on as there are. What is told
            // twice is meant twice: the first telling may have been in vain.
            let once = format!("{}-{}-{:016x}", wake.payment_id, wake.seq, rand::random::<u64>());
            entry = entry.message_group_id(wake.payment_id.to_string()).message_deduplication_id(once);
        }
        entry.build()
    }

    /// Settles up to ten messages. What fails comes again by itself when its time is over.
    pub(super) async fn settle(&self, settlements: Vec<(Receipt, Settlement)>) {
        let (mut done, mut again) = (Vec::new(), Vec::new());
        for (index, (receipt, settlement)) in settlements.into_iter().enumerate() {
            let id = index.to_string();
            match visible_after_s(settlement) {
                None => done.push(DeleteMessageBatchRequestEntry::builder().id(id).receipt_handle(receipt.0).build()),
                Some(seconds) => again.push(
                    ChangeMessageVisibilityBatchRequestEntry::builder()
                        .id(id)
                        .receipt_handle(receipt.0)
                        .visibility_timeout(seconds)
                        .build(),
                ),
            }
        }
        let unsettled = self.delete(done).await + self.put_off(again).await;
        if unsettled > 0 {
            metrics::counter!("fincore_queue_unsettled_total").increment(unsettled as u64);
            tracing::warn!(unsettled, "messages not settled; they come again");
        }
    }

    async fn delete(&self, entries: Vec<Result<DeleteMessageBatchRequestEntry, BuildError>>) -> usize {
        let all = entries.len();
        let entries: Vec<_> = entries.into_iter().flatten().collect();
        if entries.is_empty() {
            return all;
        }
        let request = self.client().await.delete_message_batch().queue_url(&self.queue_url).set_entries(Some(entries));
        request.send().await.map_or(all, |answer| all - answer.successful().len())
    }

    async fn put_off(&self, entries: Vec<Result<ChangeMessageVisibilityBatchRequestEntry, BuildError>>) -> usize {
        let all = entries.len();
        let entries: Vec<_> = entries.into_iter().flatten().collect();
        if entries.is_empty() {
            return all;
        }
        let request = self.client().await.change_message_visibility_batch().queue_url(&self.queue_url);
        request.set_entries(Some(entries)).send().await.map_or(all, |answer| all - answer.successful().len())
    }
}

/// After how many seconds SQS is to deliver a message again; never when it has served.
fn visible_after_s(settlement: Settlement) -> Option<i32> {
    match settlement {
        Settlement::Done => None,
        Settlement::Again(delay) if delay > LONGEST_DELAY => None,
        // Rounded up: a message that comes before its time is in vain.
        Settlement::Again(delay) => i32::try_from(delay.as_millis().div_ceil(1_000)).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_comes_again_no_earlier_than_it_should() {
        assert_eq!(visible_after_s(Settlement::Done), None);
        assert_eq!(visible_after_s(Settlement::Again(Duration::ZERO)), Some(0));
        assert_eq!(visible_after_s(Settlement::Again(Duration::from_millis(1))), Some(1));
        assert_eq!(visible_after_s(Settlement::Again(Duration::from_millis(2_000))), Some(2));
        assert_eq!(visible_after_s(Settlement::Again(Duration::from_secs(11 * 3_600))), Some(39_600));
        assert_eq!(visible_after_s(Settlement::Again(Duration::from_secs(11 * 3_600 + 1))), None, "the sweeper's");
    }
}
