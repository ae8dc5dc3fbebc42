//! `else` and its like, which nginx has not: what says the same.

use crate::{
    diag::{Fix, Span},
    load::Sources,
    syntax::Directive,
};

/// The words for it in other languages.
const WORDS: [&[u8]; 5] = [b"else", b"elseif", b"elsif", b"elif", b"else_if"];

/// Whether a directive is one of these words.
pub(super) fn is_else(directive: &Directive) -> bool {
    WORDS.contains(&&*directive.name.value)
}

/// The repair of an `else` with a block; `before` stands before it in the same block. There is none where more than one
/// condition would have to be joined.
pub(super) fn fix(sources: &Sources, directive: &Directive, before: &[Directive]) -> Option<Fix> {
    let block = directive.block.as_ref().filter(|_| is_else(directive))?;
    let mut chain = before.iter().rev().take_while(|one| is_else(one)).count();
    let first = before.len().checked_sub(chain + 1)?;
    chain += 1;
    let branches = &before[first..];
    if &*branches[0].name.value != b"if" {
        return None;
    }
    let all_leave = branches.iter().all(leaves);
    let name = directive.name.span;
    let is_first_if = |word: &&crate::syntax::Word| &*word.value == b"if";
    if !directive.args.is_empty() {
        // The condition stands behind it: `else if (…)`, `elsif (…)`.
        let word =
            directive.args.first().filter(is_first_if).map_or(name, |word| Span { start: name.start, ..word.span });
        let title = "write `if`: the blocks before it leave";
        return all_leave.then(|| Fix::likely(title).replace(word, "if"));
    }
    if all_leave {
        let fix = Fix::likely("take the `else` away: what is behind it is reached only where the `if` did not leave");
        return Some(fix.remove(Span { start: name.start, ..block.open }).remove(block.close));
    }
    let condition = opposite(sources, &branches[0]).filter(|_| chain == 1)?;
    Some(Fix::likely("write an `if` with the opposite condition").replace(name, format!("if ({condition})")))
}

/// Whether the request is answered where the block was done. `last` and `break` are no such: what the block around says
/// may still hold for it.
fn leaves(branch: &Directive) -> bool {
    const LEAVING: [&[u8]; 2] = [b"redirect", b"permanent"];
    branch.children().last().is_some_and(|last| match &*last.name.value {
        b"return" => true,
        b"rewrite" => last.args.last().is_some_and(|flag| LEAVING.contains(&&*flag.value)),
        _ => false,
    })
}

/// What is true where the condition of an `if` is not.
fn opposite(sources: &Sources, branch: &Directive) -> Option<String> {
    let (first, last) = (branch.args.first()?, branch.args.last()?);
    let text = std::str::from_utf8(sources.text(Span { end: last.span.end, ..first.span })).ok()?;
    let condition = text.strip_prefix('(')?.strip_suffix(')')?.trim();
    if let Some(test) = condition.strip_prefix('!') {
        return Some(test.trim_start().to_owned());
    }
    if condition.starts_with('-') {
        return Some(format!("!{condition}"));
    }
    let Some((variable, rest)) = condition.split_once(char::is_whitespace) else {
        // Nothing and `0` are false.
        return Some(format!("{condition} ~ \"^0?$\""));
    };
    let (operator, value) = rest.trim_start().split_once(char::is_whitespace)?;
    let operator = match operator {
        "=" => "!=",
        "!=" => "=",
        "~" => "!~",
        "~*" => "!~*",
        "!~" => "~",
        "!~*" => "~*",
        _ => return None,
    };
    Some(format!("{variable} {operator} {}", value.trim_start()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        load::{Origin, Source},
        syntax::parse,
    };

    fn repaired(text: &str) -> Option<String> {
        let mut sources = Sources::default();
        let file = sources.add(Source::new("/n", text.as_bytes(), Origin::File));
        let (root, _) = parse(file, text.as_bytes());
        let at = root.iter().position(|one| is_else(one) && one.block.is_some())?;
        let at = root[at + 1..].iter().rposition(is_else).map_or(at, |more| at + 1 + more);
        let fix = fix(&sources, &root[at], &root[..at])?;
        let mut out = text.to_owned();
        for edit in fix.edits.iter().rev() {
            out.replace_range(edit.span.start as usize..edit.span.end as usize, &edit.text);
        }
        Some(out)
    }

    #[test]
    fn an_else_is_an_if_with_the_opposite_condition() {
        let cases = [
            ("$a", "$a ~ \"^0?$\""),
            ("$a = b", "$a != b"),
            ("$a !~* b", "$a ~* b"),
            ("-f $a", "!-f $a"),
            ("!-e /a", "-e /a"),
        ];
        for (condition, opposite) in cases {
            let text = format!("if ({condition}) {{ set $b 1; }} else {{ set $b 2; }}");
            let expected = format!("if ({condition}) {{ set $b 1; }} if ({opposite}) {{ set $b 2; }}");
            assert_eq!(repaired(&text), Some(expected));
        }
    }

    #[test]
    fn behind_blocks_that_leave_no_condition_is_needed() {
        assert_eq!(repaired("if ($a) { return 1; } else { b; }").as_deref(), Some("if ($a) { return 1; }  b; "));
        let text = "if ($a) { return 1; } else if ($b) { c; }";
        assert_eq!(repaired(text).as_deref(), Some("if ($a) { return 1; } if ($b) { c; }"));
        assert_eq!(
            repaired("if ($a) { return 1; } elseif ($b) { return 2; } else { c; }").as_deref(),
            Some("if ($a) { return 1; } elseif ($b) { return 2; }  c; ")
        );
        assert_eq!(repaired("if ($a) { b; } elseif ($b) { c; } else { d; }"), None);
        assert_eq!(repaired("if ($a) { b; } elseif ($b) { c; }"), None);
    }
}
