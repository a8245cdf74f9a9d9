//! Which endpoint answers the next request.

/// A fixed order of turns over weighted members.
///
/// Members of equal weight form a group. Turns are dealt to the groups by smooth weighted round robin,
/// so that within each [`Chooser::window`] turns every group gets exactly its share; within its group a turn
/// goes to the usable member with the fewest pending requests, ties in rotation. A group without a usable
/// member passes its turn on.
#[derive(Debug)]
pub(crate) struct Chooser {
    groups: Vec<Group>,
    schedule: Vec<Slot>,
}

#[derive(Debug)]
struct Group {
    members: Vec<usize>,
    /// Turns in one window.
    turns: usize,
}

#[derive(Debug, Clone, Copy)]
struct Slot {
    group: usize,
    /// How many turns of the window the group had before.
    rank: usize,
}

/// The longest window: shares finer than this are rounded.
const LONGEST_WINDOW: u64 = 10_000;

impl Chooser {
    /// A chooser among members 0, 1, …, of these weights. Weight 0 gets nothing.
    pub(crate) fn new(weights: &[u32]) -> Self {
        let mut distinct: Vec<u32> = weights.iter().copied().filter(|weight| *weight > 0).collect();
        distinct.sort_unstable();
        distinct.dedup();
        let members_of = |weight| (0..weights.len()).filter(|i| weights[*i] == weight).collect::<Vec<_>>();
        let mut groups: Vec<Group> =
            distinct.iter().map(|weight| Group { members: members_of(*weight), turns: 0 }).collect();
        let totals: Vec<u64> = groups
            .iter()
            .zip(&distinct)
            .map(|(group, weight)| group.members.len() as u64 * u64::from(*weight))
            .collect();
        let schedule = deal(&mut groups, &reduce(&totals));
        Self { groups, schedule }
    }

    /// The member whose turn it is, among those that are usable.
    pub(crate) fn choose(
        &self,
        turn: usize,
        usable: impl Fn(usize) -> bool,
        pending: impl Fn(usize) -> u64,
    ) -> Option<usize> {
        let window = self.schedule.len();
        for ahead in 0..window {
            let turn = turn.wrapping_add(ahead);
            let slot = self.schedule[turn % window];
            let group = &self.groups[slot.group];
            let rotation = (turn / window).wrapping_mul(group.turns).wrapping_add(slot.rank);
            let found = least_pending(&group.members, rotation, &usable, &pending);
            if found.is_some() || self.groups.len() == 1 {
                return found;
            }
        }
        None
    }

    /// After so many turns the shares are exact.
    #[cfg(test)]
    fn window(&self) -> usize {
        self.schedule.len()
    }
}

fn least_pending(
    members: &[usize],
    rotation: usize,
    usable: &impl Fn(usize) -> bool,
    pending: &impl Fn(usize) -> u64,
) -> Option<usize> {
    let first = rotation % members.len();
    let (before, after) = members.split_at(first);
    after.iter().chain(before).copied().filter(|member| usable(*member)).min_by_key(|member| pending(*member))
}

/// The same shares in the smallest whole numbers, none of them 0, together at most about [`LONGEST_WINDOW`].
fn reduce(totals: &[u64]) -> Vec<u64> {
    let divisor = totals.iter().copied().fold(0, greatest_common_divisor).max(1);
    let sum: u64 = totals.iter().map(|total| total / divisor).sum();
    let shrink = |share: u64| if sum > LONGEST_WINDOW { (share * LONGEST_WINDOW / sum).max(1) } else { share };
    totals.iter().map(|total| shrink(total / divisor)).collect()
}

fn greatest_common_divisor(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

/// Smooth weighted round robin: each turn every group gains its share, and the richest pays for the turn.
fn deal(groups: &mut [Group], shares: &[u64]) -> Vec<Slot> {
    let sum: u64 = shares.iter().sum();
    let mut credit = vec![0_i64; shares.len()];
    let mut schedule = Vec::with_capacity(sum as usize);
    for _ in 0..sum {
        for (credit, share) in credit.iter_mut().zip(shares) {
            *credit += *share as i64;
        }
        let richest = (0..credit.len()).rev().max_by_key(|group| credit[*group]).expect("a share is there");
        credit[richest] -= sum as i64;
        schedule.push(Slot { group: richest, rank: groups[richest].turns });
        groups[richest].turns += 1;
    }
    schedule
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tally(weights: &[u32], turns: usize) -> Vec<usize> {
        let chooser = Chooser::new(weights);
        let mut counts = vec![0; weights.len()];
        for turn in 0..turns {
            counts[chooser.choose(turn, |_| true, |_| 0).unwrap()] += 1;
        }
        counts
    }

    #[test]
    fn equal_weights_go_round() {
        assert_eq!(tally(&[1, 1, 1], 300), [100, 100, 100]);
        assert_eq!(tally(&[70, 70], 10), [5, 5]);
    }

    #[test]
    fn a_canary_gets_exactly_its_share() {
        assert_eq!(tally(&[30, 30, 30, 10], 100), [30, 30, 30, 10]);
        assert_eq!(tally(&[99, 1], 1000), [990, 10]);
        assert_eq!(Chooser::new(&[90, 10]).window(), 10);
    }

    #[test]
    fn weight_nothing_gets_nothing() {
        assert_eq!(tally(&[0, 5], 10), [0, 10]);
        assert_eq!(Chooser::new(&[0, 0]).choose(0, |_| true, |_| 0), None);
        assert_eq!(Chooser::new(&[]).choose(7, |_| true, |_| 0), None);
    }

    #[test]
    fn fewest_pending_wins_within_a_group() {
        let chooser = Chooser::new(&[1, 1, 1]);
        for turn in 0..9 {
            assert_eq!(chooser.choose(turn, |_| true, |i| [4, 2, 3][i]), Some(1));
        }
    }

    #[test]
    fn a_group_without_a_usable_member_passes_its_turn_on() {
        let chooser = Chooser::new(&[9, 1]);
        for turn in 0..20 {
            assert_eq!(chooser.choose(turn, |i| i == 1, |_| 0), Some(1));
        }
        assert_eq!(chooser.choose(3, |_| false, |_| 0), None);
    }

    proptest! {
        #[test]
        fn shares_are_exact_over_a_window(weights in proptest::collection::vec(0_u32..50, 1..6)) {
            let window = Chooser::new(&weights).window();
            prop_assume!(window > 0);
            let sum: u32 = weights.iter().sum();
            let turns = window * weights.len() * 60;
            let counts = tally(&weights, turns);
            let mut groups: std::collections::BTreeMap<u32, (usize, u32)> = Default::default();
            for (count, weight) in counts.iter().zip(&weights) {
                let group = groups.entry(*weight).or_default();
                group.0 += count;
                group.1 += weight;
            }
            for (count, weight) in groups.values() {
                prop_assert_eq!(*count as u64 * u64::from(sum), turns as u64 * u64::from(*weight));
            }
        }
    }
}
