//! `unanchored-origin`: an expression for Origin or Referer that others match too.

use super::location_regex::{ours, read};
use crate::{
    conf::pattern::{ByteSet, Machine, shortest},
    diag::Diagnostic,
    lint::{Rule, View},
    schema::Context,
    syntax::Word,
};

pub(super) static RULE: Rule = Rule {
    code: "unanchored-origin",
    title: "An expression for `Origin` or `Referer` matches strangers' sites",
    why: "An expression is searched for anywhere. Without `$` at its end `https://shop.test` is found in \
          `https://shop.test.evil.example` too; a dot without a backslash stands for any letter. The stranger's page then reads with \
          the visitor's cookies.",
    bad: "location /api/ {\n    if ($http_origin ~ ^https://shop.test) {\n        return 200 yes;\n    }\n    return 403;\n}",
    good: "location /api/ {\n    if ($http_origin ~ ^https://shop\\.test$) {\n        return 200 yes;\n    }\n    return 403;\n}",
    allow: "Where the expression only counts or logs.",
    check,
};

fn check(view: &View<'_>, out: &mut Vec<Diagnostic>) {
    for block in view.blocks(Context::SERVER_IF | Context::LOCATION_IF) {
        let words = block.args();
        let first =
            words.first().map(|word| word.text().trim_start_matches('(').to_ascii_lowercase()).unwrap_or_default();
        let (Some(operator), Some(pattern)) = (words.get(1), words.get(2)) else { continue };
        if matches!(&*operator.value, b"~" | b"~*") {
            let text = pattern
                .value
                .strip_suffix(b")")
                .filter(|_| words.len() == 3 && !pattern.quoted)
                .unwrap_or(&pattern.value);
            out.extend(said(&first, text, &*operator.value == b"~*", pattern));
        }
    }
    for map in view.blocks(Context::MAP) {
        let from = map.args().first().map(|word| word.text().to_ascii_lowercase()).unwrap_or_default();
        for line in map.directives() {
            let (text, caseless) = match line.name.value.strip_prefix(b"~") {
                Some(text) => text.strip_prefix(b"*").map_or((text, false), |text| (text, true)),
                None => continue,
            };
            if line.args.first().is_some_and(|value| !matches!(&*value.value, b"" | b"0")) {
                out.extend(said(&from, text, caseless, &line.name));
            }
        }
    }
}

fn said(variable: &str, text: &[u8], caseless: bool, word: &Word) -> Option<Diagnostic> {
    let header = match variable {
        "$http_origin" => "Origin",
        "$http_referer" => "Referer",
        _ => return None,
    };
    // Only names are about a site; `google` in a Referer is about search engines.
    if !text.windows(3).any(|part| part == b"://") && !text.contains(&b'.') {
        return None;
    }
    let machine = Machine::new(&read(text, caseless)?.root)?;
    let stranger = ours(r"^https://[a-z0-9.-]*[a-z0-9]\.evil\.example$|^https://[a-z0-9]+\.[a-z]+$");
    // One that takes every site is no list of sites.
    if machine.matches(b"https://evil.example") {
        return None;
    }
    let end = ours(r"\.evil\.example$");
    let found = shortest(&[&machine, &stranger, &end], &[], ByteSet::range(b'!', b'~')).text()?;
    let found = String::from_utf8(found).ok()?;
    Some(
        RULE.at(word.span, format!("\"{header}: {found}\" matches"))
            .label("somebody else's site")
            .help("begin with `^https://`, end with `$`, and put a backslash before each dot"),
    )
}
