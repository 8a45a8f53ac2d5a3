//! The latest news of each PSP account's breakers: `PREFIX:breaker:ACCOUNT` holds `opened ID PAUSE` for as long as the
//! breaker stays open, or `closed ID` for a while. What is left of the pause is the key's time to live, so no two clocks
//! are compared.

use async_trait::async_trait;
use redis::AsyncCommands;
use workflow::port::breakers::{BreakerNews, Breakers, Told};

use crate::RedisShared;

/// How long a closing is told, in milliseconds: longer than any breaker stays open.
const CLOSED_FOR_MS: u64 = 60_000;

#[async_trait]
impl Breakers for RedisShared {
    async fn tell(&self, psp: &str, told: Told) {
        let (key, id) = (self.key("breaker", psp), told.id);
        let (value, lasts_ms) = match told.news {
            BreakerNews::Opened { pause_ms, remaining_ms } => (format!("opened {id} {pause_ms}"), remaining_ms),
            BreakerNews::Closed => (format!("closed {id}"), CLOSED_FOR_MS),
        };
        // Redis refuses a time to live of zero.
        let lasts_ms = lasts_ms.max(1);
        self.link.ask(|mut redis| async move { redis.pset_ex::<_, _, ()>(key, value, lasts_ms).await }).await;
    }

    async fn latest(&self, psp: &str) -> Option<Told> {
        let key = self.key("breaker", psp);
        let mut both = redis::pipe();
        both.atomic().get(&key).pttl(&key);
        let (value, left_ms): (Option<String>, i64) =
            self.link.ask(|mut redis| async move { both.query_async(&mut redis).await }).await?;
        read(&value?, u64::try_from(left_ms).ok()?)
    }
}

fn read(value: &str, remaining_ms: u64) -> Option<Told> {
    let words: Vec<&str> = value.split(' ').collect();
    let (id, news) = match words.as_slice() {
        ["opened", id, pause_ms] => (id, BreakerNews::Opened { pause_ms: pause_ms.parse().ok()?, remaining_ms }),
        ["closed", id] => (id, BreakerNews::Closed),
        _ => return None,
    };
    Some(Told { id: id.parse().ok()?, news })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_of_us_wrote_is_no_news() {
        let news = BreakerNews::Opened { pause_ms: 20, remaining_ms: 7 };
        assert_eq!(read("opened 5 20", 7), Some(Told { id: 5, news }));
        assert_eq!(read("closed 5", 7), Some(Told { id: 5, news: BreakerNews::Closed }));
        for garbage in ["", "opened", "opened 5", "opened x 20", "opened 5 -1", "closed 5 20", "ajar 5", "closed  5"] {
            assert_eq!(read(garbage, 7), None, "{garbage}");
        }
    }
}
