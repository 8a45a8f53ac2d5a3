//! What must be true of the templates and linters do not see: that numbers of one part fit those of another and the
//! program's own, and that what must not be lost is not.

use std::collections::{BTreeMap, BTreeSet};

use fincore::settings::Settings;
use fincore_tests::state_machine::document;
use fincore_tests::third_party::Tools;
use serde_json::{Value, json};

use super::templates;

/// The templates by name.
struct Templates(Value);

impl Templates {
    async fn read() -> Option<Self> {
        Some(Self(Tools::find()?.templates(&templates()).await))
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.0.as_object().unwrap().keys().map(String::as_str)
    }

    /// A resource's properties.
    fn of(&self, template: &str, resource: &str) -> &Value {
        let resource = &self.0[template]["Resources"][resource];
        assert!(resource.is_object(), "{template} has no such resource");
        &resource["Properties"]
    }

    /// The names of a template's resources of a type.
    fn all(&self, template: &str, kind: &str) -> Vec<String> {
        let resources = self.0[template]["Resources"].as_object().unwrap();
        resources.iter().filter(|(_, it)| it["Type"] == kind).map(|(name, _)| name.clone()).collect()
    }

    /// The keys of a section.
    fn keys(&self, template: &str, section: &str) -> BTreeSet<String> {
        self.0[template][section].as_object().map(|all| all.keys().cloned().collect()).unwrap_or_default()
    }

    /// What a container is told, by name: in plain sight, and as secrets.
    fn container(&self, task: &str) -> (BTreeMap<String, Value>, BTreeMap<String, Value>) {
        let container = &self.of("api", task)["ContainerDefinitions"][0];
        let told = |list: &str, value: &str| {
            let said = container[list]
                .as_array()
                .unwrap()
                .iter()
                .map(|it| if it["Fn::If"].is_array() { &it["Fn::If"][1] } else { it });
            said.map(|it| (it["Name"].as_str().unwrap().to_owned(), it[value].clone())).collect()
        };
        (told("Environment", "Value"), told("Secrets", "ValueFrom"))
    }
}

#[tokio::test]
async fn the_parts_fit_together() {
    let Some(all) = Templates::read().await else { return };
    let mut parts = BTreeSet::from(["fincore".to_owned()]);
    for stack in all.all("fincore", "AWS::CloudFormation::Stack") {
        let part = stack.to_lowercase();
        assert!(
            all.of("fincore", &stack)["TemplateURL"]["Fn::Sub"].as_str().unwrap().ends_with(&format!("/{part}.yaml"))
        );
        let given: BTreeSet<_> = all.of("fincore", &stack)["Parameters"].as_object().unwrap().keys().cloned().collect();
        assert_eq!(given, all.keys(&part, "Parameters"), "{part} is told something else than it asks");
        parts.insert(part);
    }
    assert_eq!(parts, all.names().map(str::to_owned).collect(), "a template that nobody uses");
    // Whatever one part takes from another is there.
    let text = all.0["fincore"].to_string();
    for taken in text.split("{\"Fn::GetAtt\":[\"").skip(1) {
        let (stack, rest) = taken.split_once("\",\"Outputs.").unwrap();
        let output = rest.split('"').next().unwrap();
        assert!(all.keys(&stack.to_lowercase(), "Outputs").contains(output), "{stack} has no {output}");
    }
}

#[tokio::test]
async fn what_must_not_be_lost_outlives_its_stack() {
    let Some(all) = Templates::read().await else { return };
    let policy = |name: &str| {
        let resource = &all.0["data"]["Resources"][name];
        assert_eq!(resource["DeletionPolicy"], resource["UpdateReplacePolicy"], "{name}");
        resource["DeletionPolicy"].clone()
    };
    assert_eq!(
        (policy("Database"), policy("DatabasePassword"), policy("Key")),
        (json!("Snapshot"), json!("Retain"), json!("Retain"))
    );
    let database = all.of("data", "Database");
    assert_eq!(database["DeletionProtection"], json!({"Fn::If": ["IsProtected", true, false]}));
    assert_eq!(all.0["fincore"]["Parameters"]["DeletionProtection"]["Default"], "yes");
    assert_eq!(all.0["fincore"]["Parameters"]["DatabaseMultiAz"]["Default"], "yes");
    assert!(all.0["fincore"]["Parameters"]["BackupDays"]["MinValue"].as_u64().unwrap() >= 1);
    assert_eq!((&database["StorageEncrypted"], &database["DeleteAutomatedBackups"]), (&json!(true), &json!(false)));
}

#[tokio::test]
async fn nobody_outside_reaches_anything_but_the_load_balancer() {
    let Some(all) = Templates::read().await else { return };
    assert_eq!(all.of("data", "Database")["PubliclyAccessible"], false);
    // Private subnets have no way to the internet but by NAT, and everything but the load balancer is in them.
    for route in all.all("network", "AWS::EC2::Route") {
        let route = all.of("network", &route);
        let is_private = route["RouteTableId"]["Ref"].as_str().unwrap().starts_with("Private");
        assert_eq!(is_private, route["GatewayId"].is_null(), "{route}");
    }
    let private = json!({"Ref": "PrivateSubnets"});
    for (template, resource, property) in [
        ("data", "DatabaseSubnets", "/SubnetIds"),
        ("data", "CacheSubnets", "/SubnetIds"),
        ("data", "Proxy", "/VpcSubnetIds"),
        ("worker", "Worker", "/VpcConfig/SubnetIds"),
        ("api", "Service", "/NetworkConfiguration/AwsvpcConfiguration/Subnets"),
    ] {
        assert_eq!(all.of(template, resource).pointer(property), Some(&private), "{resource}");
    }
    for stack in ["Data", "Worker", "Api"] {
        let given = &all.of("fincore", stack)["Parameters"]["PrivateSubnets"];
        assert_eq!(given, &json!({"Fn::GetAtt": ["Network", "Outputs.PrivateSubnets"]}));
    }
    assert_eq!(all.of("api", "Service")["NetworkConfiguration"]["AwsvpcConfiguration"]["AssignPublicIp"], "DISABLED");
    // Who is let in by address and not by group.
    for group in all.all("network", "AWS::EC2::SecurityGroup") {
        let rules = all.of("network", &group)["SecurityGroupIngress"].as_array().cloned().unwrap_or_default();
        let is_open = rules.iter().any(|rule| !rule["CidrIp"].is_null());
        assert_eq!(is_open, group == "LoadBalancerGroup", "{group}");
    }
    let who = |group: &str| {
        let rules = all.of("network", group)["SecurityGroupIngress"].as_array().cloned().unwrap_or_default();
        let mut who: Vec<_> =
            rules.iter().map(|it| it["SourceSecurityGroupId"]["Fn::GetAtt"][0].as_str().unwrap().to_owned()).collect();
        who.sort();
        who
    };
    assert_eq!(who("ApiGroup"), ["LoadBalancerGroup"]);
    assert_eq!(who("DatabaseGroup"), ["AdminGroup", "ApiGroup", "ProxyGroup", "WorkerGroup"]);
    assert_eq!(who("CacheGroup"), ["AdminGroup", "ApiGroup", "WorkerGroup"]);
    assert!(who("WorkerGroup").is_empty() && who("AdminGroup").is_empty());
}

#[tokio::test]
async fn ports_agree() {
    let Some(all) = Templates::read().await else { return };
    let (told, _) = all.container("Api");
    let port = json!(8080);
    let container = &all.of("api", "Api")["ContainerDefinitions"][0];
    let group = |group: &str, rules: &str| {
        let rules = all.of("network", group)[rules].as_array().unwrap();
        assert!(rules.iter().all(|rule| rule["FromPort"] == rule["ToPort"]), "{rules:?}");
        rules.iter().map(|rule| rule["FromPort"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(told["FINCORE_LISTEN"], "0.0.0.0:8080");
    assert_eq!(container["PortMappings"][0]["ContainerPort"], port);
    assert_eq!(all.of("api", "Service")["LoadBalancers"][0]["ContainerPort"], port);
    assert_eq!(all.of("api", "Targets")["Port"], port);
    assert_eq!(
        (group("ApiGroup", "SecurityGroupIngress"), group("LoadBalancerGroup", "SecurityGroupEgress")),
        (vec![port.clone()], vec![port])
    );
    assert_eq!(group("LoadBalancerGroup", "SecurityGroupIngress"), [443, 80]);
    let (database, cache) = (json!(5432), json!(6379));
    assert_eq!((&all.of("data", "Database")["Port"], &all.of("data", "Cache")["Port"]), (&json!("5432"), &cache));
    assert!(group("DatabaseGroup", "SecurityGroupIngress").iter().all(|port| *port == database));
    assert!(group("CacheGroup", "SecurityGroupIngress").iter().all(|port| *port == cache));
    let (outside, collector) = (json!(443), json!(4318));
    for who in ["ApiGroup", "WorkerGroup"] {
        let reached = [&database, &cache, &outside, &collector].map(Value::clone);
        assert_eq!(group(who, "SecurityGroupEgress"), reached);
    }
    assert_eq!(group("AdminGroup", "SecurityGroupEgress"), [database, cache, outside]);
    let worker = &all.of("worker", "Worker")["Environment"]["Variables"];
    for told in [
        &worker["FINCORE_DATABASE_URL"],
        &told["FINCORE_DATABASE_URL"],
        &all.container("Admin").0["FINCORE_DATABASE_URL"],
    ] {
        assert!(told["Fn::Sub"].as_str().unwrap().ends_with(":5432/fincore"), "{told}");
    }
    // Fargate gives each task an address of its own, which is what a target has to be.
    assert_eq!(
        (&all.of("api", "Targets")["TargetType"], &all.of("api", "Api")["NetworkMode"]),
        (&json!("ip"), &json!("awsvpc"))
    );
}

#[tokio::test]
async fn times_and_counts_agree() {
    let Some(all) = Templates::read().await else { return };
    let number =
        |value: &Value| value.as_f64().or_else(|| value.as_str()?.parse().ok()).unwrap_or_else(|| panic!("{value}"));
    let (queue, dead, worker) =
        (all.of("messages", "Queue"), all.of("messages", "DeadLetterQueue"), all.of("worker", "Worker"));
    assert!(number(&queue["VisibilityTimeout"]) >= (6.0 * number(&worker["Timeout"])).max(90.0));
    assert!(number(&worker["Timeout"]) >= 60.0);
    assert!(number(&queue["RedrivePolicy"]["maxReceiveCount"]) >= 200.0);
    assert_eq!(queue["RedrivePolicy"]["deadLetterTargetArn"], json!({"Fn::GetAtt": ["DeadLetterQueue", "Arn"]}));
    let day = 86_400.0;
    assert!(
        number(&queue["MessageRetentionPeriod"]) >= 4.0 * day && number(&dead["MessageRetentionPeriod"]) >= 14.0 * day
    );
    let feed = all.of("worker", "Feed");
    assert_eq!(feed["FunctionResponseTypes"], json!(["ReportBatchItemFailures"]));
    assert_eq!(feed["ScalingConfig"]["MaximumConcurrency"], json!({"Ref": "WorkerConcurrency"}));
    assert!((10.0..=100.0).contains(&number(&feed["BatchSize"])));
    assert_eq!(all.of("worker", "SweepOnce")["MaximumRetryAttempts"], 0);
    // A rollout: the program ends before it is killed, and the load balancer lets go before the program does.
    let drain_s = Settings::default().drain_timeout().as_secs_f64();
    assert!(number(&all.of("api", "Api")["ContainerDefinitions"][0]["StopTimeout"]) > drain_s);
    let attribute = |resource: &str, list: &str, key: &str| {
        let attributes = all.of("api", resource)[list].as_array().unwrap();
        number(&attributes.iter().find(|it| it["Key"] == key).unwrap()["Value"])
    };
    assert!(attribute("Targets", "TargetGroupAttributes", "deregistration_delay.timeout_seconds") >= drain_s);
    assert!(attribute("LoadBalancer", "LoadBalancerAttributes", "idle_timeout.timeout_seconds") < 75.0);
    let rollout = &all.of("api", "Service")["DeploymentConfiguration"];
    assert_eq!(
        (&rollout["MinimumHealthyPercent"], &rollout["DeploymentCircuitBreaker"]),
        (&json!(100), &json!({"Enable": true, "Rollback": true}))
    );
    // One node of Redis cannot fail over, and ElastiCache refuses to be told so.
    let cache = all.of("data", "Cache");
    assert_eq!(
        all.0["data"]["Conditions"]["HasReplicas"],
        json!({"Fn::Not": [{"Fn::Equals": [{"Ref": "CacheNodes"}, 1]}]})
    );
    for property in ["AutomaticFailoverEnabled", "MultiAZEnabled"] {
        assert_eq!(cache[property], json!({"Fn::If": ["HasReplicas", true, false]}));
    }
}

#[tokio::test]
async fn processes_are_told_what_they_know_and_secrets_as_secrets() {
    let Some(all) = Templates::read().await else { return };
    // Written so that whoever reads them anew is another task, or another environment of the function.
    const OURS: &str = "FINCORE_SECRETS_EDITION";
    const POSTGRES: [&str; 3] = ["PGPASSWORD", "PGSSLMODE", "PGSSLROOTCERT"];
    let page = |name: &str| std::fs::read_to_string(super::folder().join("../../docs").join(name)).unwrap();
    let (settings, variables) = (page("CONFIGURATION.md"), page("PRODUCTION.md"));
    let is_setting = |name: &str| {
        let name = name.strip_prefix("FINCORE_").map(str::to_lowercase);
        name.is_some_and(|name| settings.contains(&format!("| `{name}` |")))
    };
    for task in ["Api", "Admin"] {
        let (told, secrets) = all.container(task);
        for name in told.keys().chain(secrets.keys()).map(String::as_str) {
            assert!(is_setting(name) || POSTGRES.contains(&name) || name == OURS, "{task} knows no {name}");
        }
        assert!(told.keys().all(|name| !is_secret(name)), "{told:?}");
        assert!(secrets.keys().all(|name| is_secret(name)), "{secrets:?}");
        let container = &all.of("api", task)["ContainerDefinitions"][0];
        assert_eq!((&container["User"], &container["ReadonlyRootFilesystem"]), (&json!("65532:65532"), &json!(true)));
    }
    let function = all.of("worker", "Worker");
    for (name, value) in function["Environment"]["Variables"].as_object().unwrap() {
        assert!(variables.contains(&format!("`{name}`")) || name == OURS, "the function knows no {name}");
        let is_reference = value["Fn::Sub"].as_str().is_some_and(|text| text.starts_with("{{resolve:secretsmanager:"));
        assert_eq!(is_reference, is_secret(name), "{name}");
    }
    assert_eq!(function["KmsKeyArn"], json!({"Ref": "Key"}), "the function's environment holds secrets");
}

fn is_secret(name: &str) -> bool {
    name != "FINCORE_SECRETS_EDITION" && ["PASSWORD", "SECRET", "KEY"].iter().any(|word| name.contains(word))
}

#[tokio::test]
async fn every_alarm_tells_the_topic_about_something_that_is_measured_and_is_in_the_runbook() {
    let Some(all) = Templates::read().await else { return };
    let ours = json!({"Fn::Sub": "FinCore/${Name}"});
    let measured: BTreeSet<_> = all
        .all("observability", "AWS::Logs::MetricFilter")
        .iter()
        .map(|filter| {
            let transformation = &all.of("observability", filter)["MetricTransformations"][0];
            assert_eq!(transformation["MetricNamespace"], ours);
            transformation["MetricName"].clone().to_string()
        })
        .collect();
    let page = std::fs::read_to_string(super::folder().join("../../docs/OPERATIONS.md")).unwrap();
    let (_, runbook) = page.split_once("\n## Alarms on AWS, and what to do\n").unwrap();
    let alarms = all.all("observability", "AWS::CloudWatch::Alarm");
    let mut used = BTreeSet::new();
    for name in &alarms {
        let alarm = all.of("observability", name);
        assert_eq!(alarm["AlarmActions"], json!([{"Ref": "Alarms"}]), "{name}");
        assert_eq!(alarm["AlarmName"], json!({"Fn::Sub": format!("${{Name}}-{name}")}));
        assert!(runbook.contains(&format!("`{name}`")), "the runbook has no {name}");
        if alarm["Namespace"] == ours {
            used.insert(alarm["MetricName"].to_string());
        }
    }
    assert_eq!(used, measured);
    assert!(alarms.len() >= 14, "{alarms:?}");
}

#[tokio::test]
async fn the_state_machine_retries_within_what_step_functions_takes() {
    let document = document();
    let states = document["States"].as_object().unwrap();
    let retries: Vec<_> =
        states.values().flat_map(|state| state["Retry"].as_array().cloned().unwrap_or_default()).collect();
    assert!(retries.len() > 10, "{}", retries.len());
    for retry in retries {
        let number = |name: &str| retry[name].as_f64().unwrap_or_else(|| panic!("{name} of {retry}"));
        if number("MaxAttempts") < 1.0 {
            assert_eq!(retry["ErrorEquals"], json!(["States.Timeout"]), "a deadline that is over comes only once");
            continue;
        }
        assert!(number("BackoffRate") >= 1.0 && number("IntervalSeconds") >= 1.0, "{retry}");
        assert!(
            number("MaxDelaySeconds") > number("IntervalSeconds") && number("MaxDelaySeconds") < 31_622_400.0,
            "{retry}"
        );
        assert_eq!(retry["JitterStrategy"], "FULL", "{retry}");
    }
    for (name, state) in states {
        let next = [&state["Next"], &state["Default"]].into_iter().filter_map(Value::as_str);
        assert!(next.clone().all(|next| states.contains_key(next)), "{name} leads nowhere");
    }
}
