//! AWS behind the ports of the workflow: Amazon SQS as the queue.
//!
//! Start reading at [`sqs`]. Deliberately not here: the Lambda runtime (`activities/lambda`), and what a message leads to.

pub mod connect;
pub mod message;
pub mod sqs;
