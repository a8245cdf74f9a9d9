//! Prices as data: one CSV row each, with its source and the day it was read.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use daybook_model::money::{Currency, Money};
use jiff::civil::Date;
use serde::Serialize;

use super::HOURS;
use super::pack::Size;

/// The columns of a catalogue. That of the price ends with its currency: `price_usd`.
const COLUMNS: [&str; 11] =
    ["provider", "region", "service", "sku", "vcpu", "memory_gib", "gpu", "unit", "price", "source", "as_of"];

/// What replicas run on, by provider. A price of one's own is of a `machine`.
const MACHINES: [(&str, &str); 8] = [
    ("aws", "ec2"),
    ("azure", "vm-linux"),
    ("gcp", "compute"),
    ("hetzner", "cloud-server"),
    ("ovh", "public-cloud"),
    ("digitalocean", "droplet"),
    ("digitalocean", "gpu-droplet"),
    ("", "machine"),
];
/// What is paid by cores and memory, without machines.
const SERVERLESS: [&str; 2] = ["fargate", "gke-autopilot"];
/// Storage of volumes: the kind that a provider offers first for what a database writes to.
const DISKS: [(&str, &str, &str); 5] = [
    ("aws", "ebs", "gp3 storage"),
    ("gcp", "disk", "pd-balanced"),
    ("hetzner", "storage", "volume"),
    ("ovh", "block-storage", "classic"),
    ("", "disk", "disk"),
];
/// What leaves for the Internet, in the first tier.
const EGRESS: [(&str, &str, &str); 5] = [
    ("aws", "data-transfer", "internet egress first 10TB"),
    ("gcp", "network", "internet egress worldwide tier 0-1 TiB"),
    ("ovh", "egress", "public"),
    ("digitalocean", "bandwidth", ""),
    ("", "egress", "egress"),
];
/// A load balancer before a cluster.
const BALANCERS: [(&str, &str, &str); 4] = [
    ("aws", "elb", "network load balancer"),
    ("hetzner", "load-balancer", "load balancer LB11"),
    ("ovh", "load-balancer", "S"),
    ("", "load-balancer", "load-balancer"),
];
/// What a provider takes for a cluster itself.
const CLUSTERS: [(&str, &str); 3] = [("aws", "eks"), ("gcp", "gke"), ("azure", "aks")];

/// What a price is of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// An hour of one.
    Hour,
    /// A month of one.
    Month,
    /// A gigabyte (10⁹) for a month.
    GbMonth,
    /// A gibibyte (2³⁰) for a month.
    GibMonth,
    /// A gigabyte that is moved.
    Gb,
    /// A gibibyte that is moved.
    Gib,
    /// A virtual core for a month.
    VcpuMonth,
    /// Something that nothing here is measured in.
    Other(String),
}

impl Unit {
    fn parse(text: &str) -> Self {
        match text {
            "hour" => Self::Hour,
            "month" | "month(730h)" | "month-cap" => Self::Month,
            "GB-month" | "GB-month(730h)" => Self::GbMonth,
            "GiB-month" => Self::GibMonth,
            "GB" => Self::Gb,
            "GiB" => Self::Gib,
            "vCPU-month(730h)" | "vCPU-month" => Self::VcpuMonth,
            other => Self::Other(other.to_owned()),
        }
    }
}

/// One price.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Price {
    /// Who sells it: `aws`.
    pub provider: String,
    /// Where: `eu-central-1`.
    pub region: String,
    /// Of which service.
    pub service: String,
    /// What exactly.
    pub sku: String,
    /// What a machine has.
    pub size: Size,
    /// What the price is of.
    pub unit: Unit,
    /// How much.
    pub amount: Money,
    /// Where the price was read.
    pub source: String,
    /// When.
    pub as_of: Date,
}

impl Price {
    /// A month of it, of what is paid by time.
    pub fn monthly(&self) -> Option<Money> {
        match self.unit {
            Unit::Hour => Some(self.amount.times(HOURS)),
            Unit::Month => Some(self.amount),
            _ => None,
        }
    }

    /// A month of so many bytes of it, or their moving.
    pub fn of_bytes(&self, bytes: u64) -> Option<Money> {
        match self.unit {
            Unit::GbMonth | Unit::Gb => Some(self.amount.of(bytes, 1_000_000_000)),
            Unit::GibMonth | Unit::Gib => Some(self.amount.of(bytes, 1 << 30)),
            _ => None,
        }
    }

    /// Whether its processor is an ARM one, by how its provider names machines: images are made for one or the other.
    pub fn is_arm(&self) -> bool {
        let sku = self.sku.as_str();
        // What follows the first number of a name: `t4g.micro`, `Standard_D2ps_v5`.
        let after_number = |text: &str| {
            let rest = text.trim_start_matches(|c: char| !c.is_ascii_digit());
            rest.trim_start_matches(|c: char| c.is_ascii_digit()).chars().next()
        };
        match self.provider.as_str() {
            "aws" => after_number(sku) == Some('g'),
            "azure" => after_number(sku) == Some('p'),
            "gcp" => ["t2a-", "c4a-", "n4a-"].iter().any(|family| sku.starts_with(family)),
            "hetzner" => sku.starts_with("cax"),
            _ => false,
        }
    }

    fn is(&self, provider: &str, service: &str, sku: &str) -> bool {
        (provider.is_empty() || self.provider == provider)
            && self.service == service
            && (sku.is_empty() || self.sku == sku)
    }
}

/// A provider's region.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Place {
    /// Who: `aws`.
    pub provider: String,
    /// Where: `eu-central-1`.
    pub region: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.provider, self.region)
    }
}

/// A row that is no price.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {why}")]
pub struct Invalid {
    /// The file.
    pub file: String,
    /// Its line, from 1.
    pub line: u64,
    /// What is wrong, and what to write.
    pub why: String,
}

/// All prices, in one currency.
#[derive(Debug, Clone)]
pub struct Catalogue {
    /// What all amounts are in.
    pub currency: Currency,
    prices: BTreeMap<Place, Vec<Price>>,
}

/// The prices that come with Daybook, each with its source.
const BUILT_IN: [(&str, &str); 6] = [
    ("aws.csv", include_str!("../../prices/aws.csv")),
    ("azure.csv", include_str!("../../prices/azure.csv")),
    ("digitalocean.csv", include_str!("../../prices/digitalocean.csv")),
    ("gcp.csv", include_str!("../../prices/gcp.csv")),
    ("hetzner.csv", include_str!("../../prices/hetzner.csv")),
    ("ovh.csv", include_str!("../../prices/ovh.csv")),
];

impl Catalogue {
    /// The prices that come with Daybook.
    ///
    /// # Errors
    /// As [`Catalogue::read`]; a test sees to it that there are none.
    pub fn built_in() -> Result<Self, Vec<Invalid>> {
        Self::read(BUILT_IN)
    }

    /// Reads files of prices: a name to tell of, and the text. Of two prices of one thing the newer counts.
    ///
    /// # Errors
    /// Every row that is no price, and every two of the same day that contradict each other.
    pub fn read<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, Vec<Invalid>> {
        let mut reading = Reading::default();
        for (file, text) in files {
            reading.file(file, text);
        }
        reading.finish()
    }

    /// Where something has a price.
    pub fn places(&self) -> impl Iterator<Item = &Place> {
        self.prices.keys()
    }

    /// A place by what a person writes: `aws/eu-central-1`, or `digitalocean` where that has one region.
    ///
    /// # Errors
    /// There is no such place: in words, with the nearest that exist.
    pub fn place(&self, written: &str) -> Result<&Place, String> {
        let exact = self.places().find(|place| place.to_string() == written);
        let only = || {
            let mut of_provider = self.places().filter(|place| place.provider == written && self.has_machines(place));
            of_provider.next().filter(|_| of_provider.next().is_none())
        };
        exact.or_else(only).ok_or_else(|| {
            let mut all: Vec<_> = self.places().filter(|place| self.has_machines(place)).collect();
            all.sort_by_key(|place| {
                let near = strsim::damerau_levenshtein(&place.to_string(), written);
                (!place.to_string().starts_with(written.split('/').next().unwrap_or(written)), near)
            });
            let nearest: Vec<_> = all.iter().take(5).map(|place| format!("`{place}`")).collect();
            format!("there are no prices of `{written}`; the nearest are {}", nearest.join(", "))
        })
    }

    fn all(&self, place: &Place) -> impl Iterator<Item = &Price> {
        self.prices.get(place).into_iter().flatten()
    }

    /// Whether replicas can be priced there.
    pub fn has_machines(&self, place: &Place) -> bool {
        self.machines(place).next().is_some()
    }

    /// What replicas can run on.
    pub fn machines<'a>(&'a self, place: &Place) -> impl Iterator<Item = &'a Price> {
        let is_machine = |price: &&Price| MACHINES.iter().any(|(provider, service)| price.is(provider, service, ""));
        self.all(place).filter(is_machine).filter(|price| price.monthly().is_some())
    }

    /// What replicas are packed on: each machine that has a size, with what replicas may have of it and a month of it.
    pub fn offers(&self, place: &Place, arm: bool, headroom: u64) -> Vec<(&Price, (Size, Money))> {
        let has_room = |price: &&Price| price.size.cpu_millis > 0 && price.size.memory_mib > 0;
        let counts = self.machines(place).filter(has_room).filter(|price| arm || !price.is_arm());
        counts.filter_map(|price| Some((price, (price.size.usable(headroom), price.monthly()?)))).collect()
    }

    /// What is paid by cores and memory there: its name, the price of a core and of memory.
    pub fn serverless<'a>(&'a self, place: &Place) -> Option<(&'a str, &'a Price, &'a Price)> {
        SERVERLESS.iter().find_map(|service| {
            let of = |unit: &Unit, what: &str| {
                self.all(place)
                    .find(|price| price.service == *service && price.unit == *unit && price.sku.contains(what))
            };
            let (core, memory) = (of(&Unit::VcpuMonth, "vCPU")?, of(&Unit::GbMonth, "memory")?);
            Some((core.service.as_str(), core, memory))
        })
    }

    fn one(&self, place: &Place, wanted: &[(&str, &str, &str)]) -> Option<&Price> {
        wanted
            .iter()
            .find_map(|(provider, service, sku)| self.all(place).find(|price| price.is(provider, service, sku)))
    }

    /// The storage of a volume.
    pub fn disk(&self, place: &Place) -> Option<&Price> {
        self.one(place, &DISKS)
    }

    /// What leaves for the Internet.
    pub fn egress(&self, place: &Place) -> Option<&Price> {
        self.one(place, &EGRESS)
    }

    /// A load balancer.
    pub fn balancer(&self, place: &Place) -> Option<&Price> {
        self.one(place, &BALANCERS)
    }

    /// A cluster itself.
    pub fn cluster(&self, place: &Place) -> Option<&Price> {
        let is_fee = |price: &&Price| CLUSTERS.iter().any(|(provider, service)| price.is(provider, service, ""));
        self.all(place).filter(is_fee).find(|price| !price.sku.contains("extended"))
    }
}

/// What identifies a price.
type Identity = (String, String, String, String, String);

#[derive(Default)]
struct Reading {
    currency: Option<Currency>,
    prices: BTreeMap<Identity, Price>,
    invalid: Vec<Invalid>,
}

impl Reading {
    fn file(&mut self, file: &str, text: &str) {
        let mut reader = csv::ReaderBuilder::new().flexible(true).trim(csv::Trim::All).from_reader(text.as_bytes());
        let invalid = |line: u64, why: String| Invalid { file: file.to_owned(), line, why };
        let columns = match reader.headers().map_err(|error| error.to_string()).and_then(columns) {
            Ok((columns, currency)) if self.currency.is_none_or(|known| known == currency) => {
                self.currency = Some(currency);
                columns
            }
            Ok((_, currency)) => {
                let known = self.currency.unwrap_or(Currency::USD);
                let why = format!(
                    "its prices are in {}, those before in {}: they cannot be added",
                    currency.code(),
                    known.code()
                );
                return self.invalid.push(invalid(1, why));
            }
            Err(why) => return self.invalid.push(invalid(1, why)),
        };
        for record in reader.records() {
            let record = match record {
                Ok(record) => record,
                Err(error) => {
                    let line = error.position().map_or(0, csv::Position::line);
                    self.invalid.push(invalid(line, error.to_string()));
                    continue;
                }
            };
            let line = record.position().map_or(0, csv::Position::line);
            let field = |at: usize| record.get(columns[at]).unwrap_or_default();
            if let Err(why) = price(field).and_then(|price| self.take(price, field(7))) {
                self.invalid.push(invalid(line, why));
            }
        }
    }

    fn take(&mut self, price: Price, unit: &str) -> Result<(), String> {
        let of = |text: &String| text.clone();
        let identity = (of(&price.provider), of(&price.region), of(&price.service), of(&price.sku), unit.to_owned());
        match self.prices.get(&identity) {
            Some(known) if known.as_of == price.as_of && known.amount != price.amount => Err(format!(
                "`{}` of {}/{} costs {} here and {} elsewhere, both as of {}",
                price.sku, price.provider, price.region, price.amount, known.amount, price.as_of
            )),
            Some(known) if known.as_of >= price.as_of => Ok(()),
            _ => {
                self.prices.insert(identity, price);
                Ok(())
            }
        }
    }

    fn finish(self) -> Result<Catalogue, Vec<Invalid>> {
        if !self.invalid.is_empty() {
            return Err(self.invalid);
        }
        let mut prices: BTreeMap<Place, Vec<Price>> = BTreeMap::new();
        for price in self.prices.into_values() {
            let place = Place { provider: price.provider.clone(), region: price.region.clone() };
            prices.entry(place).or_default().push(price);
        }
        Ok(Catalogue { currency: self.currency.unwrap_or(Currency::USD), prices })
    }
}

/// Where each column is, and the currency of the prices.
fn columns(headers: &csv::StringRecord) -> Result<([usize; 11], Currency), String> {
    let mut at = [0; 11];
    let mut currency = None;
    let mut missing = BTreeSet::new();
    for (place, column) in at.iter_mut().zip(COLUMNS) {
        let found = headers.iter().position(|header| match column {
            "price" => header.strip_prefix("price_").is_some_and(|code| code.parse::<Currency>().is_ok()),
            column => header == column,
        });
        match found {
            Some(found) => *place = found,
            None => drop(missing.insert(if column == "price" { "price_usd" } else { column })),
        }
    }
    if let Some(header) = headers.get(at[8]) {
        currency = header.strip_prefix("price_").and_then(|code| code.parse().ok());
    }
    match currency {
        Some(currency) if missing.is_empty() => Ok((at, currency)),
        _ => {
            let missing: Vec<_> = missing.into_iter().collect();
            Err(format!("columns are missing: {}; the first line names them", missing.join(", ")))
        }
    }
}

fn price<'a>(field: impl Fn(usize) -> &'a str) -> Result<Price, String> {
    let text = |at: usize| match field(at) {
        "" => Err(format!("`{}` is empty", COLUMNS[at])),
        text => Ok(text.to_owned()),
    };
    // Thousandths: providers sell an eighth of a core and half a gibibyte.
    let thousandths = |at: usize| match field(at) {
        "" => Ok(0),
        text => {
            let amount: Money = text.parse().map_err(|_| format!("`{text}` is no number of {}", COLUMNS[at]))?;
            let rounded = amount.times(1_000).to_string();
            let whole = rounded.split_once('.').map_or(rounded.as_str(), |(whole, _)| whole).parse::<u64>();
            let most = 100_000_000;
            whole.ok().filter(|n| *n <= most).ok_or_else(|| format!("`{text}` is no size that a machine has"))
        }
    };
    let amount: Money = field(8).parse()?;
    if amount < Money::ZERO {
        return Err(format!("a price of {amount} is less than nothing"));
    }
    let size = Size {
        cpu_millis: thousandths(4)?,
        memory_mib: thousandths(5)? * 1_024 / 1_000,
        gpus: thousandths(6)? / 1_000,
    };
    let as_of = field(10);
    Ok(Price {
        provider: text(0)?,
        region: text(1)?,
        service: text(2)?,
        sku: text(3)?,
        size,
        unit: Unit::parse(&text(7)?),
        amount,
        source: text(9)?,
        as_of: as_of.parse().map_err(|_| format!("`{as_of}` is no day: write 2026-11-28"))?,
    })
}
