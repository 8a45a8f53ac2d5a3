//! The command line of `fincore operators`.

use clap::Subcommand;
use clap::builder::PossibleValuesParser;
use clap::builder::TypedValueParser as _;
use strum::IntoEnumIterator;
use workflow::port::operators::{Role, is_name};

/// People who operate FinCore by its pages at /ops.
#[derive(Subcommand, Debug)]
pub(crate) enum Operators {
    /// Add somebody and print a password for them, once
    Add(AddOperator),
    /// List operators, those who are disabled too
    List(ListOperators),
    /// Let somebody in no more, and end their sessions, now
    Disable(NamedOperator),
    /// Give somebody another password and print it, once; ends their sessions, and lets them in again if they were disabled
    Password(NamedOperator),
}

/// Options of `fincore operators add`.
#[derive(clap::Args, Debug)]
pub(crate) struct AddOperator {
    /// What they are called, in history too: a-z, 0-9, and . _ - + @
    #[arg(value_parser = name)]
    pub(crate) name: String,
    /// What they may do: a reader sees everything, an operator also acts
    #[arg(long, default_value = "reader", value_parser = roles())]
    pub(crate) role: Role,
    /// Without a password: they come through a proxy that knows them (ops_user_header)
    #[arg(long)]
    pub(crate) no_password: bool,
}

/// Options of `fincore operators list`.
#[derive(clap::Args, Debug)]
pub(crate) struct ListOperators {
    /// Print JSON for programs, one operator a line
    #[arg(long)]
    pub(crate) json: bool,
}

/// Whom.
#[derive(clap::Args, Debug)]
pub(crate) struct NamedOperator {
    /// The operator
    #[arg(value_parser = name)]
    pub(crate) name: String,
}

fn roles() -> impl clap::builder::TypedValueParser<Value = Role> {
    PossibleValuesParser::new(Role::iter().map(<&str>::from)).try_map(|name| name.parse::<Role>())
}

fn name(text: &str) -> Result<String, String> {
    let name = text.to_lowercase();
    if is_name(&name) { Ok(name) } else { Err("expected 1 to 64 of a-z, 0-9, and . _ - + @".into()) }
}
