//! The PSP gateways against things we did not write: a provider's own description of its API, its own library, and a
//! fake of it by somebody else; our own API against those who read its description; and the operators' pages in a browser. `cargo xtask third-party` installs them and runs these tests alone.

mod alerts;
mod browser;
mod contract;
mod hosts;
mod localstripe;
mod openapi;
mod outbound;
mod prometheus;
mod rollout;
mod signatures;
mod state_machine;
mod templates;

use fincore_tests::third_party::Tools;

/// Runs by itself everywhere, so that a run without the tools shows: `.config/nextest.toml` prints what it says.
#[test]
fn a_run_without_the_tools_says_so() {
    let _told = Tools::find();
}
