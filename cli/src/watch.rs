//! A live view: the same text again and again, until what it is about has ended or somebody presses Ctrl-C.
//!
//! Not here: what is shown.

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::time::Duration;

/// Between two looks. Nobody reads faster, and it is one short read of the database.
const EVERY: Duration = Duration::from_secs(1);

/// One look at what is watched.
pub(crate) struct Look {
    /// What is shown.
    pub(crate) text: String,
    /// Differs when there is news: not when only time has passed.
    pub(crate) version: String,
    /// Whether there will be no more news.
    pub(crate) has_ended: bool,
}

/// Shows each look until there will be no more news. A terminal shows the last one; a file or a pipe gets those with news.
pub(crate) async fn until_it_ends(mut look: impl AsyncFnMut() -> anyhow::Result<Look>) -> anyhow::Result<ExitCode> {
    let is_terminal = std::io::stdout().is_terminal();
    let mut shown = None;
    loop {
        let Look { text, version, has_ended } = look().await?;
        let version = Some(version);
        if is_terminal {
            // From the top of an empty screen.
            print!("\u{1b}[H\u{1b}[2J{text}");
        } else if version != shown {
            print!("{text}");
        }
        std::io::stdout().flush()?;
        shown = version;
        if has_ended {
            return Ok(ExitCode::SUCCESS);
        }
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            _ = tokio::signal::ctrl_c() => return Ok(ExitCode::SUCCESS),
        }
    }
}
