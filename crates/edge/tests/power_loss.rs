//! The power fails at every moment of an edge's life; the table that it had acknowledged is served afterwards. Needs
//! strace.

#![allow(clippy::unwrap_used, reason = "a failure fails the test")]

mod common;
#[path = "../../store/tests/power/mod.rs"]
mod power;

use common::{TestEdge, program, table};
use daybook_edge::Limits;
use power::{Change, Image};

/// Made anew by each generation, or written without a promise.
const LEFT_OUT: &[&str] = &[".sock", "control.new", "access.log"];

#[test]
fn r10_an_acknowledged_table_survives_power_loss_at_any_moment() {
    let root = tempfile::tempdir().unwrap();
    let record = power::record(&program().with_file_name("power_loss_tables"), root.path(), LEFT_OUT);
    let versions = record.changes.iter().filter(|change| matches!(change, Change::Acknowledged(_))).count() as u64;
    assert!(record.changes.contains(&Change::Acknowledged(versions)) && versions > 3, "{versions}");
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let checked = record.check(|image| runtime().block_on(check(image, versions)));
    println!("{versions} tables, {checked} images of what a loss of power could leave");
}

/// An edge serves by the table that was acknowledged, or by one that was about to be, and takes the next.
async fn check(image: &Image, versions: u64) {
    let said = image.said();
    let directory = tempfile::tempdir().unwrap();
    image.write_to(directory.path());
    let state = directory.path().join("state");
    let edge = TestEdge::start_at(directory, state, Limits::default()).await;
    let kept = edge.client.table().await.unwrap();
    assert!((image.acknowledged..=versions).contains(&kept.version), "{said}: table {} is there", kept.version);
    assert_eq!(edge.client.status().await.unwrap().damage, Vec::<String>::new(), "{said}");
    let services = kept.environments.values().flat_map(|environment| environment.backends.values());
    assert!(services.clone().all(|service| service.check.interval_ms == kept.version), "{said}: {kept:?}");
    assert_eq!(services.count(), if kept.version == 0 { 0 } else { 24 }, "{said}");
    edge.client.set_table(&table(kept.version + 1, Vec::new())).await.unwrap_or_else(|error| panic!("{said}: {error}"));
}
