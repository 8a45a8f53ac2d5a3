//! What is in `deploy/container` and `deploy/single-host`, by those who know such files; and the Lambda function under a runtime
//! API of somebody else's.
//!
//! Not here: building an image, which needs a builder of images, and starting units, which needs systemd as the first process.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use fincore_tests::database::TestDatabase;
use fincore_tests::package;
use fincore_tests::process::{Program, free_port};
use fincore_tests::site::PATIENCE;
use fincore_tests::third_party::Tools;
use fincore_tests::world::{SECRET_KEY, WEBHOOK_SECRET, http_client};
use serde_json::{Value, json};

const FINCORE: &str = env!("CARGO_BIN_EXE_fincore-under-test");
/// What systemd gives a unit as its state directory.
const STATE: &str = "/var/lib/fincore";

fn deploy(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy").join(path).canonicalize().unwrap()
}

/// A copy with a mistake, to see that it is found.
fn with_a_mistake(folder: &Path, path: &str, right: &str, wrong: &str) -> PathBuf {
    let text = std::fs::read_to_string(deploy(path)).unwrap();
    assert!(text.contains(right), "{path} does not say {right}");
    let copy = folder.join(Path::new(path).file_name().unwrap());
    std::fs::write(&copy, text.replace(right, wrong)).unwrap();
    copy
}

#[tokio::test]
async fn the_container_file_has_nothing_that_a_linter_minds() {
    let (Some(tools), wrong) = (Tools::find(), tempfile::tempdir().unwrap()) else { return };
    assert_eq!(tools.hadolint(&deploy("container/Containerfile")).await, "");
    let wrong = with_a_mistake(wrong.path(), "container/Containerfile", "WORKDIR /fincore", "WORKDIR fincore");
    assert!(tools.hadolint(&wrong).await.contains("DL3000"));
}

#[tokio::test]
async fn the_compose_file_is_one_by_the_specification() {
    let (Some(tools), wrong) = (Tools::find(), tempfile::tempdir().unwrap()) else { return };
    assert_eq!(tools.compose_schema(&deploy("single-host/compose.yaml")).await, "");
    let wrong = with_a_mistake(wrong.path(), "single-host/compose.yaml", "stop_grace_period", "stop_grace");
    assert!(tools.compose_schema(&wrong).await.contains("stop_grace"));
}

#[test]
fn the_units_are_understood_and_take_rights_away() {
    let Some(_tools) = Tools::find() else { return };
    let analyze = |arguments: &[&str]| {
        let output = Command::new("systemd-analyze").args(arguments).output().expect("xtask installs it");
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        (output.status.success(), said)
    };
    let security = |unit: &Path, threshold: &str| {
        let unit = unit.to_str().unwrap();
        analyze(&["security", "--no-pager", "--offline=true", &format!("--threshold={threshold}"), unit])
    };
    // This machine has no such program where the units name it.
    let verify = |unit: &Path| {
        let (_, said) = analyze(&["verify", "--man=no", unit.to_str().unwrap()]);
        said.lines().filter(|line| !line.contains("/usr/bin/fincore is not executable")).collect::<String>()
    };
    for unit in ["fincore.service", "fincore-backup.service", "fincore-backup.timer"] {
        assert_eq!(verify(&deploy(&format!("single-host/systemd/{unit}"))), "");
    }
    for (unit, threshold) in [("fincore.service", "15"), ("fincore-backup.service", "30")] {
        let (fine, said) = security(&deploy(&format!("single-host/systemd/{unit}")), threshold);
        assert!(fine, "{unit}: {said}");
    }
    let wrong = tempfile::tempdir().unwrap();
    let wrong = with_a_mistake(wrong.path(), "single-host/systemd/fincore.service", "CapabilityBoundingSet=\n", "");
    assert!(!security(&wrong, "15").0, "what is taken out is missed");
    let folder = wrong.parent().unwrap();
    let wrong = with_a_mistake(folder, "single-host/systemd/fincore.service", "ProtectHome", "ProtectHoem");
    assert!(verify(&wrong).contains("ProtectHoem"));
}

/// `NAME=value` lines of a unit or an environment file.
fn assignments(path: &str) -> Vec<(String, String)> {
    let text = std::fs::read_to_string(deploy(path)).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once('='));
    lines.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// Their commands with their settings, in a folder in the place of the one that systemd makes.
#[tokio::test]
async fn the_units_commands_do_what_they_are_for_with_the_settings_beside_them() {
    let state = tempfile::tempdir().unwrap();
    let folder = state.path().to_str().unwrap();
    let mut env: BTreeMap<String, String> = assignments("single-host/fincore.env").into_iter().collect();
    let listen = format!("127.0.0.1:{}", free_port());
    assert_eq!(env.insert("FINCORE_LISTEN".to_owned(), listen.clone()).as_deref(), Some("127.0.0.1:8080"));
    for (name, secret) in [("SECRET_KEY", SECRET_KEY), ("WEBHOOK_SECRET", WEBHOOK_SECRET)] {
        assert_eq!(env.insert(format!("FINCORE_STRIPE_{name}"), secret.to_owned()).as_deref(), Some(""));
    }
    let named = env.into_iter().map(|(name, value)| (&*name.leak(), value.replace(STATE, folder))).collect();
    let program = Program { binary: FINCORE, env: named };
    let unit: BTreeMap<_, _> = assignments("single-host/systemd/fincore.service").into_iter().collect();
    let command = |of: &str| -> Vec<String> {
        let words = unit[of].strip_prefix("/usr/bin/fincore ").expect("the program's place");
        words.split(' ').map(str::to_owned).collect()
    };
    let [before, main] = ["ExecStartPre", "ExecStart"].map(command);
    program.run(&before.iter().map(String::as_str).collect::<Vec<_>>());
    let running = program.start(&main.iter().map(String::as_str).collect::<Vec<_>>());
    let ready = async {
        let url = format!("http://{listen}/readyz");
        while !http_client().get(&url).send().await.is_ok_and(|answer| answer.status().is_success()) {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, ready).await.expect("it serves");
    let backup: BTreeMap<_, _> = assignments("single-host/systemd/fincore-backup.service").into_iter().collect();
    let script = backup["ExecStart"].strip_prefix("/bin/sh -c '").and_then(|rest| rest.strip_suffix('\'')).unwrap();
    let script = script.replace("%%", "%").replace("/usr/bin/fincore", FINCORE);
    let database = format!("sqlite:{folder}/fincore.db");
    let mut sh = Command::new("sh");
    sh.args(["-c", &script]).env("STATE_DIRECTORY", folder).env("FINCORE_DATABASE_URL", database);
    assert!(sh.status().unwrap().success());
    let copies = std::fs::read_dir(folder)
        .unwrap()
        .filter(|file| file.as_ref().unwrap().file_name().to_str().unwrap().starts_with("backup-"));
    assert_eq!(copies.count(), 1);
    assert!(running.terminate().await, "it ends well when it is asked to");
}

#[test]
fn the_image_has_all_that_the_program_is_linked_to() {
    let image = tempfile::tempdir().unwrap();
    let folder = image.path();
    let made = Command::new("sh").arg(deploy("container/root.sh")).arg(FINCORE).arg(folder).status().unwrap();
    assert!(made.success());
    assert!(folder.join("etc/ssl/certs/ca-certificates.crt").is_file());
    // The image's own loader, told to look nowhere but into the image.
    let loader = ["lib64/ld-linux-x86-64.so.2", "lib/ld-linux-aarch64.so.1"].map(|path| folder.join(path));
    let loader = loader.into_iter().find(|path| path.exists()).expect("the loader is in it");
    let libraries: Vec<_> = ["lib", "lib64", "usr/lib"]
        .iter()
        .flat_map(|place| ["", "x86_64-linux-gnu", "aarch64-linux-gnu"].map(|part| folder.join(place).join(part)))
        .map(|path| path.display().to_string())
        .collect();
    let output = Command::new(loader)
        .args(["--inhibit-cache", "--library-path", &libraries.join(":")])
        .arg(folder.join("usr/bin/fincore"))
        .arg("--version")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stdout).starts_with("fincore "));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_function_starts_under_cargo_lambda_and_answers_item_by_item() {
    let (Some(tools), Some(database)) = (Tools::find(), TestDatabase::postgres().await) else { return };
    database.migrate().await;
    let folder = tempfile::tempdir().unwrap();
    let function = package::program(folder.path(), Path::new(env!("CARGO_BIN_EXE_lambda-under-test")));
    let port = free_port();
    let _runtime = tools.cargo_lambda(port).await;
    let api = format!("http://127.0.0.1:{port}");
    let env = vec![
        ("AWS_LAMBDA_RUNTIME_API", format!("{api}/.rt")),
        ("AWS_LAMBDA_FUNCTION_NAME", "_".to_owned()),
        ("AWS_LAMBDA_FUNCTION_VERSION", "1".to_owned()),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256".to_owned()),
        ("AWS_REGION", "us-east-1".to_owned()),
        ("AWS_ACCESS_KEY_ID", "test".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "test".to_owned()),
        ("FINCORE_DATABASE_URL", database.url()),
        ("FINCORE_SQS_QUEUE_URL", "http://127.0.0.1:1/queue".to_owned()),
        ("FINCORE_STRIPE_SECRET_KEY", SECRET_KEY.to_owned()),
    ];
    let _function = Program { binary: function.to_str().unwrap().to_owned().leak(), env }.start(&[]);
    let unreadable = json!({"messageId": "unreadable", "receiptHandle": "r", "body": "no message of ours",
        "attributes": {"ApproximateReceiveCount": "1"}, "messageAttributes": {}, "md5OfBody": "",
        "eventSource": "aws:sqs", "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:queue", "awsRegion": "us-east-1"});
    let invoke = http_client().post(format!("{api}/2015-03-31/functions/_/invocations")).timeout(PATIENCE);
    let answer = invoke.json(&json!({"Records": [unreadable]})).send().await.expect("the function answers");
    let answer: Value = answer.error_for_status().expect("the function does not fail").json().await.unwrap();
    assert_eq!(answer, json!({"batchItemFailures": [{"itemIdentifier": "unreadable"}]}));
}
