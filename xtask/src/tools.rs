//! `cargo xtask third-party`: installs the tools of others that the tests run, and runs the tests that need them. The
//! emulators of AWS, which the ordinary tests need, are installed here too.
//!
//! Everything goes below `target/third_party`, in the versions that `tests/third_party` pins, from the package
//! registries of Python and Node. What is installed stays until a pin or an interpreter changes, so that later runs
//! need no network. Deliberately not here: what is checked (`tests/suite/third_party`), and starting the emulators.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use tokio::process::Command;

use crate::prerequisites::{self, CHROMIUM_VARIABLE, NODE, PROMETHEUS_VARIABLE, PYTHON, chromium, prometheus};
use crate::process;
use crate::services::{self, Services};

/// Tells the tests where the tools are.
const FOLDER_VARIABLE: &str = "FINCORE_TEST_THIRD_PARTY";
/// Where tests keep what is written, to be searched at the end.
pub(crate) const WRITTEN_VARIABLE: &str = "FINCORE_TEST_WRITTEN";

/// The tests that need them, as a filter of nextest and as the beginning of their names.
const FILTER: &str = "package(fincore-tests) & test(/^third_party::/)";
pub(crate) const ALL_BUT_THOSE: &str = "not (package(fincore-tests) & test(/^third_party::/))";
pub(crate) const MODULE: &str = "third_party::";
/// The test that makes up requests.
const CONTRACT: &str = "requests_made_up_by_the_document_are_answered_as_it_says";

/// What to do when a registry does not answer.
const OFFLINE: &str = "The registry is needed once; later runs need no network. Check the network, or pip's or npm's \
                       settings for a mirror, and run it again. Everything but these checks: cargo xtask test --quick";

/// Python packages that are installed together.
struct Packages {
    /// A file of `tests/third_party`.
    requirements: &'static str,
    options: &'static [&'static str],
}

const PYTHON_TOOLS: &[Packages] = &[
    Packages { requirements: "build-requirements.txt", options: &[] },
    Packages { requirements: "requirements.txt", options: &["--no-build-isolation"] },
];
const HOST_TOOLS: &[Packages] = &[Packages { requirements: "hosts.txt", options: &[] }];
/// Byte code is made where it is run: most of this is never run.
const TEMPLATE_TOOLS: &[Packages] = &[Packages { requirements: "templates.txt", options: &["--no-compile"] }];
const EMULATOR_PACKAGES: &[Packages] = &[Packages { requirements: "emulators.txt", options: &[] }];
/// The folder of the emulators' environment.
const EMULATORS: &str = "emulators";

/// Installs and checks, without the rest of the gate.
pub(crate) async fn run() -> Result<()> {
    let services = Services::start(services::install().await?).await?;
    let tools = install().await?;
    check(&tools, |command| {
        command.envs(services.variables());
    })
    .await
}

/// Installed tools.
pub(crate) struct Tools {
    folder: PathBuf,
    /// Programs of the machine, by the variable that names them for tests.
    programs: Vec<(&'static str, PathBuf)>,
}

/// Installs what is not there yet.
pub(crate) async fn install() -> Result<Tools> {
    let programs = vec![(CHROMIUM_VARIABLE, chromium().await?), (PROMETHEUS_VARIABLE, prometheus().await?)];
    let tools = Tools { programs, ..Tools::folder()? };
    PYTHON.find_or_install().await?;
    NODE.find_or_install().await?;
    prerequisites::systemd_analyze().await?;
    tools.python("python", PYTHON_TOOLS).await?;
    tools.python("hosts", HOST_TOOLS).await?;
    tools.python("templates", TEMPLATE_TOOLS).await?;
    tools.node().await?;
    tools.document().await?;
    println!("third-party tools in {}", tools.folder.display());
    Ok(tools)
}

/// Installs the emulators of AWS if they are not there yet, and says where their programs are.
pub(crate) async fn emulators() -> Result<PathBuf> {
    let tools = Tools::folder()?;
    PYTHON.find_or_install().await?;
    tools.python(EMULATORS, EMULATOR_PACKAGES).await?;
    Ok(tools.folder.join(EMULATORS).join("bin"))
}

/// Runs the tests that need the tools; `tell` says what else they find.
pub(crate) async fn check(tools: &Tools, tell: impl FnOnce(&mut Command)) -> Result<()> {
    let mut command = if process::has_nextest().await {
        process::cargo(["nextest", "run", "--package", "fincore-tests", "--locked", "-E", FILTER])
    } else {
        process::cargo(["test", "--package", "fincore-tests", "--test", "suite", "--locked", MODULE])
    };
    command.env(FOLDER_VARIABLE, &tools.folder);
    tell(&mut command);
    command.envs(tools.programs.iter().map(|(variable, program)| (variable, program)));
    process::run(&mut command).await
}

/// Requests made up by our OpenAPI document, many or for hours: the gate makes up a few.
#[derive(clap::Args)]
pub(crate) struct ContractOptions {
    /// How many to make up for each operation in each phase
    #[arg(long, default_value_t = 1_000)]
    examples: u32,
    /// What a run printed, to play it again; without it, always others
    #[arg(long)]
    seed: Option<String>,
}

/// Installs, and makes up requests by our OpenAPI document. With cargo's own runner, which knows no time limit.
pub(crate) async fn contract(options: ContractOptions) -> Result<()> {
    let tools = install().await?;
    let mut command = process::cargo(["test", "--package", "fincore-tests", "--test", "suite", "--locked", CONTRACT]);
    command.args(["--", "--nocapture"]).env(FOLDER_VARIABLE, &tools.folder);
    command.env("FINCORE_CONTRACT_EXAMPLES", options.examples.to_string());
    if let Some(seed) = options.seed {
        command.env("FINCORE_CONTRACT_SEED", seed);
    }
    process::run(&mut command).await
}

impl Tools {
    fn folder() -> Result<Self> {
        let folder = crate::root().join("target/third_party");
        fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
        Ok(Self { folder, programs: Vec::new() })
    }

    /// A virtual environment with pinned packages.
    async fn python(&self, name: &str, packages: &[Packages]) -> Result<()> {
        let files: Vec<&str> = packages.iter().map(|packages| packages.requirements).collect();
        let stamp = self.stamp(name, &files, &["python3", "--version"])?;
        if stamp.is_current() {
            return Ok(());
        }
        let environment = self.fresh(name)?;
        process::run_quietly(Command::new("python3").args(["-m", "venv"]).arg(&environment)).await?;
        for Packages { requirements, options } in packages {
            println!("installing Python packages: {requirements}");
            let mut pip = Command::new(environment.join("bin/pip"));
            pip.args(["install", "--quiet", "--disable-pip-version-check", "--no-deps"]).args(*options);
            process::run_quietly(pip.arg("-r").arg(pinned(requirements))).await.context(OFFLINE)?;
        }
        stamp.leave()
    }

    /// A folder with the pinned packages of Node. Their install scripts are not run.
    async fn node(&self) -> Result<()> {
        let files = ["package.json", "package-lock.json"];
        let stamp = self.stamp("node", &files, &["node", "--version"])?;
        if stamp.is_current() {
            return Ok(());
        }
        let folder = self.fresh("node")?;
        for file in files {
            fs::copy(pinned(file), folder.join(file)).with_context(|| format!("cannot copy {file}"))?;
        }
        println!("installing Node packages: package-lock.json");
        let mut npm = Command::new("npm");
        npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]).current_dir(folder);
        process::run_quietly(&mut npm).await.context(OFFLINE)?;
        stamp.leave()
    }

    /// The part we need of a provider's published description of its API, which one of the Python packages carries.
    async fn document(&self) -> Result<()> {
        let stamp = self.stamp("document", &["cut_openapi.py", "requirements.txt"], &["python3", "--version"])?;
        if stamp.is_current() {
            return Ok(());
        }
        let mut cut = Command::new(self.folder.join("python/bin/python"));
        cut.arg(pinned("cut_openapi.py")).arg(self.fresh("document")?.join("openapi.json"));
        process::run_quietly(&mut cut).await?;
        stamp.leave()
    }

    /// An empty folder of this name.
    fn fresh(&self, name: &str) -> Result<PathBuf> {
        let folder = self.folder.join(name);
        if folder.exists() {
            fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
        }
        fs::create_dir(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
        Ok(folder)
    }

    /// The stamp of something made from these files by this version of an interpreter.
    fn stamp(&self, name: &str, files: &[&str], version: &[&str]) -> Result<Stamp> {
        let output = std::process::Command::new(version[0]).args(&version[1..]).output();
        let output = output.with_context(|| format!("cannot run {}", version.join(" ")))?;
        let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
        for file in files {
            text += &fs::read_to_string(pinned(file)).with_context(|| format!("cannot read {file}"))?;
        }
        Ok(Stamp { path: self.folder.join(name).join("stamp"), text })
    }
}

/// A file, inside of what was made, in which stands what it was made from; written when that is complete.
struct Stamp {
    path: PathBuf,
    text: String,
}

impl Stamp {
    fn is_current(&self) -> bool {
        fs::read_to_string(&self.path).is_ok_and(|text| text == self.text)
    }

    fn leave(&self) -> Result<()> {
        fs::write(&self.path, &self.text).with_context(|| format!("cannot write {}", self.path.display()))
    }
}

/// A file of `tests/third_party`.
pub(crate) fn pinned(name: &str) -> PathBuf {
    crate::root().join("tests/third_party").join(name)
}
