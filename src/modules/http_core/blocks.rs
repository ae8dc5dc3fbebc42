//! `http`, `server`, `location`, `limit_except`, `root` and `alias`.

use std::sync::Arc;

use bytes::Bytes;

use super::servers::Servers;
use super::{Conf, hashes, listen};
use crate::conf::{Args, Ctx, LocationName, NodeKind, SetResult};
use crate::diag::Diagnostic;
use crate::http::{LocationKind, Method, Root, Script};
use crate::modules::upstream::note_replaced;

pub(super) fn http(_c: &mut Conf, args: &Args<'_>, ctx: &mut Ctx<'_>) -> SetResult {
    if ctx.nodes().any(|node| matches!(ctx.kind(node), NodeKind::Http)) {
        return Err(args.duplicate());
    }
    note_replaced(args.directive().children(), ctx);
    ctx.block(args, NodeKind::Http);
    hashes::check(args.directive().children(), ctx);
    ctx.collected::<Servers>().end = args.directive().block.as_ref().map(|block| block.close);
    Ok(())
}

pub(super) fn server(_c: &mut Conf, args: &Args<'_>, ctx: &mut Ctx<'_>) -> SetResult {
    let node = ctx.block(args, NodeKind::Server);
    ctx.collected::<Servers>().nodes.push(node);
    if ctx.conf_at::<Conf>(node).listens { Ok(()) } else { listen::implied(ctx, node) }
}

pub(super) fn location(c: &mut Conf, args: &Args<'_>, ctx: &mut Ctx<'_>) -> SetResult {
    let name = location_name(args, ctx)?;
    check_nesting(args, ctx, &name)?;
    let node = ctx.block(args, NodeKind::Location(name));
    c.locations.push(node);
    Ok(())
}

/// The modifier may stand apart or touch the name.
fn location_name(args: &Args<'_>, ctx: &mut Ctx<'_>) -> Result<LocationName, Diagnostic> {
    let text = args.value(args.len() - 1);
    let (modifier, name): (&[u8], &[u8]) = match args.len() {
        3 => (args.value(1), text),
        _ => [&b"="[..], b"^~", b"~*", b"~"]
            .into_iter()
            .find_map(|modifier| Some((modifier, text.strip_prefix(modifier)?)))
            .unwrap_or((b"", text)),
    };
    let kind = match modifier {
        b"" if name.starts_with(b"@") => LocationKind::Named,
        b"" => LocationKind::Prefix,
        b"=" => LocationKind::Exact,
        b"^~" => LocationKind::PrefixNoRegex,
        b"~" | b"~*" => LocationKind::Regex,
        _ => {
            let message = format!("invalid location modifier \"{}\"", args.text(1));
            return Err(args.error(1, "invalid-location", message));
        }
    };
    let regex = match kind {
        LocationKind::Regex => Some(Arc::new(ctx.regex(args.word(args.len() - 1), name, modifier == b"~*")?)),
        _ => None,
    };
    let name = if kind == LocationKind::Named { &name[1..] } else { name };
    Ok(LocationName { kind, name: Bytes::copy_from_slice(name), regex })
}

fn check_nesting(args: &Args<'_>, ctx: &Ctx<'_>, name: &LocationName) -> SetResult {
    let NodeKind::Location(outer) = ctx.kind(ctx.current()) else { return Ok(()) };
    let shown = |name: &LocationName| {
        let at = if name.kind == LocationKind::Named { "@" } else { "" };
        format!("{at}{}", String::from_utf8_lossy(&name.name))
    };
    let (inner_text, outer_text) = (shown(name), shown(outer));
    let fault = |message: String| Err(args.error(args.len() - 1, "invalid-location", message));
    if outer.kind == LocationKind::Exact {
        return fault(format!("location \"{inner_text}\" cannot be inside the exact location \"{outer_text}\""));
    }
    if outer.kind == LocationKind::Named {
        return fault(format!("location \"{inner_text}\" cannot be inside the named location \"{outer_text}\""));
    }
    if name.kind == LocationKind::Named {
        return fault(format!("named location \"{inner_text}\" can be on the server level only"));
    }
    if name.kind != LocationKind::Regex && !name.name.starts_with(&outer.name) {
        return fault(format!("location \"{inner_text}\" is outside location \"{outer_text}\""));
    }
    Ok(())
}

const METHODS: &[(&str, Method)] = &[
    ("GET", Method::Get),
    ("HEAD", Method::Head),
    ("POST", Method::Post),
    ("PUT", Method::Put),
    ("DELETE", Method::Delete),
    ("MKCOL", Method::Mkcol),
    ("COPY", Method::Copy),
    ("MOVE", Method::Move),
    ("OPTIONS", Method::Options),
    ("PROPFIND", Method::Propfind),
    ("PROPPATCH", Method::Proppatch),
    ("LOCK", Method::Lock),
    ("UNLOCK", Method::Unlock),
    ("PATCH", Method::Patch),
];

pub(super) fn limit_except(c: &mut Conf, args: &Args<'_>, ctx: &mut Ctx<'_>) -> SetResult {
    if c.limit_except.is_some() {
        return Err(args.duplicate());
    }
    let mut methods = 0;
    for index in 1..args.len() {
        let found = METHODS.iter().find(|(name, _)| name.as_bytes().eq_ignore_ascii_case(args.value(index)));
        let Some((_, method)) = found else {
            let message = format!("invalid method \"{}\"", args.text(index));
            return Err(args.error(index, "invalid-value", message));
        };
        methods |= method.bit();
        if *method == Method::Get {
            methods |= Method::Head.bit();
        }
    }
    c.limit_except = Some((methods, ctx.block(args, NodeKind::LimitExcept)));
    Ok(())
}

/// `root` and `alias` fill the same field.
pub(super) fn root(c: &mut Conf, args: &Args<'_>, ctx: &mut Ctx<'_>) -> SetResult {
    let alias = args.value(0) == b"alias";
    if let Some(present) = &c.root {
        if matches!(present, Root::Alias(_)) == alias {
            return Err(args.duplicate());
        }
        let earlier = if alias { "root" } else { "alias" };
        let message =
            format!("\"{}\" directive is duplicate, \"{earlier}\" directive was specified earlier", args.name());
        return Err(args.error(0, "duplicate-directive", message));
    }
    if alias
        && let NodeKind::Location(name) = ctx.kind(ctx.current())
        && name.kind == LocationKind::Named
    {
        let message = "the \"alias\" directive cannot be used inside the named location";
        return Err(args.error(0, "misplaced-directive", message));
    }
    for variable in ["$document_root", "$realpath_root", "${document_root}", "${realpath_root}"] {
        if args.text(1).contains(variable) {
            let name = variable.trim_matches(['$', '{', '}']);
            let message = format!("the ${name} variable cannot be used in the \"{}\" directive", args.name());
            return Err(args.error(1, "invalid-variable", message));
        }
    }
    let script = path_script(args, ctx, alias)?;
    c.root = Some(if alias { Root::Alias(script) } else { Root::Root(script) });
    c.alias_node = alias.then(|| ctx.current());
    Ok(())
}

/// A path without variables is made full now. `root /x/` is `root /x`.
fn path_script(args: &Args<'_>, ctx: &mut Ctx<'_>, alias: bool) -> Result<Script, Diagnostic> {
    let word = args.word(1);
    let text = match word.value.strip_suffix(b"/") {
        Some(text) if !alias && !text.is_empty() => text,
        _ => &word.value,
    };
    let script = ctx.script_from(word, text)?;
    let Some(constant) = script.as_constant() else { return Ok(script) };
    if constant.starts_with(b"/") {
        return Ok(script);
    }
    let path = ctx.full_path(&*String::from_utf8_lossy(constant));
    Ok(Script::constant(path.into_os_string().into_encoded_bytes()))
}
