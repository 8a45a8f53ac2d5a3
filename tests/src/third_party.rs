//! Tools of others for tests: installed by `cargo xtask third-party`, which names their folder in the environment. Where
//! it is not named, the tests say on stderr that they did not run.
//!
//! Not here: installing them (`xtask`), and their versions and scripts (`tests/third_party`).

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use crate::process::free_port;

/// Names the folder in which the tools are installed.
pub const FOLDER: &str = "FINCORE_TEST_THIRD_PARTY";

/// Names Prometheus; promtool is beside it.
pub const PROMETHEUS: &str = "FINCORE_TEST_PROMETHEUS";

/// Names the browser.
pub const CHROMIUM: &str = "FINCORE_TEST_CHROMIUM";

/// The API key that tests of tools use.
pub const SECRET_KEY: &str = "sk_test_0123456789abcdef0123456789abcdef";

/// How long a tool may take to listen: Node reads thousands of files, on machines that do other things as well.
const START: Duration = Duration::from_secs(120);
/// How long a linter may take: Node, again.
const LINT: Duration = Duration::from_secs(120);
/// How long a browser may take over all pages: it starts cold, on machines that do other things as well.
const BROWSER: Duration = Duration::from_secs(540);
/// How long a script may take.
const SCRIPT: Duration = Duration::from_secs(60);

/// The installed tools.
pub struct Tools {
    folder: PathBuf,
}

/// A tool that listens on a loopback port. Dropping it kills it.
pub struct Listening {
    /// Where, without a trailing slash.
    pub url: String,
    _child: Child,
}

/// A webhook of Adyen with its signatures, and what Adyen's own library says of each of its items.
#[derive(Debug)]
pub struct HmacVector {
    /// What is special about it.
    pub name: String,
    /// The key in hexadecimal, as the provider shows it.
    pub hmac_key: String,
    /// The webhook as it is sent.
    pub body: String,
    /// One for each item, in order.
    pub valid: Vec<bool>,
}

impl Tools {
    /// The tools, if the environment names their folder.
    ///
    /// # Panics
    /// When it names a folder without them.
    #[must_use]
    pub fn find() -> Option<Self> {
        static TOLD: std::sync::Once = std::sync::Once::new();
        let Ok(folder) = std::env::var(FOLDER) else {
            // Written past the test harness, which would swallow it: a run without them has to show.
            TOLD.call_once(|| {
                let note = format!(
                    "\nNOT RUN: the checks with third-party tools, because {FOLDER} is not set.\n\
                     `cargo xtask third-party` installs the tools and runs these checks.\n\n"
                );
                let _ = std::io::stderr().write_all(note.as_bytes());
            });
            return None;
        };
        let tools = Self { folder: folder.into() };
        assert!(
            tools.folder.join("document/stamp").is_file(),
            "{FOLDER}={} has no tools: run cargo xtask third-party, which installs them and sets it",
            tools.folder.display()
        );
        Some(tools)
    }

    /// The calls we make, as their provider describes them: an OpenAPI document.
    ///
    /// # Panics
    /// When it cannot be read.
    #[must_use]
    pub fn document(&self) -> Value {
        let text = std::fs::read(self.folder.join("document/openapi.json")).expect("the document was cut");
        serde_json::from_slice(&text).expect("it is JSON")
    }

    /// Prism, which validates calls against the document: with `upstream` as a proxy in front of it, without as a mock
    /// that answers with examples.
    pub async fn prism(&self, upstream: Option<&str>) -> Listening {
        self.prism_by(&self.folder.join("document/openapi.json"), upstream).await
    }

    /// The same by another document.
    pub async fn prism_by(&self, document: &Path, upstream: Option<&str>) -> Listening {
        let port = free_port();
        let mut command = Command::new("node");
        command.arg(self.folder.join("node/node_modules/@stoplight/prism-cli/dist/index.js"));
        command.arg(if upstream.is_some() { "proxy" } else { "mock" });
        command.args(["--host", "127.0.0.1", "--port", &port.to_string()]);
        command.arg(document).args(upstream);
        listening(command, "Prism is listening on ").await
    }

    /// Spectral, a linter of OpenAPI documents, by our `spectral.yaml`: what it has to say, which is nothing when all is
    /// well.
    pub async fn spectral(&self, document: &Path) -> String {
        let mut command = Command::new("node");
        command.arg(self.folder.join("node/node_modules/@stoplight/spectral-cli/dist/index.js"));
        command.args(["lint", "--quiet", "--fail-severity", "hint", "--ruleset"]);
        command.arg(ours("spectral.yaml")).arg(document);
        let output = ended(command, LINT).await;
        if output.status.success() { String::new() } else { said(&output) }
    }

    /// asl-validator, for documents in Amazon States Language: what it has to say, which is nothing when all is well.
    pub async fn asl_validator(&self, document: &Path) -> String {
        let mut command = Command::new("node");
        command.arg(self.folder.join("node/node_modules/asl-validator/dist/bin/asl-validator.js"));
        command.arg("--json-path").arg(document);
        let output = ended(command, LINT).await;
        if output.status.success() { String::new() } else { said(&output) }
    }

    /// statelint, another one.
    pub async fn statelint(&self, document: &Path) -> String {
        let mut command = Command::new(self.folder.join("python/bin/statelint"));
        command.arg(document);
        let output = ended(command, LINT).await;
        if output.status.success() { String::new() } else { said(&output) }
    }

    /// hadolint, for container files: what it has to say, which is nothing when all is well.
    pub async fn hadolint(&self, file: &Path) -> String {
        let mut command = Command::new(self.folder.join("hosts/bin/hadolint"));
        command.args(["--no-color", "--failure-threshold", "style"]).arg(file);
        let output = ended(command, LINT).await;
        if output.status.success() { String::new() } else { said(&output) }
    }

    /// The command line of AWS.
    #[must_use]
    pub fn aws(&self) -> PathBuf {
        self.folder.join("hosts/bin/aws")
    }

    /// cfn-lint, which knows what CloudFormation takes: what it has to say, which is nothing when all is well.
    pub async fn cfn_lint(&self, templates: &[PathBuf]) -> String {
        let mut command = Command::new(self.folder.join("templates/bin/cfn-lint"));
        command.args(["--include-checks", "I", "--"]).args(templates);
        let output = ended(command, LINT).await;
        if output.status.success() { String::new() } else { said(&output) }
    }

    /// check-jsonschema, which brings the schema of compose files: what it has to say, which is nothing when all is well.
    pub async fn compose_schema(&self, file: &Path) -> String {
        let mut command = Command::new(self.folder.join("hosts/bin/check-jsonschema"));
        command.args(["--builtin-schema", "vendor.compose-spec"]).arg(file);
        let output = ended(command, LINT).await;
        if output.status.success() { String::new() } else { said(&output) }
    }

    /// cargo-lambda as Lambda's runtime API, for a function that we start. It wants to stand in a folder of a workspace.
    pub async fn cargo_lambda(&self, port: u16) -> Listening {
        let mut command = Command::new(self.folder.join("hosts/bin/cargo-lambda"));
        command.args(["lambda", "watch", "--only-lambda-apis", "--invoke-address", "127.0.0.1"]);
        command.args(["--invoke-port", &port.to_string()]).current_dir(env!("CARGO_MANIFEST_DIR"));
        listening(command, "runtime_addr=").await
    }

    /// checkov, which knows what security people expect of templates: its report on a folder, as JSON. Told to ask nobody.
    ///
    /// # Panics
    /// When it prints something else.
    pub async fn checkov(&self, folder: &Path) -> Value {
        let mut command = Command::new(self.folder.join("templates/bin/python"));
        command.arg(self.folder.join("templates/bin/checkov")).arg("--directory").arg(folder);
        command.args(["--framework", "cloudformation", "--output", "json", "--skip-download"]);
        let output = ended(command, LINT).await;
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("checkov: {}", said(&output)))
    }

    /// Templates of CloudFormation as cfn-lint reads them, with their short forms written out, by their names.
    ///
    /// # Panics
    /// When one cannot be read.
    pub async fn templates(&self, templates: &[PathBuf]) -> Value {
        let mut command = Command::new(self.folder.join("templates/bin/python"));
        command.arg(ours("templates.py")).args(templates);
        let output = ended(command, LINT).await;
        assert!(output.status.success(), "{}", said(&output));
        serde_json::from_slice(&output.stdout).expect("it prints JSON")
    }

    /// Schemathesis, which makes up requests by a document (a file, or where it is served) and checks the answers, by our
    /// `schemathesis.toml`: whether all is well, and what it has to say.
    pub async fn schemathesis(&self, document: &str, key: &str, options: &[&str], within: Duration) -> (bool, String) {
        let mut command = Command::new(self.folder.join("python/bin/schemathesis"));
        command.arg("--config-file").arg(ours("schemathesis.toml"));
        command.args(["run", document, "--header", &format!("Authorization: Bearer {key}")]);
        command.arg("--no-color").args(options).env("SCHEMATHESIS_HOOKS", ours("schemathesis_hooks.py"));
        let output = ended(command, within).await;
        (output.status.success(), said(&output))
    }

    /// One of our Python scripts that listens, with the installed packages.
    pub async fn listening_script(&self, name: &str) -> Listening {
        listening(self.python(name), "listening on ").await
    }

    /// Runs one of our Python scripts with the installed packages: what it prints when it reads `input`.
    ///
    /// # Panics
    /// When it fails.
    pub async fn script(&self, name: &str, input: &str) -> String {
        let mut command = self.python(name);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let run = async {
            let mut child = command.spawn().expect("Python is installed");
            let mut stdin = child.stdin.take().expect("it is piped");
            let (written, output) =
                tokio::join!(async move { stdin.write_all(input.as_bytes()).await }, child.wait_with_output());
            written.expect("it reads its input");
            output.expect("it ends")
        };
        let output = tokio::time::timeout(SCRIPT, run).await.expect("it ends in time");
        assert!(output.status.success(), "{name}: {}; its words are above", output.status);
        String::from_utf8(output.stdout).expect("it prints text")
    }

    /// Signed webhooks for a gateway's tests; `tests/third_party/adyen_vectors.py` makes them.
    ///
    /// # Panics
    /// When the script prints something else.
    pub async fn hmac_vectors(&self) -> Vec<HmacVector> {
        let text = |vector: &Value, field| vector[field].as_str().expect("it is a text").to_owned();
        let vector = |line| {
            let vector: Value = serde_json::from_str(line).expect("each line is JSON");
            let valid = vector["valid"].as_array().expect("there is a list");
            let valid = valid.iter().map(|valid| valid.as_bool().expect("it is true or false")).collect();
            let (name, hmac_key) = (text(&vector, "name"), text(&vector, "hmac_key"));
            HmacVector { name, hmac_key, body: text(&vector, "body"), valid }
        };
        self.script("adyen_vectors.py", "").await.lines().map(vector).collect()
    }

    /// What operators do in a real browser, and pictures of every page; `tests/third_party/browser.mjs` has the steps.
    ///
    /// # Panics
    /// When something does not hold; its words are in the message.
    pub async fn browser(&self, url: &str, key: &str, people: &[(String, String)], shots: &str) {
        let chromium = std::env::var(CHROMIUM).unwrap_or_else(|_| "chromium".to_owned());
        let told = serde_json::json!({
            "url": url, "key": key, "people": people, "shots": shots, "chromium": chromium, "tools": self.folder,
        });
        let mut command = Command::new("node");
        command.arg(ours("browser.mjs")).arg(told.to_string());
        let output = ended(command, BROWSER).await;
        assert!(output.status.success(), "{}", said(&output));
        print!("{}", said(&output));
    }

    fn python(&self, script: &str) -> Command {
        let mut command = Command::new(self.folder.join("python/bin/python"));
        command.arg(ours(script));
        command
    }
}

/// A file of `tests/third_party`.
fn ours(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("third_party").join(name)
}

/// A tool that has run to its end, in a folder of its own: some leave files where they are.
async fn ended(mut command: Command, within: Duration) -> Output {
    let folder = tempfile::tempdir().expect("there is room for a folder");
    command.current_dir(folder.path()).stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(within, command.output()).await;
    output.expect("it ends in time").expect("it is installed")
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Starts a tool and waits until it prints the words before its URL.
async fn listening(mut command: Command, words: &str) -> Listening {
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true).spawn().expect("it is installed");
    let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
    let url = tokio::time::timeout(START, url(&mut lines, words)).await.expect("it listens in time");
    // It goes on printing, and would stop if nobody read.
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    Listening { url, _child: child }
}

async fn url(lines: &mut Lines<BufReader<ChildStdout>>, words: &str) -> String {
    let mut said = String::new();
    while let Ok(Some(line)) = lines.next_line().await {
        if let Some((_, rest)) = line.split_once(words) {
            let url = rest.split_whitespace().next().unwrap_or_default();
            return url.trim_end_matches('/').to_owned();
        }
        said += &line;
        said.push('\n');
    }
    panic!("the tool ended before it listened:\n{said}");
}
