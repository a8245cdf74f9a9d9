//! Decides what becomes of each column, by the rules and what a database has.

use std::collections::{BTreeMap, BTreeSet};

use daybook_model::masking::{Masking, Rule};

use super::masker::fit;
use super::{Column, ColumnMask, ColumnName, Foreign, Masker, Problem, Schema, Shape, TableName, Type};

/// What becomes of every table that is copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Its columns that are copied, by table.
    pub tables: BTreeMap<TableName, Vec<PlannedColumn>>,
    /// Columns that are masked because of what they refer to.
    pub along: Vec<Along>,
}

/// A column that is copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedColumn {
    /// Its own name.
    pub name: String,
    /// Its type, as the database has it.
    pub of: Type,
    /// The rule that was given, or that it takes from what it refers to.
    pub rule: Option<Rule>,
    /// What masked values are made for: what all columns that they have to match have room for.
    pub shape: Shape,
}

/// A column that takes the rule of what it refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Along {
    /// The column.
    pub column: ColumnName,
    /// What it refers to.
    pub with: ColumnName,
    /// The rule of both.
    pub rule: Rule,
}

impl PlannedColumn {
    /// The mask of its values; none if they stay.
    pub(super) fn mask(&self, masker: &Masker) -> Option<ColumnMask> {
        // The plan holds no rule that is unfit.
        self.changes().and_then(|rule| masker.column(rule, &self.shape).ok())
    }

    /// The rule by which its values change; none if they stay.
    pub fn changes(&self) -> Option<Rule> {
        self.rule.filter(|rule| *rule != Rule::Keep)
    }
}

impl Plan {
    /// Decides, or says everything that is wrong with the rules. Tables of `without` get no rows; they are named as
    /// rules name columns.
    pub fn new(schema: &Schema, masking: &Masking, without: &[String]) -> Result<Self, Vec<Problem>> {
        let mut planning = Planning::of(schema);
        planning.take_rules(masking);
        planning.take_along();
        planning.fit_together();
        planning.check();
        let left_out = planning.left_out(without);
        if !planning.problems.is_empty() {
            return Err(planning.problems);
        }
        let mut tables = BTreeMap::<_, Vec<_>>::new();
        for column in &schema.columns {
            if left_out.contains(&column.name.table) {
                continue;
            }
            let columns = tables.entry(column.name.table.clone()).or_default();
            if !column.is_generated {
                columns.push(planning.planned(column));
            }
        }
        Ok(Self { tables, along: planning.along })
    }

    /// The columns that are masked, with their rules.
    pub fn masked(&self) -> impl Iterator<Item = (ColumnName, Rule)> {
        self.tables.iter().flat_map(|(table, columns)| {
            columns.iter().filter_map(|column| {
                let name = ColumnName { table: table.clone(), column: column.name.clone() };
                column.changes().map(|rule| (name, rule))
            })
        })
    }
}

struct Planning<'a> {
    schema: &'a Schema,
    columns: BTreeMap<&'a ColumnName, &'a Column>,
    rules: BTreeMap<&'a ColumnName, Rule>,
    shapes: BTreeMap<&'a ColumnName, Shape>,
    along: Vec<Along>,
    problems: Vec<Problem>,
}

impl<'a> Planning<'a> {
    fn of(schema: &'a Schema) -> Self {
        let columns: BTreeMap<_, _> = schema.columns.iter().map(|column| (&column.name, column)).collect();
        let shapes = columns.iter().map(|(name, column)| (*name, column.shape.clone())).collect();
        Self { schema, columns, rules: BTreeMap::new(), shapes, along: Vec::new(), problems: Vec::new() }
    }

    fn take_rules(&mut self, masking: &Masking) {
        for (text, rule) in &masking.rules {
            let named: Vec<_> = self.columns.keys().copied().filter(|name| name.ways().contains(text)).collect();
            match named[..] {
                [] => {
                    let all = self.columns.keys().flat_map(|name| name.ways());
                    self.problems.push(Problem::NoColumn { rule: text.clone(), nearest: nearest(text, all) });
                }
                [name] => {
                    if self.rules.insert(name, *rule).is_some() {
                        self.problems.push(Problem::Twice { column: name.clone() });
                    }
                }
                _ => {
                    let all = named.iter().map(ToString::to_string).collect();
                    self.problems.push(Problem::Ambiguous { rule: text.clone(), all });
                }
            }
        }
    }

    /// Gives the rule of each column to those that refer to it, until there is none left that has none.
    fn take_along(&mut self) {
        let mut refused = BTreeSet::new();
        loop {
            let before = self.along.len();
            for (at, foreign) in self.schema.foreign.iter().enumerate() {
                if !refused.contains(&at) && !self.agree(foreign) {
                    refused.insert(at);
                }
            }
            if self.along.len() == before {
                return;
            }
        }
    }

    fn agree(&mut self, Foreign { from, to }: &'a Foreign) -> bool {
        let there = self.rules.get(to).copied().unwrap_or(Rule::Keep);
        let here = match self.rules.get(from) {
            Some(here) => *here,
            None if there == Rule::Keep => return true,
            None => {
                self.rules.insert(from, there);
                self.along.push(Along { column: from.clone(), with: to.clone(), rule: there });
                return true;
            }
        };
        // What refers to nothing is not missed anywhere.
        if here == there || here == Rule::Null {
            return true;
        }
        let (from, to) = (from.clone(), to.clone());
        self.problems.push(Problem::Differs { from, to, here, there });
        false
    }

    /// Makes columns that refer to each other have one shape of masked values, and kinds that have to be told apart
    /// somewhere be told apart everywhere.
    fn fit_together(&mut self) {
        let mut is_changed = true;
        while std::mem::take(&mut is_changed) {
            for foreign in &self.schema.foreign {
                is_changed |= self.are_alike(foreign) && self.narrow(foreign);
            }
        }
        let is_told_apart = |(name, rule): (&&ColumnName, &Rule)| self.shapes[*name].is_unique.then_some(*rule);
        let unique: BTreeSet<_> = self.rules.iter().filter_map(is_told_apart).collect();
        for (name, rule) in self.rules.iter().filter(|(_, rule)| unique.contains(rule)) {
            let told_apart = Shape { is_unique: true, ..self.shapes[*name].clone() };
            if matches!(rule, Rule::Fake(_)) && fit(*rule, &told_apart).is_ok() {
                self.shapes.insert(name, told_apart);
            }
        }
    }

    fn are_alike(&self, foreign: &Foreign) -> bool {
        let rules = [&foreign.from, &foreign.to].map(|name| self.rules.get(name));
        rules[0] == rules[1] && rules[0].is_some_and(|rule| !matches!(rule, Rule::Keep | Rule::Null))
    }

    /// Whether that changed something.
    fn narrow(&mut self, Foreign { from, to }: &'a Foreign) -> bool {
        let (Some(one), Some(two)) = (self.shapes.get(from), self.shapes.get(to)) else { return false };
        let Some(of) = one.of.narrower(&two.of) else {
            let problem = Problem::Types { from: from.clone(), to: to.clone() };
            if !self.problems.contains(&problem) {
                self.problems.push(problem);
            }
            return false;
        };
        let is_unique = one.is_unique || two.is_unique;
        let of_each = |shape: &Shape| Shape { of: of.clone(), is_unique, is_nullable: shape.is_nullable };
        let (new_one, new_two) = (of_each(one), of_each(two));
        let is_changed = new_one != *one || new_two != *two;
        self.shapes.insert(from, new_one);
        self.shapes.insert(to, new_two);
        is_changed
    }

    fn check(&mut self) {
        for (name, rule) in self.rules.iter().filter(|(_, rule)| **rule != Rule::Keep) {
            let Some(known) = self.columns.get(name) else { continue };
            let column = known.name.clone();
            if known.is_generated {
                self.problems.push(Problem::Generated { column });
            } else if known.is_partition_key {
                self.problems.push(Problem::PartitionKey { column });
            } else if let Err(why) = fit(*rule, &self.shapes[*name]) {
                self.problems.push(Problem::Unfit { column, why });
            }
        }
    }

    fn left_out(&mut self, without: &[String]) -> BTreeSet<TableName> {
        let tables: BTreeSet<_> = self.schema.columns.iter().map(|column| &column.name.table).collect();
        let mut left_out = BTreeSet::new();
        for text in without {
            let is_named = |table: &&&TableName| *text == table.table || *text == table.to_string();
            let named: Vec<_> = tables.iter().filter(is_named).map(|table| (*table).clone()).collect();
            if named.is_empty() {
                let all = tables.iter().flat_map(|table| [table.to_string(), table.table.clone()]);
                self.problems.push(Problem::NoTable { table: text.clone(), nearest: nearest(text, all) });
            }
            left_out.extend(named);
        }
        let is_broken = |one: &&Foreign| left_out.contains(&one.to.table) && !left_out.contains(&one.from.table);
        for Foreign { from, to } in self.schema.foreign.iter().filter(is_broken) {
            let nulled = self.rules.get(from) == Some(&Rule::Null);
            let problem = Problem::LeftOut { from: from.table.clone(), to: to.table.clone() };
            if !nulled && !self.problems.contains(&problem) {
                self.problems.push(problem);
            }
        }
        left_out
    }

    fn planned(&self, column: &Column) -> PlannedColumn {
        PlannedColumn {
            name: column.name.column.clone(),
            of: column.shape.of.clone(),
            rule: self.rules.get(&column.name).copied(),
            shape: self.shapes[&column.name].clone(),
        }
    }
}

/// A name that is nearly the same, if there is one.
fn nearest(text: &str, all: impl Iterator<Item = String>) -> Option<String> {
    /// How alike names have to be, of 1.
    const ALIKE: f64 = 0.7;
    let scored = all
        .map(|name| (strsim::normalized_damerau_levenshtein(text, &name), name))
        .filter(|(score, _)| *score >= ALIKE);
    scored.max_by(|(one, _), (two, _)| one.total_cmp(two)).map(|(_, name)| name)
}

#[cfg(test)]
mod tests;
