//! The scripts of `deploy/aws`, with the command line of AWS and an emulator behind it: a release is put where it is looked for,
//! rolled out, followed by another one; and what goes wrong on the way stops nothing that runs.
//!
//! Tasks of containers are played by the test, which runs the program itself (`tests/third_party/aws.sh`). Not here: what is
//! deployed (`deployment`).

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use fincore_tests::database::TestDatabase;
use fincore_tests::emulators::{Emulator, unique};
use fincore_tests::third_party::Tools;
use serde_json::{Value, json};
use tempfile::TempDir;

/// A folder as whoever deploys has it, and what its scripts are told.
struct Desk {
    folder: TempDir,
    env: Vec<(&'static str, String)>,
    stack: String,
    bucket: String,
}

impl Desk {
    fn new(tools: &Tools, emulator: &Emulator, database: &TestDatabase) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (root, at) = (Path::new(env!("CARGO_MANIFEST_DIR")).join(".."), |path: &str| folder.path().join(path));
        for path in ["deploy/aws", "target/package", "bin", "played"] {
            std::fs::create_dir_all(at(path)).unwrap();
        }
        for file in std::fs::read_dir(root.join("deploy/aws")).unwrap() {
            let file = file.unwrap();
            std::fs::copy(file.path(), at("deploy/aws").join(file.file_name())).unwrap();
        }
        let whole = std::fs::read_to_string(at("deploy/aws/fincore.yaml")).unwrap();
        std::fs::write(at("deploy/aws/fincore.yaml"), hollow(&whole)).unwrap();
        std::fs::copy(root.join("statemachine.asl.json"), at("statemachine.asl.json")).unwrap();
        std::fs::write(at("target/package/fincore-lambda.zip"), "a package").unwrap();
        std::fs::copy(root.join("tests/third_party/aws.sh"), at("bin/aws")).unwrap();
        let path = format!("{}:{}", at("bin").display(), std::env::var("PATH").unwrap());
        let env = vec![
            ("PATH", path),
            ("AWS", tools.aws().display().to_string()),
            ("FINCORE", env!("CARGO_BIN_EXE_fincore-under-test").to_owned()),
            ("PLAYED", at("played").display().to_string()),
            ("FINCORE_DATABASE_URL", database.url()),
            ("AWS_ENDPOINT_URL", emulator.url().to_owned()),
            ("AWS_ACCESS_KEY_ID", "test".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "test".to_owned()),
            ("AWS_DEFAULT_REGION", "us-east-1".to_owned()),
        ];
        Self { folder, env, stack: unique("rollout"), bucket: unique("releases") }
    }

    fn at(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    fn run(&self, program: &str, arguments: &[&str]) -> Output {
        let env = self.env.iter().map(|(name, value)| (name, value));
        Command::new(program).args(arguments).envs(env).output().unwrap()
    }

    /// Runs something to its good end.
    fn done(&self, program: &str, arguments: &[&str]) -> String {
        let output = self.run(program, arguments);
        assert!(output.status.success(), "{program} {arguments:?}: {}", said(&output));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Puts a release into the bucket, and says what is there then.
    fn release(&self, release: &str) -> BTreeSet<String> {
        self.done("sh", &[self.at("deploy/aws/release.sh").to_str().unwrap(), &self.bucket, release]);
        let listed = self.done("aws", &["s3", "ls", &format!("s3://{}/{release}/", self.bucket)]);
        listed.lines().filter_map(|line| line.split_whitespace().last()).map(str::to_owned).collect()
    }

    /// Rolls it out.
    fn roll_out(&self, release: &str) -> Output {
        let parameters = self.at("parameters.json");
        let image = format!("registry.example/fincore:{release}");
        let script = self.at("deploy/aws/rollout.sh");
        self.run("sh", &[script.to_str().unwrap(), &self.stack, release, &image, parameters.to_str().unwrap()])
    }

    /// Parameters of the stack: release, image, the task's image, and whether it runs.
    fn stands(&self) -> [String; 4] {
        let described = self.done("aws", &["cloudformation", "describe-stacks", "--output", "json"]);
        self.parameters(&described)
    }

    fn parameters(&self, stacks: &str) -> [String; 4] {
        let stacks: Value = serde_json::from_str(stacks).unwrap();
        let mut all = stacks["Stacks"].as_array().unwrap().iter();
        let ours = all.find(|stack| stack["StackName"] == self.stack.as_str()).expect("the stack is there");
        ["Release", "Image", "AdminImage", "Running"].map(|name| {
            let mut parameters = ours["Parameters"].as_array().unwrap().iter();
            let found = parameters.find(|parameter| parameter["ParameterKey"] == name);
            found.unwrap()["ParameterValue"].as_str().unwrap().to_owned()
        })
    }

    /// How the stack stood when the task was run.
    fn stood_at_the_task(&self) -> [String; 4] {
        self.parameters(&std::fs::read_to_string(self.at("played/stacks.json")).unwrap())
    }
}

/// The stack with its parameters and outputs, and little in it: the emulator cannot change parts of a stack that it has made
/// (it forgets their ARNs). That it makes them all, once, is seen elsewhere.
fn hollow(template: &str) -> String {
    let (parameters, rest) = template.split_once("\nConditions:\n").unwrap();
    let (_, outputs) = rest.split_once("\nOutputs:\n").unwrap();
    let names = outputs.lines().filter_map(|line| line.trim().split_once(':')).map(|(name, _)| name);
    let outputs: String = names.map(|name| format!("  {name}: {{Value: its-{name}}}\n")).collect();
    let topic = "  Topic:\n    Type: AWS::SNS::Topic\n    Properties:\n      DisplayName: !Sub \"${Release} ${Image} ${AdminImage} ${Running}\"";
    format!("{parameters}\nResources:\n{topic}\nOutputs:\n{outputs}")
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn standing(release: &str, image: &str, admin: &str, running: &str) -> [String; 4] {
    let image_of = |release: &str| format!("registry.example/fincore:{release}");
    [release.to_owned(), image_of(image), image_of(admin), running.to_owned()]
}

#[tokio::test(flavor = "multi_thread")]
async fn releases_are_rolled_out_in_order_and_what_fails_stops_nothing_that_runs() {
    let (Some(tools), Some(database)) = (Tools::find(), TestDatabase::postgres().await) else { return };
    let Some(emulator) = Emulator::ministack() else { return };
    let mut desk = Desk::new(&tools, &emulator, &database);
    desk.done("aws", &["s3", "mb", &format!("s3://{}", desk.bucket)]);
    let secret = r#"{"secret_key": "sk_test_rollout", "webhook_secret": "whsec_rollout"}"#;
    let name = unique("psp");
    let create = ["secretsmanager", "create-secret", "--name", &name, "--secret-string", secret];
    let secret = desk.done("aws", &[&create[..], &["--query", "ARN", "--output", "text"]].concat());
    let parameters = json!([
        format!("ArtifactBucket={}", desk.bucket),
        "CertificateArn=arn:aws:acm:us-east-1:000000000000:certificate/one",
        "ImageRepositoryArn=arn:aws:ecr:us-east-1:000000000000:repository/fincore",
        "NatGateways=0",
        "AlarmEmail=people@fincore.example",
        format!("PspSecret={secret}"),
    ]);
    std::fs::write(desk.at("parameters.json"), parameters.to_string()).unwrap();

    // Where the stack looks for its parts, its function and its state machine.
    let parts = ["network", "data", "messages", "worker", "api", "observability", "fincore"];
    let wanted = parts.iter().map(|part| format!("{part}.yaml"));
    let wanted: BTreeSet<_> =
        wanted.chain(["fincore-lambda.zip", "statemachine.asl.json"].map(str::to_owned)).collect();
    assert_eq!(desk.release("1.0.0"), wanted);

    // The first one: nothing runs before the schema is there.
    let output = desk.roll_out("1.0.0");
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(desk.stood_at_the_task(), standing("1.0.0", "1.0.0", "1.0.0", "no"));
    assert_eq!(desk.stands(), standing("1.0.0", "1.0.0", "1.0.0", "yes"));
    assert!(database.number("select count(*) from payments").await == 0, "the schema is there");

    // Another one: while the task migrates, the old one runs on.
    let output = desk.roll_out("2.0.0");
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(desk.stood_at_the_task(), standing("1.0.0", "1.0.0", "2.0.0", "yes"));
    assert_eq!(desk.stands(), standing("2.0.0", "2.0.0", "2.0.0", "yes"));

    // A migration that fails ends it, as it ended, and what it said is seen.
    let right = desk.env.iter_mut().find(|(name, _)| *name == "FINCORE_DATABASE_URL").unwrap();
    let right = std::mem::replace(&mut right.1, "nothing".to_owned());
    let output = desk.roll_out("3.0.0");
    assert!(!output.status.success() && said(&output).contains("database"), "{}", said(&output));
    assert_eq!(desk.stands(), standing("2.0.0", "2.0.0", "3.0.0", "yes"));

    // Nor does AWS's silence look like a first rollout, which would stop what runs.
    let lost = desk.env.iter().position(|(name, _)| *name == "AWS_ENDPOINT_URL").unwrap();
    let reached = std::mem::replace(&mut desk.env[lost].1, "http://127.0.0.1:1".to_owned());
    desk.env.push(("AWS_MAX_ATTEMPTS", "1".to_owned()));
    let script = desk.at("deploy/aws/rollout.sh");
    let parameters = desk.at("parameters.json");
    let output =
        desk.run("sh", &[script.to_str().unwrap(), &desk.stack, "3.0.0", "image", parameters.to_str().unwrap()]);
    assert!(!output.status.success() && said(&output).contains("127.0.0.1:1"), "{}", said(&output));
    desk.env[lost].1 = reached;
    assert_eq!(desk.stands(), standing("2.0.0", "2.0.0", "3.0.0", "yes"));

    // A task by hand ends as its command does, and words with spaces stay words.
    let url = desk.env.iter_mut().find(|(name, _)| *name == "FINCORE_DATABASE_URL").unwrap();
    url.1 = right;
    let task = desk.at("deploy/aws/task.sh");
    desk.done("sh", &[task.to_str().unwrap(), &desk.stack, "keys", "create", "--name", "two words"]);
    let keys = desk.done("sh", &[task.to_str().unwrap(), &desk.stack, "keys", "list"]);
    assert!(keys.contains("two words"), "{keys}");
    assert_eq!(desk.run("sh", &[task.to_str().unwrap(), &desk.stack, "show", "ch_nothing"]).status.code(), Some(2));
    desk.done("aws", &["cloudformation", "delete-stack", "--stack-name", &desk.stack]);
}
