//! Redis for tests: the server of the environment, of which each test uses a part of its own, and servers that a test
//! starts, kills and starts again.
//!
//! A missing one is a failure, unless `FINCORE_TEST_SQLITE_ONLY` says that servers are left out on purpose; then the
//! tests that need one say on stderr that they did not run. Not here: installing it. `cargo xtask test` does.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use workflow::ids::PaymentId;
use workflow::port::breakers::{BreakerNews, Breakers, Told};
use workflow::port::clock::SystemClock;
use workflow_redis::{RedisOptions, RedisShared};

use crate::process::free_port;

/// Names the server that tests share.
pub const REDIS_URL: &str = "FINCORE_TEST_REDIS_URL";
/// Names the program that tests start servers of their own from.
pub const REDIS_SERVER: &str = "FINCORE_REDIS_SERVER";
/// Says that servers are left out on purpose.
const SQLITE_ONLY: &str = "FINCORE_TEST_SQLITE_ONLY";

/// How long a server may take to start, or to be used again, on a machine that does other things as well.
const START: Duration = Duration::from_secs(20);
/// What calls may take in tests that are not about slowness: other tests run at the same time.
const PATIENCE: Duration = Duration::from_secs(2);

/// The environment's answer, or none when servers are left out on purpose.
fn named(variable: &str) -> Option<String> {
    if let Ok(value) = std::env::var(variable) {
        return Some(value);
    }
    assert!(
        std::env::var_os(SQLITE_ONLY).is_some(),
        "{variable} is not set: run cargo xtask test, or keep cargo xtask services running and export what it prints; \
         {SQLITE_ONLY}=1 leaves servers out"
    );
    // Written past the test harness, which would swallow it.
    let note = format!("\nNOT RUN: a test with Redis, because of {SQLITE_ONLY}.\n\n");
    let _ = std::io::stderr().write_all(note.as_bytes());
    None
}

/// A part of a Redis that belongs to one test.
pub struct TestRedis {
    /// Where the server is.
    pub url: String,
    /// What this part's keys begin with.
    pub prefix: String,
}

impl TestRedis {
    /// A part of the server of the environment.
    ///
    /// # Panics
    /// When it is not named, and not left out on purpose.
    #[must_use]
    pub fn find() -> Option<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let url = named(REDIS_URL)?;
        let prefix = format!("test_{}_{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        Some(Self { url, prefix })
    }

    /// A process's connection to it, made.
    pub async fn process(&self) -> Arc<RedisShared> {
        connected(self.options(PATIENCE)).await
    }

    /// How it is used, with calls that may take so long.
    #[must_use]
    pub fn options(&self, patience: Duration) -> RedisOptions {
        RedisOptions { prefix: self.prefix.clone(), patience, ..RedisOptions::new(self.url.as_str().into()) }
    }

    /// Runs a command past the adapter, as somebody at a prompt would.
    ///
    /// # Panics
    /// When the server refuses it.
    pub async fn run<T: redis::FromRedisValue>(&self, command: &[&str]) -> T {
        let client = redis::Client::open(self.url.as_str()).expect("a Redis URL");
        let mut connection = client.get_multiplexed_async_connection().await.expect("the server answers");
        let (name, arguments) = command.split_first().expect("a command has a name");
        redis::cmd(name).arg(arguments).query_async(&mut connection).await.expect("the server does it")
    }

    /// The key of this kind and name.
    #[must_use]
    pub fn key(&self, kind: &str, name: &str) -> String {
        format!("{}:{kind}:{name}", self.prefix)
    }

    /// The key of a charge's view.
    #[must_use]
    pub fn view_key(&self, id: PaymentId) -> String {
        self.key("view", &id.to_string())
    }
}

/// The adapter, once it has a connection.
///
/// # Panics
/// When the server does not answer.
pub async fn connected(options: RedisOptions) -> Arc<RedisShared> {
    let shared = Arc::new(RedisShared::open(options, Arc::new(SystemClock)).expect("a Redis URL"));
    until_it_answers(&shared).await;
    shared
}

/// Waits until calls get through.
///
/// # Panics
/// When they do not for a long time.
pub async fn until_it_answers(shared: &RedisShared) {
    let begun = Instant::now();
    let told = Told { id: 1, news: BreakerNews::Closed };
    loop {
        shared.tell("is_it_there", told).await;
        if shared.latest("is_it_there").await.is_some() {
            return;
        }
        assert!(begun.elapsed() < START, "Redis does not answer");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A server of a test's own. Dropping it kills it.
pub struct OwnRedis {
    program: PathBuf,
    port: u16,
    child: Option<Child>,
}

impl OwnRedis {
    /// Starts one of the program that the environment names.
    ///
    /// # Panics
    /// When it is not named, and not left out on purpose.
    #[must_use]
    pub fn start() -> Option<Self> {
        let program = named(REDIS_SERVER)?;
        let mut server = Self { program: program.into(), port: free_port(), child: None };
        server.restart();
        Some(server)
    }

    /// Starts it again on its port, empty.
    ///
    /// # Panics
    /// When it does not start.
    pub fn restart(&mut self) {
        self.kill();
        let mut command = Command::new(&self.program);
        command.args(["--port", &self.port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        self.child = Some(command.spawn().expect("redis-server can be started"));
        let begun = Instant::now();
        while self.ping().is_err() {
            assert!(begun.elapsed() < START, "redis-server does not answer");
            std::thread::yield_now();
        }
    }

    fn ping(&self) -> std::io::Result<()> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(Duration::from_millis(200)))?;
        stream.write_all(b"PING\r\n")?;
        stream.read_exact(&mut [0; b"+PONG\r\n".len()])
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Stops it in its tracks: connections stay open and nothing answers, until it is continued.
    pub fn stall(&self) {
        self.signal("-STOP");
    }

    /// Lets it go on.
    pub fn go_on(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let id = self.child.as_ref().expect("it runs").id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().expect("kill can be run").success());
    }

    /// A part of it.
    #[must_use]
    pub fn part(&self) -> TestRedis {
        TestRedis { url: format!("redis://127.0.0.1:{}", self.port), prefix: "own".to_owned() }
    }
}

impl Drop for OwnRedis {
    fn drop(&mut self) {
        self.kill();
    }
}
