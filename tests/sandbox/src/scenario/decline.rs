//! How cards say no, in Stripe's words: soft ("later, perhaps"), hard ("never this card") and for want of
//! authentication.
//!
//! Sources: Stripe, "Decline codes", "Card declines" (advice codes) and "Error codes". Not here: who meets which
//! (`table`).

use super::Decline;

const fn decline(decline_code: &'static str, advice_code: &'static str) -> Decline {
    Decline {
        code: "card_declined",
        decline_code: Some(decline_code),
        advice_code: Some(advice_code),
        message: "Your card was declined.",
    }
}

/// The decline of [`Fault::Declined`](super::Fault::Declined) and of `pm_card_chargeDeclined`.
pub static GENERIC: Decline = decline("generic_decline", "try_again_later");
pub(super) static INSUFFICIENT_FUNDS: Decline =
    Decline { message: "Your card has insufficient funds.", ..decline("insufficient_funds", "try_again_later") };
pub(super) static FRAUDULENT: Decline = decline("fraudulent", "do_not_try_again");
pub(super) static EXPIRED: Decline = Decline {
    code: "expired_card",
    decline_code: None,
    advice_code: Some("confirm_card_data"),
    message: "Your card has expired.",
};
pub(super) static PROCESSING_ERROR: Decline = Decline {
    code: "processing_error",
    decline_code: None,
    advice_code: Some("try_again_later"),
    message: "An error occurred while processing your card. Try again in a little bit.",
};
/// The payer was not there to authenticate.
pub(crate) static AUTHENTICATION_REQUIRED: Decline = Decline {
    code: "authentication_required",
    decline_code: Some("authentication_required"),
    advice_code: None,
    message: "Your card was declined. This transaction requires authentication.",
};
/// The payer failed to authenticate.
pub(crate) static AUTHENTICATION_FAILED: Decline = Decline {
    code: "payment_intent_authentication_failure",
    decline_code: None,
    advice_code: None,
    message: "The provided PaymentMethod has failed authentication. You can provide payment_method_data or a new \
              PaymentMethod to attempt to fulfill this PaymentIntent again.",
};
/// The capture of a reservation that has lapsed.
pub(crate) static CAPTURE_FAILED: Decline = Decline {
    code: "charge_expired_for_capture",
    decline_code: None,
    advice_code: None,
    message: "The charge cannot be captured as the authorization has expired.",
};
pub(super) static LOST_CARD: Decline = decline("lost_card", "do_not_try_again");
pub(super) static STOLEN_CARD: Decline = decline("stolen_card", "do_not_try_again");
pub(super) static DO_NOT_HONOR: Decline = decline("do_not_honor", "try_again_later");
pub(super) static REVOKED: Decline = decline("revocation_of_authorization", "do_not_try_again");
pub(super) static VELOCITY: Decline = Decline {
    message: "Your card was declined for making repeated attempts too frequently or exceeding its amount limit.",
    ..decline("card_velocity_exceeded", "try_again_later")
};
pub(super) static INCORRECT_CVC: Decline = Decline {
    code: "incorrect_cvc",
    decline_code: Some("incorrect_cvc"),
    advice_code: Some("confirm_card_data"),
    message: "Your card's security code is incorrect.",
};
