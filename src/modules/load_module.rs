//! `load_module`: what is built in needs no loading, and what is not cannot be loaded.
//! <https://nginx.org/en/docs/ngx_core_module.html#load_module>

use super::MODULES;
use crate::conf::{Args, Command, Ctx, Module, NodeKind, SetResult};
use crate::diag::Diagnostic;

/// The `load_module` of `ngx_core_module`.
pub struct LoadModule;

impl Module for LoadModule {
    type Conf = ();
    const NAME: &'static str = "load_module";
    const ALSO: &'static [&'static str] = &["core"];
    const COMMANDS: &'static [Command<()>] = &[Command::custom("load_module", load)];
}

fn load(_c: &mut (), args: &Args<'_>, ctx: &mut Ctx<'_>) -> SetResult {
    if ctx.nodes().any(|node| matches!(ctx.kind(node), NodeKind::Events | NodeKind::Http)) {
        return Err(args.error(0, "misplaced-directive", "\"load_module\" directive is specified too late"));
    }
    let text = args.text(1);
    let file = text.rsplit('/').next().unwrap_or_default();
    let name = file.strip_prefix("ngx_").and_then(|rest| rest.strip_suffix("_module.so"));
    if name.is_some_and(|name| MODULES.iter().any(|module| module.name() == name)) {
        return Ok(());
    }
    let message =
        format!("module \"{text}\" cannot be loaded: rnginx loads no C modules, and does not run this one yet");
    let help = "take the line out, or the link to its file out of modules-enabled";
    Err(Diagnostic::error("load-module", message).at(args.word(1).span).help(help))
}
