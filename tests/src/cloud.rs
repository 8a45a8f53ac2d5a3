//! The system on AWS as its templates describe it, put up by an emulator of CloudFormation; and what became of it, read back.
//!
//! The emulator runs queues, functions, schedules and state machines, and only keeps the rest in mind. Not here: the
//! templates (`deploy/aws`), and the processes of containers, which a test starts by what their task says.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::emulators::{Emulator, unique};

/// How long a stack may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// The emulator takes Number parameters for texts, and stumbles where it counts with them; these two are put in before. That
/// the templates name the parameters there, checks whoever replaces them. (Nothing runs containers here, so none are wanted.)
const COUNTS: [(&str, &str, &str); 2] = [
    ("api", "DesiredCount: !If [IsRunning, !Ref Tasks, 0]", "DesiredCount: 0"),
    ("worker", "MaximumConcurrency: !Ref WorkerConcurrency", "MaximumConcurrency: 20"),
];

/// What the emulator has no network for.
const PARAMETERS: [(&str, &str); 7] = [
    ("NatGateways", "0"),
    ("Running", "yes"),
    ("Image", "registry.example/fincore:1"),
    ("AdminImage", "registry.example/fincore:1"),
    ("ImageRepositoryArn", "arn:aws:ecr:us-east-1:000000000000:repository/fincore"),
    ("CertificateArn", "arn:aws:acm:us-east-1:000000000000:certificate/one"),
    ("AlarmEmail", "people@fincore.example"),
];

/// A deployed system. [`Cloud::delete`] removes it.
pub struct Cloud {
    /// Where it is.
    pub emulator: Emulator,
    name: String,
    /// What its parts say of themselves: `Messages.QueueUrl`.
    outputs: BTreeMap<String, String>,
}

/// What a role may do: an action and the end of its resource's ARN, or `*`.
pub type Allowed = BTreeSet<(String, String)>;

impl Cloud {
    /// Deploys the templates with this function's package, this secret of the PSP, and these parameters beside.
    ///
    /// # Panics
    /// When the emulator refuses anything.
    pub async fn deploy(emulator: &Emulator, function: Vec<u8>, psp: &Value, parameters: &[(&str, &str)]) -> Self {
        let (name, bucket) = (unique("fincore"), unique("releases"));
        emulator.put(&bucket, Vec::new()).await;
        for template in ["network", "data", "messages", "worker", "api", "observability"] {
            let mut text = read(&format!("deploy/aws/{template}.yaml"));
            for (_, named, count) in COUNTS.iter().filter(|(of, ..)| *of == template) {
                assert!(text.contains(named), "{template} does not say {named}");
                text = text.replace(named, count);
            }
            emulator.put(&format!("{bucket}/1/{template}.yaml"), text.into_bytes()).await;
        }
        let machine = read("statemachine.asl.json").into_bytes();
        emulator.put(&format!("{bucket}/1/statemachine.asl.json"), machine).await;
        emulator.put(&format!("{bucket}/1/fincore-lambda.zip"), function).await;
        let secret = json!({ "Name": unique("psp"), "SecretString": psp.to_string() });
        let secret = emulator.json("secretsmanager", "secretsmanager.CreateSecret", secret).await;
        let secret = secret["ARN"].as_str().expect("a secret has a name").to_owned();
        let ours = [("ArtifactBucket", bucket.as_str()), ("Release", "1"), ("PspSecret", &secret)];
        let all = PARAMETERS.iter().chain(&ours).chain(parameters);
        let mut input = vec![
            ("StackName".to_owned(), name.clone()),
            ("TemplateBody".to_owned(), read("deploy/aws/fincore.yaml")),
            ("Capabilities.member.1".to_owned(), "CAPABILITY_IAM".to_owned()),
        ];
        for (number, (key, value)) in all.enumerate() {
            let member = format!("Parameters.member.{}", number + 1);
            input.push((format!("{member}.ParameterKey"), (*key).to_owned()));
            input.push((format!("{member}.ParameterValue"), (*value).to_owned()));
        }
        emulator.query("cloudformation", "CreateStack", &input).await;
        let mut cloud = Self { emulator: emulator.clone(), name, outputs: BTreeMap::new() };
        cloud.until_created().await;
        cloud
    }

    async fn until_created(&mut self) {
        let begun = Instant::now();
        loop {
            let described = self.stacks("DescribeStacks", &self.name).await;
            let status = element(&described, "StackStatus").expect("a stack has a status");
            if status == "CREATE_COMPLETE" {
                break;
            }
            let is_going_on = status == "CREATE_IN_PROGRESS" && begun.elapsed() < PATIENCE;
            assert!(is_going_on, "{}", self.stacks("DescribeStackEvents", &self.name).await);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let parts = self.stacks("DescribeStackResources", &self.name).await;
        for part in elements(&parts, "member") {
            let part = |name| element(part, name).expect("a resource has a name");
            let described = self.stacks("DescribeStacks", part("PhysicalResourceId")).await;
            for output in elements(&described, "OutputKey") {
                let (_, rest) = described.split_once(&format!("<OutputKey>{output}</OutputKey>")).expect("it is there");
                let value = element(rest, "OutputValue").unwrap_or_default().to_owned();
                self.outputs.insert(format!("{}.{output}", part("LogicalResourceId")), value);
            }
        }
    }

    async fn stacks(&self, action: &str, name: &str) -> String {
        self.emulator.query("cloudformation", action, &[("StackName".to_owned(), name.to_owned())]).await
    }

    /// What a part says of itself: `Messages.QueueUrl`.
    ///
    /// # Panics
    /// When it says no such thing.
    #[must_use]
    pub fn output(&self, name: &str) -> &str {
        self.outputs.get(name).unwrap_or_else(|| panic!("no {name} in {:?}", self.outputs))
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How the function is configured.
    pub async fn function(&self) -> Value {
        let path = format!("/2015-03-31/functions/{}/configuration", self.output("Worker.Worker"));
        self.emulator.lambda("GET", &path, Value::Null).await
    }

    /// What the function is told. In stacks within a stack the emulator leaves references to secrets as they are, so that they
    /// are followed here as CloudFormation does.
    ///
    /// # Panics
    /// When it is told nothing, or a secret is not there.
    pub async fn environment_of_function(&self) -> BTreeMap<String, String> {
        let told = self.function().await["Environment"]["Variables"].clone();
        let mut told: BTreeMap<String, String> = serde_json::from_value(told).expect("the function has an environment");
        for value in told.values_mut() {
            let reference = value.strip_prefix("{{resolve:secretsmanager:").and_then(|it| it.strip_suffix("}}"));
            if let Some((id, key)) = reference.and_then(|it| it.split_once(":SecretString:")) {
                *value = self.secret(id, key).await;
            }
        }
        told
    }

    /// The container of a task: `Api.Api`.
    pub async fn container(&self, task: &str) -> Value {
        let which = json!({ "taskDefinition": self.output(task) });
        let target = "AmazonEC2ContainerServiceV20141113.DescribeTaskDefinition";
        self.emulator.json("ecs", target, which).await["taskDefinition"]["containerDefinitions"][0].clone()
    }

    /// What it is told, secrets among it, as ECS would fetch them.
    ///
    /// # Panics
    /// When a secret is not there.
    pub async fn environment_of(&self, task: &str) -> BTreeMap<String, String> {
        let container = self.container(task).await;
        let text = |value: &Value| value.as_str().expect("it is a text").to_owned();
        let plain = container["environment"].as_array().into_iter().flatten();
        let mut told: BTreeMap<_, _> = plain.map(|it| (text(&it["name"]), text(&it["value"]))).collect();
        // These the emulator keeps as the template writes them.
        for secret in container["secrets"].as_array().into_iter().flatten() {
            let place = text(&secret["ValueFrom"]);
            let (id, key) = place.trim_end_matches("::").rsplit_once(':').expect("it names a key");
            told.insert(text(&secret["Name"]), self.secret(id, key).await);
        }
        told
    }

    /// A value in a secret that is a JSON object.
    async fn secret(&self, id: &str, key: &str) -> String {
        let found =
            self.emulator.json("secretsmanager", "secretsmanager.GetSecretValue", json!({ "SecretId": id })).await;
        let text = found["SecretString"].as_str().expect("the secret is a text");
        let object: Value = serde_json::from_str(text).expect("it is JSON");
        object[key].as_str().unwrap_or_else(|| panic!("{id} has no {key}")).to_owned()
    }

    /// What a role may do, by its policies: `Api.ApiRole`. What they deny is left out.
    ///
    /// # Panics
    /// When they cannot be read.
    pub async fn allowed(&self, role: &str) -> Allowed {
        let name = ("RoleName".to_owned(), self.output(role).to_owned());
        let listed = self.emulator.query("iam", "ListRolePolicies", std::slice::from_ref(&name)).await;
        let mut allowed = Allowed::new();
        for policy in elements(&listed, "member") {
            let which = [name.clone(), ("PolicyName".to_owned(), policy.to_owned())];
            let found = self.emulator.query("iam", "GetRolePolicy", &which).await;
            let document = element(&found, "PolicyDocument").expect("a policy has a document");
            let document = format!("document={document}");
            let (_, document) = url::form_urlencoded::parse(document.as_bytes()).next().expect("it is encoded");
            let document: Value = serde_json::from_str(&document).expect("a policy is JSON");
            for statement in document["Statement"].as_array().expect("it has statements") {
                if statement["Effect"] == "Allow" {
                    let pairs = many(&statement["Action"]).flat_map(|action| {
                        many(&statement["Resource"]).map(move |on| (action.to_owned(), last(on).to_owned()))
                    });
                    allowed.extend(pairs);
                }
            }
        }
        allowed
    }

    /// The alarms of this stack, by the ends of their names.
    ///
    /// # Panics
    /// When the emulator does not say.
    pub async fn alarms(&self) -> BTreeMap<String, Value> {
        let prefix = format!("{}-", self.name);
        let described = self.cloudwatch("DescribeAlarms", json!({ "AlarmNamePrefix": prefix })).await;
        let alarms = described["MetricAlarms"].as_array().expect("there is a list");
        let named = alarms.iter().map(|alarm| {
            let name = alarm["AlarmName"].as_str().expect("an alarm has a name");
            (name.trim_start_matches(&prefix).to_owned(), alarm.clone())
        });
        named.collect()
    }

    /// What CloudWatch does every minute for a queue: counts its messages and looks at the alarms.
    pub async fn measure(&self, queue: &str, messages: u64) {
        let datum = json!({
            "MetricName": "ApproximateNumberOfMessagesVisible",
            "Value": messages,
            "Dimensions": [{ "Name": "QueueName", "Value": queue }],
        });
        self.cloudwatch("PutMetricData", json!({ "Namespace": "AWS/SQS", "MetricData": [datum] })).await;
    }

    async fn cloudwatch(&self, action: &str, input: Value) -> Value {
        self.emulator.json("monitoring", &format!("GraniteServiceVersion20100801.{action}"), input).await
    }

    /// What the function has logged, line by line.
    ///
    /// # Panics
    /// When there is no such log.
    pub async fn log(&self) -> Vec<String> {
        let group = json!({ "logGroupName": self.output("Worker.Log") });
        let found = self.emulator.logs("FilterLogEvents", group).await.expect("the group is there");
        let events = found["events"].as_array().cloned().unwrap_or_default();
        let texts = events.iter().filter_map(|event| event["message"].as_str());
        texts.flat_map(str::lines).map(str::to_owned).collect()
    }

    /// The metric filters of that log.
    ///
    /// # Panics
    /// When there is no such log.
    pub async fn metric_filters(&self) -> Vec<Value> {
        let group = json!({ "logGroupName": self.output("Worker.Log") });
        let found = self.emulator.logs("DescribeMetricFilters", group).await.expect("the group is there");
        found["metricFilters"].as_array().cloned().unwrap_or_default()
    }

    /// Removes it.
    pub async fn delete(self) {
        self.stacks("DeleteStack", &self.name).await;
    }
}

/// The end of an ARN.
fn last(arn: &str) -> &str {
    arn.rsplit([':', '/']).next().unwrap_or(arn)
}

/// One text, or a list of them.
fn many(value: &Value) -> impl Iterator<Item = &str> {
    let one = value.as_str();
    one.into_iter().chain(value.as_array().into_iter().flatten().filter_map(Value::as_str))
}

/// The text of the first element of this name.
fn element<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    elements(xml, name).next()
}

/// The texts of the elements of this name, none of which holds another one of it.
fn elements<'a>(xml: &'a str, name: &str) -> impl Iterator<Item = &'a str> {
    let (opens, ends) = (format!("<{name}>"), format!("</{name}>"));
    let mut rest = xml;
    std::iter::from_fn(move || {
        let (_, after) = rest.split_once(&opens)?;
        let (text, after) = after.split_once(&ends)?;
        rest = after;
        Some(text)
    })
}

/// A file of ours.
fn read(path: &str) -> String {
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
