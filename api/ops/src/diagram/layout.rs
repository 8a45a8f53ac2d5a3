//! Where the states of a definition stand, and how arrows lead between them.

use std::collections::{BTreeMap, VecDeque};

use workflow::definition::{Definition, Goal, Kind, Next, State, StateKind};
use workflow::event::EventKind;

use super::{NODE_HEIGHT, NODE_WIDTH};

const GAP_X: i32 = 72;
const GAP_Y: i32 = 34;
const MARGIN: i32 = 12;

/// See the head of this file.
pub(super) struct Layout {
    /// Column and row of each state, by its number.
    places: BTreeMap<usize, (i32, i32)>,
    columns: i32,
    rows: i32,
}

impl Layout {
    pub(super) fn of(definition: &Definition) -> Self {
        let (depth, happy) = depths(definition);
        let last = depth.values().copied().max().unwrap_or(0) + 1;
        let mut filled: BTreeMap<i32, i32> = BTreeMap::new();
        let mut places = BTreeMap::new();
        for state in &happy {
            let column = if is_end(definition, *state) { last } else { depth[&(*state as usize)] };
            places.insert(*state as usize, (column, 0));
        }
        for row in definition.reached().filter(|row| !happy.contains(&row.state) && row.state != State::InReview) {
            let column = match is_end(definition, row.state) {
                true => last,
                // Nothing leads there but what went wrong before.
                false => depth.get(&(row.state as usize)).copied().unwrap_or(last - 1),
            };
            let next = filled.entry(column).or_insert(1);
            places.insert(row.state as usize, (column, *next));
            *next += 1;
        }
        let bottom = filled.values().copied().max().unwrap_or(1);
        places.insert(State::InReview as usize, (last / 2, bottom));
        Self { places, columns: last + 1, rows: bottom + 1 }
    }

    pub(super) fn width(&self) -> i32 {
        // With room for arrows that lead around the last column.
        self.columns * (NODE_WIDTH + GAP_X) - GAP_X / 2 + 2 * MARGIN
    }

    pub(super) fn height(&self) -> i32 {
        self.rows * (NODE_HEIGHT + GAP_Y) - GAP_Y + 2 * MARGIN
    }

    /// The upper left corner of a state.
    pub(super) fn place(&self, state: State) -> (i32, i32) {
        let (column, row) = self.places.get(&(state as usize)).copied().unwrap_or((0, 0));
        (MARGIN + column * (NODE_WIDTH + GAP_X), MARGIN + row * (NODE_HEIGHT + GAP_Y))
    }

    /// A curve between two states, and where something is said about it.
    pub(super) fn way(&self, from: State, to: State) -> (String, (i32, i32)) {
        let ((x1, y1), (x2, y2)) = (self.place(from), self.place(to));
        let (middle1, middle2) = (y1 + NODE_HEIGHT / 2, y2 + NODE_HEIGHT / 2);
        if x2 > x1 {
            let (start, end) = (x1 + NODE_WIDTH, x2);
            let bend = ((end - start) / 2).max(GAP_X / 2);
            let (one, other) = (start + bend, end - bend);
            let path = format!("M{start} {middle1}C{one} {middle1} {other} {middle2} {} {middle2}", end - 2);
            return (path, ((start + end) / 2, (middle1 + middle2) / 2 - 5));
        }
        if x1 == x2 {
            // Around the right side, further out for what is further away.
            let edge = x1 + NODE_WIDTH;
            let out = edge + 22 + (y2 - y1).abs() / 10;
            let (a, b) = if y2 > y1 { (middle1 + 6, middle2 - 6) } else { (middle1 - 6, middle2 + 6) };
            let path = format!("M{edge} {a}C{out} {a} {out} {b} {} {b}", edge + 2);
            return (path, (edge + 20, (a + b) / 2));
        }
        // Back: from below to below, or above.
        let (a, b) = (x1 + NODE_WIDTH / 2, x2 + NODE_WIDTH / 2);
        let (start, end, pull) = if y2 > y1 { (y1 + NODE_HEIGHT, y2, GAP_Y) } else { (y1, y2 + NODE_HEIGHT, -GAP_Y) };
        let path = if y1 == y2 {
            let (low, out) = (y1 + NODE_HEIGHT, y1 + NODE_HEIGHT + GAP_Y);
            format!("M{a} {low}C{a} {out} {b} {out} {b} {}", low + 2)
        } else {
            format!("M{a} {start}C{a} {} {b} {} {b} {end}", start + pull, end - pull)
        };
        (path, ((a + b) / 2, (start + end) / 2 - 3))
    }
}

fn is_end(definition: &Definition, state: State) -> bool {
    matches!(definition.state(state).kind, StateKind::Ended)
}

/// How many moves lead to each state that is no end, and the shortest way to success, as long as nobody gives the payment
/// up.
fn depths(definition: &Definition) -> (BTreeMap<usize, i32>, Vec<State>) {
    let goal = if definition.kind == Kind::Refund { Goal::Reverse } else { Goal::Capture };
    let (mut depth, mut before) = (BTreeMap::from([(State::Created as usize, 0)]), BTreeMap::new());
    let mut queue = VecDeque::from([State::Created]);
    while let Some(state) = queue.pop_front() {
        for event in <EventKind as strum::VariantArray>::VARIANTS {
            let (Some(Next::To(to) | Next::FailOver(to)), false) =
                (definition.state(state).rule(*event).next(goal), is_end(definition, state))
            else {
                continue;
            };
            // News of what nobody has asked for yet is rare, and no way that one goes on purpose.
            let is_way = state != State::Created || *event == EventKind::AttemptStarted;
            let is_asked = !matches!(event, EventKind::Captured | EventKind::Voided | EventKind::Refunded)
                || !matches!(state, State::Created | State::Authorizing | State::RequiresAction | State::Authorized);
            if !is_way
                || !is_asked
                || to == State::InReview
                || before.contains_key(&(to as usize))
                || to == State::Created
            {
                continue;
            }
            before.insert(to as usize, state);
            if !is_end(definition, to) {
                depth.insert(to as usize, depth[&(state as usize)] + 1);
                queue.push_back(to);
            }
        }
    }
    let mut happy = vec![State::Succeeded];
    while let Some(state) = happy.last().and_then(|state| before.get(&(*state as usize))) {
        happy.push(*state);
    }
    (depth, happy)
}
