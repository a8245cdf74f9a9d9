//! The faults, and what is to be suspected of each.

use super::manifest::Shop;

/// One fault.
pub(super) struct Fault {
    /// What it is called; also the application's name.
    pub(super) name: &'static str,
    /// What the shop has before it.
    pub(super) before: fn(&mut Shop),
    /// Requests a second, from the beginning.
    pub(super) rate: u32,
    /// What is harmless, and done three minutes before.
    pub(super) decoy: Option<Injected>,
    /// How it comes.
    pub(super) injected: Injected,
    /// What the first suspect may be, as the kind that is named of it.
    pub(super) kinds: &'static [&'static str],
    /// The service that the first suspect must be about.
    pub(super) service: Option<&'static str>,
    /// Whether it takes so much of the machine that it is put in when the others are over.
    pub(super) is_alone: bool,
}

/// How a fault comes about.
pub(super) enum Injected {
    /// By a release.
    Release(fn(&mut Shop)),
    /// By a command of somebody: its arguments, before which `--app` is put.
    Command(&'static [&'static str]),
    /// By so many more requests a second.
    Load(u32),
    /// Processes of a service stop without ending.
    Hang(&'static str),
    /// Another app on the machine takes all processors that it gets.
    Neighbour,
    /// Nobody does anything: it comes with time.
    Time,
    /// What a disk has is used up.
    Disk,
}

use Injected::{Command, Disk, Hang, Load, Neighbour, Release, Time};

const CONFIGURATION: &[&str] = &["configuration"];

const fn fault(name: &'static str, injected: Injected, kinds: &'static [&'static str]) -> Fault {
    Fault { name, before: |_| (), rate: 10, decoy: None, injected, kinds, service: Some("web"), is_alone: false }
}

fn with_stock(shop: &mut Shop) {
    shop.stock = Some(Vec::new());
}

fn limited(shop: &mut Shop) {
    shop.web.push(("SHOP_CAPACITY", "40"));
}

/// A table that is asked by customer, and what was sold.
fn with_sales(shop: &mut Shop) {
    shop.database = true;
    shop.migrations.push((
        "V1__sales.sql",
        "create table sales (customer integer not null, cents integer not null);\n\
         insert into sales select n % 50000, n % 9000 from generate_series(1, 1000000) n;\n\
         create index sales_by_customer on sales (customer);\n",
    ));
}

/// Answers that need a processor for a while.
fn working(shop: &mut Shop) {
    shop.web.push(("SHOP_WORK", "400"));
    shop.cpu = "1";
}

/// A release that changes nothing that matters.
fn harmless(shop: &mut Shop) {
    shop.web.push(("SHOP_BUILD", "7"));
}

/// What of the shop itself is broken by variables.
const fn broken(name: &'static str, by: fn(&mut Shop)) -> Fault {
    fault(name, Release(by), CONFIGURATION)
}

/// All of them.
pub(super) fn faults() -> Vec<Fault> {
    vec![
        broken("errors", |shop| shop.web.extend([("SHOP_FAULT", "errors"), ("SHOP_FAULT_AFTER", "20")])),
        broken("some-errors", |shop| shop.web.extend([("SHOP_FAULT", "some"), ("SHOP_FAULT_AFTER", "20")])),
        broken("crash", |shop| shop.web.extend([("SHOP_FAULT", "crash"), ("SHOP_FAULT_AFTER", "20")])),
        broken("slow", |shop| shop.web.extend([("SHOP_FAULT", "slow"), ("SHOP_FAULT_AFTER", "20")])),
        broken("memory", |shop| shop.web.extend([("SHOP_FAULT", "oom"), ("SHOP_FAULT_AFTER", "20")])),
        broken("leak", |shop| shop.web.extend([("SHOP_FAULT", "leak"), ("SHOP_FAULT_AFTER", "20")])),
        fault("image", Release(|shop| shop.context = shop.context.with_file_name("broken")), &["release"]),
        Fault {
            before: with_stock,
            service: Some("stock"),
            ..broken("needed-release", |shop| {
                shop.stock = Some(vec![("SHOP_FAULT", "errors"), ("SHOP_FAULT_AFTER", "20")]);
            })
        },
        Fault {
            before: |shop| shop.worker = Some("[bin/shop, worker]"),
            service: Some("worker"),
            ..broken("worker-crashes", |shop| shop.worker = Some("[sh, -c, 'sleep 20; exit 3']"))
        },
        Fault {
            before: |shop| shop.job = Some(("* * * * *".to_owned(), "[\"true\"]")),
            service: Some("sweep"),
            ..broken("job-fails", |shop| shop.job = Some(("* * * * *".to_owned(), "[\"false\"]")))
        },
        Fault {
            before: with_stock,
            service: Some("stock"),
            ..fault("needed-stopped", Command(&["stop", "stock", "--yes"]), &["stopped"])
        },
        fault("by-hand", Command(&["exec", "web", "--", "touch", "data/broken"]), &["by-hand"]),
        Fault {
            before: |shop| shop.job = Some((super::in_minutes(super::WARM_MINUTES), "[touch, data/broken]")),
            service: Some("sweep"),
            ..fault("job-breaks", Time, &["job"])
        },
        Fault { before: limited, ..fault("more-visitors", Load(160), &["traffic"]) },
        Fault {
            before: |shop| {
                limited(shop);
                shop.scale = 4;
            },
            rate: 100,
            ..fault("scaled-down", Command(&["scale", "web=1", "--yes"]), &["scale"])
        },
        Fault { before: with_stock, service: Some("stock"), ..fault("needed-hangs", Hang("stock"), &["dependency"]) },
        Fault {
            before: |shop| shop.database = true,
            service: Some("db"),
            ..fault("database-hangs", Hang("db"), &["database"])
        },
        Fault {
            before: with_sales,
            service: Some("db"),
            is_alone: true,
            ..fault(
                "slow-query",
                Release(|shop| shop.migrations.push(("V2__tidy.sql", "drop index sales_by_customer;\n"))),
                &["migration"],
            )
        },
        Fault {
            before: working,
            rate: 3,
            service: Some("render"),
            is_alone: true,
            ..fault("noisy-neighbour", Neighbour, &["host"])
        },
        Fault {
            before: super::with_certificate,
            service: Some("certificate"),
            ..fault("certificate", Time, &["certificate"])
        },
        Fault { service: None, ..fault("disk-full", Disk, &["host"]) },
        Fault {
            before: limited,
            decoy: Some(Release(harmless)),
            ..fault("more-visitors-after-a-release", Load(160), &["traffic"])
        },
        Fault {
            before: with_stock,
            decoy: Some(Release(harmless)),
            service: Some("stock"),
            ..fault("needed-stopped-after-a-release", Command(&["stop", "stock", "--yes"]), &["stopped"])
        },
        Fault {
            decoy: Some(Release(harmless)),
            ..fault("by-hand-after-a-release", Command(&["exec", "web", "--", "touch", "data/broken"]), &["by-hand"])
        },
        Fault {
            decoy: Some(Command(&["restart", "web", "--yes"])),
            ..broken("errors-after-a-restart", |shop| {
                shop.web.extend([("SHOP_FAULT", "errors"), ("SHOP_FAULT_AFTER", "20")]);
            })
        },
    ]
}
