//! Adyen's objects as JSON, as far as a gateway may read them.

use serde_json::{Value, json};
use workflow::money::Money;

use super::super::{Account, Asked, Dialect, News, Stands};
use super::{Adyen, MERCHANT_ACCOUNT, REFUSALS};

/// The answer to `/payments`.
pub(super) fn payment(account: &Account) -> Value {
    let is_authorized = matches!(account.stands, Stands::Authorized | Stands::Captured);
    let money = if is_authorized { account.money(account.authorized_minor) } else { account.asked };
    let mut payment = json!({"merchantReference": account.merchant_reference, "amount": amount(money)});
    if account.stands != Stands::ActionRequired {
        // The PSP's reference is given once the customer is back.
        payment["pspReference"] = account.psp_reference.as_str().into();
    }
    let result = match account.stands {
        Stands::Authorized | Stands::Captured => "Authorised",
        Stands::Declined => {
            let code = account.decline.as_ref().map_or("2", |decline| decline.code.as_str());
            let reason =
                REFUSALS.iter().find(|(number, ..)| *number == code).map_or("Refused", |(_, reason, _)| reason);
            payment["refusalReason"] = reason.into();
            payment["refusalReasonCode"] = code.into();
            "Refused"
        }
        Stands::ActionRequired => {
            let url = format!("https://psp.example/authenticate/{}", account.psp_reference);
            payment["action"] = json!({"type": "redirect", "method": "GET", "url": url, "paymentMethodType": "scheme"});
            "RedirectShopper"
        }
        Stands::Pending(_) => "Pending",
        Stands::Registered => "Received",
        Stands::Voided => "Cancelled",
    };
    payment["resultCode"] = result.into();
    payment
}

/// The answer to any modification.
pub(super) fn received(account: &Account, asked: &Asked, deed: &str) -> Value {
    let mut received = json!({
        "merchantAccount": MERCHANT_ACCOUNT, "pspReference": deed, "status": "received",
        "reference": asked.merchant_reference,
    });
    match &asked.psp_reference {
        Some(reference) => received["paymentPspReference"] = reference.as_str().into(),
        None => received["paymentReference"] = account.merchant_reference.clone().into(),
    }
    if let (Some(value), Some(currency)) = (asked.amount_wire, asked.currency) {
        received["amount"] = json!({"value": value, "currency": currency.to_string().to_uppercase()});
    }
    received
}

/// One item of a webhook, unsigned. `success` is a text there.
pub(super) fn notification(news: &News, event_code: &str, success: bool) -> Value {
    let account = &news.account;
    let mut item = json!({
        "additionalData": {}, "amount": amount(news.money), "eventCode": event_code, "eventDate": news.at.to_string(),
        "merchantAccountCode": MERCHANT_ACCOUNT, "merchantReference": account.merchant_reference,
        "paymentMethod": "visa", "pspReference": news.deed, "success": success.to_string(), "reason": "",
    });
    if event_code == "AUTHORISATION" {
        item["pspReference"] = account.psp_reference.as_str().into();
        let refusal =
            account.decline.as_ref().and_then(|decline| REFUSALS.iter().find(|(code, ..)| *code == decline.code));
        if let Some((code, reason, _)) = refusal {
            item["reason"] = (*reason).into();
            item["additionalData"]["refusalReasonRaw"] = format!("{code} : {reason}").into();
        }
    } else {
        item["originalReference"] = account.psp_reference.as_str().into();
    }
    item
}

/// Amounts that Adyen could not write are not in its books: it refused them.
fn amount(money: Money) -> Value {
    let value = Adyen.write_amount(money).unwrap_or(money.amount_minor);
    json!({"value": value, "currency": money.currency.to_string().to_uppercase()})
}
