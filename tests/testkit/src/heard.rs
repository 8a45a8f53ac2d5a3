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
    let notification = gateway.webhook(&header, &signed.body, now)?;
    Ok(vec![(signed.body.clone(), notification)])
}
