//! What a test tells a process that somebody else starts, while it runs: how far its clock is ahead, and at which write
//! it is to die. It is told by files in a folder that the process finds named in its environment.
//!
//! Not here: the processes. Those that ship know of none of this.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use workflow::port::clock::{Clock, SystemClock};

use crate::crash::Crash;

/// Names the folder.
pub const FOLDER: &str = "FINCORE_TEST_CONDUCT";

/// How far the clock is ahead, in milliseconds.
const AHEAD: &str = "ahead_ms";
/// How many more writes there are to be, counting the one that a crash meets, and on which side of it the crash is.
const CRASH: &str = "crash";
/// Is there from the moment in which a process knows that it dies at this write until it is dead.
const DYING: &str = "dying";

/// How far the order of a crash is carried out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CarriedOut {
    /// The write has not come.
    NotYet,
    /// The process has come to the write.
    InPart,
    /// It is dead.
    Wholly,
}

/// A folder of such files.
#[derive(Clone, Debug)]
pub struct Conduct(PathBuf);

impl Conduct {
    /// The files in this folder.
    #[must_use]
    pub fn in_folder(folder: &Path) -> Self {
        Self(folder.to_owned())
    }

    /// Moves the clock forward.
    pub fn skip(&self, by: Duration) {
        let ahead = self.ahead() + SignedDuration::try_from(by).expect("tests skip less than a lifetime");
        self.tell(AHEAD, &ahead.as_millis().to_string());
    }

    /// Sets the clock right.
    pub fn set_right(&self) {
        self.tell(AHEAD, "0");
    }

    fn ahead(&self) -> SignedDuration {
        let text = self.told(AHEAD).unwrap_or_else(|| "0".to_owned());
        SignedDuration::from_millis(text.parse().expect("tests write numbers"))
    }

    /// Orders a crash at a write, the next one being 1.
    pub fn crash_at(&self, crash: Crash, write: u32) {
        self.tell(CRASH, &format!("{crash:?} {write}"));
    }

    /// How far the order is carried out.
    #[must_use]
    pub fn carried_out(&self) -> CarriedOut {
        // In the order in which a process changes them, so that none is overlooked.
        match (self.told(CRASH), self.told(DYING)) {
            (Some(_), _) => CarriedOut::NotYet,
            (None, Some(_)) => CarriedOut::InPart,
            (None, None) => CarriedOut::Wholly,
        }
    }

    /// Takes the order of a crash back.
    pub fn spare(&self) {
        // There may be none.
        let _ = fs::remove_file(self.0.join(CRASH));
    }

    /// Counts a write, and says on which side of it the process is to die, if it is.
    pub(crate) fn next_write(&self) -> Option<Crash> {
        let order = self.told(CRASH)?;
        let (crash, left) = order.split_once(' ').expect("tests write both");
        let crash = if crash == "BeforeWrite" { Crash::BeforeWrite } else { Crash::AfterWrite };
        let left: u32 = left.parse().expect("tests write numbers");
        if left == 1 {
            self.tell(DYING, "");
            self.spare();
            return Some(crash);
        }
        self.crash_at(crash, left - 1);
        None
    }

    /// Ends the process as it stands.
    pub(crate) fn die(&self) -> ! {
        fs::remove_file(self.0.join(DYING)).expect("it was written before");
        std::process::abort()
    }

    fn tell(&self, file: &str, what: &str) {
        let new = self.0.join(format!("{file}.new"));
        // Whoever reads meanwhile reads the old one or the new one.
        fs::write(&new, what).and_then(|()| fs::rename(&new, self.0.join(file))).expect("a test's folder takes files");
    }

    fn told(&self, file: &str) -> Option<String> {
        match fs::read_to_string(self.0.join(file)) {
            Ok(text) => Some(text),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => panic!("{file} cannot be read: {error}"),
        }
    }
}

impl Clock for Conduct {
    fn now(&self) -> Timestamp {
        SystemClock.now().saturating_add(self.ahead()).expect("a duration can be added to a time")
    }
}
