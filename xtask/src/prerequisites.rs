//! What the machine must have beside Rust: a C compiler, the server programs of PostgreSQL, PgBouncer and Redis, and Python
//! and Node for emulators and for the checks with third-party tools, and a browser; found or installed.
//!
//! Deliberately not here: starting a server. Nothing but the package manager is asked to install anything, and only
//! where there is `apt-get`.

use std::env;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use tokio::process::Command;

use crate::process;

/// Set to the folder with PostgreSQL's server programs to use exactly those; set for the tests too.
pub(crate) const FOLDER_VARIABLE: &str = "FINCORE_PG_BIN";

/// Set to the path of `redis-server` to use exactly that one; set for the tests too.
pub(crate) const REDIS_VARIABLE: &str = "FINCORE_REDIS_SERVER";

/// Set to the path of Prometheus to use exactly that one; set for the tests too.
pub(crate) const PROMETHEUS_VARIABLE: &str = "FINCORE_TEST_PROMETHEUS";

/// Set to the path of Chromium to use exactly that one; set for the tests too.
pub(crate) const CHROMIUM_VARIABLE: &str = "FINCORE_TEST_CHROMIUM";

/// The releases we run on. Among several installed ones the newest of these wins.
const TESTED_RELEASES: std::ops::RangeInclusive<u32> = 15..=17;
/// Where Debian keeps one folder per release.
const DEBIAN_FOLDER: &str = "/usr/lib/postgresql";
/// What a folder must contain to be of use.
const SERVER_PROGRAMS: [&str; 3] = ["initdb", "postgres", "pg_ctl"];

const INSTALL_BY_HAND: &str = "install PostgreSQL 15, 16 or 17 (on Debian, as root: apt-get install postgresql), or set \
                               FINCORE_PG_BIN to the folder with initdb, postgres and pg_ctl";

/// Keeps the package from starting a server of its own. A file that is already there is left alone.
const NO_MAIN_CLUSTER: &str = "set -e
file=/etc/postgresql-common/createcluster.conf
if [ ! -e $file ]; then
    mkdir -p /etc/postgresql-common
    echo 'create_main_cluster = false' > $file
    echo \"Wrote $file, so that the package starts no server of its own.\"
fi";

/// One installed release of PostgreSQL's server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Programs {
    pub(crate) folder: PathBuf,
    pub(crate) release: u32,
}

impl Programs {
    /// The path of one of the server's programs.
    pub(crate) fn path(&self, program: &str) -> PathBuf {
        self.folder.join(program)
    }
}

/// SQLite and the TLS library are compiled from C.
pub(crate) fn c_compiler() -> Result<()> {
    let named = env::var_os("CC").is_some();
    if named || on_path().any(|folder| folder.join("cc").is_file()) {
        return Ok(());
    }
    bail!("no C compiler: install one (on Debian, as root: apt-get install gcc libc6-dev), or set CC")
}

/// Finds PostgreSQL's server programs and installs them if there are none.
pub(crate) async fn postgres() -> Result<Programs> {
    if let Some(programs) = find()? {
        println!("PostgreSQL {} in {}", programs.release, programs.folder.display());
        return Ok(programs);
    }
    install().await?;
    let programs =
        find()?.with_context(|| format!("still no PostgreSQL 15 to 17 after installing: {INSTALL_BY_HAND}"))?;
    println!("installed PostgreSQL {} in {}", programs.release, programs.folder.display());
    Ok(programs)
}

/// A folder named in the environment is used or refused, never passed over in silence.
fn find() -> Result<Option<Programs>> {
    if let Some(folder) = env::var_os(FOLDER_VARIABLE) {
        let folder = PathBuf::from(folder);
        let programs = look_into(&folder)
            .with_context(|| format!("{FOLDER_VARIABLE}={} has no {}", folder.display(), SERVER_PROGRAMS.join(", ")))?;
        return Ok(Some(programs));
    }
    let found = on_path().chain(debian_folders()).filter_map(|folder| look_into(&folder));
    Ok(newest_tested(found))
}

fn newest_tested(found: impl Iterator<Item = Programs>) -> Option<Programs> {
    found.filter(|programs| TESTED_RELEASES.contains(&programs.release)).max_by_key(|programs| programs.release)
}

fn on_path() -> impl Iterator<Item = PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).collect::<Vec<_>>().into_iter()
}

fn debian_folders() -> impl Iterator<Item = PathBuf> {
    // No such folder means no such package.
    let releases = fs::read_dir(DEBIAN_FOLDER).into_iter().flatten();
    releases.filter_map(|release| Some(release.ok()?.path().join("bin")))
}

fn look_into(folder: &Path) -> Option<Programs> {
    let folder = folder.to_path_buf();
    if !SERVER_PROGRAMS.iter().all(|program| folder.join(program).is_file()) {
        return None;
    }
    let output = std::process::Command::new(folder.join("postgres")).arg("--version").output().ok()?;
    let release = release_in(&String::from_utf8_lossy(&output.stdout))?;
    Some(Programs { folder, release })
}

/// `postgres (PostgreSQL) 15.12 (Debian 15.12-0+deb12u2)` is release 15.
fn release_in(version: &str) -> Option<u32> {
    let number = version.split_whitespace().find(|word| word.starts_with(|first: char| first.is_ascii_digit()))?;
    number.split(|letter: char| !letter.is_ascii_digit()).next()?.parse().ok()
}

async fn install() -> Result<()> {
    let missing = Missing { what: "PostgreSQL 15 to 17", by_hand: INSTALL_BY_HAND };
    missing.needs_apt()?;
    as_root(&["sh", "-c", NO_MAIN_CLUSTER], &missing).await?;
    apt_install(&["postgresql"], &missing).await
}

/// Where Debian keeps programs that are no commands of people; not on everybody's path.
const SYSTEM_PROGRAMS: &str = "/usr/sbin";

const PGBOUNCER: Missing =
    Missing { what: "PgBouncer", by_hand: "install it (on Debian, as root: apt-get install pgbouncer)" };

/// Keeps a package that is about to be installed from starting a service of its own, now (`policy-rc.d` is asked by
/// Debian's packages; one that is already there is left alone) or with the next start of the machine.
const WITHOUT_SERVICE: &str = "set -e
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
    trap 'rm -f $policy' EXIT
    printf '#!/bin/sh\nexit 101\n' > $policy
    chmod +x $policy
fi
apt-get install --yes --no-install-recommends \"$1\"
update-rc.d \"$1\" disable";

/// Finds `PgBouncer`, and installs it if it is not there.
pub(crate) async fn pgbouncer() -> Result<PathBuf> {
    let find =
        || on_path().chain([SYSTEM_PROGRAMS.into()]).map(|folder| folder.join("pgbouncer")).find(|it| it.is_file());
    if let Some(program) = find() {
        return Ok(program);
    }
    install_without_service("pgbouncer", &PGBOUNCER).await?;
    find().with_context(|| format!("still no PgBouncer after installing: {}", PGBOUNCER.by_hand))
}

const REDIS: Missing = Missing {
    what: "Redis",
    by_hand: "install Redis 6.2 or newer (on Debian, as root: apt-get install redis-server), or set FINCORE_REDIS_SERVER \
              to the path of redis-server",
};

/// Finds `redis-server`, and installs it if it is not there.
pub(crate) async fn redis() -> Result<PathBuf> {
    let install = async || install_without_service("redis-server", &REDIS).await;
    named_or_found("redis-server", REDIS_VARIABLE, &REDIS, install).await
}

const PROMETHEUS: Missing = Missing {
    what: "Prometheus",
    by_hand: "install it (on Debian, as root: apt-get install prometheus), or set FINCORE_TEST_PROMETHEUS to its path; \
              promtool has to be beside it",
};

/// Finds the Prometheus that reads our metrics and rules in tests, and installs Debian's if there is none.
pub(crate) async fn prometheus() -> Result<PathBuf> {
    let install = async || install_without_service("prometheus", &PROMETHEUS).await;
    named_or_found("prometheus", PROMETHEUS_VARIABLE, &PROMETHEUS, install).await
}

/// A program named in the environment is used or refused, never passed over in silence; one on the path is used; else it
/// is installed.
async fn named_or_found(
    program: &str,
    variable: &str,
    missing: &Missing,
    install: impl AsyncFnOnce() -> Result<()>,
) -> Result<PathBuf> {
    if let Some(named) = env::var_os(variable) {
        let named = PathBuf::from(named);
        if named.is_file() {
            return Ok(named);
        }
        bail!("{variable}={} is no file: {}", named.display(), missing.by_hand);
    }
    let find = || on_path().map(|folder| folder.join(program)).find(|program| program.is_file());
    if let Some(found) = find() {
        return Ok(found);
    }
    install().await?;
    find().with_context(|| format!("still no {} after installing: {}", missing.what, missing.by_hand))
}

/// A Debian package whose service has the package's name and must not run.
async fn install_without_service(package: &str, missing: &Missing) -> Result<()> {
    missing.needs_apt()?;
    println!("No {} found. Installing Debian's package {package} with apt-get.", missing.what);
    as_root(&["apt-get", "update"], missing).await?;
    as_root(&["sh", "-c", WITHOUT_SERVICE, "install", package], missing).await
}

/// What the machine lacks, for messages.
struct Missing {
    what: &'static str,
    /// What a person does when we cannot install it.
    by_hand: &'static str,
}

impl Missing {
    fn needs_apt(&self) -> Result<()> {
        if on_path().any(|folder| folder.join("apt-get").is_file()) {
            return Ok(());
        }
        bail!("no {}, and no apt-get to install it with: {}", self.what, self.by_hand)
    }
}

async fn apt_install(packages: &[&str], missing: &Missing) -> Result<()> {
    println!("No {} found. Installing Debian's packages with apt-get: {}.", missing.what, packages.join(", "));
    as_root(&["apt-get", "update"], missing).await?;
    let install = ["apt-get", "install", "--yes", "--no-install-recommends"];
    as_root(&[&install, packages].concat(), missing).await
}

const CHROMIUM: Missing = Missing {
    what: "Chromium",
    by_hand: "install it (on Debian, as root: apt-get install chromium), or set FINCORE_TEST_CHROMIUM to its path",
};

/// Finds the browser that the operators' pages are tested in, and installs Debian's if there is none.
pub(crate) async fn chromium() -> Result<PathBuf> {
    let install = async || {
        CHROMIUM.needs_apt()?;
        apt_install(&["chromium"], &CHROMIUM).await
    };
    named_or_found("chromium", CHROMIUM_VARIABLE, &CHROMIUM, install).await
}

const SYSTEMD_ANALYZE: Missing =
    Missing { what: "systemd-analyze", by_hand: "install it (on Debian, as root: apt-get install systemd)" };

/// Finds what looks at units, and installs Debian's if there is none.
pub(crate) async fn systemd_analyze() -> Result<()> {
    let find = || on_path().any(|folder| folder.join("systemd-analyze").is_file());
    if find() {
        return Ok(());
    }
    SYSTEMD_ANALYZE.needs_apt()?;
    apt_install(&["systemd"], &SYSTEMD_ANALYZE).await?;
    if find() {
        return Ok(());
    }
    bail!("still no systemd-analyze after installing: {}", SYSTEMD_ANALYZE.by_hand)
}

/// An interpreter for third-party tools.
pub(crate) struct Interpreter {
    missing: Missing,
    packages: &'static [&'static str],
    /// Commands that all succeed where it can be used.
    proofs: &'static [&'static [&'static str]],
}

/// With everything that makes a virtual environment, which Debian packages apart.
pub(crate) const PYTHON: Interpreter = Interpreter {
    missing: Missing {
        what: "Python 3.11 or newer with venv",
        by_hand: "install it (on Debian, as root: apt-get install python3 python3-venv)",
    },
    packages: &["python3", "python3-venv"],
    proofs: &[&["python3", "-c", "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))"]],
};

/// With its package manager.
pub(crate) const NODE: Interpreter = Interpreter {
    missing: Missing {
        what: "Node 18.20.1 or newer with npm",
        by_hand: "install it (on Debian, as root: apt-get install nodejs npm)",
    },
    packages: &["nodejs", "npm"],
    proofs: &[
        &[
            "node",
            "-e",
            "const [a, b, c] = process.versions.node.split('.').map(Number);
             process.exit(a * 1e6 + b * 1e3 + c >= 18020001 ? 0 : 1)",
        ],
        &["npm", "--version"],
    ],
};

impl Interpreter {
    /// Finds it, or installs it if it is not there or cannot be used.
    pub(crate) async fn find_or_install(&self) -> Result<()> {
        if self.is_usable().await {
            return Ok(());
        }
        self.missing.needs_apt()?;
        apt_install(self.packages, &self.missing).await?;
        if self.is_usable().await {
            return Ok(());
        }
        bail!("still no {} after installing: {}", self.missing.what, self.missing.by_hand)
    }

    async fn is_usable(&self) -> bool {
        for proof in self.proofs {
            if process::run_quietly(Command::new(proof[0]).args(&proof[1..])).await.is_err() {
                return false;
            }
        }
        true
    }
}

/// Shares our terminal, because `sudo` may ask for a password.
async fn as_root(command: &[&str], missing: &Missing) -> Result<()> {
    // Answers every question of the packages: none, and keep the file we wrote.
    let mut words = vec!["env", "DEBIAN_FRONTEND=noninteractive", "UCF_FORCE_CONFFOLD=1"];
    if !is_root()? {
        if !on_path().any(|folder| folder.join("sudo").is_file()) {
            bail!("no {}; we are not root and there is no sudo: {}", missing.what, missing.by_hand);
        }
        words.insert(0, "sudo");
    }
    words.extend(command);
    let name = command.join(" ");
    if command.first() != Some(&"sh") {
        println!("$ {name}");
    }
    let status = Command::new(words[0])
        .args(&words[1..])
        .stdin(Stdio::inherit())
        .kill_on_drop(true)
        .status()
        .await
        .with_context(|| format!("cannot start {}", words[0]))?;
    if status.success() {
        return Ok(());
    }
    bail!("{name}: {status}. If it cannot be made to work: {}", missing.by_hand)
}

/// True when this process may change users: whom a file we create belongs to is who we are.
pub(crate) fn is_root() -> Result<bool> {
    let own = tempfile::tempfile().and_then(|file| file.metadata()).context("cannot create a temporary file")?;
    Ok(own.uid() == 0)
}

#[cfg(test)]
mod tests {
    use super::{Programs, newest_tested, release_in};

    #[test]
    fn a_release_is_read_from_what_the_server_says() {
        assert_eq!(release_in("postgres (PostgreSQL) 15.12 (Debian 15.12-0+deb12u2)\n"), Some(15));
        assert_eq!(release_in("postgres (PostgreSQL) 18beta1\n"), Some(18));
        assert_eq!(release_in("not a server"), None);
    }

    #[test]
    fn the_newest_tested_release_is_chosen() {
        let installed = [14, 15, 17, 16, 18].map(|release| Programs { folder: format!("/{release}").into(), release });
        assert_eq!(newest_tested(installed.into_iter()).map(|programs| programs.release), Some(17));
    }
}
