//! What settings are checked against.

use anyhow::bail;

/// Whether it is a URL that can be called.
pub(super) fn is_http(url: &str) -> bool {
    url.starts_with("https://") || url.starts_with("http://")
}

/// Refuses a value outside of these.
pub(super) fn in_bounds(name: &str, value: u64, least: u64, most: u64) -> anyhow::Result<()> {
    if !(least..=most).contains(&value) {
        bail!("{name} is {value}, but must be from {least} to {most}");
    }
    Ok(())
}
