//! No backend: nothing is told, and nothing is kept. Time is the database's alone.

use std::time::Duration;

use async_trait::async_trait;

use crate::ids::PaymentId;
use crate::port::breakers::{Breakers, Told};
use crate::port::moves::{Moved, Moves, News};
use crate::port::queue::Settlement;
use crate::port::timeouts::{Followed, Task, Timeouts};
use crate::port::views::{View, Views};

/// Keeps nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Nothing;

#[async_trait]
impl Breakers for Nothing {
    async fn tell(&self, _psp: &str, _told: Told) {}

    async fn latest(&self, _psp: &str) -> Option<Told> {
        None
    }
}

#[async_trait]
impl Moves for Nothing {
    async fn announce(&self, _moved: Moved) {}

    async fn next(&self) -> News {
        std::future::pending().await
    }
}

#[async_trait]
impl Views for Nothing {
    async fn get(&self, _id: PaymentId) -> Option<View> {
        None
    }

    async fn fill(&self, _id: PaymentId, _view: View) {}
}

#[async_trait]
impl Timeouts for Nothing {
    fn follow(&self, _followed: Followed) {}

    fn take(&self, _payment_id: PaymentId, _seq: i64, _task: Task) {}

    fn refuse(&self, _task: Task, _why: String) {}

    fn put_off(&self, delay: Duration) -> Settlement {
        Settlement::Again(delay)
    }

    fn grace(&self) -> Duration {
        Duration::ZERO
    }

    async fn sweep(&self) -> usize {
        0
    }

    async fn flush(&self) {}
}
