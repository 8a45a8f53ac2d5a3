//! Views of payments that were made lately, for clients that poll.
//!
//! What is found is checked like anything from outside: it has to be this payment, and this client's. Not here: when a view
//! is outdated ([`workflow::port::views`]).

use serde::Deserialize;
use workflow::ids::PaymentId;
use workflow::payment::Payment;
use workflow::port::views::View;

use crate::App;
use crate::auth::{ChargesRead, Client};

/// The body that shows a client its payment, if one is kept.
pub(crate) async fn recall(app: &App, client: Client<ChargesRead>, id: PaymentId) -> Option<String> {
    let view = app.shared.views.get(id).await;
    let view = view.filter(|view| view.merchant_id == client.merchant_id && shows(&view.body, id));
    let from = if view.is_some() { "cache" } else { "store" };
    metrics::counter!("fincore_views_total", "from" => from).increment(1);
    view.map(|view| view.body)
}

/// Keeps the body that shows a payment which was just read.
pub(crate) async fn keep(app: &App, payment: &Payment, body: &str) {
    let view = View { merchant_id: payment.merchant_id, seq: payment.seq, body: body.to_owned() };
    app.shared.views.fill(payment.id, view).await;
}

/// Whether a body that somebody kept for us shows this payment.
fn shows(body: &str, id: PaymentId) -> bool {
    #[derive(Deserialize)]
    struct Head {
        id: PaymentId,
        object: String,
    }
    serde_json::from_str::<Head>(body).is_ok_and(|head| head.id == id && head.object == <&str>::from(id.kind()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_believed_only_when_it_shows_the_payment() {
        let id: PaymentId = "ch_0197f3c2a1b47c6e8d5f00112233aaba".parse().unwrap();
        let whole = format!(r#"{{"id":"{id}","object":"charge","status":"created"}}"#);
        assert!(shows(&whole, id));
        let another = whole.replace("aaba", "aabc");
        let list = whole.replace("\"charge\"", "\"list\"");
        for garbage in ["", "null", "{}", &whole[..whole.len() - 1], &another, &list, &format!("{whole}{whole}")] {
            assert!(!shows(garbage, id), "{garbage}");
        }
    }
}
