//! Rows about operators' acts, turned into the core's types.
//!
//! Not here: reading them; the stores do, each in its own way.

#![allow(missing_docs, reason = "the fields are columns; the migrations explain them")]

use uuid::Uuid;

use super::Place;
use crate::ids::{AuditId, PaymentId};
use crate::port::audit::{AuditEntry, AuditOutcome};
use crate::port::pauses::Pause;
use crate::port::store::StoreError;

/// A row of `audit_log`.
pub struct AuditRow {
    pub id: Uuid,
    pub at_us: i64,
    pub actor: String,
    pub role: Option<String>,
    pub act: String,
    pub payment_id: Option<Uuid>,
    pub subject: Option<String>,
    pub reason: Option<String>,
    pub refused_because: Option<String>,
    pub via: String,
    pub remote: Option<String>,
}

impl TryFrom<AuditRow> for AuditEntry {
    type Error = StoreError;

    fn try_from(row: AuditRow) -> Result<Self, StoreError> {
        let id = AuditId::from_uuid(row.id);
        let of = Place { table: "audit_log", row: &id };
        Ok(Self {
            id,
            at: of.instant("at_us", row.at_us)?,
            actor: row.actor,
            role: row.role.map(|role| of.parsed("role", &role)).transpose()?,
            act: of.parsed("act", &row.act)?,
            payment_id: row.payment_id.map(PaymentId::from_uuid),
            subject: row.subject,
            reason: row.reason,
            outcome: row.refused_because.map_or(AuditOutcome::Done, AuditOutcome::Refused),
            via: of.parsed("via", &row.via)?,
            remote: row.remote,
        })
    }
}

/// A row of `psp_pauses`.
pub struct PauseRow {
    pub psp: String,
    pub since_us: i64,
    pub by_whom: String,
    pub why: String,
}

impl TryFrom<PauseRow> for Pause {
    type Error = StoreError;

    fn try_from(row: PauseRow) -> Result<Self, StoreError> {
        let since = Place { table: "psp_pauses", row: &row.psp }.instant("since_us", row.since_us)?;
        Ok(Self { psp: row.psp, since, by: row.by_whom, why: row.why })
    }
}
