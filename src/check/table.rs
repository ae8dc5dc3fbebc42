//! Blocks whose lines are not directives: `types`, `map`, `geo`, `split_clients`, `charset_map`.

use crate::{
    diag::Diagnostic,
    schema::Context,
    syntax::{Directive, Word},
};

/// Checks the lines of a table, as far as that needs nothing but the lines.
pub(super) fn check(table: Context, lines: &[Directive], out: &mut Vec<Diagnostic>) {
    let mut default = None;
    for line in lines {
        let block = line.block.as_ref().filter(|block| block.open == line.end).map(|block| block.open);
        if let Some(brace) = line.brace().map(|(_, brace)| brace).or(block) {
            let fault = Diagnostic::error("unexpected-token", "unexpected \"{\"").at(brace);
            out.push(fault.label(format!("a {table} block has lines only, no blocks")));
            continue;
        }
        let fault = match table {
            Context::TYPES => types(line),
            Context::MAP => map(line, &mut default),
            Context::GEO | Context::STREAM_GEO => geo(line, table),
            Context::CHARSET_MAP => charset_map(line),
            _ => None,
        };
        out.extend(fault.map(|fault| fault.nginx_at(line.end)));
    }
}

/// Any line is a type and its extensions.
fn types(line: &Directive) -> Option<Diagnostic> {
    let is_include = &*line.name.value == b"include" && line.args.len() != 1;
    is_include.then(|| {
        let message = "invalid number of arguments in \"include\" directive";
        Diagnostic::error("argument-count", message).at(line.span()).label("it takes 1 argument")
    })
}

fn map(line: &Directive, default: &mut Option<Word>) -> Option<Diagnostic> {
    if line.args.is_empty() && matches!(&*line.name.value, b"hostnames" | b"volatile") {
        return None;
    }
    if line.args.len() != 1 {
        let fault = Diagnostic::error("argument-count", "invalid number of the map parameters").at(line.span());
        return Some(fault.label("a line of a map is one value and what it becomes"));
    }
    if &*line.name.value != b"default" {
        return None;
    }
    let first = default.replace(line.name.clone())?;
    let fault = Diagnostic::error("duplicate-value", "duplicate default map parameter").at(line.name.span);
    Some(fault.related(first.span, "the first one"))
}

fn geo(line: &Directive, table: Context) -> Option<Diagnostic> {
    let is_word = match &*line.name.value {
        b"ranges" => true,
        b"proxy_recursive" => table == Context::GEO,
        _ => false,
    };
    if line.args.len() == 1 || (line.args.is_empty() && is_word) {
        return None;
    }
    let fault = Diagnostic::error("argument-count", "invalid number of the geo parameters").at(line.span());
    Some(fault.label("a line of a geo block is one network and its value"))
}

fn charset_map(line: &Directive) -> Option<Diagnostic> {
    (line.args.len() != 1).then(|| {
        let fault = Diagnostic::error("argument-count", "invalid parameters number").at(line.span());
        fault.label("a line of a charset_map is two codes")
    })
}
