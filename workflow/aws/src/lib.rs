//! AWS behind the ports of the workflow: Amazon SQS as the queue, Step Functions as a clock, and SNS and the dead-letter queue
//! for alerts.
//!
//! Start reading at [`sqs`]. Deliberately not here: the Lambda runtime (`activities/lambda`), and what a message leads to.

pub mod alerts;
pub mod connect;
pub mod message;
pub mod sfn;
pub mod sqs;
