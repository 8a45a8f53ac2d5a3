//! One suite for every store: what the port promises, asked of each database through the port.
//!
//! Not here: the workflow. The updates stored here need not make sense to it.

mod access;
mod archives;
mod executions;
mod faults;
mod filters;
mod history;
mod inbox;
mod letters;
mod lists;
mod operators;
mod outbound;
mod overview;
mod payments;
mod poison;
pub(crate) mod schema;
mod speed;

use std::sync::Arc;

use fincore_tests::build;
use workflow::payment::Payment;
use workflow::port::store::{NewPayment, Started, Store, Update, Updated};

/// Stores these payments and returns them as stored.
async fn started(store: &Arc<dyn Store>, payments: impl IntoIterator<Item = Payment>) -> Vec<Payment> {
    let batch: Vec<NewPayment> = payments.into_iter().map(build::new_payment).collect();
    let created = store.start(&batch).await.unwrap();
    assert_eq!(created, vec![Started::Created; batch.len()]);
    batch.into_iter().map(|new| Arc::unwrap_or_clone(new.payment)).collect()
}

/// Stores one payment of this number.
pub(super) async fn one(store: &Arc<dyn Store>, number: u64) -> Payment {
    started(store, [build::payment(number)]).await.remove(0)
}

/// Stores an update that has to be applied, and returns the payment afterwards.
async fn apply(store: &Arc<dyn Store>, update: Update) -> Payment {
    assert_eq!(store.update(std::slice::from_ref(&update)).await.unwrap(), [Updated::Applied]);
    Arc::unwrap_or_clone(update.payment)
}

/// The payment as it is stored, whose history has to be intact.
async fn stored(store: &Arc<dyn Store>, payment: &Payment) -> Payment {
    let stored = store.load(&[payment.id]).await.unwrap().remove(0).unwrap();
    workflow::history::verify_chain(&stored, &store.history(payment.id).await.unwrap()).unwrap();
    stored
}

/// How many were applied.
fn applied(results: &[Updated]) -> usize {
    results.iter().filter(|result| **result == Updated::Applied).count()
}
