//! Any order of parks, wakes, closes, polls, drops and time against a model that is a list.
//!
//! `PROPTEST_CASES` says how many cases, 2,000 unless told.

use std::time::Duration;

use proptest::{
    collection::vec,
    prelude::{ProptestConfig, any},
    test_runner::TestRunner,
};
use tokio::time::{Instant, advance};
use tower_lifecycle::park::{Outcome, Policy, Refused, Second};

use crate::{
    rig::{Lot, Parked, SECOND, Source, ended},
    support::choices::Choices,
};

const MAX_PARKED: usize = 5;
const MAX_PER_OWNER: usize = 3;
const WITHIN: Duration = Duration::from_secs(10);

/// One slot, and what it is to come to.
struct Poll {
    key: u32,
    owner: u32,
    wait: Parked<u64>,
    /// Set when it first looks.
    deadline: Option<Instant>,
    /// What the source had when it was parked.
    seen: u64,
    called: bool,
    /// Whether it has its key.
    stands: bool,
    outcome: Option<Outcome<u64>>,
}

struct World {
    lot: Lot,
    second: Second,
    sources: [Source; 3],
    polls: Vec<Poll>,
    draining: bool,
    parks: u64,
    refusals: u64,
}

impl World {
    fn new(second: Second) -> Self {
        let policy = Policy::new().jitter(0.0).second(second);
        let policy = policy.max_parked(MAX_PARKED).max_per_owner(MAX_PER_OWNER);
        Self {
            lot: Lot::new(policy),
            second,
            sources: Default::default(),
            polls: Vec::new(),
            draining: false,
            parks: 0,
            refusals: 0,
        }
    }

    /// Those on a key that are not over.
    fn on(&mut self, key: u32) -> impl Iterator<Item = &mut Poll> {
        self.polls.iter_mut().filter(move |poll| poll.key == key && poll.outcome.is_none())
    }

    fn expected(&mut self, key: u32, owner: u32) -> Result<(), Refused> {
        if self.draining {
            return Err(Refused::Draining);
        }
        // What is over holds its place until its slot is dropped, or superseded.
        let holds = |poll: &&Poll| poll.key == key && poll.stands;
        let there = self.polls.iter().filter(holds).count();
        match self.second {
            Second::Supersede if there > 0 => return Ok(()),
            Second::Reject if there > 0 => return Err(Refused::KeyFull),
            Second::Share(most) if there >= most => return Err(Refused::KeyFull),
            _ => {}
        }
        if self.polls.len() >= MAX_PARKED {
            return Err(Refused::Full);
        }
        let held = self.polls.iter().filter(|poll| poll.owner == owner).count();
        if held >= MAX_PER_OWNER { Err(Refused::OwnerFull) } else { Ok(()) }
    }

    fn park(&mut self, key: u32, owner: u32) {
        let expected = self.expected(key, owner);
        match self.lot.park_for(key, owner) {
            Err(refused) => {
                assert_eq!(Err(refused), expected);
                self.refusals += 1;
            }
            Ok(slot) => {
                assert_eq!(expected, Ok(()));
                self.parks += 1;
                if self.second == Second::Supersede {
                    self.on(key).for_each(|poll| poll.outcome = Some(Outcome::Superseded));
                    self.polls
                        .iter_mut()
                        .filter(|poll| poll.key == key)
                        .for_each(|poll| poll.stands = false);
                }
                let source = &self.sources[key as usize];
                let seen = source.get();
                let wait = Parked::new(slot.wait(WITHIN, source.after(seen)));
                self.polls.push(Poll {
                    key,
                    owner,
                    wait,
                    deadline: None,
                    seen,
                    called: false,
                    stands: true,
                    outcome: None,
                });
            }
        }
    }

    fn poll(&mut self, index: usize) {
        let now = self.sources[self.polls[index].key as usize].get();
        let poll = &mut self.polls[index];
        let looks = poll.deadline.is_none() || std::mem::take(&mut poll.called);
        let deadline = *poll.deadline.get_or_insert(Instant::now() + WITHIN);
        let expected = poll
            .outcome
            .or_else(|| (looks && now > poll.seen).then_some(Outcome::Woken(now)))
            .or_else(|| (Instant::now() >= deadline).then_some(Outcome::Deadline));
        assert_eq!(poll.wait.poll(), expected);
        if expected.is_some() {
            self.polls.swap_remove(index);
        }
    }

    fn step(&mut self, choices: &mut Choices<'_>) {
        let key = u32::from(choices.below(3));
        match choices.below(16) {
            0..5 => self.park(key, u32::from(choices.below(2))),
            5..8 if !self.polls.is_empty() => {
                let index = usize::from(choices.below(255)) % self.polls.len();
                self.poll(index);
            }
            8 if !self.polls.is_empty() => {
                let index = usize::from(choices.below(255)) % self.polls.len();
                self.polls.swap_remove(index);
            }
            9 => self.sources[key as usize].publish(),
            10..13 => {
                self.sources[key as usize].publish();
                let woken = self.lot.wake(&key);
                assert_eq!(woken, self.on(key).map(|poll| poll.called = true).count() > 0);
            }
            13 => {
                let closed = self.lot.close(&key);
                let ends = |poll: &mut Poll| poll.outcome = Some(Outcome::Closed);
                assert_eq!(closed, self.on(key).map(ends).count());
            }
            14 if choices.below(20) == 19 => {
                // What it does beyond shutting the door needs a runtime, and has tests of its own.
                drop(self.lot.drain(SECOND, SECOND));
                self.draining = true;
            }
            _ => {}
        }
        assert_eq!((self.lot.parked(), self.lot.is_draining()), (self.polls.len(), self.draining));
    }
}

#[test]
fn it_does_what_a_list_would() {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    let config = ProptestConfig { cases: cases.unwrap_or(2_000), ..ProptestConfig::default() };
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.unwrap();
    TestRunner::new(config)
        .run(&vec(any::<u8>(), 0..400), |bytes| {
            runtime.block_on(async {
                let mut choices = Choices(bytes.iter());
                let second = choices.one_of(&[Second::Supersede, Second::Reject, Second::Share(2)]);
                let mut world = World::new(second);
                while !choices.0.as_slice().is_empty() {
                    if choices.below(8) == 7 {
                        advance(u32::from(choices.below(8)) * SECOND).await;
                    }
                    world.step(&mut choices);
                }
                world.polls.clear();
                let counts = world.lot.counts();
                assert_eq!(counts.parked, 0);
                assert_eq!(ended(&counts), world.parks);
                let refused = counts.full + counts.key_full + counts.owner_full;
                assert_eq!(refused + counts.refused_draining, world.refusals);
            });
            Ok(())
        })
        .unwrap();
}
