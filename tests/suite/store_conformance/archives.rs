//! Archived histories: statements stand in the place of the rows they speak of, or nothing happens at all.

use std::sync::Arc;

use fincore_tests::build;
use workflow::history::{Hash, Prefix};
use workflow::ids::{AuditId, PaymentId};
use workflow::payment::Payment;
use workflow::port::archives::{Statement, history_of};
use workflow::port::audit::{AuditAct, AuditEntry, AuditFilter, AuditOutcome, Via};
use workflow::port::store::{Bounds, Store, Updated};

use super::{apply, one, started};

/// A payment that has ended, with two rows.
async fn ended(store: &Arc<dyn Store>, number: u64) -> Payment {
    let payment = one(store, number).await;
    apply(store, build::end(&payment)).await
}

/// What would stand in the place of its history as that is now.
pub(super) async fn statement(store: &Arc<dyn Store>, payment: &Payment) -> Statement {
    let rows = store.history(payment.id).await.unwrap();
    Statement {
        payment_id: payment.id,
        prefix: Prefix::default().followed_by(payment.id, &rows).unwrap(),
        archived_at: build::at(100),
        file: "histories-1.jsonl.gz".to_owned(),
        file_sha256: Hash::of(b"a file"),
    }
}

pub(super) fn entry(number: u64) -> AuditEntry {
    AuditEntry {
        id: AuditId::new(build::at(100), [number, 1]),
        at: build::at(100),
        actor: "ada".to_owned(),
        role: None,
        act: AuditAct::Note,
        payment_id: None,
        subject: Some("histories-1.jsonl.gz".to_owned()),
        reason: Some("retention".to_owned()),
        outcome: AuditOutcome::Done,
        via: Via::Cli,
        remote: None,
    }
}

async fn entries(store: &Arc<dyn Store>) -> usize {
    store.entries(&AuditFilter::default(), None, 10).await.unwrap().len()
}

fn all() -> Bounds {
    Bounds { above: uuid::Uuid::nil(), below: uuid::Uuid::max() }
}

fincore_tests::on_each_database_and_behind_a_pooler! {
    async fn a_statement_stands_in_the_place_of_the_rows(database: TestDatabase) {
        let store = database.store().await;
        let payment = ended(&store, 1).await;
        let statement = statement(&store, &payment).await;
        assert_eq!(store.statements(&[payment.id]).await.unwrap(), [None]);
        let batch = std::slice::from_ref(&statement);
        assert_eq!(store.archive(batch, &entry(1)).await.unwrap(), [Updated::Applied]);
        let history = history_of(store.as_ref(), payment.id).await.unwrap();
        assert_eq!((history.archived.as_ref(), history.rows.len()), (Some(&statement), 0));
        assert_eq!(entries(&store).await, 1);
        // What comes later is chained to what went.
        let later = apply(&store, build::update(&payment, |_| {})).await;
        let history = history_of(store.as_ref(), payment.id).await.unwrap();
        assert_eq!(history.rows.iter().map(|row| row.seq).collect::<Vec<_>>(), [3]);
        let whole = statement.prefix.clone().followed_by(payment.id, &history.rows).unwrap();
        assert_eq!((whole.seq, whole.hash), (later.seq, later.head_hash));
        let unknown = build::payment_id(9);
        assert_eq!(store.statements(&[unknown, payment.id]).await.unwrap(), [None, Some(statement)]);
        assert_eq!(store.statements(&[]).await.unwrap(), []);
    }

    async fn what_moved_is_open_or_was_archived_is_left_alone(database: TestDatabase) {
        let store = database.store().await;
        let (moved, archived, open) = (ended(&store, 1).await, ended(&store, 2).await, one(&store, 3).await);
        let mut batch = Vec::new();
        for payment in [&moved, &archived, &open] {
            batch.push(statement(&store, payment).await);
        }
        apply(&store, build::update(&moved, |_| {})).await;
        assert_eq!(store.archive(&batch[1..2], &entry(1)).await.unwrap(), [Updated::Applied]);
        assert_eq!(store.archive(&batch, &entry(2)).await.unwrap(), [Updated::Conflict; 3]);
        assert_eq!(entries(&store).await, 1, "nothing happened, so nothing is entered");
        for (payment, rows) in [(&moved, 3), (&archived, 0), (&open, 1)] {
            assert_eq!(store.history(payment.id).await.unwrap().len(), rows);
        }
        let forged = Statement { prefix: Prefix { hash: Hash::of(b"another"), ..batch[0].prefix.clone() }, ..batch[0].clone() };
        assert_eq!(store.archive(&[forged], &entry(3)).await.unwrap(), [Updated::Conflict]);
        assert_eq!(store.archive(&[], &entry(4)).await.unwrap(), []);
        // One of a batch that cannot be kept holds up no other.
        let good = ended(&store, 4).await;
        let batch = [batch[0].clone(), statement(&store, &good).await];
        assert_eq!(store.archive(&batch, &entry(5)).await.unwrap(), [Updated::Conflict, Updated::Applied]);
    }

    async fn histories_that_are_there_are_walked_in_the_order_of_their_ids(database: TestDatabase) {
        let store = database.store().await;
        let payments = started(&store, (1..=5).map(build::payment)).await;
        let ids: Vec<PaymentId> = payments.iter().map(|payment| payment.id).collect();
        let third = apply(&store, build::end(&payments[2])).await;
        store.archive(&[statement(&store, &third).await], &entry(1)).await.unwrap();
        // Its later rows do not make it one whose history is there.
        apply(&store, build::update(&third, |_| {})).await;
        assert_eq!(store.unarchived(all(), 10).await.unwrap(), [ids[0], ids[1], ids[3], ids[4]]);
        assert_eq!(store.unarchived(all(), 2).await.unwrap(), ids[..2]);
        let between = Bounds { above: ids[0].uuid(), below: ids[4].uuid() };
        assert_eq!(store.unarchived(between, 10).await.unwrap(), [ids[1], ids[3]]);
        assert_eq!(store.unarchived(Bounds::accepted_before(build::at(4)), 10).await.unwrap(), [ids[0], ids[1]]);
    }

    async fn what_is_not_archived_cannot_be_deleted_and_statements_stay(database: TestDatabase) {
        let store = database.store().await;
        let (archived, other) = (ended(&store, 1).await, ended(&store, 2).await);
        let last = if database.is_postgres() { "'\\x" } else { "x'" };
        let statement = |payment: &Payment, seq: i64, hash: &str| format!(
            "insert into archived_histories values ({last}{}', {seq}, {last}{hash}', '{{}}', 1, 'f', {last}{hash}')",
            payment.id.uuid().simple(),
        );
        let delete = |payment: &Payment, which: &str| format!(
            "delete from payment_history where payment_id = {last}{}' and {which}", payment.id.uuid().simple(),
        );
        // PostgreSQL's ids are no byte strings.
        let uuid = |sql: String| if database.is_postgres() {
            [&archived, &other].iter().fold(sql, |sql, payment| {
                let id = payment.id.uuid().simple().to_string();
                sql.replace(&format!("'\\x{id}'"), &format!("'{id}'"))
            })
        } else {
            sql
        };
        let first_hash = store.history(archived.id).await.unwrap()[0].hash.to_string();
        database.execute(&uuid(statement(&archived, 2, &first_hash))).await.unwrap();
        for refused in [
            delete(&archived, "seq = 2"),
            delete(&archived, "seq <= 2"),
            delete(&other, "seq = 1"),
            "delete from payment_history".to_owned(),
        ] {
            let told = database.execute(&uuid(refused.clone())).await.expect_err(&refused);
            assert!(told.contains("payment_history is append-only"), "{refused}: {told}");
        }
        // What the statement speaks of, but for the row whose hash it has wrong.
        database.execute(&uuid(delete(&archived, "seq = 1"))).await.unwrap();
        for refused in [
            "update archived_histories set seq = 1".to_owned(),
            "delete from archived_histories".to_owned(),
            if database.is_postgres() {
                "truncate archived_histories".to_owned()
            } else {
                "insert or replace into archived_histories select * from archived_histories".to_owned()
            },
        ] {
            let told = database.execute(&refused).await.expect_err(&refused);
            assert!(told.contains("archived_histories is append-only"), "{refused}: {told}");
        }
        for bad in [statement(&other, 0, &first_hash), statement(&other, 2, "00"), statement(&other, 2, &first_hash).replace("'f'", "'a/f'")] {
            assert!(database.execute(&uuid(bad.clone())).await.unwrap_err().to_lowercase().contains("constraint"), "{bad}");
        }
        assert_eq!(store.history(other.id).await.unwrap().len(), 2);
    }
}
