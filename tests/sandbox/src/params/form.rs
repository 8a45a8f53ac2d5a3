//! A form or query as Stripe writes it: `name=…`, `name[key]=…`, `name[]=…`.
//!
//! Not here: which names a route knows (`params`).

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use crate::error::ApiError;
use crate::limits;

/// The decoded pairs, sorted by name; the last of two equal names wins.
#[derive(Debug)]
pub(crate) struct Form(Vec<(String, String)>);

impl Form {
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, ApiError> {
        let mut pairs: Vec<(String, String)> = serde_html_form::from_bytes(bytes)
            .map_err(|error| ApiError::malformed(format!("Invalid form-encoded request: {error}")))?;
        pairs.sort_by(|one, other| one.0.cmp(&other.0));
        Ok(Self(pairs))
    }

    /// What an idempotency key is bound to: the route and its parameters, in any order.
    pub(crate) fn fingerprint(&self, path: &str) -> [u8; 32] {
        let mut hash = Sha256::new();
        for text in [path].into_iter().chain(self.0.iter().flat_map(|(name, value)| [name.as_str(), value])) {
            hash.update(text.len().to_le_bytes());
            hash.update(text);
        }
        hash.finalize().into()
    }

    /// Refuses any name that is in none of the lists.
    pub(crate) fn allow(&self, lists: &[&[&str]]) -> Result<(), ApiError> {
        match self.0.iter().find(|(name, _)| !lists.iter().any(|list| list.contains(&stem(name)))) {
            None => Ok(()),
            Some((name, _)) => Err(ApiError::invalid_code(
                "parameter_unknown",
                stem(name),
                format!("Received unknown parameter: {}", stem(name)),
            )),
        }
    }

    /// A plain value; an empty one counts as absent, as at Stripe.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        let pair = self.0.iter().rev().find(|pair| pair.0 == name)?;
        Some(pair.1.as_str()).filter(|value| !value.is_empty())
    }

    pub(crate) fn required(&self, name: &'static str) -> Result<&str, ApiError> {
        self.text(name).ok_or_else(|| {
            ApiError::invalid_code("parameter_missing", name, format!("Missing required param: {name}."))
        })
    }

    /// `true` or `false`; absent is `false`.
    pub(crate) fn flag(&self, name: &'static str) -> Result<bool, ApiError> {
        match self.text(name) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(other) => Err(ApiError::invalid(name, format!("Invalid boolean: {other}"))),
        }
    }

    pub(crate) fn one_of(&self, name: &'static str, values: &[&str]) -> Result<Option<String>, ApiError> {
        match self.text(name) {
            None => Ok(None),
            Some(value) if values.contains(&value) => Ok(Some(value.to_owned())),
            Some(value) => Err(ApiError::invalid(
                name,
                format!("Invalid {name}: must be one of {}; got {value}", values.join(", ")),
            )),
        }
    }

    /// The values of `name[]=…` and `name[0]=…`.
    pub(crate) fn list(&self, name: &str) -> Vec<&str> {
        self.0.iter().filter(|pair| stem(&pair.0) == name).map(|pair| pair.1.as_str()).collect()
    }

    /// The pairs of `metadata[key]=…`; an empty value leaves its key out.
    pub(crate) fn metadata(&self) -> Result<BTreeMap<String, String>, ApiError> {
        let mut entries = BTreeMap::new();
        for (name, value) in self.0.iter().filter(|pair| stem(&pair.0) == "metadata") {
            let key = name.strip_prefix("metadata[").and_then(|rest| rest.strip_suffix(']'));
            let Some(key) = key.filter(|key| !key.is_empty() && !key.contains(['[', ']'])) else {
                return Err(ApiError::invalid("metadata", "Invalid hash: metadata".to_owned()));
            };
            if !value.is_empty() {
                entries.insert(key.to_owned(), value.clone());
            }
        }
        if entries.len() > limits::METADATA_ENTRIES {
            return Err(ApiError::invalid("metadata", "Metadata can have up to 50 keys.".to_owned()));
        }
        Ok(entries)
    }
}

/// The part of a name before its brackets.
fn stem(name: &str) -> &str {
    name.split_once('[').map_or(name, |(stem, _)| stem)
}
