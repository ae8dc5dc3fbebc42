//! Requests: which location answers one, asked of the matcher that serves.

use std::collections::HashMap;

use bytes::Bytes;

use super::view::Block;
use crate::http::{
    Found, LocationId, LocationKind, LocationTree, LocationTreeParts, Locations, find_location,
    uri::{Slashes, normalise},
};

/// The locations of one server.
#[derive(Default)]
pub(super) struct Trees {
    trees: HashMap<u32, LocationTree>,
    final_prefixes: Vec<u32>,
    slashes: Slashes,
    empty: LocationTree,
}

impl Trees {
    pub(super) fn new(server: Block<'_>) -> Self {
        let slashes = match server.value("merge_slashes").as_deref() {
            Some("off") => Slashes::Keep,
            _ => Slashes::Merge,
        };
        let mut trees = Self { slashes, ..Self::default() };
        for block in server.inside() {
            trees.add(block);
        }
        trees
    }

    fn add(&mut self, block: Block<'_>) {
        let mut parts = LocationTreeParts::default();
        for location in block.locations() {
            let Some(name) = location.name() else { continue };
            let id = LocationId(location.number() as u32);
            let text = Bytes::copy_from_slice(name.text);
            if text.ends_with(b"/") && location.pass().is_some() {
                parts.auto_redirect.push((text.clone(), id));
            }
            match name.kind {
                LocationKind::Exact => drop(parts.exact.insert(text, id)),
                LocationKind::Prefix => parts.prefixes.push((text, id)),
                LocationKind::PrefixNoRegex => {
                    self.final_prefixes.push(id.0);
                    parts.prefixes.push((text, id));
                }
                LocationKind::Regex => parts.regexes.extend(location.regex().map(|regex| (regex, id))),
                _ => {}
            }
        }
        self.trees.insert(block.number() as u32, LocationTree::new(parts));
    }

    /// The number of the block below `server` that answers.
    pub(super) fn answer(&self, server: usize, target: &str) -> Option<usize> {
        let path = self.path(target)?;
        let server = LocationId(server as u32);
        match find_location(self, server, &path, &|regex| regex.is_match(&path)).ok()? {
            Found::None => Some(server.0 as usize),
            Found::Prefix(id) | Found::Final(id) => Some(id.0 as usize),
            Found::AddSlash(_) => None,
        }
    }

    /// The path that locations see.
    pub(super) fn path(&self, target: &str) -> Option<Vec<u8>> {
        let mut path = Vec::new();
        normalise(target.as_bytes(), self.slashes, &mut path).ok()?;
        Some(path)
    }
}

impl Locations for Trees {
    fn tree(&self, block: LocationId) -> &LocationTree {
        self.trees.get(&block.0).unwrap_or(&self.empty)
    }

    fn ends_search(&self, location: LocationId) -> bool {
        self.final_prefixes.contains(&location.0)
    }
}
