//! `random_index`: a directory is answered with one of its files. <https://nginx.org/en/docs/http/ngx_http_random_index_module.html>

use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};
use std::rc::Rc;

use super::folder;
use crate::conf::{Command, Inherit, LocationBuilder, Module};
use crate::http::{Flow, Method, Phase, PhaseHandler, Request};

/// `ngx_http_random_index_module`.
pub struct RandomIndex;

/// One block's `random_index`.
#[derive(Default)]
pub struct Conf {
    on: Option<bool>,
}

impl Module for RandomIndex {
    type Conf = Conf;
    const NAME: &'static str = "http_random_index";
    const COMMANDS: &'static [Command<Conf>] = &[Command::flag("random_index", |c| &mut c.on)];

    fn merge(parent: &Conf, conf: &mut Conf) {
        conf.on.inherit(&parent.on);
    }

    fn install(conf: &Conf, location: &mut LocationBuilder<'_, '_>) {
        if conf.on == Some(true) {
            location.on(Phase::Content, Handler);
        }
    }
}

struct Handler;

impl PhaseHandler for Handler {
    fn handle(&self, r: &Rc<Request>) -> Flow {
        if !r.uri.borrow().ends_with(b"/") || !matches!(r.method.get(), Method::Get | Method::Head | Method::Post) {
            return Flow::Declined;
        }
        let Some(path) = r.map_uri() else { return Flow::Finalize(500) };
        let mut files = match folder::list(r, &path[..path.len().saturating_sub(1)]) {
            Ok(entries) => entries,
            Err(flow) => return flow,
        };
        files.retain(|entry| entry.kind.is_file());
        if files.is_empty() {
            return Flow::Declined;
        }
        let chosen = &files[r.local.state.get::<Dice>().below(files.len())];
        let uri = [&r.uri.borrow()[..], &chosen.name].concat();
        Flow::Redirect { uri, args: r.args.borrow().clone() }
    }
}

/// Numbers that nobody needs to be unable to guess.
#[derive(Default)]
struct Dice {
    keys: RandomState,
    thrown: Cell<u64>,
}

impl Dice {
    fn below(&self, limit: usize) -> usize {
        self.thrown.set(self.thrown.get().wrapping_add(1));
        let number = self.keys.hash_one(self.thrown.get());
        ((u128::from(number) * limit as u128) >> 64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::Dice;

    #[test]
    fn throws_every_side() {
        let dice = Dice::default();
        let mut seen = [false; 6];
        (0..1000).for_each(|_| seen[dice.below(6)] = true);
        assert_eq!(seen, [true; 6]);
    }
}
