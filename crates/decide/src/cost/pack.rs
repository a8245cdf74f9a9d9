//! Replicas on machines: vector bin packing.
//!
//! Finding the cheapest packing is NP-hard. First-fit decreasing by the larger share (Panigrahy et al., "Heuristics for
//! Vector Bin Packing", 2011) is tried with each kind of machine; then each machine becomes the cheapest that still
//! holds what is on it, and two become one where that costs less. [`lower_bound`] is what no packing can be below.

use daybook_model::money::Money;
use serde::Serialize;

/// Machines that are looked at in pairs: beyond, merging them would take longer than it is worth.
const PAIRED: usize = 64;

/// What a replica needs, or a machine has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize)]
pub struct Size {
    /// Thousandths of a core.
    pub cpu_millis: u64,
    /// Mebibytes of memory.
    pub memory_mib: u64,
    /// GPUs.
    pub gpus: u64,
}

impl Size {
    /// Whether it fits into what is free.
    pub fn fits(&self, free: &Self) -> bool {
        self.cpu_millis <= free.cpu_millis && self.memory_mib <= free.memory_mib && self.gpus <= free.gpus
    }

    /// Both together.
    pub fn and(self, other: Self) -> Self {
        Self {
            cpu_millis: self.cpu_millis.saturating_add(other.cpu_millis),
            memory_mib: self.memory_mib.saturating_add(other.memory_mib),
            gpus: self.gpus.saturating_add(other.gpus),
        }
    }

    fn without(self, other: Self) -> Self {
        Self {
            cpu_millis: self.cpu_millis.saturating_sub(other.cpu_millis),
            memory_mib: self.memory_mib.saturating_sub(other.memory_mib),
            gpus: self.gpus.saturating_sub(other.gpus),
        }
    }

    /// What replicas may have of a machine that keeps so much free, percent.
    pub fn usable(self, headroom: u64) -> Self {
        let kept = 100_u64.saturating_sub(headroom);
        Self { cpu_millis: self.cpu_millis * kept / 100, memory_mib: self.memory_mib * kept / 100, gpus: self.gpus }
    }

    /// The larger of its shares of a machine, in millionths.
    fn share(&self, of: &Self) -> u64 {
        let part = |a: u64, b: u64| a.saturating_mul(1_000_000).checked_div(b).unwrap_or(0);
        part(self.cpu_millis, of.cpu_millis).max(part(self.memory_mib, of.memory_mib)).max(part(self.gpus, of.gpus))
    }
}

/// A machine with what is on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// Which kind, by its index.
    pub kind: usize,
    /// The replicas on it, by their indices, in order.
    pub items: Vec<usize>,
    /// What they need together.
    pub used: Size,
}

/// Puts replicas on machines of kinds with so much room and such a price each.
///
/// # Errors
/// The index of a replica that fits on none.
pub fn pack(items: &[Size], kinds: &[(Size, Money)]) -> Result<Vec<Machine>, usize> {
    if let Some(alone) = items.iter().position(|item| cheapest(item, kinds).is_none()) {
        return Err(alone);
    }
    let mut best: Option<(Money, Vec<Machine>)> = None;
    for kind in 0..kinds.len() {
        let mut machines = first_fit(items, kinds, kind);
        shrink(&mut machines, kinds);
        merge(&mut machines, kinds);
        let cost = total(&machines, kinds);
        let better = best.as_ref().is_none_or(|(known, before)| (cost, machines.len()) < (*known, before.len()));
        if better {
            best = Some((cost, machines));
        }
    }
    let mut machines = best.map(|(_, machines)| machines).unwrap_or_default();
    machines.iter_mut().for_each(|machine| machine.items.sort_unstable());
    machines.sort_by(|a, b| (b.kind, &a.items).cmp(&(a.kind, &b.items)));
    Ok(machines)
}

/// What machines cost together.
pub fn total(machines: &[Machine], kinds: &[(Size, Money)]) -> Money {
    machines.iter().map(|machine| kinds[machine.kind].1).sum()
}

/// The cheapest kind that holds something.
fn cheapest(used: &Size, kinds: &[(Size, Money)]) -> Option<usize> {
    let holds = kinds.iter().enumerate().filter(|(_, (room, _))| used.fits(room));
    holds.min_by_key(|(at, (_, price))| (*price, *at)).map(|(at, _)| at)
}

/// On machines of one kind; what does not fit on one gets the cheapest that holds it.
fn first_fit(items: &[Size], kinds: &[(Size, Money)], kind: usize) -> Vec<Machine> {
    let room = kinds[kind].0;
    let mut order: Vec<usize> = (0..items.len()).collect();
    order.sort_by_key(|at| (std::cmp::Reverse(items[*at].share(&room)), *at));
    let mut machines: Vec<Machine> = Vec::new();
    for at in order {
        let item = items[at];
        let place = machines.iter_mut().find(|machine| item.fits(&kinds[machine.kind].0.without(machine.used)));
        match place {
            Some(machine) => {
                machine.used = machine.used.and(item);
                machine.items.push(at);
            }
            None => {
                let kind = if item.fits(&room) { kind } else { cheapest(&item, kinds).unwrap_or(kind) };
                machines.push(Machine { kind, items: vec![at], used: item });
            }
        }
    }
    machines
}

fn shrink(machines: &mut [Machine], kinds: &[(Size, Money)]) {
    for machine in machines {
        if let Some(kind) = cheapest(&machine.used, kinds).filter(|kind| kinds[*kind].1 < kinds[machine.kind].1) {
            machine.kind = kind;
        }
    }
}

/// Makes one machine of two for as long as that saves something.
fn merge(machines: &mut Vec<Machine>, kinds: &[(Size, Money)]) {
    if machines.len() > PAIRED {
        return;
    }
    let saving = |a: &Machine, b: &Machine| {
        let kind = cheapest(&a.used.and(b.used), kinds)?;
        let (before, after) = (kinds[a.kind].1 + kinds[b.kind].1, kinds[kind].1);
        (after < before).then_some((before - after, kind))
    };
    loop {
        let pairs = (0..machines.len()).flat_map(|a| (a + 1..machines.len()).map(move |b| (a, b)));
        let savings = pairs.filter_map(|(a, b)| Some((saving(&machines[a], &machines[b])?, a, b)));
        let Some(((_, kind), a, b)) = savings.max_by_key(|((saved, _), a, b)| (*saved, std::cmp::Reverse((*a, *b))))
        else {
            return;
        };
        let other = machines.remove(b);
        machines[a].kind = kind;
        machines[a].used = machines[a].used.and(other.used);
        machines[a].items.extend(other.items);
    }
}

/// What no packing costs less than: machines that may be had in parts, of at most two kinds, since two resources have
/// to be covered (a linear programme with two constraints has an optimum with two variables).
pub fn lower_bound(items: &[Size], kinds: &[(Size, Money)]) -> f64 {
    let need = items.iter().fold(Size::default(), |sum, item| sum.and(*item));
    let (cpu, memory) = (need.cpu_millis as f64, need.memory_mib as f64);
    let price = |at: usize| kinds[at].1.ratio(Money::ONE);
    let room = |at: usize| (kinds[at].0.cpu_millis as f64, kinds[at].0.memory_mib as f64);
    let mut least = f64::INFINITY;
    for a in 0..kinds.len() {
        let (cpu_a, memory_a) = room(a);
        if cpu_a > 0.0 && memory_a > 0.0 {
            least = least.min(price(a) * (cpu / cpu_a).max(memory / memory_a));
        }
        for b in a + 1..kinds.len() {
            let (cpu_b, memory_b) = room(b);
            let determinant = cpu_a * memory_b - cpu_b * memory_a;
            if determinant.abs() < f64::EPSILON {
                continue;
            }
            let of_a = (cpu * memory_b - cpu_b * memory) / determinant;
            let of_b = (cpu_a * memory - cpu * memory_a) / determinant;
            if of_a >= 0.0 && of_b >= 0.0 {
                least = least.min(price(a) * of_a + price(b) * of_b);
            }
        }
    }
    if items.is_empty() { 0.0 } else { least }
}
