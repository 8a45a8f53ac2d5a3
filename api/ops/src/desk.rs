//! What handlers share.

use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::Semaphore;

use crate::{OpsConfig, OpsState};

/// Passwords that are compared at the same time: each takes 19 MiB and a core for a moment.
const PASSWORDS_AT_ONCE: usize = 2;

/// See the head of this file.
pub(crate) struct Desk {
    pub(crate) state: OpsState,
    pub(crate) passwords: Semaphore,
}

pub(crate) type App = Arc<Desk>;

impl Desk {
    pub(crate) fn open(state: OpsState) -> Self {
        Self { state, passwords: Semaphore::new(PASSWORDS_AT_ONCE) }
    }

    /// Now, by the engine's clock.
    pub(crate) fn now(&self) -> Timestamp {
        self.state.engine.now()
    }

    pub(crate) fn config(&self) -> &OpsConfig {
        &self.state.config
    }
}
