//! Metrics, alert rules and dashboard, by Prometheus itself.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use fincore_tests::database::TestDatabase;
use fincore_tests::process::free_port;
use fincore_tests::site::{Site, Webhooks, Workers};
use fincore_tests::third_party::{PROMETHEUS, Tools};
use serde_json::{Value, json};

use crate::plan;

const PATIENCE: Duration = Duration::from_secs(60);

/// Of these nothing can be seen here: they count what is not there (SQS, Step Functions, Redis, endpoints), or what goes
/// wrong. That Prometheus understands the question is seen all the same.
const NOT_HERE: [&str; 27] = [
    "fincore_alerts_total",
    "fincore_answers_dropped_total",
    "fincore_census_failures_total",
    "fincore_clock_said_late_total",
    "fincore_clock_said_total",
    "fincore_clock_unsaid_total",
    "fincore_dead_letters_total",
    "fincore_deliveries_total",
    "fincore_delivery_lag_seconds",
    "fincore_delivery_seconds",
    "fincore_endpoints_disabled_total",
    "fincore_event_streams_total",
    "fincore_http_shed_total",
    "fincore_operator_acts_total",
    "fincore_ops_logins_total",
    "fincore_queue_lost_total",
    "fincore_queue_poll_failures_total",
    "fincore_queue_told_total",
    "fincore_queue_unreadable_total",
    "fincore_queue_unsettled_total",
    "fincore_rate_limited_total",
    "fincore_redis_failures_total",
    "fincore_refunds_started_total",
    "fincore_reviews_overdue_total",
    "fincore_sweep_failures_total",
    "fincore_waiting_clients",
    "fincore_webhooks_refused_total",
];

fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("deploy")
}

/// The program, when tools are to be used.
fn prometheus() -> Option<PathBuf> {
    Tools::find()?;
    Some(PathBuf::from(std::env::var(PROMETHEUS).unwrap_or_else(|_| panic!("{PROMETHEUS} names no Prometheus"))))
}

fn promtool(prometheus: &Path, args: &[&str]) -> (bool, String) {
    let output = Command::new(prometheus.with_file_name("promtool")).args(args).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.success(), said)
}

#[test]
fn the_alert_rules_are_sound_and_fire_when_they_should() {
    let Some(prometheus) = prometheus() else { return };
    let file = |name: &str| deploy().join("prometheus").join(name).display().to_string();
    let (is_sound, said) = promtool(&prometheus, &["check", "rules", &file("alerts.yaml")]);
    assert!(is_sound && said.contains("SUCCESS"), "{said}");
    let (fire, said) = promtool(&prometheus, &["test", "rules", &file("alerts_test.yaml")]);
    assert!(fire, "{said}");
    // It does look.
    let folder = tempfile::tempdir().unwrap();
    let rules = std::fs::read_to_string(file("alerts.yaml")).unwrap();
    std::fs::write(folder.path().join("alerts.yaml"), rules.replace("> 120", "> 12000")).unwrap();
    let tests = folder.path().join("alerts_test.yaml");
    std::fs::copy(file("alerts_test.yaml"), &tests).unwrap();
    let (fire, said) = promtool(&prometheus, &["test", "rules", &tests.display().to_string()]);
    assert!(!fire && said.contains("FinCoreWorkersBehind"), "{said}");
}

/// Prometheus, reading a FinCore. Dropping it stops it.
struct Server {
    child: std::process::Child,
    url: String,
    http: reqwest::Client,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    fn start(program: &Path, folder: &Path, target: &str) -> Self {
        let config = json!({
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [deploy().join("prometheus/alerts.yaml")],
            "scrape_configs": [{"job_name": "fincore", "static_configs": [{"targets": [target]}]}],
        });
        std::fs::write(folder.join("prometheus.yml"), config.to_string()).unwrap();
        let address = format!("127.0.0.1:{}", free_port());
        let child = Command::new(program)
            .arg(format!("--config.file={}", folder.join("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", folder.join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { child, url: format!("http://{address}/api/v1"), http }
    }

    async fn ask(&self, path: &str, query: &[(&str, &str)]) -> Option<Value> {
        let answer = self.http.get(format!("{}{path}", self.url)).query(query).send().await.ok()?;
        answer.json().await.ok()
    }

    /// How many series there are of it now.
    async fn series(&self, expr: &str) -> usize {
        let answer = self.ask("/query", &[("query", expr)]).await.expect("Prometheus answers");
        assert_eq!(answer["status"], "success", "{expr}: {answer}");
        answer["data"]["result"].as_array().unwrap().len()
    }

    async fn until(&self, expr: &str) {
        let begun = Instant::now();
        loop {
            let answer = self.ask("/query", &[("query", expr)]).await;
            if answer.is_some_and(|answer| answer["data"]["result"].as_array().is_some_and(|found| !found.is_empty())) {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "nothing is seen of {expr}");
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_panel_of_the_dashboard_shows_something() {
    let Some(program) = prometheus() else { return };
    let folder = tempfile::tempdir().unwrap();
    let database = TestDatabase::sqlite();
    let site = Site::build(&database, plan(Workers::Inside, None, Webhooks::Sent)).await;
    let running = site.start();
    site.charge_with("pm_card_visa").await;
    let server = Server::start(&program, folder.path(), site.api.strip_prefix("http://").unwrap());
    server.until("fincore_moves_total").await;
    let methods =
        ["pm_card_visa", "pm_card_visa_chargeDeclined", "pm_sandbox_processing", "pm_card_authenticationRequired"];
    for method in methods.iter().cycle().take(12) {
        let id = site.charge_with(method).await;
        site.get(&format!("/v1/charges/{id}")).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    server.until("rate(fincore_webhooks_total[1m]) > 0").await;
    server.until("fincore_oldest_payment_seconds{state=\"requires_action\"} > 0").await;
    let dashboard = std::fs::read_to_string(deploy().join("grafana/fincore.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&dashboard).unwrap();
    let mut asked = 0;
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().into_iter().flatten() {
            let expr = target["expr"].as_str().unwrap().replace("$__rate_interval", "1m");
            let is_here = !NOT_HERE.iter().any(|name| expr.contains(name));
            assert!(server.series(&expr).await > 0 || !is_here, "{}: nothing is seen of {expr}", panel["title"]);
            asked += 1;
        }
    }
    assert!(asked > 50, "{asked}");
    let rules = server.ask("/rules", &[]).await.unwrap();
    for rule in rules["data"]["groups"].as_array().unwrap().iter().flat_map(|group| group["rules"].as_array().unwrap())
    {
        assert_eq!((&rule["health"], rule["state"] == "firing"), (&json!("ok"), false), "{rule:#}");
    }
    drop(running);
}
