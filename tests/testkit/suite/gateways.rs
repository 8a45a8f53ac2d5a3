//! Every gateway passes the checklist, against its PSP's dialect.

use std::sync::Arc;

use activities::gateway::client::Account;
use activities::gateway::{adyen, stripe};
use testkit::MockPsp;
use testkit::conformance::{self, Candidate, Cards, Verdict};
use testkit::dialect;
use workflow::port::gateway::Gateway;

fn candidate() -> Candidate {
    Candidate::new(dialect::stripe::Stripe, |secret| {
        let config = stripe::StripeConfig::new("stripe", vec![secret.to_owned().into()]);
        let config = config.map_err(|invalid| invalid.to_string())?;
        Ok(Arc::new(stripe::Stripe::new(config)) as Arc<dyn Gateway>)
    })
}

fn account(psp: &MockPsp) -> Account {
    stripe::account("stripe", &psp.url(), "sk_test_0123456789abcdef".into()).unwrap()
}

#[test]
fn the_stripe_gateway_conforms_on_paper() {
    let report = conformance::on_paper(&candidate());
    report.assert_conforms();
    assert!(report.checks.len() >= 25, "the whole list ran:\n{report}");
}

#[tokio::test]
async fn the_stripe_gateway_conforms_over_http() {
    let psp = MockPsp::stripe().await;
    psp.card("pm_declined").authorize().declines_hard().always();
    let cards = Cards { approved: "pm_card_visa".to_owned(), declined: "pm_declined".to_owned() };
    conformance::over_http(&candidate(), account(&psp), &cards).await.assert_conforms();
}

#[tokio::test]
async fn the_stripe_gateway_conforms_under_faults() {
    let psp = MockPsp::stripe().await;
    conformance::under_faults(&candidate(), account(&psp), &psp).await.assert_conforms();
}

#[test]
fn a_report_says_what_holds_what_is_broken_and_what_does_not_concern() {
    let report = conformance::on_paper(&candidate());
    let text = report.to_string();
    assert!(text.contains("  [x] every acting call carries its idempotency key\n"), "{text}");
    assert!(text.contains("  [-] every item of a webhook is read: this PSP sends one event in a webhook\n"), "{text}");
    assert!(report.checks.iter().all(|checked| !matches!(checked.verdict, Verdict::Broken { .. })));
}

fn adyen_candidate() -> Candidate {
    Candidate::new(dialect::adyen::Adyen, |secret| {
        let config =
            adyen::AdyenConfig::new("adyen", dialect::adyen::MERCHANT_ACCOUNT, vec![secret.to_owned().into()], None);
        let config = config.map_err(|invalid| invalid.to_string())?;
        Ok(Arc::new(adyen::Adyen::new(config)) as Arc<dyn Gateway>)
    })
}

fn adyen_account(psp: &MockPsp) -> Account {
    adyen::account("adyen", &format!("{}/v71", psp.url()), "AQE_0123456789abcdef".into()).unwrap()
}

#[test]
fn the_adyen_gateway_conforms_on_paper() {
    let report = conformance::on_paper(&adyen_candidate());
    report.assert_conforms();
    assert!(report.checks.len() >= 25, "the whole list ran:\n{report}");
}

#[tokio::test]
async fn the_adyen_gateway_conforms_over_http() {
    let psp = MockPsp::adyen().await;
    psp.card("DECLINED").authorize().declines_hard().always();
    let cards = Cards { approved: "shopper-1/GOOD".to_owned(), declined: "shopper-1/DECLINED".to_owned() };
    conformance::over_http(&adyen_candidate(), adyen_account(&psp), &cards).await.assert_conforms();
}

#[tokio::test]
async fn the_adyen_gateway_conforms_under_faults() {
    let psp = MockPsp::adyen().await;
    conformance::under_faults(&adyen_candidate(), adyen_account(&psp), &psp).await.assert_conforms();
}
