//! The tables.

use std::time::Duration;

use crate::{
    Failed,
    record::Record,
    words::{Shape, Subject, Way},
};

/// What a scene has printed.
pub(crate) struct Played {
    subject: Subject,
    /// Resident bytes for each poll.
    memory: Option<f64>,
    left: Vec<(Shape, Way, Record)>,
}

impl Played {
    pub(crate) fn parse(subject: Subject, printed: &str) -> Result<Self, Failed> {
        let mut played = Self { subject, memory: None, left: Vec::new() };
        for line in printed.lines() {
            let words: Vec<&str> = line.split('\t').collect();
            match words[..] {
                ["grown", bytes, polls] => {
                    played.memory = Some(bytes.parse::<f64>()? / polls.parse::<f64>()?);
                }
                ["left", shape, way, record] => {
                    played.left.push((shape.parse()?, way.parse()?, record.parse()?));
                }
                _ => return Err(line.into()),
            }
        }
        Ok(played)
    }

    fn records(&self, shape: Shape, way: Way) -> impl Iterator<Item = Record> {
        let of = self.left.iter().filter(move |left| (left.0, left.1) == (shape, way));
        of.map(|left| left.2)
    }
}

/// Medians of the rounds, as it is and with a single arena.
pub(crate) fn memory(scenes: &[Played], one_arena: &[Played]) {
    println!();
    println!(
        "| server | resident a poll | beyond bare | of bare | with one arena | beyond bare | of bare |"
    );
    println!("|---|---:|---:|---:|---:|---:|---:|");
    for &subject in Subject::ALL {
        let cells = [scenes, one_arena].map(|scenes| {
            let [bytes, bare] = [subject, Subject::Bare].map(|subject| bytes(scenes, subject));
            format!("{bytes:.0} B | {:.0} B | {:.3}", bytes - bare, bytes / bare)
        });
        println!("| {} | {} |", subject.name(), cells.join(" | "));
    }
}

fn bytes(scenes: &[Played], subject: Subject) -> f64 {
    let of = scenes.iter().filter(|scene| scene.subject == subject);
    let mut bytes: Vec<f64> = of.filter_map(|scene| scene.memory).collect();
    bytes.sort_by(f64::total_cmp);
    bytes.get(bytes.len() / 2).copied().unwrap_or(f64::NAN)
}

/// All rounds together.
pub(crate) fn leaving(scenes: &[Played], patience: Duration) {
    println!();
    println!(
        "| client | leaves by | server | noticed | p50 | p99 | max | p99 of bare | `on_disconnect` | handlers dropped |"
    );
    println!("|---|---|---|---:|---:|---:|---:|---:|---:|---:|");
    for (shape, way) in ways() {
        let records_of = |subject| -> Vec<Record> {
            let of = scenes.iter().filter(|scene| scene.subject == subject);
            of.flat_map(|scene| scene.records(shape, way)).collect()
        };
        let bare = Latencies::of(&records_of(Subject::Bare), Record::noticed);
        for &subject in Subject::ALL.iter().filter(|subject| subject.leaves()) {
            let records = records_of(subject);
            let noticed = Latencies::of(&records, Record::noticed);
            let [p50, p99, max] = [0.5, 0.99, 1.0].map(|share| noticed.at(share));
            let count = match noticed.0.len() {
                0 => format!("never within {patience:?}"),
                some => format!("{some} of {}", records.len()),
            };
            println!(
                "| {} | {} | {} | {count} | {} | {} | {} | {} | {} | {} |",
                shape.name(),
                way.name(),
                subject.name(),
                text(p50),
                text(p99),
                text(max),
                ratio(p99, bare.at(0.99)),
                records.iter().filter(|record| record.disconnected.is_some()).count(),
                records.iter().filter(|record| record.dropped.is_some()).count(),
            );
        }
    }
}

/// Each round's last fact: the median of the rounds, and the worst. What is left: the worst.
pub(crate) fn vanishing(scenes: &[Played], crowd: usize) {
    println!();
    println!(
        "| {crowd} clients at once | server | last handler dropped | worst | last `on_close` | worst | handlers left | exchanges left |"
    );
    println!("|---|---|---:|---:|---:|---:|---:|---:|");
    for (shape, way) in ways() {
        for &subject in Subject::ALL {
            let of = scenes.iter().filter(|scene| scene.subject == subject);
            let rounds = of.map(|scene| scene.records(shape, way).collect());
            let rounds: Vec<Vec<Record>> =
                rounds.filter(|round: &Vec<_>| !round.is_empty()).collect();
            if rounds.is_empty() {
                continue;
            }
            let last = |until: fn(&Record) -> Option<u64>| {
                let lasts = rounds.iter().filter_map(|round| Latencies::of(round, until).at(1.0));
                let lasts = Latencies::sorted(lasts.collect());
                format!("{} | {}", text(lasts.at(0.5)), text(lasts.at(1.0)))
            };
            let open = |is_open: fn(&Record) -> bool| {
                let open = rounds.iter().map(|round| round.iter().filter(|it| is_open(it)).count());
                open.max().unwrap_or_default()
            };
            let exchanges = if subject.is_observed() {
                open(|record| record.closed.is_none()).to_string()
            } else {
                String::new()
            };
            println!(
                "| {} | {} | {} | {} | {} | {exchanges} |",
                shape.name(),
                subject.name(),
                last(|record| record.dropped),
                last(|record| record.closed),
                open(|record| record.dropped.is_none()),
            );
        }
    }
}

fn ways() -> impl Iterator<Item = (Shape, Way)> {
    Shape::ALL.iter().flat_map(|&shape| Way::ALL.iter().map(move |&way| (shape, way)))
}

/// Sorted.
struct Latencies(Vec<Duration>);

impl Latencies {
    /// From leaving until then.
    fn of(records: &[Record], until: impl Fn(&Record) -> Option<u64>) -> Self {
        Self::sorted(records.iter().filter_map(|record| record.since(until(record))).collect())
    }

    fn sorted(mut latencies: Vec<Duration>) -> Self {
        latencies.sort();
        Self(latencies)
    }

    /// That share of them is no longer.
    fn at(&self, share: f64) -> Option<Duration> {
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "they are few, and a share is between 0 and 1"
        )]
        let rank = (self.0.len() as f64 * share).ceil() as usize;
        self.0.get(rank.saturating_sub(1)).copied()
    }
}

fn text(time: Option<Duration>) -> String {
    match time {
        None => String::new(),
        Some(time) if time < Duration::from_millis(10) => format!("{} µs", time.as_micros()),
        Some(time) => format!("{} ms", time.as_millis()),
    }
}

fn ratio(this: Option<Duration>, other: Option<Duration>) -> String {
    match (this, other) {
        (Some(this), Some(other)) => format!("{:.2}", this.as_secs_f64() / other.as_secs_f64()),
        _ => String::new(),
    }
}
