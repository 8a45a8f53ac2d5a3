//! The workflow as a picture: laid out from the definition, with the way a payment took lit and the times on it, or with how
//! many payments are where.
//!
//! The layout follows from the table alone. The way of a charge that nothing goes wrong with is the top line; every other
//! state stands below, in the column of how many moves it takes to get there; ends stand in the last column, and review
//! at the bottom. Not here: SVG (`templates/diagram.html`).

mod layout;

use std::collections::BTreeMap;

use jiff::Timestamp;
use strum::VariantArray as _;
use workflow::definition::{Definition, State};
use workflow::diagram::moves;
use workflow::history::HistoryRow;
use workflow::port::overview::Standing;
use workflow::timeline::duration;

use crate::humane::{between_ms, count, tone, words};
use layout::Layout;

pub(crate) const NODE_WIDTH: i32 = 140;
pub(crate) const NODE_HEIGHT: i32 = 40;

/// See the head of this file.
pub(crate) struct Diagram {
    pub(crate) width: i32,
    pub(crate) height: i32,
    pub(crate) nodes: Vec<Node>,
    pub(crate) arrows: Vec<Arrow>,
    /// The same in words.
    pub(crate) told: String,
}

/// A state.
pub(crate) struct Node {
    pub(crate) x: i32,
    pub(crate) y: i32,
    pub(crate) name: String,
    pub(crate) under: String,
    /// How far down the name stands.
    pub(crate) baseline: i32,
    pub(crate) tone: &'static str,
    /// `here`, `past`, or nothing.
    pub(crate) light: &'static str,
    pub(crate) told: String,
}

/// A way from one state to another.
pub(crate) struct Arrow {
    pub(crate) path: String,
    pub(crate) is_lit: bool,
    pub(crate) told: String,
    pub(crate) label: String,
    pub(crate) label_x: i32,
    pub(crate) label_y: i32,
}

/// What is said of a state in the picture.
#[derive(Default)]
struct Caption {
    under: String,
    light: &'static str,
}

/// A way that was taken.
#[derive(Default)]
struct Taken {
    times: usize,
    after_ms: i64,
    events: Vec<&'static str>,
}

/// The picture of a version, with how many payments are where.
pub(crate) fn of_standings(definition: &Definition, standings: &[&Standing]) -> Diagram {
    let captions = standings
        .iter()
        .map(|standing| (standing.state as usize, Caption { under: count(standing.count), light: "past" }));
    draw(definition, captions.collect(), BTreeMap::new())
}

/// The picture of one payment: where it went, and how long it stayed.
pub(crate) fn of_history(definition: &Definition, rows: &[HistoryRow], now: Timestamp) -> Diagram {
    let mut taken: BTreeMap<(usize, usize), Taken> = BTreeMap::new();
    let mut stayed_ms: BTreeMap<usize, i64> = BTreeMap::new();
    let Some(first) = rows.first() else { return draw(definition, BTreeMap::new(), taken) };
    let (mut here, mut since) = (first.fact.to, first.fact.at);
    for row in rows.iter().filter(|row| row.fact.from.is_some_and(|from| from != row.fact.to)) {
        let stay = between_ms(since, row.fact.at);
        let way = taken.entry((here as usize, row.fact.to as usize)).or_default();
        way.times += 1;
        way.after_ms += stay;
        way.events.push(row.fact.event.into());
        *stayed_ms.entry(here as usize).or_default() += stay;
        (here, since) = (row.fact.to, row.fact.at);
    }
    let mut captions: BTreeMap<usize, Caption> =
        stayed_ms.into_iter().map(|(state, ms)| (state, Caption { under: duration(ms), light: "past" })).collect();
    let under = if workflow::definition::has_ended(here) {
        "ended here".to_owned()
    } else {
        format!("for {}", duration(between_ms(since, now).max(0)))
    };
    captions.insert(here as usize, Caption { under, light: "here" });
    draw(definition, captions, taken)
}

fn draw(
    definition: &Definition,
    mut captions: BTreeMap<usize, Caption>,
    mut taken: BTreeMap<(usize, usize), Taken>,
) -> Diagram {
    let layout = Layout::of(definition);
    let mut told = Vec::new();
    let node = |state: State| {
        let Caption { under, light } = captions.remove(&(state as usize)).unwrap_or_default();
        let (x, y) = layout.place(state);
        let (name, operators) = (words(state.into()), definition.state(state).operators);
        let baseline = if under.is_empty() { 24 } else { 17 };
        Node { x, y, baseline, tone: tone(state), light, told: format!("{name}: {operators}"), name, under }
    };
    let nodes: Vec<Node> = definition.reached().map(|row| row.state).map(node).collect();
    for node in nodes.iter().filter(|node| !node.under.is_empty()) {
        told.push(format!("{} {}", node.name, node.under));
    }
    let mut arrows = Vec::new();
    for (from, to, events) in moves(definition) {
        if !taken.contains_key(&(from as usize, to as usize)) {
            arrows.push(arrow(&layout, from, to, &events, None));
        }
    }
    // Those that were taken last: they lie above the others.
    while let Some(((from, to), way)) = taken.pop_first() {
        let (from, to) = (State::VARIANTS[from], State::VARIANTS[to]);
        arrows.push(arrow(&layout, from, to, &[], Some(&way)));
    }
    let told = if told.is_empty() { "no payment is here".to_owned() } else { told.join(", ") };
    Diagram { width: layout.width(), height: layout.height(), nodes, arrows, told }
}

fn arrow(layout: &Layout, from: State, to: State, events: &[String], taken: Option<&Taken>) -> Arrow {
    let (path, (label_x, label_y)) = layout.way(from, to);
    let label = taken.map(|way| match way.times {
        1 => duration(way.after_ms),
        times => format!("{times}×, {}", duration(way.after_ms)),
    });
    let events = taken.map_or_else(|| events.join(", "), |way| way.events.join(", "));
    let told = format!("{} → {}: {}", words(from.into()), words(to.into()), words(&events));
    Arrow { path, is_lit: taken.is_some(), told, label: label.unwrap_or_default(), label_x, label_y }
}

#[cfg(test)]
mod tests {
    use workflow::definition::{CHARGE, REFUND};

    use super::*;

    #[test]
    fn every_state_of_every_version_has_a_place_of_its_own_within_the_picture() {
        for definition in CHARGE.iter().chain(&REFUND) {
            let diagram = of_standings(definition, &[]);
            assert_eq!(diagram.nodes.len(), definition.reached().count());
            let mut places: Vec<_> = diagram.nodes.iter().map(|node| (node.x, node.y)).collect();
            places.sort_unstable();
            places.dedup();
            assert_eq!(places.len(), diagram.nodes.len(), "two states stand in one place");
            assert!(diagram.nodes.iter().all(|node| {
                node.x >= 0 && node.x + NODE_WIDTH <= diagram.width && node.y + NODE_HEIGHT <= diagram.height
            }));
        }
    }

    #[test]
    fn the_way_that_nothing_goes_wrong_on_is_the_top_line() {
        let diagram = of_standings(CHARGE[0], &[]);
        let top = |name: &str| diagram.nodes.iter().find(|node| node.name == name).unwrap().y;
        for name in ["created", "authorizing", "finalizing", "succeeded"] {
            assert_eq!(top(name), top("created"), "{name}");
        }
        assert!(top("in review") > top("expired"));
    }
}
