//! Node as the oracle: scenarios that were recorded from Node, played against hyper with the layer, and compared.
//!
//! `docs/node.md` says what is compared, and which differences there are and why. Other scenarios of the same format are
//! played with `ORACLE_DIR=folder cargo test --test oracle`, some of them with `ORACLE_ONLY=part-of-a-name`.

mod client;
mod compare;
mod doctor;
mod journal;
mod node;
mod outcome;
mod report;
mod rules;
mod scenario;
mod server;

use std::{
    env, fs,
    path::{Path, PathBuf},
    sync::{Arc, LazyLock, Mutex},
    time::Duration,
};

use serde::de::DeserializeOwned;
use tokio::{
    runtime::{Builder, Runtime},
    sync::Semaphore,
    task::JoinSet,
    time,
};

use self::{
    compare::Ours,
    node::{Observations, Observed},
    report::{Counts, Judgement, Verdict},
    scenario::{Scenario, Scenarios},
    server::{Seam, Server},
};

/// How many scenarios are played at the same time: most of what they do is wait.
const AT_ONCE: usize = 8;

/// No scenario takes so long.
const DEADLINE: Duration = Duration::from_secs(20);

/// How often a scenario that differs is played once more, alone: there are times of milliseconds in it, which a busy machine
/// does not keep.
const AGAIN: usize = 2;

/// How long an exchange may stay open when its client is done.
const PATIENCE: Duration = Duration::from_millis(2500);

/// Scenarios that were played, once for all tests.
struct Played {
    scenarios: Vec<(String, Result<Scenario, String>)>,
    ours: Vec<Option<Result<Ours, String>>>,
    node: Observations,
}

/// One after the other: scenarios have times in them, and want a machine that keeps them.
static STAGE: Mutex<()> = Mutex::new(());

static THROUGH_THE_SEAM: LazyLock<Played> = LazyLock::new(|| Played::new(Seam::Connection));
static IN_OUR_LOOP: LazyLock<Played> = LazyLock::new(|| Played::new(Seam::OwnLoop));

#[test]
fn exchanges_end_as_they_do_in_node() {
    let counts = THROUGH_THE_SEAM.judge();
    counts.print();
    assert_eq!(counts.different(), 0, "scenarios that end otherwise than in Node");
}

#[test]
fn in_a_loop_of_our_own_they_do_too() {
    let counts = IN_OUR_LOOP.judge();
    assert_eq!(counts.different(), 0, "scenarios that end otherwise than in Node:\n{counts}");
}

#[test]
fn what_node_did_not_do_is_seen_and_seldom_explained() {
    let (mut seen, mut explained) = (0, 0);
    for (scenario, node, ours) in THROUGH_THE_SEAM.understood() {
        for (what, judgement) in report::judge_doctored(scenario, node, ours) {
            assert_ne!(judgement, Judgement::Equal, "unseen: {what}, {ours:#?}");
            seen += 1;
            explained += usize::from(judgement == Judgement::Explained);
        }
    }
    assert!(explained * 20 <= seen, "the rules are too wide: {explained} of {seen}");
}

#[test]
fn every_rule_and_every_outcome_has_its_place_in_the_docs() {
    let page = fs::read_to_string(root().join("docs/node.md")).unwrap();
    let rules = rules::rules().map(|rule| rule.name);
    let limits = rules::limits().map(|limit| limit.name);
    for name in rules.chain(limits) {
        assert!(page.lines().any(|line| line == format!("### {name}")), "no section: {name}");
    }
    for outcome in outcome::ALL {
        assert!(page.contains(&format!("| `{outcome}` |")), "not in the table: {outcome}");
    }
}

/// Of the workspace.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn folder() -> PathBuf {
    root().join(env::var_os("ORACLE_DIR").unwrap_or("tests/oracle/data".into()))
}

fn load<T: DeserializeOwned>(path: &Path) -> T {
    let text =
        fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// In the order of the scenarios; none for those that were not understood.
async fn play_all(
    entries: &[(String, Result<Scenario, String>)],
    seam: Seam,
) -> Vec<Option<Result<Ours, String>>> {
    let turns = Arc::new(Semaphore::new(AT_ONCE));
    let mut playing = JoinSet::new();
    for (index, (_, scenario)) in entries.iter().enumerate() {
        let Ok(scenario) = scenario else { continue };
        let (scenario, turns) = (Arc::new(scenario.clone()), Arc::clone(&turns));
        playing.spawn(async move {
            let _turn = turns.acquire().await.unwrap();
            let played = time::timeout(DEADLINE, play(&scenario, seam)).await;
            (index, played.unwrap_or_else(|_| Err("it takes too long".to_owned())))
        });
    }
    let mut played: Vec<_> = entries.iter().map(|_| None).collect();
    while let Some(done) = playing.join_next().await {
        match done {
            Ok((index, ours)) => played[index] = Some(ours),
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        }
    }
    played
}

async fn play(scenario: &Arc<Scenario>, seam: Seam) -> Result<Ours, String> {
    let server = Server::start(scenario, seam).await.map_err(|error| error.to_string())?;
    let seen = client::run(&scenario.client, &server).await?;
    // What is still open then counts as never closed.
    let _ = time::timeout(PATIENCE, server.settled()).await;
    let quiet = server.journal.wait_quiet(Duration::from_millis(scenario.quiet_ms));
    let _ = time::timeout(PATIENCE, quiet).await;
    Ok(Ours { exchanges: server.recorder.exchanges(), seen })
}

// ===== impl Played =====

impl Played {
    fn new(seam: Seam) -> Self {
        let _stage = STAGE.lock();
        let folder = folder();
        let file: Scenarios = load(&folder.join("scenarios.json"));
        let only = env::var("ORACLE_ONLY").unwrap_or_default();
        let entries = file.scenarios.iter().filter(|entry| entry.id.contains(&only));
        let scenarios: Vec<_> = entries.map(|entry| (entry.id.clone(), entry.read())).collect();
        let runtime = Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap();
        let ours = runtime.block_on(play_all(&scenarios, seam));
        let node = load(&folder.join("node-observed.json"));
        let mut played = Self { scenarios, ours, node };
        for _ in 0..AGAIN {
            played.play_again(seam, &runtime);
        }
        played
    }

    fn play_again(&mut self, seam: Seam, runtime: &Runtime) {
        for index in 0..self.scenarios.len() {
            if self.verdicts(index).iter().any(Verdict::is_different) {
                let entry = &self.scenarios[index..=index];
                self.ours[index] = runtime.block_on(play_all(entry, seam)).pop().flatten();
            }
        }
    }

    fn judge(&self) -> Counts {
        let mut counts = Counts::default();
        for (index, (id, _)) in self.scenarios.iter().enumerate() {
            counts.add(id, &self.verdicts(index));
        }
        counts
    }

    fn verdicts(&self, index: usize) -> Vec<Verdict> {
        let (id, scenario) = &self.scenarios[index];
        match (scenario, self.node.results.get(id), &self.ours[index]) {
            (Ok(scenario), Some(node), Some(Ok(ours))) => report::judge(scenario, node, ours),
            (Err(error), ..) | (_, _, Some(Err(error))) => vec![Verdict::failed(error)],
            _ => vec![Verdict::failed("there is no recording of it")],
        }
    }

    /// Where there is something to compare.
    fn understood(&self) -> impl Iterator<Item = (&Scenario, &Observed, &Ours)> {
        self.scenarios.iter().zip(&self.ours).filter_map(|((id, scenario), ours)| {
            let (scenario, node) = (scenario.as_ref().ok()?, self.node.results.get(id)?);
            Some((scenario, node, ours.as_ref()?.as_ref().ok()?))
        })
    }
}
