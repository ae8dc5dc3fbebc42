//! Lists of media types, as `gzip_types` and its kin name them.

use std::collections::HashSet;

/// A set of media types, compared without case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MediaTypes {
    any: bool,
    names: HashSet<Box<[u8]>>,
}

impl MediaTypes {
    /// A set of these types; `*` is all of them.
    pub fn new<'a>(names: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut set = Self::default();
        names.into_iter().for_each(|name| set.insert(name));
        set
    }

    /// Adds a type; `*` adds all.
    pub fn insert(&mut self, name: &[u8]) {
        if name == b"*" {
            self.any = true;
        } else {
            self.names.insert(name.to_ascii_lowercase().into());
        }
    }

    /// Whether all types are in the set, and what has no type too.
    pub fn is_any(&self) -> bool {
        self.any
    }

    /// Whether a type is in the set; parameters are part of the name.
    pub fn contains(&self, name: &[u8]) -> bool {
        self.any || self.names.contains(name) || self.names.contains(&name.to_ascii_lowercase()[..])
    }
}
