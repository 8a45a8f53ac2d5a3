//! The scenarios: one per interesting ending of a charge, with the whole history that must come of it.

use fincore_tests::stage::Act::{Authenticates, CardAnswers, Minutes, Posts, Rests, Webhooks};
use fincore_tests::stage::{Order, Scenario};
use sandbox::Authentication;
use workflow::definition::State;

/// The PSP tells the result.
const BY_WEBHOOK: &str = "
     1  client   started           created
     2  worker   attempt_started   created → authorizing
     3  worker   registered        authorizing
     4  worker   accepted          authorizing → awaiting_webhook
     5  psp      authorized        awaiting_webhook → finalizing
     6  worker   attempt_started   finalizing
     7  worker   captured          finalizing → succeeded
";

/// The PSP is asked, and has done it.
const ASKED_AND_DONE: &str = "
     1  client   started           created
     2  worker   attempt_started   created → authorizing
     3  worker   registered        authorizing
     4  worker   unknown           authorizing → reconciling
     5  worker   attempt_started   reconciling
     6  worker   authorized        reconciling → finalizing
     7  worker   attempt_started   finalizing
     8  worker   captured          finalizing → succeeded
";

/// The PSP is asked, and has not done it.
const ASKED_AND_REPEATED: &str = "
     1  client   started           created
     2  worker   attempt_started   created → authorizing
     3  worker   registered        authorizing
     4  worker   unknown           authorizing → reconciling
     5  worker   attempt_started   reconciling
     6  worker   untouched         reconciling → authorizing
     7  worker   attempt_started   authorizing
     8  worker   authorized        authorizing → finalizing
     9  worker   attempt_started   finalizing
    10  worker   captured          finalizing → succeeded
";

/// All of them.
pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "good_card",
        payment_method: "pm_card_visa",
        capture_method: "automatic",
        acts: &[Rests(State::Succeeded)],
        history: "
             1  client   started           created
             2  worker   attempt_started   created → authorizing
             3  worker   registered        authorizing
             4  worker   authorized        authorizing → finalizing
             5  worker   attempt_started   finalizing
             6  worker   captured          finalizing → succeeded
        ",
    },
    Scenario {
        name: "decline",
        payment_method: "pm_card_chargeDeclinedInsufficientFunds",
        capture_method: "automatic",
        acts: &[Rests(State::Failed)],
        history: "
             1  client   started           created
             2  worker   attempt_started   created → authorizing
             3  worker   registered        authorizing
             4  worker   declined          authorizing → failed
        ",
    },
    Scenario {
        name: "captured_in_part",
        payment_method: "pm_card_visa",
        capture_method: "manual",
        acts: &[Rests(State::Authorized), Posts("capture", r#"{"amount": 600}"#), Rests(State::Succeeded)],
        history: "
             1  client   started           created
             2  worker   attempt_started   created → authorizing
             3  worker   registered        authorizing
             4  worker   authorized        authorizing → authorized
             5  client   capture_requested authorized → finalizing
             6  worker   attempt_started   finalizing
             7  worker   captured          finalizing → succeeded
        ",
    },
    Scenario {
        name: "canceled",
        payment_method: "pm_card_visa",
        capture_method: "manual",
        acts: &[Rests(State::Authorized), Posts("cancel", "{}"), Rests(State::Canceled)],
        history: "
             1  client   started           created
             2  worker   attempt_started   created → authorizing
             3  worker   registered        authorizing
             4  worker   authorized        authorizing → authorized
             5  client   cancel_requested  authorized → canceling
             6  worker   attempt_started   canceling
             7  worker   voided            canceling → canceled
        ",
    },
    Scenario {
        name: "canceled_before_anything_was_sent",
        payment_method: "pm_card_visa",
        capture_method: "automatic",
        acts: &[Posts("cancel", "{}"), Rests(State::Canceled)],
        history: "
             1  client   started           created
             2  client   cancel_requested  created → canceled
        ",
    },
    Scenario {
        name: "nobody_captures",
        payment_method: "pm_card_visa",
        capture_method: "manual",
        acts: &[Rests(State::Authorized), Minutes((6 * 24 + 12) * 60), Rests(State::Expired)],
        history: "
             1  client   started           created
             2  worker   attempt_started   created → authorizing
             3  worker   registered        authorizing
             4  worker   authorized        authorizing → authorized
             5  clock    deadline_passed   authorized → canceling
             6  worker   attempt_started   canceling
             7  worker   voided            canceling → expired
        ",
    },
    Scenario {
        name: "customer_authenticates",
        payment_method: "pm_card_authenticationRequired",
        capture_method: "automatic",
        acts: &[
            Rests(State::RequiresAction),
            Authenticates(Authentication::Complete),
            Webhooks(Order::AsItWas, 1),
            Rests(State::Succeeded),
        ],
        history: "
             1  client   started           created
             2  worker   attempt_started   created → authorizing
             3  worker   registered        authorizing
             4  worker   action_required   authorizing → requires_action
             5  psp      action_required   requires_action  (stale)
             6  psp      authorized        requires_action → finalizing
             7  worker   attempt_started   finalizing
             8  worker   captured          finalizing → succeeded
        ",
    },
    Scenario {
        name: "customer_walks_away",
        payment_method: "pm_card_authenticationRequired",
        capture_method: "automatic",
        acts: &[Rests(State::RequiresAction), Minutes(60), Rests(State::Expired)],
        history: "
             1  client   started           created
             2  worker   attempt_started   created → authorizing
             3  worker   registered        authorizing
             4  worker   action_required   authorizing → requires_action
             5  clock    deadline_passed   requires_action → canceling
             6  worker   attempt_started   canceling
             7  worker   voided            canceling → expired
        ",
    },
    Scenario {
        name: "customer_fails",
        payment_method: "pm_card_threeDSecure2Required",
        capture_method: "automatic",
        acts: &[
            Rests(State::RequiresAction),
            Authenticates(Authentication::Fail),
            Webhooks(Order::AsItWas, 1),
            Rests(State::Failed),
        ],
        history: "
             1  client   started           created
             2  worker   attempt_started   created → authorizing
             3  worker   registered        authorizing
             4  worker   action_required   authorizing → requires_action
             5  psp      action_required   requires_action  (stale)
             6  psp      declined          requires_action → failed
        ",
    },
    Scenario {
        name: "customer_is_back",
        payment_method: "pm_card_threeDSecure2Required",
        capture_method: "automatic",
        acts: &[
            Rests(State::RequiresAction),
            Posts("complete_action", "{}"),
            Rests(State::RequiresAction),
            Authenticates(Authentication::Complete),
            Posts("complete_action", "{}"),
            Rests(State::Succeeded),
        ],
        history: "
             1  client   started           created
             2  worker   attempt_started   created → authorizing
             3  worker   registered        authorizing
             4  worker   action_required   authorizing → requires_action
             5  client   action_completed  requires_action → authorizing
             6  worker   attempt_started   authorizing
             7  worker   action_required   authorizing → requires_action
             8  client   action_completed  requires_action → authorizing
             9  worker   attempt_started   authorizing
            10  worker   authorized        authorizing → finalizing
            11  worker   attempt_started   finalizing
            12  worker   captured          finalizing → succeeded
        ",
    },
    Scenario {
        name: "webhook",
        payment_method: "pm_sandbox_processing",
        capture_method: "automatic",
        acts: &[Rests(State::AwaitingWebhook), CardAnswers, Webhooks(Order::AsItWas, 1), Rests(State::Succeeded)],
        history: BY_WEBHOOK,
    },
    Scenario {
        name: "webhook_declines",
        payment_method: "pm_sandbox_processing_declined",
        capture_method: "automatic",
        acts: &[Rests(State::AwaitingWebhook), CardAnswers, Webhooks(Order::AsItWas, 1), Rests(State::Failed)],
        history: "
             1  client   started           created
             2  worker   attempt_started   created → authorizing
             3  worker   registered        authorizing
             4  worker   accepted          authorizing → awaiting_webhook
             5  psp      declined          awaiting_webhook → failed
        ",
    },
    Scenario {
        name: "webhook_twenty_times_at_once",
        payment_method: "pm_sandbox_processing",
        capture_method: "automatic",
        acts: &[Rests(State::AwaitingWebhook), CardAnswers, Webhooks(Order::AsItWas, 20), Rests(State::Succeeded)],
        history: BY_WEBHOOK,
    },
    Scenario {
        name: "webhook_lost",
        payment_method: "pm_sandbox_processing",
        capture_method: "automatic",
        acts: &[Rests(State::AwaitingWebhook), CardAnswers, Minutes(30), Rests(State::Succeeded)],
        history: "
             1  client   started           created
             2  worker   attempt_started   created → authorizing
             3  worker   registered        authorizing
             4  worker   accepted          authorizing → awaiting_webhook
             5  clock    deadline_passed   awaiting_webhook → reconciling
             6  worker   attempt_started   reconciling
             7  worker   authorized        reconciling → finalizing
             8  worker   attempt_started   finalizing
             9  worker   captured          finalizing → succeeded
        ",
    },
    Scenario {
        name: "webhooks_late_and_reversed",
        payment_method: "pm_card_visa",
        capture_method: "automatic",
        acts: &[Rests(State::Succeeded), Webhooks(Order::Reversed, 1), Rests(State::Succeeded)],
        history: "
             1  client   started           created
             2  worker   attempt_started   created → authorizing
             3  worker   registered        authorizing
             4  worker   authorized        authorizing → finalizing
             5  worker   attempt_started   finalizing
             6  worker   captured          finalizing → succeeded
             7  psp      captured          succeeded  (stale)
             8  psp      authorized        succeeded  (stale)
        ",
    },
    Scenario {
        name: "webhook_after_a_cancel",
        payment_method: "pm_card_visa",
        capture_method: "manual",
        acts: &[
            Rests(State::Authorized),
            Posts("cancel", "{}"),
            Rests(State::Canceled),
            Webhooks(Order::AsItWas, 2),
            Rests(State::Canceled),
        ],
        history: "
             1  client   started           created
             2  worker   attempt_started   created → authorizing
             3  worker   registered        authorizing
             4  worker   authorized        authorizing → authorized
             5  client   cancel_requested  authorized → canceling
             6  worker   attempt_started   canceling
             7  worker   voided            canceling → canceled
             8  psp      authorized        canceled  (stale)
             9  psp      voided            canceled  (stale)
        ",
    },
    Scenario {
        name: "another_amount",
        payment_method: "pm_sandbox_amount_mismatch",
        capture_method: "automatic",
        acts: &[Rests(State::InReview)],
        history: "
             1  client   started           created
             2  worker   attempt_started   created → authorizing
             3  worker   registered        authorizing
             4  worker   amounts_disagree  authorizing → in_review
        ",
    },
    Scenario {
        name: "answer_lost",
        payment_method: "pm_sandbox_answer_lost",
        capture_method: "automatic",
        acts: &[Rests(State::Succeeded)],
        history: ASKED_AND_DONE,
    },
    Scenario {
        name: "dropped_before",
        payment_method: "pm_sandbox_drop_before",
        capture_method: "automatic",
        acts: &[Rests(State::Succeeded)],
        history: ASKED_AND_REPEATED,
    },
    Scenario {
        name: "error_500",
        payment_method: "pm_sandbox_error_500_then_ok",
        capture_method: "automatic",
        acts: &[Rests(State::Succeeded)],
        history: ASKED_AND_REPEATED,
    },
    Scenario {
        name: "error_500_after_effect",
        payment_method: "pm_sandbox_error_500_after_effect",
        capture_method: "automatic",
        acts: &[Rests(State::Succeeded)],
        history: ASKED_AND_DONE,
    },
    Scenario {
        name: "throttled_twice",
        payment_method: "pm_sandbox_throttled_twice",
        capture_method: "automatic",
        acts: &[Rests(State::Succeeded)],
        history: "
             1  client   started           created
             2  worker   attempt_started   created → authorizing
             3  worker   registered        authorizing
             4  worker   throttled         authorizing
             5  worker   attempt_started   authorizing
             6  worker   throttled         authorizing
             7  worker   attempt_started   authorizing
             8  worker   authorized        authorizing → finalizing
             9  worker   attempt_started   finalizing
            10  worker   captured          finalizing → succeeded
        ",
    },
    Scenario {
        name: "capture_answer_lost",
        payment_method: "pm_sandbox_capture_answer_lost",
        capture_method: "automatic",
        acts: &[Rests(State::Succeeded)],
        history: "
             1  client   started           created
             2  worker   attempt_started   created → authorizing
             3  worker   registered        authorizing
             4  worker   authorized        authorizing → finalizing
             5  worker   attempt_started   finalizing
             6  worker   unknown           finalizing → reconciling
             7  worker   attempt_started   reconciling
             8  worker   captured          reconciling → succeeded
        ",
    },
    Scenario {
        name: "capture_takes_its_time",
        payment_method: "pm_sandbox_capture_processing",
        capture_method: "automatic",
        acts: &[Rests(State::AwaitingCapture), CardAnswers, Webhooks(Order::AsItWas, 1), Rests(State::Succeeded)],
        history: "
             1  client   started           created
             2  worker   attempt_started   created → authorizing
             3  worker   registered        authorizing
             4  worker   authorized        authorizing → finalizing
             5  worker   attempt_started   finalizing
             6  worker   accepted          finalizing → awaiting_capture
             7  psp      authorized        awaiting_capture  (stale)
             8  psp      captured          awaiting_capture → succeeded
        ",
    },
];
