//! Dependencies before dependents.

use std::collections::{BTreeMap, BTreeSet};

use daybook_model::{Service, ServiceName};

/// The services, each after those it depends on. Where that leaves a choice, those that `late` picks come
/// after the others, and then names decide. Where services depend on each other in a circle, the second
/// value names them, and they come last, by name.
pub fn in_dependency_order(
    services: &BTreeMap<ServiceName, Service>,
    late: impl Fn(&Service) -> bool,
) -> (Vec<&ServiceName>, Option<Vec<&ServiceName>>) {
    let rank = |name| (late(&services[name]), name);
    let mut waits: BTreeMap<&ServiceName, usize> = BTreeMap::new();
    let mut dependents: BTreeMap<&ServiceName, Vec<&ServiceName>> = BTreeMap::new();
    for (name, service) in services {
        let needs: BTreeSet<_> =
            service.depends_on.iter().map(|d| &d.service).filter(|d| services.contains_key(*d)).collect();
        waits.insert(name, needs.len());
        for needed in needs {
            dependents.entry(needed).or_default().push(name);
        }
    }
    let mut free: BTreeSet<_> = waits.iter().filter(|(_, n)| **n == 0).map(|(name, _)| rank(*name)).collect();
    let mut order = Vec::with_capacity(services.len());
    while let Some((_, name)) = free.pop_first() {
        order.push(name);
        for dependent in dependents.get(name).into_iter().flatten() {
            let left = waits.get_mut(dependent).expect("every service has a count");
            *left -= 1;
            if *left == 0 {
                free.insert(rank(dependent));
            }
        }
    }
    let placed: BTreeSet<_> = order.iter().copied().collect();
    let circle: Vec<_> = services.keys().filter(|name| !placed.contains(name)).collect();
    if circle.is_empty() {
        return (order, None);
    }
    order.extend(&circle);
    (order, Some(circle))
}
