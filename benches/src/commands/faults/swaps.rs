//! Releases that are bad from their start, and good ones: which are swapped back, and after how long.

use std::time::{Duration, Instant};

use anyhow::Result;
use daybook_bench::load::Load;
use daybook_bench::statistics::median;
use futures::future::try_join_all;
use serde_json::{Value, json};

use super::{Bench, requests, say};

/// What is wrong with a release, as the shop has it.
const BAD: [&str; 7] = ["errors", "crash", "slow", "oom", "not-ready", "wrong-port", "migrate"];
/// Long enough to see a fault that begins two seconds after the start.
const PROBATION: &str = "10s";

/// How long a shop serves before its first release that is tried.
const WARM: Duration = Duration::from_secs(20);

/// What came of the releases of one shop.
#[derive(Default)]
struct Counts {
    good: u32,
    good_swapped_back: u32,
    bad: u32,
    bad_swapped_back: u32,
    /// Seconds from the command to the release before serving alone again.
    seconds: Vec<f64>,
}

/// Rolls out releases, those of each kind of fault in a shop of its own.
pub(super) async fn run(bench: &Bench<'_>, good: u32, bad: u32) -> Result<Value> {
    let each = good.div_ceil(BAD.len() as u32);
    say(&format!(
        "{} bad releases and {} good ones, in {} shops",
        bad * BAD.len() as u32,
        each * BAD.len() as u32,
        BAD.len()
    ));
    let all = try_join_all(BAD.into_iter().map(|kind| shop(bench, kind, each, bad))).await?;
    let sum = |count: fn(&Counts) -> u32| all.iter().map(count).sum::<u32>();
    let mut seconds: Vec<f64> = all.iter().flat_map(|counts| counts.seconds.iter().copied()).collect();
    Ok(json!({
        "bad": sum(|one| one.bad), "bad_swapped_back": sum(|one| one.bad_swapped_back),
        "median_s_to_swap_back": median(&mut seconds),
        "good": sum(|one| one.good), "good_swapped_back": sum(|one| one.good_swapped_back),
    }))
}

async fn shop(bench: &Bench<'_>, kind: &'static str, good: u32, bad: u32) -> Result<Counts> {
    let mut shop = bench.shop(&format!("swap-{kind}"));
    shop.probation = PROBATION;
    bench.up(&bench.daybook, &shop).await?;
    let load = Load::start(requests(&bench.daybook, &shop, 10));
    // That something is slow is known only beside what is usual.
    tokio::time::sleep(WARM).await;
    let mut counts = Counts::default();
    for number in 0..good.max(bad) {
        let builds = ["1", "2", "3", "4", "5", "6", "7"];
        let build = ("SHOP_BUILD", builds[number as usize % builds.len()]);
        if number < bad {
            let began = Instant::now();
            let mut worse = shop.clone();
            worse.web = vec![build, ("SHOP_FAULT", kind)];
            counts.bad += 1;
            if bench.up(&bench.daybook, &worse).await? == 4 {
                counts.bad_swapped_back += 1;
                counts.seconds.push(began.elapsed().as_secs_f64());
            } else {
                say(&format!("✗ a release with `{kind}` is taken for a good one"));
            }
        }
        if number < good {
            shop.web = vec![build];
            counts.good += 1;
            if bench.up(&bench.daybook, &shop).await? == 4 {
                counts.good_swapped_back += 1;
                say("✗ a good release is swapped back");
            }
        }
    }
    load.stop().await;
    let mut down = bench.daybook.command(&["down", "--app", &shop.app, "--yes", "--no-input"]);
    bench.daybook.succeed(&mut down).await?;
    Ok(counts)
}
