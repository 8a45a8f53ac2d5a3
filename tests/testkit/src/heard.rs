//! The one place that speaks to the port about webhooks.

use jiff::Timestamp;
use workflow::port::gateway::{Gateway, Notification, WebhookRefused};

use crate::dialect::Signed;

/// The authentic items of a webhook, each with what it says.
///
/// # Errors
/// Why it is refused.
pub(crate) fn hear(
    gateway: &dyn Gateway,
    signed: &Signed,
    now: Timestamp,
) -> Result<Vec<(Vec<u8>, Notification)>, WebhookRefused> {
    let header = |name: &str| signed.header(name);
    let items = gateway.verify(&header, &signed.body, now)?;
    let read = |item: Vec<u8>| gateway.notification(&item).map(|notification| (item, notification));
    items.into_iter().map(read).collect::<Result<_, _>>().map_err(|_| WebhookRefused::Malformed)
}
