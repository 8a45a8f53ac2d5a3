//! The floor under the Lambda function: the least that takes SQS batches from the runtime API and says that all is done.
//! `cargo xtask cold-start` measures our function beside it.
//!
//! Deliberately not here: anything of ours.

use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent};
use lambda_runtime::{Error, LambdaEvent, service_fn};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    lambda_runtime::run(service_fn(done)).await
}

async fn done(_batch: LambdaEvent<SqsEvent>) -> Result<SqsBatchResponse, Error> {
    Ok(SqsBatchResponse::default())
}
