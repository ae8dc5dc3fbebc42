//! `return`, `rewrite`, `if`, `set`, `break`. <https://nginx.org/en/docs/http/ngx_http_rewrite_module.html>

mod compile;
mod condition;
mod run;

use std::sync::Arc;

use crate::conf::{Command, Inherit, LocationBuilder, Module, NodeKind};
use crate::http::{LocationId, Part, Phase, Regex, Script, VarIndex};

use condition::Condition;

/// `ngx_http_rewrite_module`.
pub struct Rewrite;

/// The codes of one block, in the order written. Those of an `if` stand in line behind its condition.
#[derive(Default)]
pub struct Conf {
    codes: Vec<Code>,
    log: Option<bool>,
    warn: Option<bool>,
}

/// One directive.
#[derive(Clone)]
enum Code {
    Return {
        status: u16,
        text: Script,
    },
    Rewrite(Arc<Replacement>),
    Break,
    Set {
        variable: VarIndex,
        value: Value,
    },
    /// Moves to a location of its own and goes on, or skips so many codes.
    If {
        condition: Condition,
        location: Option<LocationId>,
        skip: usize,
    },
}

/// `rewrite`
struct Replacement {
    regex: Regex,
    /// What becomes the path, or the whole of a redirect.
    path: Box<[Part]>,
    /// What stands behind the first `?`, except in redirects.
    args: Option<Box<[Part]>>,
    /// The arguments of the request are put behind; a `?` at the end of the replacement forbids it.
    keeps_args: bool,
    /// What a redirect puts before the arguments of the request.
    joint: u8,
    then: Then,
}

/// What follows a `rewrite` that matched.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Then {
    /// The next directive; a location is looked for at the end.
    Next,
    /// `last`
    Find,
    /// `break`
    Stay,
    /// `redirect`, `permanent`, or a replacement that is a URL.
    Redirect(u16),
}

/// A string of `set` or of a condition.
#[derive(Clone)]
struct Value {
    script: Script,
    /// It holds `$1` and its like, which nginx may escape.
    captures: bool,
}

/// Marks a location under `uninitialized_variable_warn off`.
struct Quiet;

impl Module for Rewrite {
    type Conf = Conf;
    const NAME: &'static str = "http_rewrite";
    const COMMANDS: &'static [Command<Conf>] = &[
        Command::custom("rewrite", compile::rewrite),
        Command::custom("return", compile::add_return),
        Command::custom("break", |c, _, _| {
            c.codes.push(Code::Break);
            Ok(())
        }),
        Command::custom("if", condition::add),
        Command::custom("set", compile::set),
        Command::flag("rewrite_log", |c| &mut c.log),
        Command::flag("uninitialized_variable_warn", |c| &mut c.warn),
    ];

    fn merge(parent: &Conf, conf: &mut Conf) {
        conf.log.inherit(&parent.log);
        conf.warn.inherit(&parent.warn);
    }

    fn install(conf: &Conf, location: &mut LocationBuilder<'_, '_>) {
        if conf.warn == Some(false) {
            location.extensions.insert(Quiet);
        }
        if conf.codes.is_empty() {
            return;
        }
        let phase = match location.kind() {
            NodeKind::Server => Phase::ServerRewrite,
            _ => Phase::Rewrite,
        };
        location.on(phase, run::Codes { codes: conf.codes.clone().into(), log: conf.log.unwrap_or(false) });
    }
}
