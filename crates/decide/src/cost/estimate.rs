//! From what is needed to what it costs.

use std::collections::BTreeMap;
use std::fmt;

use daybook_model::money::{Currency, Money};
use daybook_model::{ServiceName, VolumeName};
use jiff::civil::Date;
use serde::Serialize;

use super::FRESH_DAYS;
use super::catalogue::{Catalogue, Place, Price};
use super::demand::{Demand, Need};
use super::pack::{Machine, Size, pack};
use crate::text::amount;

/// By what replicas are paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Model {
    /// Machines, on which they are packed.
    Machines,
    /// Cores and memory, as Fargate and Autopilot take.
    Serverless,
}

/// What the manifest does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// By what replicas are paid.
    pub model: Model,
    /// What machines keep free, percent.
    pub headroom: u64,
    /// Machines with ARM processors count as well.
    pub arm: bool,
    /// What leaves for the Internet in a month, bytes.
    pub egress_bytes: Option<u64>,
    /// The day by which prices are fresh or stale.
    pub today: Date,
}

/// What a line is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind", content = "name")]
pub enum Subject {
    /// The replicas of a service.
    Service(ServiceName),
    /// A volume.
    Volume(VolumeName),
    /// What leaves for the Internet.
    Traffic,
    /// The load balancer before a cluster.
    Balancer,
    /// A cluster itself.
    Cluster,
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Service(name) => write!(f, "{name}"),
            Self::Volume(name) => write!(f, "volume {name}"),
            Self::Traffic => f.write_str("traffic"),
            Self::Balancer => f.write_str("load balancer"),
            Self::Cluster => f.write_str("cluster"),
        }
    }
}

/// One thing that costs something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Line {
    /// What.
    pub subject: Subject,
    /// A month of it.
    pub monthly: Money,
    /// What of it, and what is assumed.
    pub how: String,
}

/// Machines of one kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Host {
    /// What the provider calls it.
    pub sku: String,
    /// How many.
    pub count: u64,
    /// What each has.
    pub size: Size,
    /// What replicas may use of them all.
    pub used: Size,
    /// A month of each.
    pub monthly: Money,
}

/// What has no price.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unpriced {
    /// What.
    pub what: String,
    /// Why, and what would help.
    pub why: String,
}

/// What an environment costs in one place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Estimate {
    /// Where.
    pub place: Place,
    /// By what replicas are paid.
    pub model: Model,
    /// What every amount is in.
    pub currency: Currency,
    /// Everything that has a price.
    pub lines: Vec<Line>,
    /// The machines.
    pub hosts: Vec<Host>,
    /// All lines together.
    pub total: Money,
    /// Everything that has none.
    pub unpriced: Vec<Unpriced>,
    /// The day of the oldest price that is in it.
    pub oldest: Option<Date>,
    /// That was so long ago that somebody should look.
    pub stale: bool,
}

/// What `demand` costs in a place.
pub fn estimate(demand: &Demand, catalogue: &Catalogue, place: &Place, terms: &Terms) -> Estimate {
    let mut making =
        Making { catalogue, place, terms, lines: Vec::new(), hosts: Vec::new(), unpriced: Vec::new(), oldest: None };
    match terms.model {
        Model::Machines => making.machines(demand),
        Model::Serverless => making.serverless(demand),
    }
    making.beside(demand);
    for (service, why) in &demand.untold {
        making.lacks(service.to_string(), *why);
    }
    let Making { lines, hosts, unpriced, oldest, .. } = making;
    let stale = oldest.is_some_and(|day| (terms.today - day).get_days() > FRESH_DAYS);
    let total = lines.iter().map(|line| line.monthly).sum();
    Estimate {
        place: place.clone(),
        model: terms.model,
        currency: catalogue.currency,
        lines,
        hosts,
        total,
        unpriced,
        oldest,
        stale,
    }
}

/// The same everywhere, by machines and without: first what is priced most completely, then what costs least.
pub fn compare(demand: &Demand, catalogue: &Catalogue, terms: &Terms) -> Vec<Estimate> {
    let mut all = Vec::new();
    for place in catalogue.places() {
        let models = [
            catalogue.has_machines(place).then_some(Model::Machines),
            catalogue.serverless(place).map(|_| Model::Serverless),
        ];
        let each = models.into_iter().flatten();
        all.extend(each.map(|model| estimate(demand, catalogue, place, &Terms { model, ..*terms })));
    }
    all.sort_by(|a, b| {
        (a.unpriced.len(), a.total, &a.place, a.model).cmp(&(b.unpriced.len(), b.total, &b.place, b.model))
    });
    all
}

struct Making<'a> {
    catalogue: &'a Catalogue,
    place: &'a Place,
    terms: &'a Terms,
    lines: Vec<Line>,
    hosts: Vec<Host>,
    unpriced: Vec<Unpriced>,
    oldest: Option<Date>,
}

impl Making<'_> {
    fn lacks(&mut self, what: impl Into<String>, why: impl Into<String>) {
        self.unpriced.push(Unpriced { what: what.into(), why: why.into() });
    }

    fn costs(&mut self, subject: Subject, monthly: Money, how: String, price: &Price) {
        self.dated(price);
        self.lines.push(Line { subject, monthly, how });
    }

    fn dated(&mut self, price: &Price) {
        self.oldest = Some(self.oldest.map_or(price.as_of, |oldest| oldest.min(price.as_of)));
    }

    fn machines(&mut self, demand: &Demand) {
        let offers = self.catalogue.offers(self.place, self.terms.arm, self.terms.headroom);
        let (offered, kinds): (Vec<&Price>, Vec<(Size, Money)>) = offers.into_iter().unzip();
        let mut replicas = demand.replicas();
        let packed = loop {
            let sizes: Vec<Size> = replicas.iter().map(|(_, size)| *size).collect();
            match pack(&sizes, &kinds) {
                Ok(packed) => break packed,
                Err(at) => {
                    let need = &demand.needs[replicas[at].0];
                    let why = format!("no machine of {} has {} to give", self.place, words(&need.each));
                    self.lacks(need.service.to_string(), why);
                    let whose = replicas[at].0;
                    replicas.retain(|(of, _)| *of != whose);
                }
            }
        };
        self.share_out(demand, &replicas, &packed, &kinds);
        let mut by_kind: BTreeMap<usize, (u64, Size)> = BTreeMap::new();
        for machine in &packed {
            let (count, used) = by_kind.entry(machine.kind).or_default();
            *count += 1;
            *used = used.and(machine.used);
        }
        for (kind, (count, used)) in by_kind {
            let price = offered[kind];
            self.dated(price);
            let host = Host { sku: price.sku.clone(), count, size: price.size, used, monthly: kinds[kind].1 };
            self.hosts.push(host);
        }
    }

    /// Each service bears its part of the machines that it is on, what is free on them among it.
    fn share_out(&mut self, demand: &Demand, replicas: &[(usize, Size)], packed: &[Machine], kinds: &[(Size, Money)]) {
        let mut borne: BTreeMap<usize, Money> = BTreeMap::new();
        for machine in packed {
            let part = |a: u64, all: u64| a.saturating_mul(1_000_000).checked_div(all).unwrap_or(0);
            let weight = |size: &Size| {
                let parts =
                    part(size.cpu_millis, machine.used.cpu_millis) + part(size.memory_mib, machine.used.memory_mib);
                (parts + part(size.gpus, machine.used.gpus)).max(1)
            };
            let all: u64 = machine.items.iter().map(|item| weight(&replicas[*item].1)).sum();
            let mut left = kinds[machine.kind].1;
            for (nth, item) in machine.items.iter().enumerate() {
                let (of, size) = &replicas[*item];
                let is_last = nth + 1 == machine.items.len();
                let share = if is_last { left } else { kinds[machine.kind].1.of(weight(size), all) };
                left = left - share;
                let sum = borne.entry(*of).or_default();
                *sum = *sum + share;
            }
        }
        for (of, monthly) in borne {
            let need = &demand.needs[of];
            self.lines.push(Line { subject: Subject::Service(need.service.clone()), monthly, how: how(need) });
        }
    }

    fn serverless(&mut self, demand: &Demand) {
        let Some((_, core, memory)) = self.catalogue.serverless(self.place) else { return };
        for need in &demand.needs {
            if need.each.gpus > 0 {
                self.lacks(need.service.to_string(), "GPUs are not paid by cores and memory");
                continue;
            }
            let of_memory = memory.of_bytes(need.each.memory_mib << 20).unwrap_or(Money::ZERO);
            let each = core.amount.of(need.each.cpu_millis, 1_000) + of_memory;
            self.costs(Subject::Service(need.service.clone()), each.times(need.replicas.into()), how(need), core);
            self.dated(memory);
        }
    }

    fn beside(&mut self, demand: &Demand) {
        for storage in &demand.storage {
            let size = gigabytes(storage.bytes);
            match self.catalogue.disk(self.place).and_then(|price| Some((price, price.of_bytes(storage.bytes)?))) {
                Some((price, monthly)) => {
                    let assumed = if storage.usual { "; no size is written" } else { "" };
                    self.costs(
                        Subject::Volume(storage.volume.clone()),
                        monthly,
                        format!("{size} of {}{assumed}", price.sku),
                        price,
                    );
                }
                None => self.lacks(
                    format!("volume {}", storage.volume),
                    format!("{size} of storage have no price in {}", self.place),
                ),
            }
        }
        if demand.balancer {
            match self.catalogue.balancer(self.place).and_then(|price| Some((price, price.monthly()?))) {
                Some((price, monthly)) => self.costs(Subject::Balancer, monthly, price.sku.clone(), price),
                None => self.lacks("load balancer", format!("it has no price in {}", self.place)),
            }
        }
        if demand.cluster {
            match self.catalogue.cluster(self.place).and_then(|price| Some((price, price.monthly()?))) {
                Some((price, monthly)) => {
                    self.costs(Subject::Cluster, monthly, format!("{}, paid whole here", price.sku), price);
                }
                None => self.lacks("cluster", format!("what {} takes for one is not in the catalogue", self.place)),
            }
        }
        if demand.public {
            self.traffic();
        }
    }

    fn traffic(&mut self) {
        let Some(bytes) = self.terms.egress_bytes else {
            return self.lacks("traffic", "nobody knows how much leaves in a month: --egress 100GB");
        };
        match self.catalogue.egress(self.place).and_then(|price| Some((price, price.of_bytes(bytes)?))) {
            Some((price, monthly)) => {
                self.costs(Subject::Traffic, monthly, format!("{} out; {}", gigabytes(bytes), price.sku), price);
            }
            None => self.lacks("traffic", format!("what leaves has no price in {}", self.place)),
        }
    }
}

fn how(need: &Need) -> String {
    let assumed = match (need.usual_cpu, need.usual_memory) {
        (true, true) => "; no limits are written",
        (true, false) => "; no limit of cpu is written",
        (false, true) => "; no limit of memory is written",
        (false, false) => "",
    };
    format!("{} × {}{assumed}", need.replicas, words(&need.each))
}

fn words(size: &Size) -> String {
    let gpus = match size.gpus {
        0 => String::new(),
        1 => ", 1 GPU".to_owned(),
        n => format!(", {n} GPUs"),
    };
    format!("{}, {}{gpus}", amount("cpu", size.cpu_millis), amount("memory", size.memory_mib << 20))
}

fn gigabytes(bytes: u64) -> String {
    match bytes {
        bytes if bytes.is_multiple_of(1 << 30) => format!("{} GiB", bytes >> 30),
        bytes => format!("{:.1} GB", bytes as f64 / 1e9),
    }
}
