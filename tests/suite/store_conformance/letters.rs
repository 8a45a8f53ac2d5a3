//! Dead letters: kept, listed with their payments, and each adapter told of each by one at a time.

use std::sync::Arc;

use fincore_tests::build;
use jiff::SignedDuration;
use serde_json::json;
use workflow::decide::{DeadLetter, ReviewReason};
use workflow::definition::State;
use workflow::payment::Payment;
use workflow::port::store::{DeadLetterRow, LetterFilter, LetterScope, NoticeClaim, NoticeOutcome, NoticeRow, Store};

use super::{apply, one, started};

fincore_tests::on_each_database! {
    async fn dead_letters_are_kept_and_read_newest_first(database: TestDatabase) {
        let store = database.store().await;
        let mut expected = Vec::new();
        for number in 1..=3 {
            let after = in_review(&store, &one(&store, number).await, ReviewReason::AmountsDisagree).await;
            expected.insert(0, row(&after, ReviewReason::AmountsDisagree));
        }
        let all = LetterFilter::default();
        assert_eq!(store.dead_letters(&all, None, 10).await.unwrap(), expected);
        assert_eq!(store.dead_letters(&all, None, 2).await.unwrap(), expected[..2]);
        for attempt in ["update dead_letters set reason = 'claims_exhausted'", "delete from dead_letters"] {
            let refused = database.execute(attempt).await.expect_err(attempt);
            assert!(refused.contains("dead_letters is append-only"), "{attempt}: {refused}");
        }
        assert_eq!(store.dead_letters(&all, None, 10).await.unwrap(), expected);
    }

    async fn every_reason_can_be_stored(database: TestDatabase) {
        use strum::IntoEnumIterator as _;
        let store = database.store().await;
        for (reason, number) in ReviewReason::iter().zip(1..) {
            let after = in_review(&store, &one(&store, number).await, reason).await;
            assert_eq!(store.dead_letters_of(after.id, 1).await.unwrap(), [row(&after, reason)]);
        }
    }

    async fn a_walk_over_letters_passes_each_once_also_those_of_one_instant(database: TestDatabase) {
        let store = database.store().await;
        let mut expected = Vec::new();
        for payment in started(&store, (1..=7).map(build::payment)).await {
            let letter = build::review(&payment);
            assert_eq!(letter.payment.updated_at, payment.updated_at + SignedDuration::from_micros(1));
            expected.insert(0, apply(&store, letter).await.id);
        }
        let (mut walked, mut after) = (Vec::new(), None);
        loop {
            let page = store.dead_letters(&LetterFilter::default(), after, 3).await.unwrap();
            let Some(last) = page.last() else { break };
            after = Some(last.place());
            walked.extend(page.into_iter().map(|row| row.payment_id));
        }
        assert_eq!(walked, expected);
    }

    async fn only_the_last_letter_of_a_payment_that_still_waits_is_open(database: TestDatabase) {
        let store = database.store().await;
        let first = in_review(&store, &one(&store, 1).await, ReviewReason::RetriesExhausted).await;
        let back = apply(&store, build::update(&first, |after| after.state = State::Reconciling)).await;
        let again = in_review(&store, &back, ReviewReason::CaptureFailed).await;
        let ended = in_review(&store, &one(&store, 2).await, ReviewReason::RetriesExhausted).await;
        apply(&store, build::end(&ended)).await;
        let open = LetterFilter { scope: LetterScope::Open, ..LetterFilter::default() };
        assert_eq!(store.dead_letters(&open, None, 10).await.unwrap(), [row(&again, ReviewReason::CaptureFailed)]);
        let of_first = store.dead_letters_of(first.id, 10).await.unwrap();
        let told: Vec<_> = of_first.iter().map(|row| (row.seq, row.is_last, row.is_open())).collect();
        assert_eq!(told, [(again.seq, true, true), (first.seq, false, false)], "the last one first");
        assert_eq!(store.dead_letters_of(first.id, 1).await.unwrap(), of_first[..1]);
        let of_ended = store.dead_letters_of(ended.id, 10).await.unwrap();
        assert_eq!((of_ended[0].state, of_ended[0].is_open()), (State::Succeeded, false));
        assert_eq!(store.dead_letters_of(build::payment_id(3), 10).await.unwrap(), []);
    }

    async fn letters_are_filtered_by_reason_account_and_time(database: TestDatabase) {
        let store = database.store().await;
        let reasons = [ReviewReason::RetriesExhausted, ReviewReason::CaptureFailed, ReviewReason::RetriesExhausted];
        let mut at = Vec::new();
        for (reason, number) in reasons.into_iter().zip(1..) {
            let psp = if number == 1 { "first" } else { "second" }.to_owned();
            let payment = started(&store, [Payment { psp, ..build::payment(number) }]).await.remove(0);
            let later = build::update(&payment, |after| after.updated_at = build::at(number as i64));
            at.push(in_review(&store, &apply(&store, later).await, reason).await.updated_at);
        }
        let found = async |filter: LetterFilter| {
            let rows = store.dead_letters(&filter, None, 10).await.unwrap();
            rows.into_iter().map(|row| row.payment_id).collect::<Vec<_>>()
        };
        let all = LetterFilter::default;
        let [first, second, third] = [1, 2, 3].map(build::payment_id);
        let exhausted = Some(ReviewReason::RetriesExhausted);
        assert_eq!(found(LetterFilter { reason: exhausted, ..all() }).await, [third, first]);
        assert_eq!(found(LetterFilter { psp: Some("second".to_owned()), ..all() }).await, [third, second]);
        assert_eq!(found(LetterFilter { since: Some(at[1]), ..all() }).await, [third, second]);
        assert_eq!(found(LetterFilter { since: Some(at[1]), reason: exhausted, ..all() }).await, [third]);
        assert_eq!(found(LetterFilter { psp: Some("nobody".to_owned()), ..all() }).await, []);
        assert_eq!(found(LetterFilter { scope: LetterScope::Open, reason: exhausted, ..all() }).await, [third, first]);
    }

    async fn a_letter_is_claimed_by_one_at_a_time_for_each_adapter_until_it_is_told(database: TestDatabase) {
        let store = database.store().await;
        let after = in_review(&store, &one(&store, 1).await, ReviewReason::AmountsDisagree).await;
        let claim = async |adapter: &str, seconds| {
            let claimed = store.claim_notices(build::notice_claim(adapter, build::at(seconds))).await.unwrap();
            claimed.into_iter().next()
        };
        let first = claim("log", 0).await.unwrap();
        assert_eq!((&first.letter, first.attempt), (&row(&after, ReviewReason::AmountsDisagree), 1));
        assert_eq!(claim("log", 59).await, None, "somebody is telling");
        assert_eq!(claim("webhook", 0).await.unwrap().attempt, 1, "another adapter is another matter");
        let second = claim("log", 60).await.unwrap();
        assert_eq!(second.attempt, 2, "that somebody has died");
        // The first one was only slow; its failure says nothing about the second attempt.
        store.settle_notices(&[build::told(&first, "log", NoticeOutcome::Again(build::at(61)))]).await.unwrap();
        assert_eq!(claim("log", 61).await, None);
        store.settle_notices(&[build::told(&second, "log", NoticeOutcome::Again(build::at(90)))]).await.unwrap();
        assert_eq!(claim("log", 89).await, None, "it pauses");
        let third = claim("log", 90).await.unwrap();
        // It was told after all, by the slow one: nobody need tell again.
        store.settle_notices(&[build::told(&first, "log", NoticeOutcome::Told(build::at(91)))]).await.unwrap();
        store.settle_notices(&[build::told(&third, "log", NoticeOutcome::Again(build::at(92)))]).await.unwrap();
        assert_eq!(claim("log", 999_999).await, None);
        let row = |adapter: &str, attempts, next, told| NoticeRow {
            seq: after.seq,
            adapter: adapter.to_owned(),
            attempts,
            next_at: build::at(next),
            told_at: told,
        };
        let expected = [row("log", 3, 150, Some(build::at(91))), row("webhook", 1, 60, None)];
        assert_eq!(store.notices_of(after.id, 10).await.unwrap(), expected);
        assert_eq!(store.notices_of(after.id, 1).await.unwrap(), expected[..1]);
        assert_eq!(store.notices_of(build::payment_id(2), 10).await.unwrap(), []);
    }

    async fn letters_are_told_of_the_oldest_first_as_far_as_they_are_recent(database: TestDatabase) {
        let store = database.store().await;
        let mut letters = Vec::new();
        for number in 1..=5 {
            let before = one(&store, number).await;
            let moved = apply(&store, build::update(&before, |after| after.updated_at = build::at(number as i64))).await;
            letters.push(in_review(&store, &moved, ReviewReason::RetriesExhausted).await);
        }
        let claim = async |written_since, limit| {
            let claim = NoticeClaim { written_since, limit, ..build::notice_claim("log", build::at(10)) };
            let claimed = store.claim_notices(claim).await.unwrap();
            claimed.into_iter().map(|notice| notice.letter.payment_id).collect::<Vec<_>>()
        };
        let since = letters[1].updated_at;
        assert_eq!(claim(since, 2).await, [letters[1].id, letters[2].id]);
        assert_eq!(claim(since, 10).await, [letters[3].id, letters[4].id]);
        assert_eq!(claim(build::at(-1), 10).await, [letters[0].id]);
        assert_eq!(claim(build::at(-1), 10).await, []);
    }

    async fn a_second_letter_of_a_payment_is_told_of_too(database: TestDatabase) {
        let store = database.store().await;
        let first = in_review(&store, &one(&store, 1).await, ReviewReason::RetriesExhausted).await;
        let claimed = store.claim_notices(build::notice_claim("log", build::at(0))).await.unwrap();
        store.settle_notices(&[build::told(&claimed[0], "log", NoticeOutcome::Told(build::at(0)))]).await.unwrap();
        let back = apply(&store, build::update(&first, |after| after.state = State::Reconciling)).await;
        let again = in_review(&store, &back, ReviewReason::RetriesExhausted).await;
        let claimed = store.claim_notices(build::notice_claim("log", build::at(0))).await.unwrap();
        assert_eq!(claimed.iter().map(|notice| notice.letter.seq).collect::<Vec<_>>(), [again.seq]);
    }

    async fn many_who_claim_at_once_share_the_letters(database: TestDatabase) {
        let store = database.store().await;
        for payment in started(&store, (1..=30).map(build::payment)).await {
            in_review(&store, &payment, ReviewReason::RetriesExhausted).await;
        }
        let claims = (0..8).map(|_| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                let mut mine = Vec::new();
                // Who lost a race gets nothing; the others have it.
                for _ in 0..20 {
                    let claimed = store.claim_notices(build::notice_claim("log", build::at(0))).await.unwrap();
                    mine.extend(claimed.into_iter().map(|notice| notice.letter.payment_id));
                }
                mine
            })
        });
        let mut all = Vec::new();
        for claim in claims.collect::<Vec<_>>() {
            all.extend(claim.await.unwrap());
        }
        all.sort();
        assert_eq!(all, (1..=30).map(build::payment_id).collect::<Vec<_>>(), "each letter once");
    }

    async fn a_letter_that_cannot_be_read_keeps_no_other_from_being_told(database: TestDatabase) {
        let store = database.store().await;
        let spoiled = in_review(&store, &one(&store, 1).await, ReviewReason::RetriesExhausted).await;
        let good = in_review(&store, &one(&store, 2).await, ReviewReason::RetriesExhausted).await;
        let spoil = "update payments set goal = 'fortune' where fence = 7";
        apply(&store, build::update(&spoiled, |after| after.fence = 7)).await;
        let by_force = if database.is_postgres() {
            format!("alter table payments drop constraint payments_goal_known; {spoil}")
        } else {
            format!("pragma ignore_check_constraints = on; {spoil}")
        };
        database.execute(&by_force).await.unwrap();
        let claimed = store.claim_notices(build::notice_claim("log", build::at(0))).await.unwrap();
        assert_eq!(claimed.iter().map(|notice| notice.letter.payment_id).collect::<Vec<_>>(), [good.id]);
    }
}

/// Sends a payment to a person.
async fn in_review(store: &Arc<dyn Store>, payment: &Payment, reason: ReviewReason) -> Payment {
    let mut update = build::review(payment);
    update.dead_letter = Some(letter(reason));
    apply(store, update).await
}

fn letter(reason: ReviewReason) -> DeadLetter {
    DeadLetter { reason, last_error: json!({"event": "unknown", "detail": "Zeile 1\nü", "deep": [{"a": null}]}) }
}

/// The letter as it is listed while the payment waits.
fn row(after: &Payment, reason: ReviewReason) -> DeadLetterRow {
    DeadLetterRow {
        payment_id: after.id,
        seq: after.seq,
        at: after.updated_at,
        letter: letter(reason),
        merchant_id: after.merchant_id,
        psp: after.psp.clone(),
        money: after.asked(),
        state: after.state,
        goal: after.goal,
        is_last: true,
    }
}
