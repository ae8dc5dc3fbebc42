//! The configurations of the project as texts to try things on, and numbers that are the same each time.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Every configuration of the project, sorted.
pub fn texts() -> Vec<(PathBuf, Vec<u8>)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    for folder in ["conformance", "tests", "examples"] {
        collect(&root.join(folder), Some("conf"), &mut found);
    }
    found.sort();
    found
}

/// The files below a folder whose names have this ending, or any.
pub fn collect(folder: &Path, extension: Option<&str>, found: &mut Vec<(PathBuf, Vec<u8>)>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        if path.is_dir() {
            collect(&path, extension, found);
        } else if extension.is_none() || path.extension().and_then(|end| end.to_str()) == extension {
            found.extend(fs::read(&path).ok().map(|text| (path, text)));
        }
    }
}

/// A small generator of numbers.
pub struct Random(pub u64);

impl Random {
    /// A number below this one; 0 for 0.
    pub fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit.max(1)
    }
}
