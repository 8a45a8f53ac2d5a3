//! The way to a PSP: its gateway builds the request and reads the answer, and the one HTTP client carries both,
//! behind a circuit breaker for each account.
//!
//! Each PSP has one file here that knows its name and its wire format. Deliberately not here: retries (they are data
//! on the payment row) and what an outcome does to a payment (`workflow` decides).

pub mod accounts;
pub mod adyen;
pub mod breaker;
pub mod client;
pub mod stripe;
mod units;
