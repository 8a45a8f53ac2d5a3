//! Settings of who keeps the time of payments.

use anyhow::{Context, bail};
use serde::Serialize;
use workflow_aws::sfn::{Keeping, SfnOptions};

use super::{QueueKind, Settings, TimeoutsKind};

/// As given on the command line or in the environment.
#[derive(clap::Args, Serialize, Debug, Default, Clone)]
pub struct TimeoutKnobs {
    /// Who keeps the time of payments: database, or step-functions (with the database behind it)
    #[arg(long, global = true, env = "FINCORE_TIMEOUTS", value_name = "database|step-functions")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeouts: Option<TimeoutsKind>,
    /// The state machine: arn:aws:states:REGION:ACCOUNT:stateMachine:NAME. With database, for payments that it still times
    #[arg(long, global = true, env = "FINCORE_STATE_MACHINE_ARN", value_name = "ARN")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state_machine_arn: Option<String>,
}

impl Settings {
    /// How Step Functions is reached, should it keep the time of payments, or still keep that of some.
    ///
    /// # Errors
    /// It cannot be used so; says what to set.
    pub fn step_functions(&self) -> anyhow::Result<Option<SfnOptions>> {
        let keeping = match (self.timeouts, &self.state_machine_arn) {
            (TimeoutsKind::Database, None) => return Ok(None),
            (TimeoutsKind::Database, Some(_)) => Keeping::WhatItHas,
            (TimeoutsKind::StepFunctions, _) => Keeping::All,
        };
        let Some(arn) = &self.state_machine_arn else {
            bail!("timeouts is step-functions, so state_machine_arn must be set; deploy statemachine.asl.json first");
        };
        if self.queue != QueueKind::Sqs {
            bail!("Step Functions tells workers by SQS, so queue must be sqs");
        }
        let options = SfnOptions::new(arn, &self.sqs(), keeping, self.aws_endpoint_url.clone());
        Ok(Some(options.context("cannot use Step Functions")?))
    }
}
