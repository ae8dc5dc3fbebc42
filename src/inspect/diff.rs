//! Two configurations compared by what they mean.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Inspection,
    model::{Model, Setting, name_of},
};

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What kind of thing it is: `listener`, `name`, `upstream`, `location`, `setting`, …
    pub kind: &'static str,
    /// What is gone, each with its place in the first configuration.
    pub before: Vec<(String, String)>,
    /// What is new, each with its place in the second one.
    pub after: Vec<(String, String)>,
    /// The blocks that see it; empty where it is a thing of its own.
    pub blocks: Vec<String>,
}

/// What differs, from the outside to the inside: listeners, names, upstreams and tables, blocks, what is in force in them.
/// A change that several blocks see is one.
pub fn diff(before: &Inspection, after: &Inspection) -> Vec<Change> {
    let a = Model::new(before, None);
    let b = Model::new(after, Some(&a));
    let mut changes = Vec::new();
    things("listener", &a.listeners, &b.listeners, &mut changes);
    things("name", &a.names, &b.names, &mut changes);
    for key in keys(&a.tables, &b.tables) {
        let kind = if key.starts_with("upstream") { "upstream" } else { "table" };
        match (a.tables.get(key), b.tables.get(key)) {
            (Some(one), Some(other)) => changes.extend(settings(kind, one, other).map(|change| in_block(change, key))),
            (one, other) => changes.push(whole(kind, key, (one.is_some(), &a), (other.is_some(), &b))),
        }
    }
    let mut inside: BTreeMap<String, Change> = BTreeMap::new();
    for key in keys(&a.blocks, &b.blocks) {
        match (a.blocks.get(key), b.blocks.get(key)) {
            (Some(one), Some(other)) => {
                for change in settings("setting", one, other) {
                    let same = format!("{:?}{:?}", texts(&change.before), texts(&change.after));
                    inside.entry(same).or_insert(change).blocks.push(key.clone());
                }
            }
            (one, other) => {
                let kind = if key.contains("location ") { "location" } else { "block" };
                changes.push(whole(kind, key, (one.is_some(), &a), (other.is_some(), &b)));
            }
        }
    }
    changes.extend(inside.into_values());
    changes.extend(orders(&a, &b));
    changes
}

fn keys<'a, T>(a: &'a BTreeMap<String, T>, b: &'a BTreeMap<String, T>) -> BTreeSet<&'a String> {
    a.keys().chain(b.keys()).collect()
}

fn texts(lines: &[(String, String)]) -> Vec<&str> {
    lines.iter().map(|(text, _)| text.as_str()).collect()
}

fn in_block(mut change: Change, block: &str) -> Change {
    change.blocks.push(block.into());
    change
}

/// Things with a name and one value.
fn things(kind: &'static str, a: &BTreeMap<String, Setting>, b: &BTreeMap<String, Setting>, changes: &mut Vec<Change>) {
    let shown = |key: &str, one: Option<&Setting>| {
        one.map(|one| (format!("{key} {}", one.text).trim_end().to_owned(), one.place.clone())).into_iter().collect()
    };
    for key in keys(a, b) {
        let (one, other) = (a.get(key), b.get(key));
        if one.map(|one| &one.meaning) != other.map(|other| &other.meaning) {
            changes.push(Change { kind, before: shown(key, one), after: shown(key, other), blocks: Vec::new() });
        }
    }
}

/// A block that one of them does not have.
fn whole(kind: &'static str, key: &str, a: (bool, &Model), b: (bool, &Model)) -> Change {
    let shown = |(has, model): (bool, &Model)| {
        let place = || model.places.get(key).cloned().unwrap_or_default();
        has.then(|| (key.to_owned(), place())).into_iter().collect()
    };
    Change { kind, before: shown(a), after: shown(b), blocks: Vec::new() }
}

/// What is in force in the one and not in the other: a change for each name.
fn settings(kind: &'static str, a: &[Setting], b: &[Setting]) -> impl Iterator<Item = Change> {
    let (mut gone, mut new): (Vec<&Setting>, Vec<&Setting>) = (a.iter().collect(), Vec::new());
    for one in b {
        match gone.iter().position(|other| other.meaning == one.meaning) {
            Some(at) => drop(gone.remove(at)),
            None => new.push(one),
        }
    }
    let mut changes: BTreeMap<String, Change> = BTreeMap::new();
    if let Some(change) = reordered(kind, a, b) {
        changes.insert(String::new(), change);
    }
    let mut add = |one: &Setting, is_new: bool| {
        let name = one.meaning.split(' ').next().unwrap_or_default();
        let change = changes.entry(name.to_owned()).or_insert_with(|| Change {
            kind,
            before: Vec::new(),
            after: Vec::new(),
            blocks: Vec::new(),
        });
        let side = if is_new { &mut change.after } else { &mut change.before };
        side.push((one.text.clone(), one.place.clone()));
    };
    gone.into_iter().for_each(|one| add(one, false));
    new.into_iter().for_each(|one| add(one, true));
    changes.into_values()
}

/// What stands in both, where its order says something and is another one.
fn reordered(kind: &'static str, a: &[Setting], b: &[Setting]) -> Option<Change> {
    let common = |one: &[Setting], other: &[Setting]| -> Vec<Setting> {
        let stays = |line: &&Setting| name_of(line).is_empty() && other.iter().any(|one| one.meaning == line.meaning);
        one.iter().filter(stays).cloned().collect()
    };
    let (before, after) = (common(a, b), common(b, a));
    let is_same = before.iter().map(|line| &line.meaning).eq(after.iter().map(|line| &line.meaning));
    let shown = |lines: Vec<Setting>| lines.into_iter().map(|line| (line.text, line.place)).collect();
    (!is_same).then(|| Change { kind, before: shown(before), after: shown(after), blocks: Vec::new() })
}

/// The same expressions, tried in another order.
fn orders(a: &Model, b: &Model) -> Vec<Change> {
    let mut changes = Vec::new();
    for (key, one) in &a.regexes {
        let Some(other) = b.regexes.get(key).filter(|other| *other != one) else { continue };
        let sorted = |list: &[String]| list.iter().cloned().collect::<BTreeSet<_>>();
        if sorted(one) == sorted(other) {
            let shown = |list: &[String]| vec![(list.join(", then "), String::new())];
            changes.push(Change { kind: "order", before: shown(one), after: shown(other), blocks: vec![key.clone()] });
        }
    }
    changes
}
