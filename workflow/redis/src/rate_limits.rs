//! Requests of API keys: `PREFIX:rate:KEY` holds when the key's bucket will be empty, and lives until then. The server's
//! clock counts, so those of the processes do not matter. While Redis does not answer, each process counts by itself.

use async_trait::async_trait;
use workflow::ids::ApiKeyId;
use workflow::port::rate_limits::{Drawn, RateLimit, RateLimits, Verdict};

use crate::RedisShared;

#[async_trait]
impl RateLimits for RedisShared {
    async fn draw(&self, key: ApiKeyId, limit: RateLimit) -> Drawn {
        let mut draw = self.draw.key(self.key("rate", key));
        draw.arg(limit.cost_us()).arg(limit.capacity_us());
        let drawn = self.link.ask(|mut redis| async move { draw.invoke_async::<(u8, i64)>(&mut redis).await }).await;
        match drawn {
            Some((1, filled_us)) => limit.answer(Verdict::Allowed, filled_us),
            Some((_, filled_us)) => limit.answer(Verdict::Refused, filled_us),
            None => self.meanwhile.draw(key, limit).await,
        }
    }
}
