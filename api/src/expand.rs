//! What can be asked for beside a charge or a refund in the same answer, with `?expand=`.
//!
//! To add a thing, add its word to [`Expansion`], its field to the views of the core, and how it is read here. Not here:
//! lists. What is read for one payment would be read a hundred times for a page.

use std::collections::BTreeSet;

use serde::Serialize;
use strum::{EnumString, IntoStaticStr};
use utoipa::ToSchema;
use workflow::payment::Payment;
use workflow::port::archives;

use crate::App;
use crate::problem::Problem;
use crate::routes;
use crate::view::{self, HistoryListView};

/// What a payment is to be shown with.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, ToSchema, EnumString, IntoStaticStr, strum::EnumIter,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub(crate) enum Expansion {
    /// All that happened to it, in `history`.
    History,
}

/// Everything a payment is to be shown with.
pub(crate) type Expansions = BTreeSet<Expansion>;

/// The body that shows a payment with what was asked for, all of one moment.
pub(crate) async fn show(app: &App, payment: &Payment, with: &Expansions) -> Result<String, Problem> {
    let mut history = None;
    for expansion in with {
        match expansion {
            Expansion::History => {
                let mut stored = archives::history_of(app.engine.store().as_ref(), payment.id).await?;
                // What was written since the payment was read belongs to a later answer.
                stored.rows.retain(|row| row.seq <= payment.seq);
                history = Some(stored);
            }
        }
    }
    let url = format!("{}/history", routes::path_of(payment.id));
    Ok(view::expanded(payment, history.as_ref().map(|stored| HistoryListView::of(stored, url))))
}

#[cfg(test)]
mod tests {
    use strum::IntoEnumIterator;

    use super::*;
    use crate::fields;

    #[test]
    fn a_refusal_lists_all_that_there_is() {
        let listed: Vec<_> = fields::expected("expand").split('`').skip(1).step_by(2).collect();
        assert_eq!(listed, Expansion::iter().map(<&str>::from).collect::<Vec<_>>());
    }
}
