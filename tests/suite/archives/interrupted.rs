//! A run that is stopped at any moment: nothing is lost, and the next run goes on.

use std::fs;
use std::time::Duration;

use fincore_tests::database::TestDatabase;
use rand::{RngExt, SeedableRng};
use sqlx::{Connection, SqliteConnection};

use super::{Archive, REMOVE, lines};

/// Kills while one archive is made, and the charges in it.
const KILLS: usize = 6;
const CHARGES: usize = 10;

/// How long a process may take for what it is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// Somebody who holds what a removal has to write, so that it cannot come about.
enum Holder {
    Postgres(Box<sqlx::PgConnection>),
    Sqlite(SqliteConnection),
}

impl Holder {
    async fn of(database: &TestDatabase) -> Self {
        if database.is_postgres() {
            let held = database.open_transaction("lock table archived_histories in access exclusive mode").await;
            return Self::Postgres(Box::new(held));
        }
        let mut connection = database.sqlite_connection().await;
        sqlx::raw_sql("begin immediate").execute(&mut connection).await.unwrap();
        Self::Sqlite(connection)
    }

    async fn let_go(self) {
        match self {
            Self::Postgres(connection) => connection.close().await.unwrap(),
            Self::Sqlite(connection) => connection.close().await.unwrap(),
        }
    }
}

fn start(archive: &Archive, more: &[&str]) -> fincore_tests::process::Running {
    let words = archive.words(&[&REMOVE[..], more].concat());
    archive.program.start(&words.iter().map(String::as_str).collect::<Vec<_>>())
}

fincore_tests::on_each_database! {
    async fn killed_between_the_file_and_the_removal_nothing_is_lost(database: TestDatabase) {
        let archive = Archive::over(&database).await;
        archive.charges(4).await;
        let rows = database.number("select count(*) from payment_history").await;
        let holder = Holder::of(&database).await;
        let running = start(&archive, &["--per-file", "2"]);
        let is_there = async {
            while !archive.files().iter().any(|file| file.extension().is_some_and(|extension| extension == "gz")) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, is_there).await.expect("the file comes first");
        running.kill();
        holder.let_go().await;
        let file = archive.files().remove(0);
        let bytes = fs::read(&file).unwrap();
        assert_eq!(database.number("select count(*) from payment_history").await, rows);
        assert_eq!(database.number("select count(*) from archived_histories").await, 0);
        assert!(archive.program.run(&["verify", "--archive", archive.path()]).contains("0 broken"));
        let told = archive.run(&[&REMOVE[..], &["--per-file", "2"]].concat());
        assert_eq!(told["removed"], 4);
        assert_eq!(fs::read(&file).unwrap(), bytes, "the same histories make the same file");
        assert_eq!(archive.files().len(), 2);
        archive.verified();
    }

    async fn stopped_in_the_middle_the_next_run_goes_on(database: TestDatabase) {
        let archive = Archive::over(&database).await;
        let ids = archive.charges(6).await;
        let fifth = ids[4].uuid().simple();
        // The disk is full, the server is gone: in the third of three transactions, of which nothing may stay.
        let (break_it, mend_it) = if database.is_postgres() {
            let check = format!("alter table archived_histories add constraint full_disk check (payment_id <> '{fifth}')");
            (check, "alter table archived_histories drop constraint full_disk")
        } else {
            let trigger = format!(
                "create trigger full_disk before insert on archived_histories when new.payment_id = x'{fifth}'
                begin select raise(abort, 'full_disk'); end"
            );
            (trigger, "drop trigger full_disk")
        };
        database.execute(&break_it).await.unwrap();
        let printed = archive.print(&[&REMOVE[..], &["--per-file", "2"]].concat());
        assert!(!printed.is_success, "{}", printed.text);
        assert_eq!(database.number("select count(*) from archived_histories").await, 4);
        assert_eq!(database.number("select count(*) from audit_log").await, 2);
        assert_eq!(database.number("select count(distinct payment_id) from payment_history").await, 2);
        assert_eq!(archive.files().len(), 3, "the third is there, and nothing of it is removed");
        archive.verified();
        database.execute(mend_it).await.unwrap();
        // In other pieces than before: what a file has that no statement names does no harm.
        let told = archive.run(&[&REMOVE[..], &["--per-file", "1"]].concat());
        assert_eq!((&told["removed"], archive.files().len()), (&2.into(), 5));
        assert!(archive.verified().contains("of 6 payments were recomputed"));
    }

    async fn killed_at_any_moment_each_history_is_in_the_database_or_in_a_file(database: TestDatabase) {
        let archive = Archive::over(&database).await;
        let ids = archive.charges(CHARGES).await;
        let rows = database.number("select count(*) from payment_history").await;
        let seed: u64 = rand::random();
        eprintln!("seed {seed}");
        let mut rng = rand::rngs::StdRng::seed_from_u64(seed);
        for _ in 0..KILLS {
            let running = start(&archive, &["--per-file", "1"]);
            tokio::time::sleep(Duration::from_millis(rng.random_range(20..400))).await;
            running.kill();
            archive.verified();
            let left = database.number("select count(*) from payment_history").await;
            let removed = database.number("select cast(coalesce(sum(seq), 0) as bigint) from archived_histories").await;
            assert_eq!(left + removed, rows);
        }
        archive.remove();
        assert!(archive.verified().contains(&format!("{rows} archived rows of {CHARGES} payments were recomputed")));
        let files = archive.files();
        let gz = files.iter().filter(|file| file.extension().is_some_and(|extension| extension == "gz"));
        let mut found: Vec<String> = gz
            .flat_map(|file| lines(file))
            .map(|line| line["payment"].as_str().unwrap().to_owned())
            .collect();
        found.sort();
        found.dedup();
        let mut expected: Vec<String> = ids.iter().map(ToString::to_string).collect();
        expected.sort();
        assert_eq!(found, expected);
    }
}
