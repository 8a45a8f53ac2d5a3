//! Random ids in Stripe's looks. 24 of 62 characters are 142 random bits: two equal ones never happen.
//!
//! Not here: ids of the payment engine.

use rand::distr::{Alphanumeric, SampleString};

/// `prefix` and 24 random characters.
pub(crate) fn new(prefix: &str) -> String {
    let mut id = String::with_capacity(prefix.len() + 24);
    id.push_str(prefix);
    Alphanumeric.append_string(&mut rand::rng(), &mut id, 24);
    id
}
