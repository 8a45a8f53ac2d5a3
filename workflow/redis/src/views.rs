//! Cached views: `PREFIX:view:PAYMENT` is a hash of `seq`, `merchant` and `body`; after a move it has `seq` alone.

use async_trait::async_trait;
use redis::AsyncCommands;
use workflow::ids::PaymentId;
use workflow::port::views::{LIVES_FOR, MAX_BYTES, View, Views};

use crate::RedisShared;

type Fields = (Option<String>, Option<String>, Option<String>);

#[async_trait]
impl Views for RedisShared {
    async fn get(&self, id: PaymentId) -> Option<View> {
        let key = self.key("view", id);
        let fields: Fields =
            self.link.ask(|mut redis| async move { redis.hmget(key, &["seq", "merchant", "body"]).await }).await?;
        read(fields)
    }

    async fn fill(&self, id: PaymentId, view: View) {
        if view.body.len() > MAX_BYTES {
            return;
        }
        let lives_ms = u64::try_from(LIVES_FOR.as_millis()).unwrap_or(u64::MAX);
        let mut fill = self.fill.key(self.key("view", id));
        fill.arg(view.seq).arg(lives_ms).arg(view.merchant_id.to_string()).arg(view.body);
        self.link.ask(|mut redis| async move { fill.invoke_async::<()>(&mut redis).await }).await;
    }
}

fn read((seq, merchant, body): Fields) -> Option<View> {
    let body = body.filter(|body| body.len() <= MAX_BYTES)?;
    Some(View { merchant_id: merchant?.parse().ok()?, seq: seq?.parse().ok()?, body })
}
