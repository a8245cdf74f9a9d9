//! Where everything goes: columns by zone and by who asks whom, rows by where the neighbours are.
//!
//! The steps are those of Sugiyama, Tagawa and Toda (1981): circles are broken, each node gets a layer, a flow over
//! several layers gets a place in each of them, layers are ordered by the mean place of the neighbours until that helps
//! no more, and places become coordinates. Everything is decided in the order of ids, so that the result is the same
//! each time.

use std::collections::{BTreeMap, BTreeSet};

use super::graph::{Graph, Zone};

/// Width and height of a box.
pub(super) const BOX: (f64, f64) = (176.0, 66.0);
/// Between boxes, across and down.
const GAP: (f64, f64) = (124.0, 22.0);
/// Around everything, and between the border of a zone and its boxes.
pub(super) const MARGIN: f64 = 24.0;
/// Where boxes begin: titles are above.
const TOP: f64 = 124.0;
/// The most boxes of one layer that stand above each other; more make another column beside it. Of a picture with
/// many boxes, so many that it is about as high as a screen is to its width.
const TALLEST: usize = 12;
/// How often layers are ordered anew.
const SWEEPS: usize = 12;
/// What a flow that passes takes of a column's height, and what all of them take at most.
const LANE: (f64, f64) = (14.0, 280.0);

/// Where everything goes.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Layout {
    /// Left upper corner of each node, in the order of the graph's nodes.
    pub(super) boxes: Vec<(f64, f64)>,
    /// The points of each flow, in the order of the graph's flows: from the right side of a box to the left of another.
    pub(super) paths: Vec<Vec<(f64, f64)>>,
    /// Left and right border of each zone that has boxes.
    pub(super) zones: Vec<(Zone, f64, f64)>,
    /// Of everything.
    pub(super) width: f64,
    /// Of everything.
    pub(super) height: f64,
}

/// What stands in a column: a node, or what passes on its way to a node. All flows to one node pass as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Slot {
    Node(usize),
    Lane(usize),
}

/// What stands in each column, from above.
type Columns = Vec<Vec<Slot>>;
/// The slots through which a flow goes, each with its column.
type Chain = Vec<(usize, Slot)>;

pub(super) fn layout(graph: &Graph) -> Layout {
    let index: BTreeMap<&str, usize> =
        graph.nodes.iter().enumerate().map(|(at, node)| (node.id.as_str(), at)).collect();
    let flows: Vec<(usize, usize)> =
        graph.flows.iter().map(|flow| (index[flow.from.as_str()], index[flow.to.as_str()])).collect();
    let columns = columns(graph, &flows);
    let (slots, chains) = fill(&columns, &flows);
    let slots = ordered(slots, &chains);
    place(graph, &columns, &slots, &chains)
}

/// The column of each node.
fn columns(graph: &Graph, flows: &[(usize, usize)]) -> Vec<usize> {
    const SCREEN: f64 = 4.0 / 3.0;
    let square = (BOX.0 + GAP.0) / (BOX.1 + GAP.1) / SCREEN;
    let tallest = TALLEST.max((graph.nodes.len() as f64 * square).sqrt() as usize);
    let mut columns = vec![0; graph.nodes.len()];
    let mut first = 0;
    for zone in Zone::ALL {
        let members: Vec<usize> = (0..graph.nodes.len()).filter(|at| graph.nodes[*at].zone == zone).collect();
        if members.is_empty() {
            continue;
        }
        let depths = depths(&members, flows);
        let mut used = 0;
        for depth in 0..=depths.values().copied().max().unwrap_or(0) {
            let layer: Vec<usize> = members.iter().copied().filter(|at| depths[at] == depth).collect();
            for (at, node) in layer.iter().enumerate() {
                columns[*node] = first + used + at / tallest;
            }
            used += layer.len().div_ceil(tallest);
        }
        first += used;
    }
    columns
}

/// How many members of a zone stand before each, at most, on any way that leads to it.
fn depths(members: &[usize], flows: &[(usize, usize)]) -> BTreeMap<usize, usize> {
    let inside: BTreeSet<usize> = members.iter().copied().collect();
    let mut next: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (from, to) in flows.iter().filter(|(from, to)| inside.contains(from) && inside.contains(to)) {
        next.entry(*from).or_default().push(*to);
    }
    let order = without_circles(members, &mut next);
    let mut depths: BTreeMap<usize, usize> = members.iter().map(|at| (*at, 0)).collect();
    for from in order {
        let depth = depths[&from];
        for to in next.get(&from).into_iter().flatten() {
            let known = depths.get_mut(to).expect("a flow between members leads to a member");
            *known = (*known).max(depth + 1);
        }
    }
    depths
}

/// Takes out of `next` what closes a circle; the members in an order in which every flow leads on.
fn without_circles(members: &[usize], next: &mut BTreeMap<usize, Vec<usize>>) -> Vec<usize> {
    #[derive(Clone, Copy, PartialEq)]
    enum Seen {
        Open,
        Done,
    }
    let mut seen: BTreeMap<usize, Seen> = BTreeMap::new();
    let mut order = Vec::new();
    for start in members {
        // Each entry is a node and how many of its flows were followed: no recursion, however long the way is.
        let mut way = vec![(*start, 0)];
        while let Some((node, at)) = way.pop() {
            if at == 0 {
                if seen.contains_key(&node) {
                    continue;
                }
                seen.insert(node, Seen::Open);
            }
            let Some(to) = next.get(&node).and_then(|all| all.get(at)).copied() else {
                seen.insert(node, Seen::Done);
                order.push(node);
                continue;
            };
            match seen.get(&to) {
                Some(Seen::Open) => {
                    next.get_mut(&node).expect("it was just looked up").remove(at);
                    // At least one flow was looked at, so that the node is not taken for a new one.
                    if at == 0 {
                        seen.remove(&node);
                    }
                    way.push((node, at));
                }
                Some(Seen::Done) => way.push((node, at + 1)),
                None => {
                    way.push((node, at + 1));
                    way.push((to, 0));
                }
            }
        }
    }
    order.reverse();
    order
}

/// What stands in each column, and the places through which each flow goes. A flow that leads back, or to its own column,
/// goes around nothing: it has its two ends.
fn fill(columns: &[usize], flows: &[(usize, usize)]) -> (Columns, Vec<Chain>) {
    let count = columns.iter().max().map_or(0, |last| last + 1);
    let mut slots: Columns = vec![Vec::new(); count];
    for (node, column) in columns.iter().enumerate() {
        slots[*column].push(Slot::Node(node));
    }
    let (mut chains, mut known) = (Vec::with_capacity(flows.len()), BTreeSet::new());
    for (from, to) in flows {
        let mut chain = vec![(columns[*from], Slot::Node(*from))];
        let lane = Slot::Lane(*to);
        let between = slots.iter_mut().enumerate().take(columns[*to]).skip(columns[*from] + 1);
        for (column, all) in between {
            if known.insert((column, *to)) {
                all.push(lane);
            }
            chain.push((column, lane));
        }
        chain.push((columns[*to], Slot::Node(*to)));
        chains.push(chain);
    }
    (slots, chains)
}

/// Columns ordered so that neighbours are near each other: the order with the fewest crossings that was met.
fn ordered(mut slots: Columns, chains: &[Chain]) -> Columns {
    let (before, behind) = neighbours(chains);
    let mut places = places(&slots);
    let mut best = (crossings(&places, chains), slots.clone());
    for sweep in 0..SWEEPS {
        let forward = sweep % 2 == 0;
        let near = if forward { &before } else { &behind };
        let order: Vec<usize> = if forward { (0..slots.len()).collect() } else { (0..slots.len()).rev().collect() };
        for column in order {
            let mean = |slot: Slot| {
                let ends = near.get(&(column, slot))?;
                Some(ends.iter().map(|end| places[end]).sum::<f64>() / ends.len() as f64)
            };
            let mut keyed: Vec<(f64, usize, Slot)> = (slots[column].iter().enumerate())
                .map(|(at, slot)| (mean(*slot).unwrap_or(places[&(column, *slot)]), at, *slot))
                .collect();
            keyed.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
            slots[column] = keyed.into_iter().map(|(_, _, slot)| slot).collect();
            places.extend(places_in(column, &slots[column]));
        }
        let crossed = crossings(&places, chains);
        if crossed < best.0 {
            best = (crossed, slots.clone());
        }
    }
    best.1
}

/// A slot, with its column.
type Placed = (usize, Slot);

/// What each slot is reached from, and what it leads to, to the right of it.
fn neighbours(chains: &[Chain]) -> (BTreeMap<Placed, Vec<Placed>>, BTreeMap<Placed, Vec<Placed>>) {
    let (mut before, mut behind) = (BTreeMap::<_, Vec<_>>::new(), BTreeMap::<_, Vec<_>>::new());
    let pairs = chains.iter().flat_map(|chain| chain.windows(2)).map(|pair| (pair[0], pair[1]));
    for (from, to) in pairs.filter(|(from, to)| from.0 < to.0) {
        before.entry(to).or_default().push(from);
        behind.entry(from).or_default().push(to);
    }
    (before, behind)
}

/// Where each slot is in its column, from 0 to 1.
fn places(slots: &[Vec<Slot>]) -> BTreeMap<Placed, f64> {
    slots.iter().enumerate().flat_map(|(column, all)| places_in(column, all)).collect()
}

fn places_in(column: usize, slots: &[Slot]) -> impl Iterator<Item = (Placed, f64)> {
    let count = slots.len() as f64;
    slots.iter().enumerate().map(move |(at, slot)| ((column, *slot), (at as f64 + 0.5) / count))
}

/// How many pairs of flows cross between neighbouring columns.
fn crossings(places: &BTreeMap<Placed, f64>, chains: &[Chain]) -> usize {
    let mut between: BTreeMap<usize, Vec<(f64, f64)>> = BTreeMap::new();
    for pair in chains.iter().flat_map(|chain| chain.windows(2)) {
        if pair[0].0 + 1 == pair[1].0 {
            between.entry(pair[0].0).or_default().push((places[&pair[0]], places[&pair[1]]));
        }
    }
    between.into_values().map(inversions).sum()
}

/// How many pairs of flows stand in one order on the left and in the other on the right. Each flow asks a tree of
/// partial sums how many of those that begin above it end below it (Barth, Mutzel and Jünger 2004).
fn inversions(mut flows: Vec<(f64, f64)>) -> usize {
    flows.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
    let mut ends: Vec<f64> = flows.iter().map(|flow| flow.1).collect();
    ends.sort_by(f64::total_cmp);
    ends.dedup();
    let mut sums = vec![0_usize; ends.len() + 1];
    let mut crossed = 0;
    for (seen, (_, end)) in flows.iter().enumerate() {
        let rank = ends.partition_point(|other| other < end) + 1;
        let mut at = rank;
        let mut not_below = 0;
        while at > 0 {
            not_below += sums[at];
            at &= at - 1;
        }
        crossed += seen - not_below;
        at = rank;
        while at < sums.len() {
            sums[at] += 1;
            at += at & at.wrapping_neg();
        }
    }
    crossed
}

fn place(graph: &Graph, columns: &[usize], slots: &[Vec<Slot>], chains: &[Chain]) -> Layout {
    let lane = |all: &Vec<Slot>| {
        let lanes = all.iter().filter(|slot| matches!(slot, Slot::Lane(_))).count();
        LANE.0.min(LANE.1 / lanes.max(1) as f64)
    };
    let lanes: Vec<f64> = slots.iter().map(lane).collect();
    let height_of = |column: usize, slot: &Slot| match slot {
        Slot::Node(_) => BOX.1 + GAP.1,
        Slot::Lane(_) => lanes[column],
    };
    let height = |(column, all): (usize, &Vec<Slot>)| all.iter().map(|slot| height_of(column, slot)).sum();
    let heights: Vec<f64> = slots.iter().enumerate().map(height).collect();
    let tallest = heights.iter().copied().fold(0.0, f64::max);
    let left = |column: usize| MARGIN * 2.0 + column as f64 * (BOX.0 + GAP.0);
    let mut tops: BTreeMap<(usize, Slot), f64> = BTreeMap::new();
    for (column, all) in slots.iter().enumerate() {
        let mut y = TOP + (tallest - heights[column]) / 2.0;
        for slot in all {
            tops.insert((column, *slot), y);
            y += height_of(column, slot);
        }
    }
    let boxes: Vec<(f64, f64)> =
        columns.iter().enumerate().map(|(node, column)| (left(*column), tops[&(*column, Slot::Node(node))])).collect();
    let paths = ends(chains, &tops, &left);
    let zones = Zone::ALL.into_iter().filter_map(|zone| {
        let members = graph.nodes.iter().zip(columns).filter(|(node, _)| node.zone == zone).map(|(_, column)| *column);
        let (first, last) =
            members.fold((usize::MAX, 0), |(first, last), column| (first.min(column), last.max(column)));
        (first != usize::MAX).then(|| (zone, left(first) - MARGIN, left(last) + BOX.0 + MARGIN))
    });
    let width = left(slots.len().max(1) - 1) + BOX.0 + MARGIN * 2.0;
    Layout { boxes, paths, zones: zones.collect(), width: width.max(480.0), height: TOP + tallest + MARGIN * 2.5 }
}

/// The points of each flow. Flows that share a side of a box are spread over it, in the order of where they come from or
/// lead to; those that come by the same lane end at the same point.
fn ends(chains: &[Chain], tops: &BTreeMap<(usize, Slot), f64>, left: &dyn Fn(usize) -> f64) -> Vec<Vec<(f64, f64)>> {
    type Place = (usize, Slot);
    let middle = |place: &Place| tops[place] + if matches!(place.1, Slot::Node(_)) { BOX.1 / 2.0 } else { 0.0 };
    // What leads back, or to its own column, arrives at the right side too.
    let leads_back = |chain: &[Place]| chain[chain.len() - 1].0 <= chain[0].0;
    let mut sides: BTreeMap<(Place, bool), BTreeSet<Place>> = BTreeMap::new();
    for chain in chains {
        let last = chain.len() - 1;
        sides.entry((chain[0], true)).or_default().insert(chain[1]);
        sides.entry((chain[last], leads_back(chain))).or_default().insert(chain[last - 1]);
    }
    let mut spread: BTreeMap<(Place, bool, Place), f64> = BTreeMap::new();
    for ((place, right), others) in sides {
        let mut others: Vec<Place> = others.into_iter().collect();
        others.sort_by(|a, b| middle(a).total_cmp(&middle(b)).then(a.cmp(b)));
        let count = others.len() as f64;
        for (at, other) in others.into_iter().enumerate() {
            spread.insert((place, right, other), tops[&place] + BOX.1 * (at as f64 + 1.0) / (count + 1.0));
        }
    }
    let points = |chain: &Vec<Place>| {
        let end = chain.len() - 1;
        let (first, last, back) = (chain[0], chain[end], leads_back(chain));
        let mut points = vec![(left(first.0) + BOX.0, spread[&(first, true, chain[1])])];
        for place in &chain[1..end] {
            let y = middle(place);
            points.extend([(left(place.0) - 6.0, y), (left(place.0) + BOX.0 + 6.0, y)]);
        }
        let x = if back { left(last.0) + BOX.0 } else { left(last.0) };
        points.push((x, spread[&(last, back, chain[end - 1])]));
        points
    };
    chains.iter().map(points).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crossings_are_counted_as_by_looking_at_every_pair() {
        // A linear congruential generator, with ties on both sides.
        let mut random = 7_u32;
        let mut next = || {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            f64::from(random >> 28)
        };
        for count in 0..40 {
            let flows: Vec<(f64, f64)> = (0..count).map(|_| (next(), next())).collect();
            let pairs = flows.iter().enumerate().flat_map(|(at, a)| flows[at + 1..].iter().map(move |b| (a, b)));
            let crossed = pairs.filter(|(a, b)| (a.0 - b.0) * (a.1 - b.1) < 0.0).count();
            assert_eq!(inversions(flows), crossed);
        }
    }
}
