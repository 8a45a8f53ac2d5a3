//! The table tested as a table: total, closed, without dead ends, and unchanged once released.

use std::collections::HashSet;

use strum::{EnumCount, IntoEnumIterator, VariantArray};
use workflow::definition::{
    self, Activity, CHARGE, Definition, ErrorClass, EventKind, Goal, Kind, Next, REFUND, Rule, State, StateKind, digest,
};

/// All versions of both workflows.
fn all() -> impl Iterator<Item = &'static Definition> {
    CHARGE.into_iter().chain(REFUND)
}

fn moves(definition: &Definition, from: State) -> HashSet<State> {
    let mut to = HashSet::new();
    for event in EventKind::VARIANTS {
        for goal in Goal::VARIANTS {
            match definition.state(from).rule(*event).next(*goal) {
                Some(Next::To(state)) => to.extend([state]),
                Some(Next::Reverse) => to.extend([State::Canceling]),
                Some(Next::Retry(_) | Next::RetryElsewhere(_)) => to.extend([State::InReview]),
                Some(Next::FailOver(state)) => to.extend([State::Authorizing, state]),
                Some(Next::Stay) | None => {}
            }
        }
    }
    to
}

fn reachable(definition: &Definition, from: State) -> HashSet<State> {
    let mut seen = HashSet::from([from]);
    let mut open = vec![from];
    while let Some(state) = open.pop() {
        for next in moves(definition, state) {
            if seen.insert(next) {
                open.push(next);
            }
        }
    }
    seen
}

#[test]
fn every_row_stands_at_its_state_and_every_activity_at_its_place() {
    for definition in all() {
        for state in State::VARIANTS {
            assert_eq!(definition.state(*state).state, *state);
        }
        for activity in Activity::iter() {
            assert_eq!(definition.activity(activity).activity, activity);
        }
    }
}

#[test]
fn every_pair_is_decided_and_says_why_when_it_moves_nothing() {
    for definition in all() {
        let mut pairs = 0;
        for state in State::VARIANTS {
            for event in EventKind::VARIANTS {
                pairs += 1;
                if let Rule::Stale(why) | Rule::Illegal(why) = definition.state(*state).rule(*event) {
                    assert!(why.len() > 10, "({state}, {event}) gives no reason");
                }
            }
        }
        assert_eq!(pairs, State::COUNT * EventKind::COUNT);
    }
}

#[test]
fn every_state_is_reachable_from_the_first() {
    for definition in all() {
        let seen = reachable(definition, State::Created);
        let has: HashSet<State> = definition.reached().map(|row| row.state).collect();
        assert_eq!(seen, has, "{}: a state is never reached, or one outside of the workflow is", definition.kind);
    }
}

#[test]
fn every_open_state_leads_to_an_end_and_has_a_deadline_or_a_due_activity() {
    for definition in all() {
        for row in definition.reached() {
            match row.kind {
                StateKind::Works(activity) => {
                    let row = definition.activity(activity);
                    assert!(row.lease_ms > row.call_timeout_ms, "{activity}: a lease must outlive a call");
                }
                StateKind::Waits { deadline_ms, meaning } => {
                    assert!(deadline_ms > 0 && !meaning.is_empty());
                    let rule = row.rule(EventKind::DeadlinePassed);
                    assert!(matches!(rule, Rule::Move(_)), "{}: a deadline must lead somewhere", row.state);
                }
                StateKind::Ended | StateKind::Outside => continue,
            }
            let ends = reachable(definition, row.state);
            assert!(ends.iter().any(|state| definition::has_ended(*state)), "{} has no way out", row.state);
        }
    }
}

#[test]
fn a_clock_asks_and_never_concludes() {
    for definition in all() {
        for row in definition.reached() {
            for goal in Goal::VARIANTS {
                if let Some(Next::To(to)) = row.rule(EventKind::DeadlinePassed).next(*goal) {
                    assert!(!definition::has_ended(to), "{}: a deadline ended the payment as {to}", row.state);
                }
            }
        }
    }
}

#[test]
fn an_unknown_outcome_never_ends_a_payment_and_never_repeats_an_act() {
    for definition in all() {
        for row in definition.reached() {
            for goal in Goal::VARIANTS {
                match row.rule(EventKind::Unknown).next(*goal) {
                    Some(Next::To(to)) => assert_eq!(to, State::Reconciling, "{} on unknown", row.state),
                    Some(Next::Retry(class)) => {
                        assert_eq!((row.state, class), (State::Reconciling, ErrorClass::Unknown));
                    }
                    Some(Next::Stay | Next::Reverse | Next::FailOver(_) | Next::RetryElsewhere(_)) => {
                        panic!("{}: an unknown outcome must be asked about", row.state)
                    }
                    None => {}
                }
            }
        }
    }
}

#[test]
fn an_ended_payment_moves_only_for_late_news_of_money() {
    for definition in all() {
        for row in definition.reached().filter(|row| definition::has_ended(row.state)) {
            for event in EventKind::VARIANTS {
                let leads = Goal::VARIANTS.iter().any(|goal| row.rule(*event).next(*goal).is_some());
                let is_money = matches!(
                    event,
                    EventKind::Authorized
                        | EventKind::Captured
                        | EventKind::Voided
                        | EventKind::AmountsDisagree
                        | EventKind::CaptureFailed
                        | EventKind::VoidFailed
                        | EventKind::RefundFailed
                        | EventKind::Refunded
                        | EventKind::Declined
                        | EventKind::DisputeOpened
                        | EventKind::DisputeClosed
                        | EventKind::ChargedBack
                        | EventKind::ChargebackReversed
                        | EventKind::RefundRequested
                        | EventKind::RefundUpdated
                );
                let is_written_down =
                    matches!(event, EventKind::Noted | EventKind::RefundProposed | EventKind::ProposalWithdrawn);
                let stays = Goal::VARIANTS.iter().all(|goal| row.rule(*event).next(*goal) == Some(Next::Stay));
                assert!(
                    !leads || is_money || (is_written_down && stays),
                    "{}: {event} reopens an ended payment",
                    row.state
                );
            }
        }
    }
}

#[test]
fn only_an_operator_or_evidence_takes_a_payment_out_of_review() {
    use EventKind::{
        Accepted, ActionRequired, CancelRequested, DeadlinePassed, Redriven, RefundRequested, RefundUpdated,
    };
    for definition in all() {
        let row = definition.state(State::InReview);
        for event in [DeadlinePassed, CancelRequested, Accepted, ActionRequired, RefundRequested, RefundUpdated] {
            for goal in Goal::VARIANTS {
                assert!(!matches!(row.rule(event).next(*goal), Some(Next::To(_))), "{event} ended a review");
            }
        }
        assert!(matches!(row.rule(Redriven), Rule::Move(Next::To(State::Reconciling))));
    }
}

#[test]
fn people_end_only_what_is_in_review_and_ask_only_what_may_have_got_lost() {
    for definition in all() {
        for row in definition.reached() {
            let leads = |event: EventKind| row.rule(event).next(Goal::Capture);
            for (event, end) in [
                (EventKind::ResolvedSucceeded, State::Succeeded),
                (EventKind::ResolvedFailed, State::Failed),
                (EventKind::ResolvedCanceled, State::Canceled),
            ] {
                let is_to_be_had =
                    row.state == State::InReview && !matches!(definition.state(end).kind, StateKind::Outside);
                assert_eq!(leads(event), is_to_be_had.then_some(Next::To(end)), "{}: {event}", row.state);
            }
            let waits_for_news =
                matches!(row.state, State::RequiresAction | State::AwaitingWebhook | State::AwaitingCapture);
            let asked = waits_for_news.then_some(Next::To(State::Reconciling));
            assert_eq!(leads(EventKind::InquiryRequested), asked, "{}", row.state);
            let works = matches!(row.kind, StateKind::Works(_));
            assert_eq!(leads(EventKind::RetryRequested), works.then_some(Next::Stay), "{}", row.state);
            assert_eq!(leads(EventKind::Noted), Some(Next::Stay), "{}", row.state);
        }
    }
}

#[test]
fn a_charge_counts_its_refunds_wherever_it_stands_and_never_moves_for_them() {
    for definition in CHARGE {
        for row in definition.reached() {
            assert!(matches!(row.rule(EventKind::RefundUpdated), Rule::Move(Next::Stay)), "{}", row.state);
            let is_asked = matches!(row.rule(EventKind::RefundRequested), Rule::Move(Next::Stay));
            assert_eq!(is_asked, row.state == State::Succeeded, "{}: refunds are of money that is there", row.state);
        }
    }
}

#[test]
fn only_the_psp_or_two_persons_end_a_refund() {
    for definition in REFUND {
        for row in definition.reached() {
            for event in EventKind::VARIANTS {
                let ends = matches!(row.rule(*event), Rule::Move(Next::To(to)) if definition::has_ended(*to));
                let is_evidence = matches!(
                    event,
                    EventKind::Refunded | EventKind::RefundFailed | EventKind::Declined | EventKind::Rejected
                );
                let is_resolved = matches!(event, EventKind::ResolvedSucceeded | EventKind::ResolvedFailed);
                assert!(
                    !ends || is_evidence || (is_resolved && row.state == State::InReview),
                    "{}: {event} ended a refund",
                    row.state
                );
            }
        }
    }
}

#[test]
fn versions_are_numbered_from_one_and_found_by_number() {
    for (kind, versions) in [(Kind::Charge, CHARGE.as_slice()), (Kind::Refund, REFUND.as_slice())] {
        for (number, definition) in (1..).zip(versions) {
            assert_eq!((definition.kind, definition.version), (kind, number));
            assert_eq!(definition::pinned(kind, number).map(|found| found.version), Some(number));
        }
        assert!(definition::pinned(kind, 0).is_none());
    }
}

#[test]
fn a_released_version_is_never_edited() {
    for definition in all() {
        assert_eq!(
            definition.digest,
            digest::digest(definition),
            "version {} differs from what was released. Add a new version instead of editing it. Its content is now:\n{}",
            definition.version,
            digest::content(definition)
        );
    }
}

#[test]
fn who_waits_is_answered_when_the_payment_has_ended_or_a_person_has_to_act() {
    let rests: Vec<_> = State::VARIANTS.iter().filter(|state| definition::rests(**state)).collect();
    assert!(State::VARIANTS.iter().all(|state| !definition::has_ended(*state) || rests.contains(&state)));
    let others: Vec<_> = rests.into_iter().filter(|state| !definition::has_ended(**state)).collect();
    assert_eq!(others, [&State::RequiresAction, &State::Authorized, &State::InReview]);
}
