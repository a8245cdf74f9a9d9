//! What a change does to the cost of an environment, and whether its budget allows that.

use std::collections::BTreeMap;

use daybook_model::Spec;
use daybook_model::money::{Currency, Money};
use jiff::civil::Date;
use serde::Serialize;

use super::catalogue::Catalogue;
use super::demand::Demand;
use super::estimate::{Estimate, Model, Terms, Unpriced, estimate};

/// Parts of a difference that are named.
const NAMED: usize = 2;

/// What an environment costs before and after a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Bill {
    /// Whose prices these are.
    pub place: String,
    /// What every amount is in.
    pub currency: Currency,
    /// A month of what runs; `None` when nothing does.
    pub before: Option<Money>,
    /// A month of what is planned.
    pub after: Money,
    /// What of it costs more or less, the largest difference first.
    pub parts: Vec<(String, Money)>,
    /// What it may cost.
    pub budget: Option<Money>,
    /// The budget forbids it.
    pub refused: bool,
    /// What has no price.
    pub unpriced: Vec<Unpriced>,
    /// Prices in it are old.
    pub stale: bool,
}

/// The cost of `after`, beside that of what runs, at the place that its budget names; `None` when it names none.
///
/// # Errors
/// There are no prices of that place, or they are in another currency than the budget: in words.
pub fn bill(before: Option<&Spec>, after: &Spec, catalogue: &Catalogue, today: Date) -> Option<Result<Bill, String>> {
    let budget = after.budget.as_ref().filter(|_| !after.services.is_empty())?;
    let place = match catalogue.place(&budget.place) {
        Ok(place) => place,
        Err(why) => return Some(Err(why)),
    };
    if budget.monthly.is_some() && budget.currency != catalogue.currency {
        let (ours, theirs) = (budget.currency, catalogue.currency);
        return Some(Err(format!(
            "the budget is in {}, and the prices of {place} are in {}",
            ours.code(),
            theirs.code()
        )));
    }
    let headroom = budget.headroom.into();
    let terms = Terms { model: Model::Machines, headroom, arm: false, egress_bytes: budget.egress_bytes, today };
    let cost = |spec: &Spec| estimate(&Demand::of(spec), catalogue, place, &terms);
    let new = cost(after);
    let old = before.filter(|spec| !spec.services.is_empty()).map(cost);
    let rises = old.as_ref().is_none_or(|old| new.total > old.total);
    let over = budget.monthly.is_some_and(|most| new.total > most);
    Some(Ok(Bill {
        place: place.to_string(),
        currency: catalogue.currency,
        parts: old.as_ref().map(|old| parts(old, &new)).unwrap_or_default(),
        before: old.map(|old| old.total),
        after: new.total,
        budget: budget.monthly,
        refused: over && rises && budget.blocks,
        unpriced: new.unpriced,
        stale: new.stale,
    }))
}

fn parts(old: &Estimate, new: &Estimate) -> Vec<(String, Money)> {
    let mut by: BTreeMap<String, Money> = BTreeMap::new();
    for line in &new.lines {
        let sum = by.entry(line.subject.to_string()).or_default();
        *sum = *sum + line.monthly;
    }
    for line in &old.lines {
        let sum = by.entry(line.subject.to_string()).or_default();
        *sum = *sum - line.monthly;
    }
    let mut parts: Vec<_> = by.into_iter().filter(|(_, difference)| *difference != Money::ZERO).collect();
    let size = |difference: Money| difference.max(Money::ZERO - difference);
    parts.sort_by(|a, b| (size(b.1), &a.0).cmp(&(size(a.1), &b.0)));
    parts
}

impl Bill {
    /// It in one line: `$212.40 → $219.10 a month  (+$6.70: mailer)      budget $300.00`.
    pub fn line(&self) -> String {
        let show = |amount| self.currency.show(amount);
        let mut line = match self.before {
            Some(before) if before != self.after => {
                let difference = self.after - before;
                let sign = if difference > Money::ZERO { "+" } else { "" };
                let named: Vec<_> = self.parts.iter().take(NAMED).map(|(name, _)| name.as_str()).collect();
                let of = if named.is_empty() { String::new() } else { format!(": {}", named.join(", ")) };
                format!("{} → {} a month  ({sign}{}{of})", show(before), show(self.after), show(difference))
            }
            Some(_) => format!("{} a month, as before", show(self.after)),
            None => format!("{} a month", show(self.after)),
        };
        if let Some(budget) = self.budget {
            let over = if self.after > budget { "over the budget of" } else { "budget" };
            line.push_str(&format!("      {over} {}", show(budget)));
        }
        if !self.unpriced.is_empty() {
            let names: Vec<_> = self.unpriced.iter().map(|lacks| lacks.what.as_str()).collect();
            line.push_str(&format!("\n            without {}", names.join(", ")));
        }
        line
    }
}
