//! A Lambda function that does what each message says: `fail` hands it back, `crash` ends the process, `hang` takes for
//! ever, anything else is done. It shows what a queue, a mapping and a function do with each other, without FinCore.
//!
//! Not here: anything of ours.

use aws_lambda_events::event::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent};
use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde_json::{Value, json};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    lambda_runtime::run(service_fn(handle)).await
}

async fn handle(event: LambdaEvent<Value>) -> Result<Value, Error> {
    if event.payload.get("Records").is_none() {
        let told = std::env::var("TOLD").unwrap_or_default();
        return Ok(json!({ "heard": event.payload, "told": told }));
    }
    let batch: SqsEvent = serde_json::from_value(event.payload)?;
    let mut response = SqsBatchResponse::default();
    for record in batch.records {
        let word = record.body.unwrap_or_default();
        println!("saw {word}");
        match word.as_str() {
            "fail" => {
                let mut failure = BatchItemFailure::default();
                failure.item_identifier = record.message_id.unwrap_or_default();
                response.batch_item_failures.push(failure);
            }
            "crash" => std::process::exit(1),
            "hang" => std::future::pending().await,
            _ => {}
        }
    }
    Ok(serde_json::to_value(response)?)
}
