//! Which of our packages may use which, and what the core must not use at all.
//!
//! The tables are the architecture: a new package or a new arrow is a decision, and is made here.

use super::Violation;
use super::packages::{Dependency, Kind, Packages};

/// Package, and the packages of ours it may use in what it builds.
const ARROWS: &[(&str, &[&str])] = &[
    ("workflow", &[]),
    ("workflow-postgres", &["workflow"]),
    ("workflow-sqlite", &["workflow"]),
    ("workflow-aws", &["workflow"]),
    ("workflow-otel", &["workflow"]),
    ("workflow-redis", &["workflow"]),
    ("activities", &["workflow"]),
    (
        "fincore-lambda",
        &["activities", "workflow", "workflow-aws", "workflow-otel", "workflow-postgres", "workflow-redis"],
    ),
    ("api", &["workflow"]),
    ("ops", &["workflow"]),
    ("sandbox", &[]),
    // Looks at the system from outside, as a test does: its rig runs the engine over a file.
    ("testkit", &["activities", "workflow", "workflow-sqlite"]),
    (
        "fincore",
        &[
            "activities",
            "api",
            "ops",
            "sandbox",
            "workflow",
            "workflow-aws",
            "workflow-otel",
            "workflow-postgres",
            "workflow-redis",
            "workflow-sqlite",
        ],
    ),
    ("fincore-tests", EVERYTHING),
    ("fincore-bench", EVERYTHING),
    ("lambda-floor", &[]),
    ("xtask", &["api", "workflow", "workflow-postgres", "workflow-sqlite", "sandbox", "fincore"]),
];

/// What looks at the whole system from outside.
const EVERYTHING: &[&str] = &[
    "activities",
    "api",
    "fincore",
    "fincore-lambda",
    "ops",
    "sandbox",
    "testkit",
    "workflow",
    "workflow-aws",
    "workflow-postgres",
    "workflow-redis",
    "workflow-sqlite",
];

/// Packages that only these may use, not even their tests excepted: they name a concrete database, cache or provider.
const RESERVED: &[(&str, &[&str])] = &[
    ("workflow-postgres", &["fincore", "fincore-lambda", "fincore-tests", "fincore-bench", "xtask"]),
    ("workflow-sqlite", &["fincore", "fincore-tests", "fincore-bench", "testkit", "xtask"]),
    ("workflow-aws", &["fincore", "fincore-lambda", "fincore-tests", "fincore-bench"]),
    ("workflow-redis", &["fincore", "fincore-lambda", "fincore-tests", "fincore-bench"]),
    ("sandbox", &["fincore", "fincore-tests", "fincore-bench", "xtask"]),
    ("testkit", &["fincore-tests"]),
    ("fincore", &["fincore-tests", "fincore-bench", "xtask"]),
];

/// The package that performs no input or output, and the crates that would.
const PURE: &str = "workflow";
const IMPURE: [&str; 9] =
    ["sqlx", "axum", "axum-core", "hyper", "hyper-util", "reqwest", "redis", "lambda_runtime", "lambda-runtime"];
const IMPURE_PREFIXES: [&str; 3] = ["aws-", "aws_", "sqlx-"];

pub(super) fn check(packages: &Packages) -> Vec<Violation> {
    let names: Vec<&str> = packages.ours().map(|(package, _)| package.name.as_str()).collect();
    let mut violations = Vec::new();
    for (package, ours) in packages.ours() {
        let Some((_, allowed)) = ARROWS.iter().find(|(name, _)| *name == package.name) else {
            let remedy = "decide what it may use: add it to ARROWS (xtask/src/tidy/arrows.rs)";
            violations.push(Violation::new(&package.name, "is a package without a place in the architecture", remedy));
            continue;
        };
        for dependency in &ours.dependencies {
            let is_ours = names.contains(&dependency.name.as_str());
            violations.extend(forbidden(&package.name, dependency, if is_ours { Some(allowed) } else { None }));
        }
    }
    violations
}

/// `allowed` is given for a dependency of ours.
fn forbidden(package: &str, dependency: &Dependency, allowed: Option<&[&str]>) -> Option<Violation> {
    let name = dependency.name.as_str();
    let problem = format!("depends on {name}");
    let reserved = RESERVED.iter().find(|(reserved, _)| *reserved == name);
    if reserved.is_some_and(|(_, users)| !users.contains(&package)) {
        let remedy = "only the wiring and what looks from outside may name it: go through a port of workflow";
        return Some(Violation::new(package, problem, remedy));
    }
    let is_built = dependency.kind == Kind::Normal;
    if is_built && allowed.is_some_and(|allowed| !allowed.contains(&name)) {
        let remedy = "this arrow is not in the architecture: go through a port of workflow, or wire it in cli";
        return Some(Violation::new(package, problem, remedy));
    }
    if package == PURE && is_built && performs_io(name) {
        let remedy = "workflow performs no input or output: write a port there and an adapter elsewhere";
        return Some(Violation::new(package, problem, remedy));
    }
    None
}

fn performs_io(name: &str) -> bool {
    IMPURE.contains(&name) || IMPURE_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::super::packages::{Ours, Package, Version};
    use super::{Dependency, Kind, Packages, check};

    fn package(name: &str, uses: &[(&str, Kind)]) -> Package {
        let dependencies = uses.iter().map(|&(name, kind)| Dependency { name: name.to_owned(), kind }).collect();
        Package { name: name.to_owned(), version: Version(0, 1, 0), licence: None, ours: Some(Ours { dependencies }) }
    }

    fn told(name: &str, uses: &[(&str, Kind)]) -> Vec<String> {
        let others = ["workflow", "activities", "api", "sandbox", "fincore", "workflow-sqlite"];
        let others = others.iter().filter(|other| **other != name).map(|other| package(other, &[]));
        let all = others.chain([package(name, uses)]).collect();
        check(&Packages { all }).into_iter().map(|found| format!("{} {}", found.place, found.problem)).collect()
    }

    #[test]
    fn the_drawn_arrows_are_allowed() {
        assert!(told("api", &[("workflow", Kind::Normal), ("axum", Kind::Normal)]).is_empty());
        assert!(told("fincore", &[("api", Kind::Normal), ("workflow-sqlite", Kind::Normal)]).is_empty());
    }

    #[test]
    fn an_arrow_that_is_not_drawn_is_named() {
        assert_eq!(told("api", &[("activities", Kind::Normal)]), ["api depends on activities"]);
        assert_eq!(told("workflow", &[("api", Kind::Normal)]), ["workflow depends on api"]);
    }

    #[test]
    fn a_concrete_database_is_not_named_even_in_tests() {
        assert_eq!(told("activities", &[("workflow-sqlite", Kind::Test)]), ["activities depends on workflow-sqlite"]);
        assert_eq!(told("api", &[("fincore", Kind::Test)]), ["api depends on fincore"]);
    }

    #[test]
    fn the_core_performs_no_io() {
        assert_eq!(told("workflow", &[("aws-sdk-sqs", Kind::Normal)]), ["workflow depends on aws-sdk-sqs"]);
    }

    #[test]
    fn a_new_package_needs_a_place() {
        assert_eq!(told("extra", &[]), ["extra is a package without a place in the architecture"]);
    }
}
