//! Two processes that share their fast state, on each backend: as memory and on Redis.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use workflow::port::clock::Clock;
use workflow::port::moves::{Moved, Moves, News};
use workflow::shared::{Memory, Shared};

use crate::clock::TestClock;
use crate::redis::TestRedis;

/// A little more than what is waited for, because real clocks of two programs do not tick together.
const MORE: Duration = Duration::from_millis(50);

/// Two processes, or two handles of one where the backend is memory.
pub struct Pair {
    /// One process.
    pub one: Shared,
    /// Another one.
    pub other: Shared,
    time: Time,
}

/// Tells and does not listen: a memory has one listener.
struct Teller(Arc<dyn Moves>);

#[async_trait]
impl Moves for Teller {
    async fn announce(&self, moved: Moved) {
        self.0.announce(moved).await;
    }

    async fn next(&self) -> News {
        std::future::pending().await
    }
}

enum Time {
    Owned(Arc<TestClock>),
    Real,
}

/// Runs each test on each backend: as `memory::…` and `redis::…` of the module it stands in.
#[macro_export]
macro_rules! on_each_backend {
    ($(async fn $name:ident($pair:ident: Pair) $body:block)+) => {
        $(async fn $name($pair: $crate::shared::Pair) $body)+

        mod memory {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    super::$name($crate::shared::Pair::in_memory()).await;
                }
            )+
        }

        mod redis {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    if let Some(redis) = $crate::redis::TestRedis::find() {
                        super::$name($crate::shared::Pair::on(&redis).await).await;
                    }
                }
            )+
        }
    };
}

impl Pair {
    /// Both in one memory, under a clock that the test moves.
    #[must_use]
    pub fn in_memory() -> Self {
        let clock = Arc::new(TestClock::new());
        let one = Shared::all_in(Arc::new(Memory::new(Arc::clone(&clock) as Arc<dyn Clock>)));
        let other = Shared { moves: Arc::new(Teller(Arc::clone(&one.moves))), ..one.clone() };
        Self { one, other, time: Time::Owned(clock) }
    }

    /// Each with connections of its own to this Redis.
    pub async fn on(redis: &TestRedis) -> Self {
        let (one, other) = (redis.process().await, redis.process().await);
        Self { one: Shared::all_in(one), other: Shared::all_in(other), time: Time::Real }
    }

    /// Lets time pass: on Redis, really.
    pub async fn pass(&self, time: Duration) {
        match &self.time {
            Time::Owned(clock) => clock.skip(time + MORE),
            Time::Real => tokio::time::sleep(time + MORE).await,
        }
    }
}
