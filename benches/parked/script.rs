//! What happens to a server, in a process of its own, so that no other's memory counts. It prints what it has seen.

use std::{
    io::{self, Write},
    ops::Range,
    time::Duration,
};

use crate::{
    Failed,
    os::resident,
    scene::Scene,
    words::{Shape, Subject, Way},
};

/// What happens.
pub(crate) struct Script {
    pub(crate) subject: Subject,
    pub(crate) clients: usize,
    pub(crate) act: Act,
    /// How long is waited for what may never come.
    pub(crate) patience: Duration,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act {
    /// All stay.
    Park,
    /// So many clients of each shape leave in each way, one after the other.
    Leave(usize),
    /// All are of this shape and leave at once.
    Vanish(Shape),
}

impl Script {
    /// For another process to parse.
    pub(crate) fn words(&self) -> [String; 5] {
        let [act, with] = match self.act {
            Act::Park => ["park".to_owned(), String::new()],
            Act::Leave(samples) => ["leave".to_owned(), samples.to_string()],
            Act::Vanish(shape) => ["vanish".to_owned(), shape.name().to_owned()],
        };
        let patience = self.patience.as_millis().to_string();
        [self.subject.name().to_owned(), self.clients.to_string(), act, with, patience]
    }

    pub(crate) fn parse(words: &[&str]) -> Result<Self, Failed> {
        let [subject, clients, act, with, patience] = *words else {
            return Err("no script".into());
        };
        let act = match act {
            "park" => Act::Park,
            "leave" => Act::Leave(with.parse()?),
            _ => Act::Vanish(with.parse()?),
        };
        let patience = Duration::from_millis(patience.parse()?);
        Ok(Self { subject: subject.parse()?, clients: clients.parse()?, act, patience })
    }

    pub(crate) fn play(&self) -> Result<(), Failed> {
        let mut scene = Scene::start(self)?;
        match self.act {
            Act::Park => park(&mut scene, self.clients)?,
            Act::Leave(samples) => self.leave(&mut scene, samples)?,
            Act::Vanish(shape) => {
                let ids = scene.park(shape, self.clients)?;
                scene.vanish()?;
                scene.settle();
                print(&scene, shape, ids.map(|id| (id, Way::Fin)))?;
            }
        }
        scene.end()
    }

    fn leave(&self, scene: &mut Scene, samples: usize) -> Result<(), Failed> {
        let leaving = samples * Way::ALL.len();
        let polls = self.clients.saturating_sub((Shape::ALL.len() - 1) * leaving);
        park(scene, polls)?;
        let mut groups = vec![(Shape::Poll, 0..polls)];
        for &shape in Shape::ALL.iter().filter(|&&shape| shape != Shape::Poll) {
            groups.push((shape, scene.park(shape, leaving)?));
        }
        for (_, ids) in &groups {
            scene.leave(spread(ids, leaving))?;
        }
        scene.settle();
        for (shape, ids) in groups {
            print(scene, shape, spread(&ids, leaving))?;
        }
        Ok(())
    }
}

/// Tells how much memory they take.
fn park(scene: &mut Scene, polls: usize) -> Result<(), Failed> {
    // What a server has anyway is not a poll's.
    let (first, rest) = (polls / 10, polls - polls / 10);
    scene.park(Shape::Poll, first)?;
    let before = resident()?;
    scene.park(Shape::Poll, rest)?;
    let grown = resident()?.saturating_sub(before);
    writeln!(io::stdout(), "grown\t{grown}\t{rest}")?;
    Ok(())
}

/// So many of these clients, in turns of each way.
fn spread(ids: &Range<usize>, leaving: usize) -> impl Iterator<Item = (usize, Way)> {
    let distance = ids.len().checked_div(leaving).unwrap_or_default();
    let ids = ids.clone().step_by(distance.max(1)).take(leaving);
    ids.zip(Way::ALL.iter().copied().cycle())
}

fn print(scene: &Scene, shape: Shape, left: impl Iterator<Item = (usize, Way)>) -> io::Result<()> {
    let mut output = io::stdout().lock();
    for (id, way) in left {
        writeln!(output, "left\t{}\t{}\t{}", shape.name(), way.name(), scene.record(id))?;
    }
    Ok(())
}
