//! Sizes of nginx's hash tables. We have no such tables; of sizes that keep nginx from starting we say what it says.

use crate::conf::Ctx;
use crate::diag::{Diagnostic, Span};
use crate::schema::value;
use crate::syntax::Directive;

/// Sizes are rounded up to whole lines of the processor's cache.
const CACHE_LINE: u64 = 64;

/// What an `http` block says of `server_names_hash`: whether the table is made, the addresses tell.
#[derive(Default)]
pub(super) struct ServerNames(pub(super) Option<Diagnostic>);

/// Blocks, the inner ones first.
type Blocks<'b, 'd> = &'b [&'d [Directive]];

/// Looks at all sizes in an `http` block.
pub(super) fn check(http: &[Directive], ctx: &mut Ctx<'_>) {
    if !mentions_sizes(http) {
        return;
    }
    *ctx.collected::<ServerNames>() = ServerNames(fault("server_names_hash", &[http]));
    let mut found = maps(http);
    let mut is_first = true;
    for server in blocks(http, "server") {
        let inherits = !has(server, "types");
        if is_first || inherits && !has(http, "types") {
            found.extend(fault("types_hash", &[server, http]));
        }
        if is_first {
            found.extend(fault("proxy_headers_hash", &[server, http]));
        }
        is_first = false;
        found.extend(in_block(&[server, http]));
    }
    found.extend(fault("variables_hash", &[http]));
    let mut said: Vec<Diagnostic> = Vec::new();
    for fault in found {
        if !said.iter().any(|other| other.message == fault.message) {
            said.push(fault);
        }
    }
    said.into_iter().for_each(|fault| ctx.complain(fault));
}

fn mentions_sizes(block: &[Directive]) -> bool {
    block.iter().any(|one| {
        let name = &one.name.value;
        let is_size = name.ends_with(b"_hash_max_size") || name.ends_with(b"_hash_bucket_size");
        is_size || matches!(&**name, b"server" | b"location") && mentions_sizes(one.children())
    })
}

/// The tables that a block has of its own, and those of the locations in it.
fn in_block(around: Blocks<'_, '_>) -> Vec<Diagnostic> {
    let own = around[0];
    let mut found = Vec::new();
    if has(own, "types") {
        found.extend(fault("types_hash", around));
    }
    if ["proxy_set_header", "proxy_hide_header", "proxy_pass_header"].iter().any(|name| has(own, name)) {
        found.extend(fault("proxy_headers_hash", around));
    }
    let is_name = |word: &[u8]| !matches!(word, b"none" | b"blocked" | b"server_names") && !word.starts_with(b"~");
    let mut referers = own.iter().filter(|one| &*one.name.value == b"valid_referers").flat_map(|one| &one.args);
    if referers.any(|word| is_name(&word.value)) {
        found.extend(fault("referer_hash", around));
    }
    for location in blocks(own, "location") {
        let inside: Vec<_> = std::iter::once(location).chain(around.iter().copied()).collect();
        found.extend(in_block(&inside));
    }
    found
}

/// A `map` takes the sizes that are written before it, and settles them for those that follow.
fn maps(http: &[Directive]) -> Vec<Diagnostic> {
    let (mut found, mut is_settled) = (Vec::new(), false);
    for (at, one) in http.iter().enumerate() {
        match &*one.name.value {
            b"map" => {
                is_settled = true;
                let is_key = |key: &[u8]| !matches!(key, b"default" | b"include") && !key.starts_with(b"~");
                if one.children().iter().any(|line| line.args.len() == 1 && is_key(&line.name.value)) {
                    found.extend(fault("map_hash", &[&http[..at]]));
                }
            }
            b"map_hash_max_size" | b"map_hash_bucket_size" if is_settled => {
                let message = format!("\"{}\" directive is duplicate", one.name.text());
                let fault = Diagnostic::error("duplicate-directive", message).at(one.name.span).nginx_at(one.end);
                found.push(fault.label("it must stand before the first `map`"));
            }
            _ => {}
        }
    }
    found
}

/// Why nginx could not make a table with the sizes that hold in the first of these blocks.
fn fault(table: &str, around: Blocks<'_, '_>) -> Option<Diagnostic> {
    let fault = |what: String, at: Span| {
        let message = format!("could not build {table}, {what}");
        Some(Diagnostic::error("hash-size", message).at(at).after_reading())
    };
    if let Some((0, at)) = size(around, &format!("{table}_max_size")) {
        return fault(format!("you should increase {table}_max_size: 0"), at);
    }
    let (bucket, at) = size(around, &format!("{table}_bucket_size"))?;
    match bucket.next_multiple_of(CACHE_LINE) {
        0 => fault(format!("you should increase {table}_bucket_size: 0"), at),
        large if large > 65536 - CACHE_LINE => fault(format!("too large {table}_bucket_size: {large}"), at),
        _ => None,
    }
}

/// The value of the nearest directive of this name.
fn size(around: Blocks<'_, '_>, name: &str) -> Option<(u64, Span)> {
    let one = around.iter().find_map(|block| block.iter().find(|one| *one.name.value == *name.as_bytes()))?;
    Some((value::number(&one.args.first()?.value)?, one.span()))
}

fn has(block: &[Directive], name: &str) -> bool {
    block.iter().any(|one| *one.name.value == *name.as_bytes())
}

fn blocks<'d>(block: &'d [Directive], name: &'static str) -> impl Iterator<Item = &'d [Directive]> {
    block.iter().filter(move |one| *one.name.value == *name.as_bytes()).map(Directive::children)
}
