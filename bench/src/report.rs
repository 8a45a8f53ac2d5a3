//! What a person reads at the end, and everything as JSON.

use comfy_table::presets::ASCII_MARKDOWN;
use comfy_table::{CellAlignment, ContentArrangement, Table};
use fincore::settings::Settings;
use serde::Serialize;
use sqlx::Connection;

use crate::Args;
use crate::bed::Afterwards;
use crate::machine::{Machine, milliseconds};
use crate::plan::{Cell, Database, Kind, Plan};
use crate::summary::{Run, Summary};

/// Everything that was measured, and on what.
#[derive(Serialize)]
pub(crate) struct Report {
    machine: Machine,
    settings: Conditions,
    cells: Vec<Measured>,
    afterwards: Vec<(Database, Afterwards)>,
    ratios: Vec<Ratio>,
}

/// What the numbers depend on besides the machine.
#[derive(Serialize)]
struct Conditions {
    postgres: Vec<(String, String)>,
    sqlite: String,
    connections: u32,
    worker_concurrency: usize,
    threads: String,
    seconds: f64,
    repetitions: usize,
}

#[derive(Serialize)]
struct Measured {
    database: Database,
    cell: Cell,
    summary: Option<Summary>,
    runs: Vec<Run>,
}

/// A number that was aimed at.
#[derive(Serialize)]
struct Ratio {
    database: Database,
    what: &'static str,
    reached: f64,
    aim: &'static str,
}

impl Report {
    pub(crate) async fn new(args: &Args, plan: &Plan, settings: &Settings) -> anyhow::Result<Self> {
        Ok(Self {
            machine: Machine::look(&args.folder)?,
            settings: Conditions {
                postgres: postgres_settings(&args.postgres_url).await?,
                sqlite: sqlite_version().await?,
                connections: settings.database_connections,
                worker_concurrency: settings.worker_concurrency,
                threads: format!("{:?}", args.threads).to_lowercase(),
                seconds: plan.window.measured.as_secs_f64(),
                repetitions: plan.repetitions,
            },
            cells: Vec::new(),
            afterwards: Vec::new(),
            ratios: Vec::new(),
        })
    }

    pub(crate) fn add(&mut self, database: Database, cell: Cell, run: Run) {
        let same = |measured: &&mut Measured| measured.database == database && measured.cell == cell;
        match self.cells.iter_mut().find(same) {
            Some(measured) => measured.runs.push(run),
            None => self.cells.push(Measured { database, cell, summary: None, runs: vec![run] }),
        }
    }

    /// Takes in what a database said at its end, and sums up its cells.
    pub(crate) fn remember(&mut self, database: Database, afterwards: Afterwards) {
        self.afterwards.push((database, afterwards));
        for measured in self.cells.iter_mut().filter(|measured| measured.database == database) {
            measured.summary = Summary::of(&measured.runs.iter().collect::<Vec<_>>());
        }
        let ratios = self.ratios_of(database);
        self.ratios.extend(ratios);
    }

    /// The conditions, before anything is measured.
    pub(crate) fn heading(&self) -> String {
        let Machine { processors, model, memory_mib, kernel, disk, sync_p50_us, sync_p99_us, rustc } = &self.machine;
        let Conditions { postgres, sqlite, connections, worker_concurrency, threads, seconds, repetitions } =
            &self.settings;
        let postgres: Vec<_> = postgres.iter().map(|(name, value)| format!("{name} {value}")).collect();
        format!(
            "machine     {processors} processors ({model}), {memory_mib} MiB, Linux {kernel}\n\
             disk        {disk}; 8 KiB written and synced in {sync_p50_us} us (p50), {sync_p99_us} us (p99)\n\
             built with  {rustc}, release\n\
             PostgreSQL  {}\n\
             SQLite      {sqlite}, journal_mode wal, synchronous full\n\
             FinCore     {connections} connections (half of them write), worker concurrency {worker_concurrency}, one \
             lane each of starts, updates and loads, batches up to {}\n\
             driver      {seconds} s x {repetitions} per cell, closed loop; driver, PSP and FinCore on threads {threads}; \
             webhooks off unless the row says otherwise",
            postgres.join(", "),
            workflow::group_commit::MAX_BATCH,
        )
    }

    /// The tables.
    pub(crate) fn text(&self) -> String {
        let mut parts = Vec::new();
        for (database, afterwards) in &self.afterwards {
            parts.push(format!(
                "{database}: speed (median of the repetitions, slowest to fastest)\n{}",
                self.speeds(*database)
            ));
            parts.push(format!("{database}: what one round costs\n{}", self.costs(*database)));
            parts.push(format!("{database}: processor time of one round\n{}", self.processors(*database)));
            parts.push(afterwards.line());
        }
        parts.push(format!("aims\n{}", self.aims()));
        parts.join("\n\n")
    }

    fn of(&self, database: Database) -> impl Iterator<Item = (Cell, &Summary)> {
        let measured = self.cells.iter().filter(move |measured| measured.database == database);
        measured.filter_map(|measured| Some((measured.cell, measured.summary.as_ref()?)))
    }

    fn find(&self, database: Database, kind: Kind, in_flight: usize) -> Option<&Summary> {
        self.of(database).find(|(cell, _)| *cell == Cell { kind, in_flight }).map(|(_, summary)| summary)
    }

    fn speeds(&self, database: Database) -> Table {
        let mut table = table(&["what", "in flight", "per second", "range", "p50 ms", "p99 ms", "202 p50", "202 p99"]);
        for (cell, summary) in self.sorted(database) {
            let accepted = |us: Option<u64>| us.map_or_else(String::new, milliseconds);
            table.add_row([
                cell.kind.title().to_owned(),
                cell.in_flight.to_string(),
                format!("{:.0}", summary.per_second),
                format!("{:.0}-{:.0}", summary.slowest_per_second, summary.fastest_per_second),
                milliseconds(summary.p50_us),
                milliseconds(summary.p99_us),
                accepted(summary.accepted_p50_us),
                accepted(summary.accepted_p99_us),
            ]);
        }
        table
    }

    fn costs(&self, database: Database) -> Table {
        let mut table = table(&[
            "what",
            "in flight",
            "commits",
            "store calls",
            "PSP calls",
            "updates",
            "loads",
            "WAL bytes",
            "written",
            "start batch",
            "ms",
            "busy",
            "update batch",
            "ms",
            "busy",
        ]);
        for (cell, summary) in self.sorted(database) {
            let costs = &summary.per_round;
            // Bare inserts share no lane: each client is under way by itself.
            let percent = |share: f64| {
                if cell.kind == Kind::BareInsert { String::new() } else { format!("{:.0} %", share * 100.0) }
            };
            table.add_row([
                cell.kind.title().to_owned(),
                cell.in_flight.to_string(),
                format!("{:.3}", costs.commits),
                format!("{:.3}", costs.store_calls),
                format!("{:.2}", costs.psp_calls),
                format!("{:.2}", costs.updates),
                format!("{:.2}", costs.loads),
                costs.wal_bytes.map_or_else(String::new, |bytes| format!("{bytes:.0}")),
                format!("{:.0}", costs.written_bytes),
                format!("{:.1}", costs.start_batch),
                format!("{:.1}", costs.start_call_us / 1e3),
                percent(costs.start_lane_share),
                format!("{:.1}", costs.update_batch),
                format!("{:.1}", costs.update_call_us / 1e3),
                percent(costs.update_lane_share),
            ]);
        }
        table
    }

    fn processors(&self, database: Database) -> Table {
        let mut table = table(&[
            "what",
            "in flight",
            "FinCore us",
            "database us",
            "PSP us",
            "driver us",
            "sum us",
            "busy",
            "waits for disk",
        ]);
        for (cell, summary) in self.sorted(database) {
            let costs = &summary.per_round;
            let parts = [costs.fincore_us, costs.database_us, costs.psp_us, costs.driver_us];
            let mut row = vec![cell.kind.title().to_owned(), cell.in_flight.to_string()];
            row.extend(parts.iter().chain([&parts.iter().sum()]).map(|us| format!("{us:.0}")));
            let shares = [costs.busy_share, costs.waiting_for_disk_share, costs.others_share];
            row.extend(shares.iter().map(|share| format!("{:.0} %", share * 100.0)));
            table.add_row(row);
        }
        table
    }

    fn sorted(&self, database: Database) -> Vec<(Cell, &Summary)> {
        let mut cells: Vec<_> = self.of(database).collect();
        cells.sort_by_key(|(cell, _)| (cell.kind as usize, cell.in_flight));
        cells
    }

    fn aims(&self) -> Table {
        let mut table = table(&["database", "what", "reached", "aim"]);
        for ratio in &self.ratios {
            let digits = if ratio.reached < 100.0 { 2 } else { 0 };
            let reached = format!("{:.digits$}", ratio.reached);
            table.add_row([ratio.database.to_string(), ratio.what.to_owned(), reached, ratio.aim.to_owned()]);
        }
        // Words are no numbers.
        for column in [1, 3] {
            table.column_mut(column).into_iter().for_each(|column| column.set_cell_alignment(CellAlignment::Left));
        }
        table
    }

    /// What could be computed from the cells that were measured.
    fn ratios_of(&self, database: Database) -> Vec<Ratio> {
        const FULL: usize = 256;
        let find = |kind, in_flight| self.find(database, kind, in_flight);
        let speed = |kind| find(kind, FULL).map(|summary| summary.per_second);
        let p50 = |kind| find(kind, 1).map(|summary| summary.p50_us as f64);
        let cost = |cost: fn(&Summary) -> f64| find(Kind::Complete, FULL).map(cost);
        let over = |above: Option<f64>, below: Option<f64>| Some(above? / below?);
        let rows = [
            ("charges completed per second, 256 in flight", speed(Kind::Complete), ">= 2000"),
            (
                "of the batched floor with the PSP's calls",
                over(speed(Kind::Complete), speed(Kind::BareFlowWithPsp)),
                ">= 0.6",
            ),
            ("of the batched floor without any PSP", over(speed(Kind::Complete), speed(Kind::BareFlow)), "-"),
            (
                "in process, of the floor with the PSP's calls",
                over(speed(Kind::CompleteInProcess), speed(Kind::BareFlowWithPsp)),
                "-",
            ),
            (
                "one client: p50 of a start over HTTP / bare insert",
                over(p50(Kind::Start), p50(Kind::BareInsert)),
                "<= 1.3",
            ),
            (
                "one client: p50 of a start in process / bare insert",
                over(p50(Kind::StartInProcess), p50(Kind::BareInsert)),
                "<= 1.3",
            ),
            ("commits per charge, 256 in flight", cost(|summary| summary.per_round.commits), "<= 0.2"),
            (
                "WAL bytes per charge, 256 in flight",
                find(Kind::Complete, FULL).and_then(|summary| summary.per_round.wal_bytes),
                "<= 4096",
            ),
        ];
        let known = rows.into_iter().filter_map(|(what, reached, aim)| Some((what, reached?, aim)));
        known.map(|(what, reached, aim)| Ratio { database, what, reached, aim }).collect()
    }
}

impl Afterwards {
    fn line(&self) -> String {
        let hot = match (self.updates, self.hot_updates) {
            (Some(updates), Some(hot)) => {
                format!("; {:.1} % of {updates} updates were heap-only", 100.0 * hot as f64 / updates.max(1) as f64)
            }
            _ => String::new(),
        };
        format!("at the end: {} charges with {} history rows{hot}", self.payments, self.history_rows)
    }
}

fn table(columns: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN).set_content_arrangement(ContentArrangement::Disabled).set_header(columns);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// The version and whatever durability and the log depend on.
async fn postgres_settings(url: &str) -> anyhow::Result<Vec<(String, String)>> {
    let mut connection = sqlx::postgres::PgConnection::connect(url).await?;
    let rows = sqlx::query_as(
        "select name, current_setting(name) from pg_settings where name = any($1) order by array_position($1, name)",
    )
    .bind([
        "server_version",
        "fsync",
        "synchronous_commit",
        "full_page_writes",
        "wal_sync_method",
        "wal_level",
        "wal_compression",
        "wal_buffers",
        "max_wal_size",
        "checkpoint_timeout",
        "shared_buffers",
        "commit_delay",
    ])
    .fetch_all(&mut connection)
    .await?;
    connection.close().await?;
    Ok(rows)
}

async fn sqlite_version() -> anyhow::Result<String> {
    let mut connection = sqlx::SqliteConnection::connect("sqlite::memory:").await?;
    Ok(sqlx::query_scalar("select sqlite_version()").fetch_one(&mut connection).await?)
}
