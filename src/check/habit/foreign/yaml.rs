//! `name: value` lines, with blocks by indentation, as nginx's statements.

use super::lines::{Line, value, words};

/// What the lines say in nginx's words, each with its indent beyond the first line's; none where they hold what has no
/// counterpart. `count` lines were read.
pub(super) fn translate(lines: &[Line<'_>]) -> Option<Vec<(usize, String)>> {
    let outer = lines.first()?.indent;
    let (mut out, mut open): (Vec<(usize, String)>, Vec<usize>) = (Vec::new(), Vec::new());
    for (number, line) in lines.iter().enumerate() {
        if line.text.is_empty() || line.text.starts_with('#') {
            out.push((line.indent.saturating_sub(outer), line.text.to_owned()));
            continue;
        }
        while open.last().is_some_and(|indent| *indent >= line.indent) {
            out.push((open.pop()? - outer, "}".into()));
        }
        let indent = line.indent.checked_sub(outer)?;
        if let Some(item) = line.text.strip_prefix("- ") {
            append(&mut out, &mut open, item)?;
            continue;
        }
        let next = lines[number + 1..].iter().find(|line| !line.text.is_empty() && !line.text.starts_with('#'));
        let is_block = next.is_some_and(|next| next.indent > line.indent);
        let (name, given) = parts(line.text)?;
        match (given, is_block) {
            ("", true) => {
                out.push((indent, format!("{name} {{")));
                open.push(line.indent);
            }
            ("", false) | (_, true) => return None,
            (given, false) => out.push((indent, format!("{name} {};", scalar(given)))),
        }
    }
    while let Some(indent) = open.pop() {
        out.push((indent - outer, "}".into()));
    }
    Some(out)
}

/// Whether a line may be one of YAML's.
pub(super) fn is_line(text: &str) -> bool {
    text.is_empty() || text.starts_with('#') || text.starts_with("- ") || parts(text).is_some()
}

/// The name and the value of `name: value`; the name may be `location /x`.
fn parts(text: &str) -> Option<(&str, &str)> {
    if text.ends_with([';', '{', '}']) {
        return None;
    }
    let (name, given) = text.strip_suffix(':').map(|name| (name, "")).or_else(|| text.split_once(": "))?;
    let first = name.split(' ').next()?;
    let is_word = !first.is_empty() && first.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    is_word.then(|| (name.trim(), given.trim()))
}

/// One of a list is one more argument of the line that begins the list: `server_name:` and `- a.test`.
fn append(out: &mut [(usize, String)], open: &mut Vec<usize>, item: &str) -> Option<()> {
    if item.contains(": ") || item.ends_with(':') {
        return None;
    }
    let (_, last) = out.last_mut()?;
    if let Some(name) = last.strip_suffix(" {") {
        *last = format!("{name} {};", scalar(item));
        open.pop()?;
    } else {
        *last = format!("{} {};", last.strip_suffix(';')?, scalar(item));
    }
    Some(())
}

/// A value without YAML's quotes; several words are several arguments, unless they stood in quotes.
fn scalar(given: &str) -> String {
    match given {
        "true" | "yes" => return "on".into(),
        "false" | "no" => return "off".into(),
        _ => {}
    }
    words(given).iter().map(|word| value(word)).collect::<Vec<_>>().join(" ")
}
