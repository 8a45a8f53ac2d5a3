//! Somebody changes what is archived, the statement of it, or what is left: `fincore verify` notices.

use std::fs;

use fincore_tests::database::TestDatabase;
use workflow::ids::PaymentId;

use super::Archive;

/// Verifies with the files, which must find this broken.
fn is_found(archive: &Archive, expected: &str) {
    let told = archive.program.print(&["verify", "--archive", archive.path()]);
    assert!(!told.is_success && told.text.contains(expected), "{expected}: {}{}", told.text, told.complaint);
}

/// The same without the files.
fn is_found_without_files(archive: &Archive, expected: &str) {
    let told = archive.program.print(&["verify"]);
    assert!(!told.is_success && told.text.contains(expected), "{expected}: {}{}", told.text, told.complaint);
}

/// What an intruder with all rights does.
async fn force(database: &TestDatabase, sql: &str) {
    if database.is_postgres() {
        let tables = ["archived_histories", "payment_history"];
        for table in tables {
            database.execute(&format!("alter table {table} disable trigger user")).await.unwrap();
        }
        database.execute(sql).await.unwrap();
        for table in tables {
            database.execute(&format!("alter table {table} enable trigger user")).await.unwrap();
        }
    } else {
        for trigger in ["archived_histories_append_only_update", "archived_histories_append_only_delete"] {
            database.execute(&format!("drop trigger if exists {trigger}")).await.unwrap();
        }
        database.execute("drop trigger if exists payment_history_append_only_update").await.unwrap();
        database.execute(sql).await.unwrap();
    }
}

/// An archive of one charge.
async fn archived(database: &TestDatabase) -> (Archive, PaymentId) {
    let archive = Archive::over(database).await;
    let id = archive.charges(1).await[0];
    assert_eq!(archive.remove()["removed"], 1);
    archive.verified();
    (archive, id)
}

fincore_tests::on_each_database! {
    async fn a_file_that_is_missing_changed_or_another_is_found(database: TestDatabase) {
        let (archive, id) = archived(&database).await;
        let file = archive.files().remove(0);
        let bytes = fs::read(&file).unwrap();
        let mut changed = bytes.clone();
        changed[bytes.len() / 2] ^= 1;
        fs::write(&file, &changed).unwrap();
        is_found(&archive, "its SHA-256 is");
        fs::remove_file(&file).unwrap();
        is_found(&archive, "the file is missing");
        is_found(&archive, &id.to_string());
        assert!(archive.program.run(&["verify"]).contains("0 broken"), "without the files there is nothing to see");
        fs::write(&file, &bytes).unwrap();
        archive.verified();
        // Named as a file, and beside a folder without it.
        let empty = tempfile::tempdir().unwrap();
        let told = archive.program.run(&["verify", "--archive", empty.path().to_str().unwrap(), file.to_str().unwrap()]);
        assert!(told.contains("0 broken") && told.contains("were recomputed"), "{told}");
        // Whoever changes the statement along with the file changes what the rows come to.
        let other = Archive::over(&database).await;
        other.charges(1).await;
        other.remove();
        let others = other.files().remove(0);
        let name = others.file_name().unwrap().to_str().unwrap();
        let hash = workflow::history::Hash::of(&fs::read(&others).unwrap());
        let hash = if database.is_postgres() { format!("'\\x{hash}'") } else { format!("x'{hash}'") };
        force(&database, &format!("update archived_histories set file = '{name}', file_sha256 = {hash}")).await;
        fs::copy(&others, archive.folder.path().join(name)).unwrap();
        is_found(&archive, "the payment is not in it");
    }

    async fn a_statement_that_was_changed_is_found(database: TestDatabase) {
        let (archive, _) = archived(&database).await;
        for (change, back, expected) in [
            ("seq = seq - 1", "seq = seq + 1", "its history ends at row"),
            ("head_hash = file_sha256", "", "its history ends at row"),
        ] {
            let hash = archive.world.store.walk(None, 1).await.unwrap()[0].head_hash;
            let hash = if database.is_postgres() { format!("'\\x{hash}'") } else { format!("x'{hash}'") };
            let back = if back.is_empty() { format!("head_hash = {hash}") } else { back.to_owned() };
            force(&database, &format!("update archived_histories set {change}")).await;
            is_found_without_files(&archive, expected);
            is_found(&archive, expected);
            force(&database, &format!("update archived_histories set {back}")).await;
            archive.verified();
        }
        // Row and statement agree with each other: only the file tells.
        force(&database, "update archived_histories set told = replace(told, '\"captured\":1200', '\"captured\":1100')").await;
        is_found_without_files(&archive, "amount_captured");
        force(&database, "update payments set amount_captured_minor = 1100").await;
        assert!(archive.program.run(&["verify"]).contains("0 broken"));
        is_found(&archive, "what they tell of the payment differs");
        force(&database, "delete from archived_histories").await;
        is_found_without_files(&archive, "its history ends at row 0");
    }

    async fn a_payment_or_a_row_that_was_changed_behind_an_archive_is_found(database: TestDatabase) {
        let (archive, id) = archived(&database).await;
        for (change, back, expected) in [
            ("amount_captured_minor = 1100", "amount_captured_minor = 1200", "amount_captured"),
            ("amount_minor = 1300", "amount_minor = 1200", "amount_minor"),
            ("payment_method = 'pm_other'", "payment_method = 'pm_card_visa'", "payment_method"),
            ("state = 'failed'", "state = 'succeeded'", "in state failed"),
        ] {
            database.execute(&format!("update payments set {change}")).await.unwrap();
            is_found_without_files(&archive, expected);
            database.execute(&format!("update payments set {back}")).await.unwrap();
        }
        for event in archive.world.events(id).await {
            archive.world.deliver(&event).await;
        }
        archive.verified();
        force(&database, "update payment_history set actor = 'operator:nobody'").await;
        is_found_without_files(&archive, "was changed after it was written");
    }

    async fn what_does_not_verify_is_not_archived_and_the_rest_is(database: TestDatabase) {
        let archive = Archive::over(&database).await;
        let [good, bad, changed] = archive.charges(3).await[..] else { panic!() };
        let of = |id: PaymentId| {
            let id = id.uuid().simple();
            if database.is_postgres() { format!("'{id}'") } else { format!("x'{id}'") }
        };
        force(&database, &format!("update payment_history set actor = 'x' where seq = 2 and payment_id = {}", of(bad))).await;
        force(&database, &format!("update payments set amount_captured_minor = 1 where id = {}", of(changed))).await;
        let printed = archive.print(&super::REMOVE);
        assert_eq!(printed.code, Some(1), "{}", printed.text);
        assert!(printed.text.contains("1 removed from the database") && printed.text.contains("2 broken and left"), "{}", printed.text);
        for (id, why) in [(bad, "row 2 was changed"), (changed, "amount_captured")] {
            assert!(printed.complaint.contains(&format!("{id}  left as it is")) && printed.complaint.contains(why), "{}", printed.complaint);
            assert!(!archive.world.store.history(id).await.unwrap().is_empty());
        }
        assert!(archive.world.store.history(good).await.unwrap().is_empty());
    }
}
