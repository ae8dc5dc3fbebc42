//! What the parser complains about: one small function for each of nginx's sentences.

use super::{
    balance::{Surplus, Unclosed},
    reader::Origin,
};
use crate::diag::{Diagnostic, Fix, Span};

/// nginx reads a file through a buffer of this many bytes, and a word must fit into it.
pub(super) const BUFFER: usize = 4096;

/// The code of a `}` too many.
pub(crate) const SURPLUS: &str = "surplus-brace";

/// The code of a block that is not closed.
pub(crate) const UNCLOSED: &str = "unclosed-block";

/// A byte that cannot stand here. nginx prints the one byte, even of a longer character.
pub(super) fn unexpected(byte: u8, at: Span) -> Diagnostic {
    let message = format!("unexpected \"{}\"", String::from_utf8_lossy(&[byte]));
    Diagnostic::error("unexpected-token", message).at(at)
}

/// A second `;` or a `;` with nothing before it.
pub(super) fn lonely_semicolon(at: Span) -> Diagnostic {
    let fault = unexpected(b';', at).label("there is no directive that this could end").help("remove this `;`");
    fault.fix(Fix::sure("remove this `;`").remove(at))
}

/// A `{` with no directive before it.
pub(super) fn lonely_brace(at: Span, before: Option<Span>) -> Diagnostic {
    let fault = unexpected(b'{', at).label("this block has no directive before it");
    match before {
        Some(end) => {
            let fault = fault.related(end, "the `;` here ended the directive").help("remove the `;` before the `{`");
            fault.fix(Fix::sure("remove the `;` before the `{`").remove(end))
        }
        None => fault,
    }
}

/// A `}` that no block of this file is waiting for.
pub(super) fn lonely_close(at: Span) -> Diagnostic {
    let help = "remove this `}`, or look for a `}` too many above it";
    let fault = Diagnostic { code: SURPLUS, ..unexpected(b'}', at) };
    let fault = fault.label("no block is open here").help(help);
    fault.fix(Fix::likely("remove this `}`").remove(at))
}

/// A `}` while a statement still waits for its `;`.
pub(super) fn missing_semicolon(close: Span, last: Span) -> Diagnostic {
    let fault = unexpected(b'}', last).nginx_at(close).label("a `;` is missing behind this");
    fault.fix(Fix::sure("add the missing `;`").behind(last, ";"))
}

/// A comment of another language, where the block ends before nginx would complain of its name.
pub(super) fn comment_before_close(comment: Span, close: Span) -> Diagnostic {
    no_comment(unexpected(b'}', comment).nginx_at(close))
}

/// A comment of another language, where the file ends before nginx would complain of its name.
pub(super) fn comment_at_end(origin: Origin, comment: Span, end: Span) -> Diagnostic {
    no_comment(Diagnostic::error("unexpected-end", end_of(origin)).at(comment).nginx_at(end))
}

fn no_comment(fault: Diagnostic) -> Diagnostic {
    fault.label("this is not a comment to nginx").help("a comment starts with `#` and ends with its line")
}

/// Something glued to a closing quote. `whole` is a text of which that quote is most likely a letter, `'it's'`, with the
/// same in other quotes.
pub(super) fn glued(byte: u8, at: Span, quoted: Span, whole: Option<(Span, String)>) -> Diagnostic {
    let fault = unexpected(byte, at).label("this is glued to the closing quote").related(quoted, "the quoted word");
    match whole {
        Some((span, text)) => fault
            .help(format!("a quote inside of quotes ends them; write `{text}`"))
            .fix(Fix::likely("use the other quotes").replace(span, text)),
        None => fault
            .help("put a space or a `;` behind the closing quote, or the whole word into quotes")
            .fix(Fix::likely("put a space behind the closing quote").before(at, " ")),
    }
}

/// nginx's sentence for a text that ends too early.
fn end_of(origin: Origin) -> &'static str {
    match origin {
        Origin::File => "unexpected end of file, expecting \";\" or \"}\"",
        Origin::Parameter => "unexpected end of parameter, expecting \";\"",
    }
}

/// The text ends inside a statement. `at` is the last word, `end` the end of the text.
pub(super) fn unfinished(origin: Origin, at: Span, end: Span) -> Diagnostic {
    let fault = Diagnostic::error("unexpected-end", end_of(origin)).at(at).nginx_at(end);
    fault.label("a `;` is missing behind this").fix(Fix::sure("add the missing `;`").behind(at, ";"))
}

/// The text ends inside a quoted word. `at` is the line where it opens.
pub(super) fn unclosed_quote(origin: Origin, quote: u8, at: Span, end: Span) -> Diagnostic {
    Diagnostic::error("unclosed-quote", end_of(origin))
        .at(at)
        .nginx_at(end)
        .met_at(at)
        .label("this quote is never closed")
        .fix(Fix::likely("close it at the end of its line").behind(at, char::from(quote)))
}

/// A quoted word whose closing quote is most likely the opening one of another: `at` is the word's line, and behind it the
/// other quote, and the byte behind that, which nginx complains of.
pub(super) fn closed_by_another(byte: u8, quote: u8, at: Span, (other, glued): (Span, Span)) -> Diagnostic {
    unexpected(byte, at)
        .nginx_at(glued)
        .label("this quote is not closed on its line")
        .related(other, "so this one closes it")
        .fix(Fix::likely("close it at the end of its line").behind(at, char::from(quote)))
}

/// The file ends inside a block.
pub(super) fn unclosed_block(at: Span, end: Span) -> Diagnostic {
    Diagnostic::error(UNCLOSED, "unexpected end of file, expecting \"}\"")
        .at(at)
        .nginx_at(end)
        .label("this block is never closed")
        .fix(Fix::likely("close it at the end of the file").behind(end, "}\n"))
}

/// A block whose lines end where others begin. `indent` is what its own line begins with.
pub(super) fn left_open(found: &Unclosed, end: Span, indent: &str) -> Diagnostic {
    let label = match found.is_close {
        true => "this closes it, and seems to be meant for a block around it",
        false => "this stands in it, and seems to be meant to stand behind it",
    };
    let close = format!("\n{indent}}}");
    let fault = unclosed_block(found.opening, end).related(found.behind, label);
    fault.fix(Fix::likely("close it behind its last line").behind(found.last, close))
}

/// What was said of a `}` that no block waits for, where another one seems to be the one too many.
pub(super) fn close_early(lonely: &mut Diagnostic, found: &Surplus) {
    lonely.at = Some(found.close);
    lonely.label = Some("this `}` seems to be one too many".into());
    lonely.related.push((found.opening, "it closes this block".into()));
    lonely.help = Some("remove this `}`".into());
    lonely.fix = Some(Fix::likely("remove this `}`").remove(found.close));
}

/// A block in the `-g` option.
pub(super) fn block_in_parameter(at: Span) -> Diagnostic {
    Diagnostic::error("block-in-parameter", "block directives are not supported in -g option").at(at)
}

/// A word or a comment that does not fit into nginx's buffer; `start` is its first ten bytes.
pub(super) fn too_long(at: Span, start: &[u8]) -> Diagnostic {
    let start = String::from_utf8_lossy(start);
    Diagnostic::error("too-long", format!("too long parameter \"{start}...\" started"))
        .at(at)
        .label(format!("longer than the {BUFFER} bytes that nginx reads at a time"))
}

/// A quoted word that does not fit into nginx's buffer.
pub(super) fn too_long_quoted(at: Span, quote: u8) -> Diagnostic {
    let quote = quote as char;
    let message = format!("too long parameter, probably missing terminating \"{quote}\" character");
    Diagnostic::error("too-long", message)
        .at(at)
        .label(format!("longer than the {BUFFER} bytes that nginx reads at a time"))
}

/// Blocks inside blocks without end: ours, to keep the stack of whoever walks the tree small.
pub(super) fn too_deep(at: Span, depth: usize) -> Diagnostic {
    Diagnostic::error("too-deep", format!("blocks are nested deeper than {depth} levels")).at(at)
}
