//! The fast state that processes share, as one bundle of ports: what makes FinCore quicker, and what it can lose at any
//! moment. Here are its backends for one process: memory, and none.
//!
//! Not here: a backend between processes (`workflow-redis`), and anything that must not be lost: that is the store's.

mod memory;
mod none;

use std::sync::Arc;

use crate::port::breakers::Breakers;
use crate::port::clock::Clock;
use crate::port::moves::Moves;
use crate::port::rate_limits::RateLimits;
use crate::port::views::Views;

pub use memory::Memory;
pub use none::Nothing;

/// The ports of the shared fast state.
#[derive(Clone)]
pub struct Shared {
    /// Circuit breakers hear of each other.
    pub breakers: Arc<dyn Breakers>,
    /// Requests of API keys are counted.
    pub rate_limits: Arc<dyn RateLimits>,
    /// Who waits is woken.
    pub moves: Arc<dyn Moves>,
    /// Who polls is spared the database.
    pub views: Arc<dyn Views>,
}

impl Shared {
    /// Everything in one backend.
    #[must_use]
    pub fn all_in<T: Breakers + RateLimits + Moves + Views + 'static>(backend: Arc<T>) -> Self {
        Self {
            breakers: Arc::clone(&backend) as Arc<dyn Breakers>,
            rate_limits: Arc::clone(&backend) as Arc<dyn RateLimits>,
            moves: Arc::clone(&backend) as Arc<dyn Moves>,
            views: backend,
        }
    }

    /// For a process that does not know what the others do: in memory, and without cached views, because the moves of
    /// others could not outdate them.
    #[must_use]
    pub fn alone(clock: Arc<dyn Clock>) -> Self {
        Self { views: Arc::new(Nothing), ..Self::all_in(Arc::new(Memory::new(clock))) }
    }
}
