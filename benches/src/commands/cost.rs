//! What is priced of systems as people write them, how near packings come to what no packing can be below, and how long
//! a comparison of all places takes.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, Result, anyhow};
use daybook_bench::shop;
use daybook_bench::statistics::median;
use daybook_decide::cost::{Catalogue, Demand, Model, Size, Terms, compare, estimate, lower_bound, pack, total};
use daybook_manifest::{Bundle, Options, load};
use daybook_model::Spec;
use daybook_model::money::Money;
use daybook_model::spec::Budget;
use serde_json::json;

use super::say;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Systems that are generated for the packing.
    #[arg(long, env = "COUNT", default_value_t = 500)]
    count: u64,
    /// Where the samples are priced.
    #[arg(long, env = "AT", default_value = "gcp/us-central1")]
    at: String,
}

/// What is taken to leave for the Internet in a month.
const EGRESS: u64 = 100_000_000_000;

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let catalogue = Catalogue::built_in().map_err(|invalid| anyhow!("{}", invalid[0]))?;
    let terms = Terms {
        model: Model::Machines,
        headroom: Budget::HEADROOM.into(),
        arm: false,
        egress_bytes: Some(EGRESS),
        today: daybook_model::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date(),
    };
    let place = catalogue.place(&arguments.at).map_err(|why| anyhow!(why))?;
    let (mut samples, mut whole, mut lines, mut unpriced) = (0, 0, 0, 0);
    let mut times = Vec::new();
    for spec in samples_of(&shop::root().join("crates/manifest/fixtures/compose"))? {
        let demand = Demand::of(&spec);
        let found = estimate(&demand, &catalogue, place, &terms);
        samples += 1;
        whole += u32::from(found.unpriced.is_empty());
        lines += found.lines.len() + found.unpriced.len();
        unpriced += found.unpriced.len();
        let began = Instant::now();
        compare(&demand, &catalogue, &terms);
        times.push(began.elapsed().as_secs_f64() * 1_000.0);
    }
    say(&format!(
        "{samples} Compose samples at {place}: {whole} priced whole; {unpriced} of {lines} lines without a price"
    ));

    let mut ratios = Vec::new();
    for seed in 0..arguments.count {
        ratios.extend(catalogue.places().filter_map(|place| ratio(seed, place, &catalogue)));
    }
    let most = ratios.iter().copied().fold(0.0, f64::max);
    let systems = ratios.len();
    let middle = median(&mut ratios).context("COUNT is 0")?;
    let compare_ms = median(&mut times).context("there are no samples")?;
    say(&format!("{systems} packings: {middle:.3} times their lower bound in the middle, {most:.3} at most"));
    say(&format!("a comparison of all places takes {compare_ms:.1} ms"));
    say(&json!({
        "samples": samples, "priced_whole": whole, "lines": lines, "priced": lines - unpriced, "unpriced": unpriced,
        "packings": systems, "packing_ratio_median": middle, "packing_ratio_max": most, "compare_ms": compare_ms,
    })
    .to_string());
    Ok(())
}

/// The systems of a folder of Compose files, one in each folder.
fn samples_of(folder: &Path) -> Result<Vec<Spec>> {
    let mut folders: Vec<PathBuf> =
        std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
    folders.sort();
    let mut all = Vec::new();
    for folder in folders {
        let (bundle, _) = Bundle::collect(&[folder.join("compose.yaml")], &|_| None, None);
        let options = Options::new("production".parse().map_err(|_| anyhow!("a name"))?);
        all.extend(load(&bundle, &options).spec);
    }
    Ok(all)
}

/// What a packing of a generated system costs in a place, by what none can cost less than. Systems have 5 to 104
/// replicas of sizes that services have; `None` where one is larger than all machines.
fn ratio(seed: u64, place: &daybook_decide::cost::Place, catalogue: &Catalogue) -> Option<f64> {
    let mut random = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = |most: u64| {
        // Marsaglia's xorshift.
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % most
    };
    let count = 5 + next(100);
    let items: Vec<Size> =
        (0..count).map(|_| Size { cpu_millis: 50 << next(6), memory_mib: 64 << next(7), gpus: 0 }).collect();
    let offers = catalogue.offers(place, false, Budget::HEADROOM.into());
    let kinds: Vec<_> = offers.into_iter().map(|(_, kind)| kind).collect();
    let packed = pack(&items, &kinds).ok()?;
    Some(total(&packed, &kinds).ratio(Money::ONE) / lower_bound(&items, &kinds))
}
