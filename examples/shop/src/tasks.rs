//! What runs beside the web server: the worker, the report, the migration.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use crate::catalogue::price;
use crate::orders::{self, Orders};
use crate::say;
use crate::settings::Settings;

/// Packs orders until SIGTERM.
pub(crate) fn work(settings: &Settings) -> io::Result<()> {
    let ending = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT] {
        signal_hook::flag::register(signal, Arc::clone(&ending))?;
    }
    let orders = Orders::open(&settings.data)?;
    say("worker waits for orders");
    while !ending.load(Ordering::Relaxed) {
        match orders.pack()? {
            0 => std::thread::sleep(Duration::from_millis(200)),
            count => say(&format!("packed {count} orders")),
        }
    }
    say("worker ended");
    Ok(())
}

/// Prints the day's summary, and keeps it as `reports/latest.txt`.
pub(crate) fn report(settings: &Settings) -> io::Result<()> {
    let orders = Orders::open(&settings.data)?;
    let (waiting, packed) = orders.count()?;
    let total = waiting + packed;
    let summary = format!("{total} orders, {packed} of them packed, {} EUR", price(orders.cents()?));
    let directory = settings.data.join("reports");
    fs::create_dir_all(&directory)?;
    orders::save(&directory.join("latest.txt"), &summary)?;
    say(&summary);
    Ok(())
}

/// Brings the data directory to the layout that this version expects. The release hook: it runs once
/// for a release, before traffic moves, and appends a line to `migrations.log` each time.
pub(crate) fn migrate(settings: &Settings) -> io::Result<()> {
    if let Some(why) = settings.fault.migration() {
        return Err(io::Error::other(format!("migration failed: {why}")));
    }
    Orders::open(&settings.data)?;
    let at = UNIX_EPOCH.elapsed().map_or(0, |time| time.as_secs());
    let mut log = OpenOptions::new().create(true).append(true).open(settings.data.join("migrations.log"))?;
    writeln!(log, "{at} version {} build {} release {}", settings.version, settings.build, settings.release)?;
    log.sync_all()?;
    say(&format!("data is ready for version {}", settings.version));
    Ok(())
}

/// The lines of `migrations.log`.
pub(crate) fn migrations(settings: &Settings) -> io::Result<serde_json::Value> {
    match fs::read_to_string(settings.data.join("migrations.log")) {
        Ok(text) => Ok(text.lines().map(str::to_owned).collect()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(serde_json::json!([])),
        Err(error) => Err(error),
    }
}
