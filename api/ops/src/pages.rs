//! The pages, one file each: what it reads, and how it is told. What surrounds them all is here.
//!
//! A page reads and shows; what it offers to do is a form whose handler stands beside it.

pub(crate) mod acts;
pub(crate) mod assets;
pub(crate) mod audit;
pub(crate) mod definition;
pub(crate) mod letters;
pub(crate) mod overview;
pub(crate) mod payment;
pub(crate) mod payments;
pub(crate) mod psps;
pub(crate) mod redrive;
pub(crate) mod webhooks;

use crate::access::Visitor;

/// Which part of the pages this is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Section {
    Overview,
    Payments,
    DeadLetters,
    Webhooks,
    Definition,
    Psps,
    Audit,
}

/// An entry of the navigation.
pub(crate) struct Entry {
    pub(crate) name: &'static str,
    pub(crate) path: &'static str,
    pub(crate) is_here: bool,
}

/// What surrounds every page.
pub(crate) struct Frame {
    pub(crate) title: String,
    pub(crate) section: Section,
    pub(crate) operator: String,
    pub(crate) role: &'static str,
    pub(crate) may_act: bool,
    pub(crate) csrf: String,
    /// What was searched for.
    pub(crate) search: String,
}

impl Frame {
    pub(crate) fn of(visitor: &Visitor, section: Section, title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            section,
            operator: visitor.operator.name.clone(),
            role: visitor.operator.role.into(),
            may_act: visitor.may_act(),
            csrf: visitor.csrf.clone(),
            search: String::new(),
        }
    }

    pub(crate) fn entries(&self) -> Vec<Entry> {
        let all = [
            (Section::Overview, "Overview", "/ops"),
            (Section::Payments, "Payments", "/ops/payments"),
            (Section::DeadLetters, "Dead letters", "/ops/dead-letters"),
            (Section::Webhooks, "Webhooks", "/ops/webhooks"),
            (Section::Psps, "PSPs", "/ops/psps"),
            (Section::Definition, "Definition", "/ops/definition"),
            (Section::Audit, "Audit", "/ops/audit"),
        ];
        all.into_iter().map(|(section, name, path)| Entry { name, path, is_here: section == self.section }).collect()
    }

    pub(crate) fn style(&self) -> &'static str {
        assets::style_path()
    }

    pub(crate) fn script(&self) -> &'static str {
        assets::script_path()
    }
}
