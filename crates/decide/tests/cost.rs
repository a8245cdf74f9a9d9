//! What an environment costs.

#![allow(clippy::unwrap_used, reason = "a failure fails the test")]

mod common;

use common::{db, spec, web, worker};
use daybook_decide::cost::{Catalogue, Demand, Model, Size, Terms, bill, compare, estimate, lower_bound, pack, text};
use daybook_model::money::{Currency, Money};
use daybook_model::spec::{Budget, Resources};
use daybook_model::{Service, Spec};
use proptest::prelude::*;

const PRICES: &str = "\
provider,region,service,sku,vcpu,memory_gib,gpu,unit,price_usd,source,as_of
own,here,machine,small,1,2,0,month,10,a test,2026-11-01
own,here,machine,large,4,8,0,month,32,a test,2026-11-01
own,here,disk,disk,,,,GiB-month,0.1,a test,2026-11-01
own,here,egress,egress,,,,GB,0.05,a test,2026-06-01
own,there,machine,only,2,4,0,hour,0.01,a test,2026-11-01
aws,x,fargate,linux-x86 vCPU,1,,0,vCPU-month(730h),30,a test,2026-11-01
aws,x,fargate,linux-x86 memory,,1,0,GB-month(730h),3,a test,2026-11-01
";

fn terms() -> Terms {
    Terms { model: Model::Machines, headroom: 20, arm: false, egress_bytes: None, today: "2026-11-28".parse().unwrap() }
}

fn sized(mut service: Service, cpu_millis: u64, mebibytes: u64) -> Service {
    let memory = Some(mebibytes << 20);
    service.container.resources =
        Resources { cpu_millis: Some(cpu_millis), memory_bytes: memory, ..Resources::default() };
    service
}

fn shop() -> Spec {
    let mut site = sized(web("1"), 500, 512);
    site.scale.min = 2;
    spec([site, sized(db("16"), 1_000, 2_048), worker("1")])
}

fn catalogue() -> Catalogue {
    Catalogue::read([("prices.csv", PRICES)]).unwrap()
}

#[test]
fn every_line_says_what_it_assumes_and_what_has_no_price_is_named() {
    let (spec, catalogue) = (shop(), catalogue());
    let place = catalogue.place("own/here").unwrap();
    let found = estimate(&Demand::of(&spec), &catalogue, place, &terms());
    insta::assert_snapshot!(text::render(&spec.key, &found, &terms()));
    let lines: Money = found.lines.iter().map(|line| line.monthly).sum();
    assert_eq!(lines, found.total);
    let hosts: Money = found.hosts.iter().map(|host| host.monthly.times(host.count)).sum();
    let disk: Money = "1".parse().unwrap();
    assert_eq!(found.total, hosts + disk, "machines are borne whole");
}

#[test]
fn prices_that_are_old_are_marked() {
    let (spec, catalogue) = (shop(), catalogue());
    let place = catalogue.place("own/here").unwrap();
    let terms = Terms { egress_bytes: Some(100_000_000_000), ..terms() };
    let found = estimate(&Demand::of(&spec), &catalogue, place, &terms);
    assert!(found.stale && found.unpriced.is_empty(), "{found:?}");
    let shown = text::render(&spec.key, &found, &terms);
    assert!(shown.contains("as of 2026-06-01, 180 days ago"), "{shown}");
    assert!(shown.contains("100.0 GB out") || shown.contains("GiB out"), "{shown}");
}

#[test]
fn places_are_compared_by_what_is_priced_and_by_what_it_costs() {
    let spec = shop();
    let all = compare(&Demand::of(&spec), &catalogue(), &terms());
    insta::assert_snapshot!(text::table(&all, 12));
    let serverless = all.iter().find(|found| found.model == Model::Serverless).unwrap();
    // (2 × 500m + 1000m + 250m) × $30 + 3328 MiB × 1.048576 MB × $3 / 1000
    assert_eq!(serverless.total.cents(), "77.97");
}

#[test]
fn what_cannot_be_priced_says_so_and_the_rest_is() {
    let mut huge = sized(worker("1"), 64_000, 256);
    huge.scale.min = 1;
    let catalogue = catalogue();
    let place = catalogue.place("own/there").unwrap();
    let found = estimate(&Demand::of(&spec([huge, sized(web("1"), 100, 100)])), &catalogue, place, &terms());
    assert!(found.unpriced.iter().any(|lacks| lacks.what == "worker" && lacks.why.contains("no machine")), "{found:?}");
    assert_eq!(found.hosts.len(), 1);
    assert_eq!(found.total.cents(), "7.30");
}

#[test]
fn the_prices_that_come_along_are_all_prices() {
    let catalogue = Catalogue::built_in().unwrap();
    let with_machines = catalogue.places().filter(|place| catalogue.has_machines(place)).count();
    assert!(with_machines >= 12, "{:?}", catalogue.places().collect::<Vec<_>>());
}

#[test]
fn machines_for_other_images_count_only_when_asked_for() {
    let catalogue = Catalogue::built_in().unwrap();
    let arm = |at: &str| {
        let place = catalogue.place(at).unwrap();
        catalogue.machines(place).filter(|price| price.is_arm()).map(|price| price.sku.clone()).collect::<Vec<_>>()
    };
    assert!(arm("aws/us-east-1").iter().any(|sku| sku == "t4g.micro"), "{:?}", arm("aws/us-east-1"));
    assert!(arm("aws/us-east-1").iter().all(|sku| !sku.starts_with("t3.")));
    assert!(arm("hetzner/eu").iter().all(|sku| sku.starts_with("cax")));
    let place = catalogue.place("aws/us-east-1").unwrap();
    let on = |arm| estimate(&Demand::of(&shop()), &catalogue, place, &Terms { arm, ..terms() }).total;
    assert!(on(true) < on(false));
}

#[test]
fn bad_prices_are_named_by_file_line_and_reason() {
    let head = PRICES.lines().next().unwrap();
    for (rows, why) in [
        ("own,here,machine,small,1,2,0,month,-1,x,2026-11-01", "p.csv:2: a price of -1.00 is less than nothing"),
        ("own,here,machine,small,1,2,0,month,cheap,x,2026-11-01", "p.csv:2: `cheap` is no amount"),
        ("own,here,machine,small,many,2,0,month,1,x,2026-11-01", "p.csv:2: `many` is no number of vcpu"),
        ("own,here,machine,small,1e9,2,0,month,1,x,2026-11-01", "p.csv:2: `1e9` is no number of vcpu"),
        ("own,here,machine,small,999999,2,0,month,1,x,2026-11-01", "no size that a machine has"),
        ("own,here,machine,small,1,2,0,month,1,x,yesterday", "`yesterday` is no day"),
        ("own,here,machine,,1,2,0,month,1,x,2026-11-01", "`sku` is empty"),
        (
            "own,here,machine,small,1,2,0,month,1,x,2026-11-01\nown,here,machine,small,1,2,0,month,2,x,2026-11-01",
            "p.csv:3: `small` of own/here costs 2.00 here and 1.00 elsewhere, both as of 2026-11-01",
        ),
    ] {
        let text = format!("{head}\n{rows}\n");
        let invalid = Catalogue::read([("p.csv", &*text)]).unwrap_err();
        assert!(invalid[0].to_string().contains(why), "{rows}: {}", invalid[0]);
    }
    let invalid = Catalogue::read([("p.csv", "provider,region\n")]).unwrap_err();
    assert!(invalid[0].to_string().contains("price_usd"), "{}", invalid[0]);
    let euros = PRICES.replace("price_usd", "price_eur");
    let invalid = Catalogue::read([("a.csv", PRICES), ("b.csv", &*euros)]).unwrap_err();
    assert!(invalid[0].to_string().contains("in EUR, those before in USD"), "{}", invalid[0]);
}

#[test]
fn an_unknown_place_gets_the_nearest_that_exist() {
    let catalogue = catalogue();
    let error = catalogue.place("own/hre").unwrap_err();
    assert!(error.contains("`own/hre`; the nearest are `own/here`, `own/there`"), "{error}");
    assert!(catalogue.place("own").is_err(), "it has two regions");
    assert!(catalogue.place("nobody/nowhere").is_err());
}

fn budgeted(mut spec: Spec, monthly: &str, blocks: bool) -> Spec {
    spec.budget = Some(Budget {
        monthly: Some(monthly.parse().unwrap()),
        currency: Currency::USD,
        blocks,
        place: "own/here".to_owned(),
        egress_bytes: None,
        headroom: 20,
        line: Some(2),
    });
    spec
}

#[test]
fn a_plan_says_what_it_costs_and_a_budget_may_refuse_it() {
    let (catalogue, today) = (catalogue(), terms().today);
    let of = |before: Option<&Spec>, after: &Spec| bill(before, after, &catalogue, today).unwrap().unwrap();
    let before = budgeted(shop(), "40", true);
    assert_eq!(of(None, &before).line(), "$33.00 a month      budget $40.00\n            without traffic");
    assert_eq!(
        of(Some(&before), &before).line(),
        "$33.00 a month, as before      budget $40.00\n            without traffic"
    );
    let mut more = sized(web("1"), 500, 512);
    more.scale.min = 6;
    let after = spec([more, sized(db("16"), 1_000, 2_048), worker("1")]);
    let over = of(Some(&before), &budgeted(after.clone(), "40", true));
    assert!(over.refused);
    insta::assert_snapshot!(over.line());
    assert!(!of(Some(&before), &budgeted(after.clone(), "40", false)).refused, "it only warns");
    assert!(!of(Some(&after), &budgeted(shop(), "20", true)).refused, "over, and less than what runs");
    assert!(!of(Some(&before), &budgeted(after, "60", true)).refused);
    assert!(bill(None, &shop(), &catalogue, today).is_none(), "nobody said whose prices count");
}

#[test]
fn a_budget_that_cannot_be_kept_to_is_told() {
    let (catalogue, today) = (catalogue(), terms().today);
    let mut spec = budgeted(shop(), "40", true);
    spec.budget.as_mut().unwrap().currency = "EUR".parse().unwrap();
    let error = bill(None, &spec, &catalogue, today).unwrap().unwrap_err();
    assert_eq!(error, "the budget is in EUR, and the prices of own/here are in USD");
    spec.budget.as_mut().unwrap().place = "own/her".to_owned();
    assert!(bill(None, &spec, &catalogue, today).unwrap().unwrap_err().contains("`own/here`"));
}

fn kinds() -> Vec<(Size, Money)> {
    let kind = |cpu_millis, memory_mib, price: &str| (Size { cpu_millis, memory_mib, gpus: 0 }, price.parse().unwrap());
    vec![
        kind(800, 1_638, "10"),
        kind(1_600, 3_276, "19"),
        kind(3_200, 6_553, "36"),
        kind(3_200, 13_107, "48"),
        kind(6_400, 13_107, "70"),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn a_packing_holds_everything_once_and_is_never_below_its_bound(
        sizes in proptest::collection::vec((50_u64..3_000, 64_u64..6_000), 1..40)
    ) {
        let (kinds, items) = (kinds(), sizes.iter().map(|(cpu_millis, memory_mib)| Size { cpu_millis: *cpu_millis, memory_mib: *memory_mib, gpus: 0 }).collect::<Vec<_>>());
        let machines = pack(&items, &kinds).unwrap();
        let mut placed: Vec<usize> = machines.iter().flat_map(|machine| machine.items.clone()).collect();
        placed.sort_unstable();
        prop_assert_eq!(placed, (0..items.len()).collect::<Vec<_>>());
        for machine in &machines {
            let used = machine.items.iter().fold(Size::default(), |sum, item| sum.and(items[*item]));
            prop_assert_eq!(used, machine.used);
            prop_assert!(used.fits(&kinds[machine.kind].0));
        }
        let cost: Money = machines.iter().map(|machine| kinds[machine.kind].1).sum();
        prop_assert!(cost.ratio("1".parse().unwrap()) >= lower_bound(&items, &kinds) - 1e-6);
    }
}
