//! The gateways' checklist against the sandbox PSP, which was written apart from the mock: two readings of one manual.

use std::sync::Arc;

use activities::gateway::stripe::{Stripe, StripeConfig, account};
use fincore_tests::world;
use testkit::conformance::{self, Candidate, Cards};
use testkit::dialect;
use workflow::port::gateway::Gateway;

#[tokio::test]
async fn the_stripe_gateway_and_the_sandbox_conform_over_http() {
    let candidate = Candidate::new(dialect::stripe::Stripe, |secret| {
        let config = StripeConfig::new("sandbox", vec![secret.to_owned().into()]);
        let config = config.map_err(|invalid| invalid.to_string())?;
        Ok(Arc::new(Stripe::new(config)) as Arc<dyn Gateway>)
    });
    let sandbox = world::sandbox().await;
    let account = account("sandbox", sandbox.url(), world::SECRET_KEY.into()).unwrap();
    let cards = Cards { approved: "pm_card_visa".to_owned(), declined: "pm_card_chargeDeclined".to_owned() };
    conformance::over_http(&candidate, account, &cards).await.assert_conforms();
    let kinds: Vec<_> = sandbox.ledger().into_iter().map(|entry| entry.kind).collect();
    use sandbox::EntryKind::{Authorized, Captured, Refunded, Voided};
    for kind in [Authorized, Captured, Voided, Refunded] {
        assert!(kinds.contains(&kind), "the whole life ran: {kinds:?}");
    }
    assert_eq!(kinds.iter().filter(|kind| **kind == Captured).count(), 2, "the capture and the one before the refund");
}
