//! Servers whose clocks differ, whose messages are late or lost, and that stand still at the worst time.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use super::*;

const TERMS: Terms = Terms { lease: 15_000, act: 10_000, every: 2_000 };
const SERVERS: usize = 4;
/// Real time, in milliseconds: trouble first, then calm.
const TROUBLE: u64 = 300_000;
const END: u64 = 400_000;

/// A generator of its own (splitmix64), so that a seed is a story.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

/// A process. Another one with each start.
struct Server {
    elector: Elector,
    incarnation: u64,
    /// Its clock shows `offset + real * rate / 1000`.
    rate: u64,
    offset: u64,
    epoch: Option<u64>,
    /// Cut off from everything until then.
    cut: u64,
}

impl Server {
    fn clock(&self, real: u64) -> u64 {
        self.offset + real * self.rate / 1_000
    }
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// A server looks what is to be done.
    Wake,
    /// A message arrives at the database.
    Look,
    Take {
        expecting: Option<u64>,
        sent: u64,
    },
    Lead,
    Write {
        epoch: u64,
    },
    /// An answer arrives at the server.
    Saw {
        version: Option<u64>,
        holder: Option<String>,
    },
    Took {
        sent: u64,
        version: u64,
    },
    Refused,
    Unheard,
    Leads {
        epoch: u64,
    },
    /// Whether a term was begun is not known: then it is over.
    Doubt,
    /// A write was refused, so that the term is over. A late server may have begun one without leading any more: then
    /// whoever holds the record begins another.
    Deposed {
        epoch: u64,
    },
}

/// When, in which order, to or from which process of which server, and what.
type Posted = (u64, u64, usize, u64, Event);

#[derive(Default)]
struct World {
    queue: BinaryHeap<Reverse<Posted>>,
    posted: u64,
    version: Option<u64>,
    holder: Option<String>,
    epoch: u64,
    epochs: BTreeMap<u64, String>,
    /// Epochs of accepted writes, in order.
    accepted: Vec<u64>,
    refused: u64,
    changes: u64,
}

fn play(seed: u64) -> World {
    let mut random = Random(seed);
    let mut world = World::default();
    let mut servers: Vec<Server> = (0..SERVERS).map(|n| begin(n, 0, &mut random)).collect();
    for n in 0..SERVERS {
        world.post(random.below(3_000), n, 0, Event::Wake);
    }
    while let Some(Reverse((real, _, n, incarnation, event))) = world.queue.pop() {
        if real > END {
            break;
        }
        let trouble = real < TROUBLE;
        if trouble && random.below(400) == 0 {
            servers[n] = begin(n, servers[n].incarnation + 1, &mut random);
            world.post(real + random.below(20_000), n, servers[n].incarnation, Event::Wake);
        }
        if trouble && random.below(150) == 0 {
            servers[n].cut = real + random.below(40_000);
        }
        world.happen(real, n, incarnation, event, &mut servers, &mut random);
    }
    world
}

fn begin(n: usize, incarnation: u64, random: &mut Random) -> Server {
    Server {
        elector: Elector::new(format!("{n}_{incarnation}"), TERMS),
        incarnation,
        rate: 900 + random.below(200),
        offset: random.below(1_000_000),
        epoch: None,
        cut: 0,
    }
}

impl World {
    fn post(&mut self, at: u64, server: usize, incarnation: u64, event: Event) {
        self.posted += 1;
        self.queue.push(Reverse((at, self.posted, server, incarnation, event)));
    }

    fn happen(
        &mut self,
        real: u64,
        n: usize,
        incarnation: u64,
        event: Event,
        servers: &mut [Server],
        random: &mut Random,
    ) {
        let trouble = real < TROUBLE;
        let delay = |random: &mut Random| {
            if trouble && random.below(8) == 0 { random.below(30_000) } else { random.below(200) }
        };
        let name = format!("{n}_{incarnation}");
        // What is at the database happens there, whatever became of its sender.
        let answer = match event {
            Event::Look => Some(Event::Saw { version: self.version, holder: self.holder.clone() }),
            Event::Take { expecting, sent } if expecting == self.version => {
                let version = self.version.unwrap_or(0) + 1;
                self.changes += u64::from(self.holder.as_ref() != Some(&name));
                (self.version, self.holder) = (Some(version), Some(name.clone()));
                Some(Event::Took { sent, version })
            }
            Event::Take { .. } => Some(Event::Refused),
            Event::Lead => {
                self.epoch += 1;
                assert!(self.epochs.insert(self.epoch, name.clone()).is_none(), "an epoch is one server's");
                Some(Event::Leads { epoch: self.epoch })
            }
            Event::Write { epoch } => {
                if epoch == self.epoch {
                    assert_eq!(self.epochs[&epoch], name);
                    self.accepted.push(epoch);
                } else {
                    self.refused += 1;
                    let at = real + delay(random);
                    self.post(at, n, incarnation, Event::Deposed { epoch });
                }
                return;
            }
            _ => None,
        };
        let lost = servers[n].cut > real || trouble && random.below(12) == 0;
        if let Some(answer) = answer {
            let at = real + delay(random);
            return match answer {
                answer if !lost => self.post(at, n, incarnation, answer),
                Event::Leads { .. } => self.post(at.max(real + 5_000), n, incarnation, Event::Doubt),
                _ => self.post(at.max(real + 5_000), n, incarnation, Event::Unheard),
            };
        }
        if servers[n].incarnation != incarnation {
            return;
        }
        let now = servers[n].clock(real);
        match event {
            Event::Saw { version, holder } => {
                servers[n].elector.saw(now, Record { version: version.map(|version| version.to_string()), holder });
            }
            Event::Took { sent, version } => {
                let first = !servers[n].elector.may_act(now);
                servers[n].elector.took(sent, now, version.to_string());
                if first && servers[n].elector.may_act(now) {
                    servers[n].epoch = None;
                    self.post(real + delay(random), n, incarnation, Event::Lead);
                }
            }
            Event::Refused => servers[n].elector.refused(now),
            Event::Unheard => servers[n].elector.unheard(now),
            Event::Leads { epoch } => servers[n].epoch = Some(epoch),
            Event::Doubt => {
                servers[n].epoch = None;
                let _ = servers[n].elector.end();
            }
            Event::Deposed { epoch } if servers[n].epoch == Some(epoch) => {
                servers[n].epoch = None;
                let _ = servers[n].elector.end();
            }
            _ => {}
        }
        let acting = servers.iter().filter(|server| server.elector.may_act(server.clock(real))).count();
        assert!(acting <= 1, "{acting} servers may act at {real}");
        let server = &servers[n];
        if let Some(epoch) = server.epoch.filter(|_| server.elector.may_act(now)) {
            self.post(real + delay(random), n, incarnation, Event::Write { epoch });
        }
        self.go_on(real, (n, incarnation), server, delay(random), lost, random);
    }

    /// Sends what is to be sent. A server has one message under way, so that an answer or a silence wakes it.
    fn go_on(
        &mut self,
        real: u64,
        (n, incarnation): (usize, u64),
        server: &Server,
        delay: u64,
        lost: bool,
        random: &mut Random,
    ) {
        if self.queue.iter().any(|Reverse((_, _, other, theirs, event))| {
            (*other, *theirs) == (n, incarnation)
                && !matches!(
                    event,
                    Event::Write { .. } | Event::Lead | Event::Leads { .. } | Event::Deposed { .. } | Event::Doubt
                )
        }) {
            return;
        }
        let now = server.clock(real);
        let event = match server.elector.next(now) {
            Next::Look => Event::Look,
            Next::Take { expecting } => {
                Event::Take { expecting: expecting.map(|version| version.parse().unwrap()), sent: now }
            }
            Next::Wait(due) => {
                let stall = if real < TROUBLE && random.below(60) == 0 { random.below(40_000) } else { 0 };
                return self.post(real + (due - now) * 1_000 / server.rate + 1 + stall, n, incarnation, Event::Wake);
            }
        };
        if lost {
            // It may be lost on the way, or be done late and not answered.
            if random.below(2) == 0 {
                self.post(real + delay, n, incarnation, event);
            } else {
                self.post(real + 5_000, n, incarnation, Event::Unheard);
            }
        } else {
            self.post(real + delay, n, incarnation, event);
        }
    }
}

#[test]
fn r08_never_two_may_act_and_whoever_is_deposed_is_refused() {
    let (mut changes, mut refused, mut accepted) = (0, 0, 0);
    for seed in 0..400 {
        let world = play(seed);
        assert!(world.accepted.is_sorted(), "seed {seed}: an earlier term wrote after a later one");
        assert_eq!(world.accepted.last(), Some(&world.epoch), "seed {seed}: somebody leads once it is calm");
        changes += world.changes;
        refused += world.refused;
        accepted += world.accepted.len();
    }
    assert!(changes > 2_000, "{changes} changes of the leader are too few to show anything");
    assert!(refused > 100, "{refused} writes of deposed servers are too few to show anything");
    assert!(accepted > 20_000, "{accepted} writes");
}
