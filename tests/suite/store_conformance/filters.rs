//! Lists by filters: on every database the same payments as a plain search over all of them finds, in the same order,
//! however short the steps are.

use std::sync::Arc;

use fincore_tests::build;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use workflow::definition::{self, State};
use workflow::payment::Payment;
use workflow::port::store::{ListFilter, ListStep, Store, Walk};

use super::{apply, started};

const PAYMENTS: u64 = 150;
const LISTS: usize = 150;
const STATES: [State; 5] = [State::Created, State::InReview, State::Succeeded, State::Failed, State::Expired];

/// A payment of a random kind; some are another merchant's.
fn some_payment(random: &mut StdRng, number: u64) -> Payment {
    let state = STATES[random.random_range(0..STATES.len())];
    let metadata = ["order", "shop"].map(|key| (key.to_owned(), random.random_range(0..4).to_string()));
    let entries = random.random_range(0..=2);
    Payment {
        merchant_id: build::merchant(1 + u64::from(random.random_range(0..10) == 0)),
        created_at: build::at(i64::try_from(number).unwrap()),
        state,
        next_wake_at: (!definition::has_ended(state)).then(|| build::at(0)),
        amount_minor: random.random_range(1..=5),
        currency: ["eur", "usd"][random.random_range(0..2)].parse().unwrap(),
        metadata: metadata.into_iter().take(entries).collect(),
        ..build::payment(number)
    }
}

fn some_filter(random: &mut StdRng) -> ListFilter {
    let mut filter = ListFilter::default();
    if random.random_range(0..2) == 0 {
        filter.state = Some(STATES[random.random_range(0..STATES.len())]);
    }
    if random.random_range(0..3) == 0 {
        let [from, to] = [0, 1].map(|_| random.random_range(0..PAYMENTS.cast_signed()));
        (filter.created_from, filter.created_before) = (build::at(from.min(to)), build::at(from.max(to)));
    }
    if random.random_range(0..3) == 0 {
        filter.amount_minor = random.random_range(1..4)..=random.random_range(3..6);
    }
    if random.random_range(0..3) == 0 {
        filter.currency = Some("usd".parse().unwrap());
    }
    if random.random_range(0..8) == 0 {
        filter.psp_reference = Some(format!("pi_{}", random.random_range(0..PAYMENTS / 10)));
    }
    for key in ["order", "shop"] {
        if random.random_range(0..4) == 0 {
            filter.metadata.insert(key.to_owned(), random.random_range(0..4).to_string());
        }
    }
    filter
}

/// What a plain search finds.
fn found(all: &[Payment], filter: &ListFilter) -> Vec<Payment> {
    let fits = |payment: &&Payment| {
        payment.merchant_id == build::merchant(1)
            && filter.state.is_none_or(|state| payment.state == state)
            && (filter.created_from..filter.created_before).contains(&payment.created_at)
            && filter.amount_minor.contains(&payment.amount_minor)
            && filter.currency.is_none_or(|currency| payment.currency == currency)
            && filter.psp_reference.as_ref().is_none_or(|name| payment.psp_reference.as_ref() == Some(name))
            && filter.metadata.iter().all(|(key, value)| payment.metadata.get(key) == Some(value))
    };
    all.iter().filter(fits).cloned().collect()
}

/// Walks a list to its end and returns what it passed.
async fn walked(store: &Arc<dyn Store>, step: ListStep<'_>) -> Vec<Payment> {
    let (mut passed, mut after) = (Vec::new(), step.after);
    loop {
        let listed = store.list(&ListStep { after, ..step }).await.unwrap();
        assert!(listed.payments.len() <= step.limit as usize);
        passed.extend(listed.payments.into_iter().filter(|payment| step.filter.fits(payment)));
        let Some(next) = listed.next else { return passed };
        assert_ne!(after, Some(next), "a step goes on");
        after = Some(next);
    }
}

fincore_tests::on_each_database! {
    async fn a_list_has_what_fits_in_order_however_it_is_walked(database: TestDatabase) {
        let seed: u64 = rand::random();
        eprintln!("seed {seed}");
        let mut random = StdRng::seed_from_u64(seed);
        let store = database.store().await;
        let mut all = started(&store, (1..=PAYMENTS).map(|number| some_payment(&mut random, number))).await;
        for number in (0..PAYMENTS as usize).filter(|number| number % 10 == 0) {
            let named = build::update(&all[number], |after| after.psp_reference = Some(format!("pi_{}", number / 10)));
            all[number] = apply(&store, named).await;
        }
        for _ in 0..LISTS {
            let filter = some_filter(&mut random);
            let (look_at, limit) = (random.random_range(1..60), random.random_range(1..60));
            let walk = if random.random_range(0..2) == 0 { Walk::Older } else { Walk::Newer };
            let after = (random.random_range(0..2) == 0).then(|| build::payment_id(random.random_range(1..=PAYMENTS)));
            let mut expected = found(&all, &filter);
            match walk {
                Walk::Older => {
                    expected.reverse();
                    expected.retain(|payment| after.is_none_or(|after| payment.id < after));
                }
                Walk::Newer => expected.retain(|payment| after.is_none_or(|after| payment.id > after)),
            }
            let step = ListStep { walk, after, look_at, ..build::step(1, &filter, limit) };
            let passed = walked(&store, step).await;
            assert_eq!(
                passed.iter().map(|payment| payment.id).collect::<Vec<_>>(),
                expected.iter().map(|payment| payment.id).collect::<Vec<_>>(),
                "seed {seed}: {step:?}"
            );
            assert_eq!(passed, expected, "seed {seed}");
        }
    }
}
