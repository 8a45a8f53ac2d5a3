//! A clock that stands still until a test moves it: the testkit's.

pub use testkit::TestClock;
