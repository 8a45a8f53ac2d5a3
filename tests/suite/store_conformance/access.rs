//! Operators and their sessions are kept, and tries to log in are counted once, whoever counts.

use fincore_tests::build::at;
use jiff::{SignedDuration, Timestamp};
use strum::IntoEnumIterator as _;
use workflow::history::Hash;
use workflow::ids::OperatorId;
use workflow::port::operators::{Added, LoginLimit, Operator, PasswordHash, Role, Session, Tried};

const LIMIT: LoginLimit = LoginLimit { burst: 3, every: SignedDuration::from_secs(10) };

fn operator(number: u64, name: &str, role: Role) -> Operator {
    Operator {
        id: OperatorId::new(at(0), [number, 9]),
        name: name.to_owned(),
        role,
        password_hash: Some(PasswordHash::stored("$argon2id$v=19$m=1,t=1,p=1$c2FsdA$aGFzaA".to_owned())),
        created_at: at(0),
        disabled_at: None,
    }
}

fn session(operator: &Operator, token: &str, seen_at: Timestamp) -> Session {
    Session { token_hash: Hash::of(token.as_bytes()), operator_id: operator.id, created_at: at(0), seen_at }
}

fincore_tests::on_each_database_and_behind_a_pooler! {
    async fn an_operator_is_kept_and_a_name_belongs_to_one_for_ever(database: TestDatabase) {
        database.migrate().await;
        let store = database.desk().await.operators;
        for (role, number) in Role::iter().zip(1..) {
            let kept = operator(number, &format!("b{number}"), role);
            assert_eq!(store.add_operator(&kept).await.unwrap(), Added::Yes);
            assert_eq!(store.operator(&kept.name).await.unwrap(), Some(kept));
        }
        let proxied = Operator { password_hash: None, ..operator(7, "a@example.com", Role::Reader) };
        assert_eq!(store.add_operator(&proxied).await.unwrap(), Added::Yes);
        let gone = Operator { disabled_at: Some(at(5)), role: Role::Operator, ..proxied.clone() };
        store.change_operator(&gone).await.unwrap();
        assert_eq!(store.add_operator(&operator(8, "a@example.com", Role::Reader)).await.unwrap(), Added::NameTaken);
        assert_eq!(store.operator("a@example.com").await.unwrap(), Some(gone.clone()));
        assert_eq!(store.operator("nobody").await.unwrap(), None);
        let names: Vec<String> = store.operators(10).await.unwrap().into_iter().map(|kept| kept.name).collect();
        assert_eq!(names, ["a@example.com", "b1", "b2"]);
        assert_eq!(store.operators(1).await.unwrap(), [gone]);
    }

    async fn only_argon2id_is_stored_and_only_roles_we_know(database: TestDatabase) {
        database.migrate().await;
        let store = database.desk().await.operators;
        let plain = PasswordHash::stored("a password in the clear".to_owned());
        let careless = Operator { password_hash: Some(plain), ..operator(1, "a", Role::Reader) };
        assert!(store.add_operator(&careless).await.is_err());
        store.add_operator(&operator(1, "a", Role::Reader)).await.unwrap();
        let told = database.execute("update operators set role = 'root'").await.unwrap_err();
        assert!(told.contains("operators_role_known"), "{told}");
    }

    async fn a_session_is_found_by_its_token_until_it_or_its_operator_changes(database: TestDatabase) {
        database.migrate().await;
        let store = database.desk().await.operators;
        let (ada, bob) = (operator(1, "ada", Role::Operator), operator(2, "bob", Role::Reader));
        for operator in [&ada, &bob] {
            store.add_operator(operator).await.unwrap();
        }
        let (of_ada, of_bob, second) = (session(&ada, "1", at(0)), session(&bob, "2", at(0)), session(&bob, "3", at(0)));
        for session in [&of_ada, &of_bob, &second] {
            store.open_session(session, at(-10)).await.unwrap();
        }
        assert_eq!(store.session(of_ada.token_hash).await.unwrap(), Some((of_ada, ada.clone())));
        assert_eq!(store.session(Hash::of(b"4")).await.unwrap(), None);
        store.session_seen(of_ada.token_hash, at(60)).await.unwrap();
        store.session_seen(of_ada.token_hash, at(30)).await.unwrap();
        let seen = Session { seen_at: at(60), ..of_ada };
        assert_eq!(store.session(of_ada.token_hash).await.unwrap(), Some((seen, ada)), "time goes one way");
        store.close_session(of_bob.token_hash).await.unwrap();
        assert_eq!(store.session(of_bob.token_hash).await.unwrap(), None);
        store.change_operator(&Operator { role: Role::Operator, ..bob }).await.unwrap();
        assert_eq!(store.session(second.token_hash).await.unwrap(), None, "a change of the operator ends it");
        assert!(store.session(of_ada.token_hash).await.unwrap().is_some());
    }

    async fn old_sessions_are_forgotten_with_the_next_one(database: TestDatabase) {
        database.migrate().await;
        let store = database.desk().await.operators;
        let ada = operator(1, "ada", Role::Operator);
        store.add_operator(&ada).await.unwrap();
        let (old, recent) = (session(&ada, "1", at(0)), session(&ada, "2", at(50)));
        store.open_session(&old, at(-10)).await.unwrap();
        store.open_session(&recent, at(-10)).await.unwrap();
        store.open_session(&session(&ada, "3", at(100)), at(50)).await.unwrap();
        assert_eq!(store.session(old.token_hash).await.unwrap(), None);
        assert!(store.session(recent.token_hash).await.unwrap().is_some());
    }

    async fn tries_are_counted_up_to_the_burst_and_come_back_with_time(database: TestDatabase) {
        database.migrate().await;
        let store = database.desk().await.operators;
        let (name, other) = (Hash::of(b"ada"), Hash::of(b"bob"));
        let mut told = Vec::new();
        for seconds in [0, 0, 0, 0, 9, 10, 10, 1_000, 1_000] {
            told.push((seconds, store.try_login(name, LIMIT, at(seconds)).await.unwrap()));
        }
        let refused: Vec<i64> = told.iter().filter(|(_, tried)| *tried == Tried::TooOften).map(|(at, _)| *at).collect();
        assert_eq!(refused, [0, 9, 10]);
        assert_eq!(store.try_login(other, LIMIT, at(1_000)).await.unwrap(), Tried::Allowed);
        assert_eq!(store.try_login(name, LIMIT, at(1_000)).await.unwrap(), Tried::Allowed);
        assert_eq!(store.try_login(name, LIMIT, at(1_000)).await.unwrap(), Tried::TooOften);
        store.forgive_login(name).await.unwrap();
        assert_eq!(store.try_login(name, LIMIT, at(1_000)).await.unwrap(), Tried::Allowed);
    }

    async fn no_more_than_the_burst_get_through_side_by_side(database: TestDatabase) {
        database.migrate().await;
        let (one, other) = (database.desk().await.operators, database.desk().await.operators);
        let tries = (0..12).map(|number| {
            let store = if number % 2 == 0 { &one } else { &other };
            store.try_login(Hash::of(b"ada"), LIMIT, at(0))
        });
        let tried = futures_util::future::join_all(tries).await;
        let allowed = tried.into_iter().filter(|tried| matches!(tried, Ok(Tried::Allowed))).count();
        assert_eq!(allowed, 3);
    }
}
