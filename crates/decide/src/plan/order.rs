//! Dependencies before dependents.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};

use daybook_model::{Service, ServiceName};

/// The services, each after those it depends on. Where that leaves a choice, those that `late` picks come
/// after the others, and then names decide. Where services depend on each other in a circle, the second
/// value names them, and they come last, by name.
pub fn in_dependency_order(
    services: &BTreeMap<ServiceName, Box<Service>>,
    late: impl Fn(&Service) -> bool,
) -> (Vec<&ServiceName>, Option<Vec<&ServiceName>>) {
    // A service's place is its place by name, so places compare as names do.
    let names: Vec<&ServiceName> = services.keys().collect();
    let places: HashMap<&ServiceName, usize> = names.iter().enumerate().map(|(place, name)| (*name, place)).collect();
    let late: Vec<bool> = services.values().map(|service| late(service)).collect();
    let mut waits = vec![0_usize; names.len()];
    let mut dependents: Vec<Vec<usize>> = vec![Vec::new(); names.len()];
    for (place, service) in services.values().enumerate() {
        let mut needs: Vec<_> = service.depends_on.iter().filter_map(|d| places.get(&d.service).copied()).collect();
        needs.sort_unstable();
        needs.dedup();
        waits[place] = needs.len();
        needs.into_iter().for_each(|needed| dependents[needed].push(place));
    }
    let rank = |place: usize| Reverse((late[place], place));
    let mut free: BinaryHeap<_> = (0..names.len()).filter(|place| waits[*place] == 0).map(rank).collect();
    let mut order = Vec::with_capacity(names.len());
    while let Some(Reverse((_, place))) = free.pop() {
        order.push(names[place]);
        for dependent in &dependents[place] {
            waits[*dependent] -= 1;
            if waits[*dependent] == 0 {
                free.push(rank(*dependent));
            }
        }
    }
    let circle: Vec<_> = (0..names.len()).filter(|place| waits[*place] > 0).map(|place| names[place]).collect();
    if circle.is_empty() {
        return (order, None);
    }
    order.extend(&circle);
    (order, Some(circle))
}
