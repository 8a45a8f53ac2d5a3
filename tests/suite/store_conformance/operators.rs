//! The audit log and the pauses: kept, read back, never changed, and entered together with what they tell of.

use fincore_tests::build;
use strum::IntoEnumIterator as _;
use workflow::definition::State;
use workflow::ids::AuditId;
use workflow::payment::{Outcome, Payment, Proposal, Proposed, Resolution};
use workflow::port::audit::{AuditAct, AuditEntry, AuditFilter, AuditOutcome, Role, Via};
use workflow::port::pauses::Pause;
use workflow::port::store::{Due, Origin, StoreError, Update, Updated};

use super::{apply, one, started, stored};

fincore_tests::on_each_database_and_behind_a_pooler! {
    async fn entries_are_kept_and_read_newest_first(database: TestDatabase) {
        let store = database.store().await;
        let mut expected: Vec<AuditEntry> = AuditAct::iter().zip(1..).map(|(act, number)| entry(act, number)).collect();
        expected[1].outcome = AuditOutcome::Refused("the payment has ended".to_owned());
        expected[2] = AuditEntry { role: None, payment_id: None, subject: None, reason: None, remote: None, via: Via::Web, ..expected[2].clone() };
        store.enter(&expected).await.unwrap();
        store.enter(&[]).await.unwrap();
        expected.reverse();
        let all = AuditFilter::default();
        assert_eq!(store.entries(&all, None, 100).await.unwrap(), expected);
        assert_eq!(store.entries(&all, Some(expected[2].id), 2).await.unwrap(), expected[3..5]);
        let filters = [
            AuditFilter { actor: Some("ada".to_owned()), ..all.clone() },
            AuditFilter { payment_id: Some(build::payment_id(2)), ..all.clone() },
            AuditFilter { act: Some(AuditAct::LogIn), ..all.clone() },
            AuditFilter { since: Some(build::at(7)), ..all },
        ];
        for filter in filters {
            let fits = |entry: &&AuditEntry| {
                filter.actor.as_ref().is_none_or(|actor| entry.actor == *actor)
                    && filter.payment_id.is_none_or(|id| entry.payment_id == Some(id))
                    && filter.act.is_none_or(|act| entry.act == act)
                    && filter.since.is_none_or(|since| entry.at >= since)
            };
            let found = store.entries(&filter, None, 100).await.unwrap();
            assert_eq!(found, expected.iter().filter(fits).cloned().collect::<Vec<_>>(), "{filter:?}");
            assert!(!found.is_empty() && found.len() < expected.len(), "{filter:?}");
        }
    }

    async fn an_entry_is_never_changed(database: TestDatabase) {
        let store = database.store().await;
        let first = entry(AuditAct::Note, 1);
        store.enter(std::slice::from_ref(&first)).await.unwrap();
        for attempt in ["update audit_log set actor = 'nobody'", "delete from audit_log"] {
            let refused = database.execute(attempt).await.expect_err(attempt);
            assert!(refused.contains("audit_log is append-only"), "{attempt}: {refused}");
        }
        let again = AuditEntry { actor: "somebody else".to_owned(), ..first.clone() };
        assert!(matches!(store.enter(&[again]).await, Err(StoreError::Refused(_))));
        assert_eq!(store.entries(&AuditFilter::default(), None, 10).await.unwrap(), [first]);
    }

    async fn an_act_is_entered_with_the_move_or_not_at_all(database: TestDatabase) {
        let store = database.store().await;
        let payment = one(&store, 1).await;
        let act = |number| Update {
            origin: Origin::Act(AuditEntry { payment_id: Some(payment.id), ..entry(AuditAct::Cancel, number) }),
            ..build::update(&payment, |after| after.state = State::Canceling)
        };
        let (first, late) = (act(1), act(2));
        assert_eq!(store.update(&[first.clone(), late.clone()]).await.unwrap(), [Updated::Applied, Updated::Conflict]);
        assert_eq!(store.update(&[late]).await.unwrap(), [Updated::Conflict], "it has moved since");
        let Origin::Act(entered) = first.origin else { unreachable!() };
        assert_eq!(store.entries(&AuditFilter::default(), None, 10).await.unwrap(), [entered]);
    }

    async fn a_proposal_is_kept_with_its_payment(database: TestDatabase) {
        let store = database.store().await;
        let payment = one(&store, 1).await;
        let resolution = Resolution { outcome: Outcome::Succeeded, captured_minor: Some(700), psp_reference: Some("pi_ü".to_owned()) };
        let proposal = Proposal {
            seq: 2,
            by: "ada".to_owned(),
            at: build::at(5),
            expires_at: build::at(9),
            why: "\"seen\" in the dashboard".to_owned(),
            what: Proposed::Resolution(resolution),
        };
        let after = apply(&store, build::update(&payment, |after| after.proposal = Some(proposal.clone()))).await;
        assert_eq!(stored(&store, &after).await.proposal, Some(proposal));
        let refund = Proposed::Refund { amount_minor: 5, refund_reason: Some(workflow::payment::RefundReason::Duplicate) };
        let after = apply(&store, build::update(&after, |after| after.proposal.as_mut().unwrap().what = refund.clone())).await;
        assert_eq!(stored(&store, &after).await.proposal.unwrap().what, refund);
        let after = apply(&store, build::update(&after, |after| after.proposal = None)).await;
        assert_eq!(stored(&store, &after).await.proposal, None);
    }

    async fn a_pause_begins_and_ends_once_each_with_its_entry(database: TestDatabase) {
        let store = database.store().await;
        let pause = |psp: &str| Pause { psp: psp.to_owned(), since: build::at(1), by: "ada".to_owned(), why: "it is down".to_owned() };
        assert_eq!(store.pauses().await.unwrap(), []);
        assert_eq!(store.pause(&pause("b"), &entry(AuditAct::PausePsp, 1)).await.unwrap(), Updated::Applied);
        assert_eq!(store.pause(&pause("a"), &entry(AuditAct::PausePsp, 2)).await.unwrap(), Updated::Applied);
        let late = Pause { by: "grace".to_owned(), ..pause("b") };
        assert_eq!(store.pause(&late, &entry(AuditAct::PausePsp, 3)).await.unwrap(), Updated::Conflict);
        assert_eq!(store.pauses().await.unwrap(), [pause("a"), pause("b")]);
        assert_eq!(store.resume("b", &entry(AuditAct::ResumePsp, 4)).await.unwrap(), Updated::Applied);
        assert_eq!(store.resume("b", &entry(AuditAct::ResumePsp, 5)).await.unwrap(), Updated::Conflict);
        assert_eq!(store.pauses().await.unwrap(), [pause("a")]);
        let entries = store.entries(&AuditFilter::default(), None, 10).await.unwrap();
        let entered: Vec<_> = entries.iter().map(|entry| entry.id).collect();
        assert_eq!(entered, [4, 2, 1].map(|number| entry(AuditAct::PausePsp, number).id), "what was not done is not entered");
    }

    async fn work_at_a_paused_account_is_not_due_and_all_else_is(database: TestDatabase) {
        let store = database.store().await;
        let due = build::at(1_000);
        // Every state that works is spared, every other one is not; nor is what a worker held when it died.
        for (state, number) in State::iter().zip(1..) {
            let payment = if state == State::Refunding { continue } else { one(&store, number).await };
            let ends = workflow::definition::has_ended(state);
            apply(&store, build::update(&payment, |after| {
                after.state = state;
                after.next_wake_at = (!ends).then_some(due);
            })).await;
        }
        let leased = one(&store, 100).await;
        apply(&store, build::update(&leased, |after| {
            after.state = State::Authorizing;
            (after.next_wake_at, after.lease_until) = (Some(due), Some(due));
        })).await;
        let elsewhere = started(&store, [Payment { psp: "elsewhere".to_owned(), ..build::payment(101) }]).await;
        let before = states(&store, store.due(due, None, 100).await.unwrap()).await;
        store.pause(&pause_of(&leased), &entry(AuditAct::PausePsp, 1)).await.unwrap();
        let paused = states(&store, store.due(due, None, 100).await.unwrap()).await;
        let works = |state: State| workflow::definition::Kind::iter().any(|kind| {
            workflow::definition::current(kind).state(state).activity().is_some()
        });
        let spared: Vec<_> = before.iter().filter(|(id, state)| !works(*state) || *id == leased.id || *id == elsewhere[0].id).copied().collect();
        assert_eq!(paused, spared);
        assert!(paused.len() < before.len() && paused.contains(&(leased.id, State::Authorizing)), "{paused:?}");
        store.resume(&leased.psp, &entry(AuditAct::ResumePsp, 2)).await.unwrap();
        assert_eq!(states(&store, store.due(due, None, 100).await.unwrap()).await, before, "they stayed due");
    }
}

async fn states(
    store: &std::sync::Arc<dyn workflow::port::store::Store>,
    due: Vec<Due>,
) -> Vec<(workflow::ids::PaymentId, State)> {
    let ids: Vec<_> = due.iter().map(|due| due.payment_id).collect();
    let payments = store.load(&ids).await.unwrap();
    payments.into_iter().flatten().map(|payment| (payment.id, payment.state)).collect()
}

fn pause_of(payment: &Payment) -> Pause {
    Pause { psp: payment.psp.clone(), since: build::at(1), by: "ada".to_owned(), why: "it is down".to_owned() }
}

fn entry(act: AuditAct, number: i64) -> AuditEntry {
    let at = build::at(number);
    let random = u64::try_from(number).unwrap();
    AuditEntry {
        id: AuditId::new(at, [random << 40, random]),
        at,
        actor: if number % 2 == 0 { "ada" } else { "grace \"ü\"" }.to_owned(),
        role: Some(Role::Operator),
        act,
        payment_id: Some(build::payment_id(1 + random % 3)),
        subject: Some("stripe_eu".to_owned()),
        reason: Some("because".to_owned()),
        outcome: AuditOutcome::Done,
        via: Via::Cli,
        remote: Some("ada@desk".to_owned()),
    }
}
