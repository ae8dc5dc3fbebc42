//! Values that nginx compiles when all blocks have been read, and only where they are in force at some server.

use crate::conf::{Args, Ctx, NodeKind};
use crate::diag::Diagnostic;
use crate::http::Script;
use crate::syntax::Directive;

const LATE: [&str; 6] =
    ["proxy_set_header", "proxy_set_body", "grpc_set_header", "fastcgi_param", "uwsgi_param", "scgi_param"];

/// Directives of `http` that every server replaces by its own: whatever is in them, nginx never looks.
#[derive(Default)]
struct Replaced(Vec<&'static str>);

/// Notes which directives of an `http` block no server takes over.
pub(crate) fn note_replaced(http: &[Directive], ctx: &mut Ctx<'_>) {
    let has = |block: &[Directive], name: &str| block.iter().any(|one| *one.name.value == *name.as_bytes());
    let servers = || http.iter().filter(|one| &*one.name.value == b"server").map(Directive::children);
    let is_replaced = |name: &&str| has(http, name) && servers().all(|server| has(server, name));
    let replaced = LATE.into_iter().filter(is_replaced).collect();
    *ctx.collected::<Replaced>() = Replaced(replaced);
}

/// Compiles a word of such a directive; none where nobody looks at it.
///
/// # Errors
/// nginx's sentences about variables, at the end of `http`.
pub(crate) fn late_script(args: &Args<'_>, word: usize, ctx: &mut Ctx<'_>) -> Result<Option<Script>, Diagnostic> {
    let in_http = matches!(ctx.kind(ctx.current()), NodeKind::Http);
    if in_http && ctx.collected::<Replaced>().0.iter().any(|name| *name == args.name()) {
        return Ok(None);
    }
    let end = ctx.end_of_http();
    ctx.script(args.word(word)).map(Some).map_err(|fault| fault.nginx_at(end))
}
