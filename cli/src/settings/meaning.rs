//! What settings mean for the rest of the program, in its own types.

use std::time::Duration;

use activities::outbound::OutboundOptions;
use jiff::SignedDuration;
use secrecy::ExposeSecret;
use workflow::endpoint_url::Reach;
use workflow::port::rate_limits::RateLimit;
use workflow_aws::alerts::DeadLetterQueue;
use workflow_aws::sqs::SqsOptions;

use super::Settings;

impl Settings {
    /// Whether payments are kept in PostgreSQL.
    #[must_use]
    pub fn uses_postgres(&self) -> bool {
        let url = self.database_url.expose_secret();
        url.starts_with("postgres://") || url.starts_with("postgresql://")
    }

    /// The SQS queue and how to reach it.
    #[must_use]
    pub fn sqs(&self) -> SqsOptions {
        SqsOptions::new(self.sqs_queue_url.clone(), self.aws_endpoint_url.clone())
    }

    /// How many requests an API key may make, if there is a limit.
    #[must_use]
    pub fn rate_limit(&self) -> Option<RateLimit> {
        let (per_second, burst) = (self.rate_limit_per_second, self.rate_limit_burst);
        let burst = if burst == 0 { per_second.saturating_mul(2) } else { burst };
        (per_second > 0).then_some(RateLimit { per_second, burst })
    }

    /// Its dead-letter queue.
    #[must_use]
    pub fn dead_letter_queue(&self) -> Option<DeadLetterQueue> {
        let url = self.sqs_dead_letter_queue_url.clone()?;
        Some(DeadLetterQueue::new(SqsOptions::new(url, self.aws_endpoint_url.clone())))
    }

    /// Time between two sweeps.
    #[must_use]
    pub fn sweep_every(&self) -> Duration {
        Duration::from_millis(self.sweep_every_ms)
    }

    /// Time for work in hand to finish.
    #[must_use]
    pub fn drain_timeout(&self) -> Duration {
        Duration::from_millis(self.drain_timeout_ms)
    }

    /// How far webhook endpoints may reach.
    #[must_use]
    pub fn webhook_reach(&self) -> Reach {
        if self.allow_loopback_endpoints { Reach::PublicAndLoopback } else { Reach::Public }
    }

    /// How events are delivered.
    #[must_use]
    pub fn outbound(&self) -> OutboundOptions {
        let kept_for = SignedDuration::from_hours(24 * i64::from(self.webhook_retention_days));
        OutboundOptions { kept_for, drain_timeout: self.drain_timeout() }
    }
}
