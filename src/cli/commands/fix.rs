//! `--fix`: the repairs that are surely meant, written into the files.

use std::{fs, io::Write, path::Path};

use super::{Failure, read};
use crate::{
    inspect::{Inspection, Options, inspect, repair},
    load::Disk,
};

/// One repair may uncover another; more rounds than this would be a repair that repairs itself.
const ROUNDS: usize = 8;

/// Makes all sure repairs of what was seen, and looks again. A line for each goes to `told`.
pub(super) fn mend(mut look: Inspection, options: &Options, told: &mut Vec<String>) -> Result<Inspection, Failure> {
    for _ in 0..ROUNDS {
        let changed = apply(&look, told)?;
        if !changed {
            break;
        }
        look = inspect(&Disk, options);
    }
    Ok(look)
}

/// Whether anything was changed.
fn apply(look: &Inspection, told: &mut Vec<String>) -> Result<bool, Failure> {
    let repaired = repair(look);
    for (name, text) in &repaired.files {
        write(Path::new(name), text)?;
    }
    told.extend(repaired.told);
    Ok(!repaired.files.is_empty())
}

/// Writes a file whole or not at all; a link stays one, and the rights stay what they are.
pub(super) fn write(path: &Path, text: &[u8]) -> Result<(), Failure> {
    let failure = |error| read::failure(path, error);
    let real = path.canonicalize().map_err(failure)?;
    let rights = fs::metadata(&real).map_err(failure)?.permissions();
    let mut name = real.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let new = real.with_file_name(name);
    let written = fs::OpenOptions::new().write(true).create_new(true).open(&new).and_then(|mut file| {
        file.set_permissions(rights)?;
        file.write_all(text)?;
        file.sync_all()
    });
    written.and_then(|()| fs::rename(&new, &real)).map_err(|error| {
        // What could not be written is not left behind.
        let _ = fs::remove_file(&new);
        failure(error)
    })
}
