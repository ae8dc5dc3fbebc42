//! Names of shared memory: several directives may speak of one zone before or after it is defined.

use super::Ctx;
use crate::diag::{Diagnostic, Span};

/// Zones by name.
#[derive(Default)]
struct Zones(Vec<Named>);

struct Named {
    name: Vec<u8>,
    /// In bytes; 0 as long as it is only spoken of.
    size: usize,
    /// The module that it belongs to.
    owner: &'static str,
    at: Span,
}

impl Ctx<'_> {
    /// Speaks of a zone, or defines it where a size in bytes is given.
    ///
    /// # Errors
    /// nginx's sentences about zones that are two things at once; they are found at no word yet.
    pub fn shared_zone(&mut self, name: &[u8], size: usize, owner: &'static str, at: Span) -> Result<(), Diagnostic> {
        let shown = String::from_utf8_lossy(name);
        let fault = |message: String| Err(Diagnostic::error("zone", message));
        let zones = &mut self.collected::<Zones>().0;
        let Some(known) = zones.iter_mut().find(|zone| zone.name == name) else {
            zones.push(Named { name: name.to_vec(), size, owner, at });
            return Ok(());
        };
        if known.owner != owner {
            return fault(format!("the shared memory zone \"{shown}\" is already declared for a different use"));
        }
        if known.size == 0 {
            known.size = size;
        }
        if size != 0 && size != known.size {
            return fault(format!(
                "the size {size} of shared memory zone \"{shown}\" conflicts with already declared size {}",
                known.size
            ));
        }
        Ok(())
    }

    /// Speaks of a zone that others may define later, or not at all.
    ///
    /// # Errors
    /// nginx's sentence about a zone that is something else already.
    pub fn expect_zone(&mut self, name: &[u8], owner: &'static str) -> Result<(), Diagnostic> {
        let known = self.collected::<Zones>().0.iter().find(|zone| zone.name == name);
        if known.is_none_or(|zone| zone.owner == owner) {
            return Ok(());
        }
        let shown = String::from_utf8_lossy(name);
        let message = format!("the shared memory zone \"{shown}\" is already declared for a different use");
        Err(Diagnostic::error("zone", message))
    }

    /// Complains about zones that were spoken of and never defined.
    pub(super) fn check_zones(&mut self) {
        let zones = std::mem::take(&mut self.collected::<Zones>().0);
        for zone in zones.iter().filter(|zone| zone.size == 0) {
            let message = format!("zero size shared memory zone \"{}\"", String::from_utf8_lossy(&zone.name));
            self.complain(Diagnostic::error("zone", message).at(zone.at).after_reading());
        }
    }
}
