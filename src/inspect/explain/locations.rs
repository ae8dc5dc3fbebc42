//! The search for a location, told: the same tree and the same expressions that the search itself uses.

use super::Tried;
use crate::http::{Cycle, LocationId, LocationKind, Request};

/// Which locations a URI was held against below a block, in nginx's order, down to the one that was chosen.
pub(super) fn tried(cycle: &Cycle, r: &Request, block: LocationId, uri: &[u8], chosen: LocationId) -> Vec<Tried> {
    let mut search = Search { cycle, r, uri, chosen, found: Vec::new() };
    search.below(block);
    search.found
}

struct Search<'a> {
    cycle: &'a Cycle,
    r: &'a Request,
    uri: &'a [u8],
    chosen: LocationId,
    found: Vec<Tried>,
}

impl Search<'_> {
    /// Whether the search ended below this block.
    fn below(&mut self, block: LocationId) -> bool {
        let tree = &self.cycle.location(block).tree;
        let mut exact: Vec<_> = tree.exact_names().collect();
        exact.sort();
        for (name, id) in exact {
            let is_it = name[..] == *self.uri;
            self.say(id, if is_it { "the URI is exactly this" } else { "the URI is not exactly this" });
            if is_it {
                return true;
            }
        }
        let best = tree.longest_prefix(self.uri).map(|(id, _)| id);
        for (name, id) in tree.prefix_names() {
            let words = match best == Some(id) {
                true => "the longest prefix of the URI",
                false if self.uri.starts_with(name) => "a prefix of the URI, but not the longest",
                false => "not a prefix of the URI",
            };
            self.say(id, words);
        }
        if let Some(best) = best {
            if best != self.chosen && self.below(best) {
                return true;
            }
            if self.cycle.location(best).kind == LocationKind::PrefixNoRegex {
                self.add(best, "`^~`: no regular expression is tried");
                return true;
            }
        }
        self.regexes(block)
    }

    fn regexes(&mut self, block: LocationId) -> bool {
        for (regex, id) in self.cycle.location(block).tree.regexes() {
            match regex.exec(self.r, self.uri) {
                Err(_) => {
                    self.say(id, "matching was given up: too much backtracking");
                    return true;
                }
                Ok(false) => self.say(id, "does not match"),
                Ok(true) => {
                    self.say(id, "the first expression that matches");
                    if id != self.chosen {
                        self.below(id);
                    }
                    return true;
                }
            }
        }
        false
    }

    fn say(&mut self, id: LocationId, why: &str) {
        self.found.push(Tried { location: id, why: why.into(), chosen: id == self.chosen });
    }

    /// Says something more of a location that was held against the URI.
    fn add(&mut self, id: LocationId, more: &str) {
        if let Some(tried) = self.found.iter_mut().rfind(|tried| tried.location == id) {
            tried.why = format!("{}; {more}", tried.why);
        }
    }
}
