//! Which fault strikes a call: a programmed one first, else the one that comes with the payment method.
//!
//! Not here: what a fault does (`state` for effects, `answer` for the connection).

use std::collections::{HashMap, VecDeque};

use crate::journal::Fired;
use crate::limits;
use crate::scenario::{ALWAYS, Fault, Operation, Plan};

#[derive(Debug)]
struct Programmed {
    operation: Operation,
    fault: Fault,
    left: u32,
}

/// The faults still to come, and the memory of those that strike only so many times.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    programmed: VecDeque<Programmed>,
    fired: HashMap<String, u32>,
}

impl Faults {
    /// No times at all takes back what is left of earlier orders of this kind.
    pub(crate) fn program(&mut self, operation: Operation, fault: Fault, times: u32) {
        if times == 0 {
            self.programmed.retain(|entry| entry.operation != operation || entry.fault != fault);
        } else if self.programmed.len() < limits::PROGRAMMED_FAULTS {
            self.programmed.push_back(Programmed { operation, fault, left: times });
        }
    }

    /// The next programmed fault of this operation that fits, used up.
    pub(crate) fn take(&mut self, operation: Operation, fits: impl Fn(Fault) -> bool) -> Option<Fault> {
        let index = self.programmed.iter().position(|entry| entry.operation == operation && fits(entry.fault))?;
        let entry = self.programmed.get_mut(index)?;
        let fault = entry.fault;
        if entry.left != ALWAYS {
            entry.left -= 1;
        }
        if entry.left == 0 {
            self.programmed.remove(index);
        }
        Some(fault)
    }

    /// Strikes `subject` with the planned fault as often as planned. Returns what must be remembered.
    pub(crate) fn strike(&mut self, plan: Plan, subject: String) -> Option<(Fault, Option<Fired>)> {
        if plan.times == ALWAYS {
            return Some((plan.fault, None));
        }
        let times = self.fired.get(&subject).copied().unwrap_or(0);
        if times >= plan.times || self.fired.len() >= limits::FAULT_COUNTERS {
            return None;
        }
        let fired = Fired { subject, times: times + 1 };
        self.remember(fired.clone());
        Some((plan.fault, Some(fired)))
    }

    pub(crate) fn remember(&mut self, fired: Fired) {
        self.fired.insert(fired.subject, fired.times);
    }
}
