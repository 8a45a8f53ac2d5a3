//! News of moves: published on the channel `PREFIX:moves` as `PAYMENT SEQ STATE`, by the script that outdates the cached
//! view as well. A process that listens has one connection for it, which is made anew for as long as it takes.

use std::time::Duration;

use async_trait::async_trait;
use backon::{ExponentialBuilder, Retryable};
use futures_util::StreamExt;
use redis::aio::PubSubStream;
use redis::{Client, ErrorKind, RedisError, RedisResult};
use workflow::port::moves::{Moved, Moves, News};
use workflow::port::views::LIVES_FOR;

use crate::RedisShared;
use crate::link::CONNECT_TIMEOUT;

/// The first pause between tries to subscribe, and the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The listening connection, when there is one.
pub(crate) struct Subscription {
    client: Client,
    stream: Option<PubSubStream>,
}

impl Subscription {
    pub(crate) fn of(client: Client) -> Self {
        Self { client, stream: None }
    }

    async fn next(&mut self, channel: &str) -> News {
        loop {
            let Some(stream) = &mut self.stream else {
                self.stream = Some(self.subscribe(channel).await);
                return News::Missed;
            };
            match stream.next().await {
                Some(message) => {
                    if let Some(moved) = message.get_payload().ok().and_then(|text: String| read(&text)) {
                        return News::Moved(moved);
                    }
                }
                None => {
                    tracing::warn!("the subscription at Redis broke: clients that wait look by themselves meanwhile");
                    self.stream = None;
                    tokio::time::sleep(FIRST_PAUSE).await;
                }
            }
        }
    }

    async fn subscribe(&self, channel: &str) -> PubSubStream {
        let backoff = ExponentialBuilder::default()
            .with_min_delay(FIRST_PAUSE)
            .with_max_delay(LONGEST_PAUSE)
            .with_jitter()
            .without_max_times();
        loop {
            if let Ok(stream) = (|| try_to_subscribe(&self.client, channel)).retry(backoff).await {
                return stream;
            }
        }
    }
}

async fn try_to_subscribe(client: &Client, channel: &str) -> RedisResult<PubSubStream> {
    let subscribed = tokio::time::timeout(CONNECT_TIMEOUT, async {
        let mut connection = client.get_async_pubsub().await?;
        connection.subscribe(channel).await?;
        Ok(connection.into_on_message())
    });
    subscribed.await.unwrap_or_else(|_elapsed| Err(RedisError::from((ErrorKind::Io, "no answer in time"))))
}

fn read(text: &str) -> Option<Moved> {
    let mut words = text.split(' ');
    let (payment_id, seq, state) = (words.next()?, words.next()?, words.next()?);
    Some(Moved { payment_id: payment_id.parse().ok()?, seq: seq.parse().ok()?, state: state.parse().ok()? })
}

#[async_trait]
impl Moves for RedisShared {
    async fn announce(&self, moved: Moved) {
        let Moved { payment_id, seq, state } = moved;
        let lives_ms = u64::try_from(LIVES_FOR.as_millis()).unwrap_or(u64::MAX);
        let mut announce = self.announce.key(self.key("view", payment_id));
        announce
            .arg(seq)
            .arg(lives_ms)
            .arg(format!("{}:moves", self.prefix))
            .arg(format!("{payment_id} {seq} {state}"));
        self.link.ask(|mut redis| async move { announce.invoke_async::<()>(&mut redis).await }).await;
    }

    async fn next(&self) -> News {
        let channel = format!("{}:moves", self.prefix);
        self.subscription.lock().await.next(&channel).await
    }
}

#[cfg(test)]
mod tests {
    use workflow::definition::State;

    use super::*;

    #[test]
    fn what_nobody_of_us_said_is_no_news() {
        let id = "ch_0197f3c2a1b47c6e8d5f00112233aaba";
        let moved = Moved { payment_id: id.parse().unwrap(), seq: 7, state: State::InReview };
        assert_eq!(read(&format!("{id} 7 in_review")), Some(moved));
        for garbage in ["", id, "ch_1 7 failed", &format!("{id} 7"), &format!("{id} x failed"), &format!("{id} 7 gone")]
        {
            assert_eq!(read(garbage), None, "{garbage}");
        }
    }
}
