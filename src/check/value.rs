//! The types of arguments, with nginx's sentences.

use super::scope::Scope;
use crate::{
    diag::{Diagnostic, Fix, closest},
    schema::{DirectiveSpec, ValueType, value},
    syntax::{Directive, Word},
};

/// A diagnostic is large, and faults are rare.
pub(super) type Fault = Box<Diagnostic>;

/// Reads the arguments of a directive as their type wants them.
pub(super) fn check(
    directive: &Directive,
    spec: &DirectiveSpec,
    scope: &mut Scope,
    warnings: &mut Vec<Diagnostic>,
) -> Result<(), Fault> {
    use ValueType::*;
    let args = &directive.args;
    let texts = || args.iter().map(|word| &*word.value);
    match spec.ty {
        Custom | String | Strings | Pairs => Ok(()),
        Flag => require(value::flag(&args[0].value), || flag(spec, &args[0])),
        Number => require(value::number(&args[0].value), || invalid(spec, &args[0], "number", "digits only")),
        Size => require(value::size(&args[0].value), || size(spec, &args[0])),
        Offset => require(value::offset(&args[0].value), || offset(spec, &args[0])),
        Msec => require(value::msec(&args[0].value), || time(spec, &args[0], "`500ms`, `30s`, `1h30m`")),
        Sec => require(value::sec(&args[0].value), || time(spec, &args[0], "`30s`, `1h30m`, `1y`")),
        Buffers => require(value::buffers(&args[0].value, &args[1].value), || buffers(spec, args)),
        Path => require(value::levels(texts().skip(1)), || levels(spec, args)),
        Access => value::access(texts()).map(drop).map_err(|word| Box::new(access(&args[word]))),
        Script => script(&args[0]),
        ScriptSize => script_size(spec, &args[0]),
        Predicates => args.iter().try_for_each(script),
        MimeTypes => {
            mime_types(directive, spec, scope, warnings);
            Ok(())
        }
        Enum(words) => require(value::keyword(&args[0].value, words), || word_of(&args[0], words)),
        Bitmask(words) => args.iter().try_for_each(|word| {
            require(value::keyword(&word.value, words), || word_of(word, words))?;
            if !scope.add(spec, &word.value, &[]) {
                warnings.push(duplicate_value(directive, word));
            }
            Ok(())
        }),
    }
}

fn require<T>(value: Option<T>, fault: impl FnOnce() -> Diagnostic) -> Result<(), Fault> {
    value.map(drop).ok_or_else(|| Box::new(fault()))
}

/// `invalid value "v" in "x" directive, it must be "on" or "off"`
fn flag(spec: &DirectiveSpec, word: &Word) -> Diagnostic {
    let value = word.text();
    let message = format!("invalid value \"{value}\" in \"{}\" directive, it must be \"on\" or \"off\"", spec.name);
    let fault = Diagnostic::error("invalid-value", message).at(word.span);
    match &*value.to_ascii_lowercase() {
        "true" | "yes" | "1" | "enable" | "enabled" => {
            fault.help(format!("write `{} on;`", spec.name)).fix(Fix::sure("write `on`").replace(word.span, "on"))
        }
        "false" | "no" | "0" | "disable" | "disabled" => {
            fault.help(format!("write `{} off;`", spec.name)).fix(Fix::sure("write `off`").replace(word.span, "off"))
        }
        _ => fault,
    }
}

/// `"x" directive invalid value`, or `invalid number`
fn invalid(spec: &DirectiveSpec, word: &Word, what: &str, label: &str) -> Diagnostic {
    let message = format!("\"{}\" directive invalid {what}", spec.name);
    Diagnostic::error("invalid-value", message).at(word.span).label(label)
}

fn size(spec: &DirectiveSpec, word: &Word) -> Diagnostic {
    let fault = invalid(spec, word, "value", "a size is digits, with `k` or `m` behind them");
    suggest(fault, suggested_size(word, value::size))
}

fn offset(spec: &DirectiveSpec, word: &Word) -> Diagnostic {
    let fault = invalid(spec, word, "value", "a size is digits, with `k`, `m` or `g` behind them");
    suggest(fault, suggested_size(word, value::offset))
}

fn suggest(fault: Diagnostic, value: Option<std::string::String>) -> Diagnostic {
    match value.zip(fault.at) {
        Some((value, at)) => {
            let fix = Fix::sure(format!("write `{value}`")).replace(at, &*value);
            fault.help(format!("write `{value}`")).fix(fix)
        }
        None => fault,
    }
}

/// `8kb`, `8 k`, `8KiB` are `8k`; `1g` is `1024m` where `g` is not allowed.
fn suggested_size(word: &Word, parse: fn(&[u8]) -> Option<u64>) -> Option<std::string::String> {
    let text = word.text().to_ascii_lowercase();
    let digits = text.find(|letter: char| !letter.is_ascii_digit())?;
    let (digits, unit) = text.split_at(digits);
    let unit = unit.trim_start();
    let unit = unit.strip_suffix("ib").or(unit.strip_suffix('b')).unwrap_or(unit);
    let small = || Some(format!("{}m", digits.parse::<u64>().ok()?.checked_mul(1024)?));
    let meant = format!("{digits}{unit}");
    let meant = if unit == "g" && parse(meant.as_bytes()).is_none() { small()? } else { meant };
    parse(meant.as_bytes()).map(|_| meant)
}

fn time(spec: &DirectiveSpec, word: &Word, examples: &str) -> Diagnostic {
    let fault = invalid(spec, word, "value", "a time is digits with a unit, larger units first");
    fault.help(format!("times look like {examples}; digits alone are seconds"))
}

fn buffers(spec: &DirectiveSpec, args: &[Word]) -> Diagnostic {
    let word = if value::number(&args[0].value).is_some_and(|count| count > 0) { &args[1] } else { &args[0] };
    invalid(spec, word, "value", "a number of buffers, then the size of each; neither is zero")
}

fn levels(spec: &DirectiveSpec, args: &[Word]) -> Diagnostic {
    let word = args.iter().skip(1).find(|word| value::levels([&*word.value]).is_none()).unwrap_or(&args[1]);
    invalid(spec, word, "value", "levels are small numbers, such as `1 2`")
}

/// `invalid value "v"`
fn access(word: &Word) -> Diagnostic {
    let message = format!("invalid value \"{}\"", word.text());
    Diagnostic::error("invalid-value", message).at(word.span).help("write `user:rw group:rw all:r`, each once at most")
}

/// `invalid value "v"`, for a word that is none of a few.
fn word_of(word: &Word, words: &[&str]) -> Diagnostic {
    let fault = Diagnostic::error("invalid-value", format!("invalid value \"{}\"", word.text())).at(word.span);
    match closest(&word.text(), words.iter().copied()) {
        Some(meant) => {
            let fix = Fix::likely(format!("write `{meant}`")).replace(word.span, meant);
            fault.label(format!("did you mean `{meant}`?")).help(format!("one of: {}", words.join(", "))).fix(fix)
        }
        None => fault.help(format!("one of: {}", words.join(", "))),
    }
}

/// `duplicate value "v"`
fn duplicate_value(directive: &Directive, word: &Word) -> Diagnostic {
    let message = format!("duplicate value \"{}\"", word.text());
    Diagnostic::warning("duplicate-value", message).at(word.span).nginx_at(directive.end)
}

/// `duplicate MIME type "v"`. Each list begins with the type that is always in it; a `*` stands for all.
fn mime_types(directive: &Directive, spec: &DirectiveSpec, scope: &mut Scope, warnings: &mut Vec<Diagnostic>) {
    let always = spec.default.and_then(|default| default.split(' ').next());
    let always = always.as_slice();
    if !scope.add(spec, b"*", always) {
        return;
    }
    scope.remove(spec, b"*");
    for word in &directive.args {
        let value = word.value.to_ascii_lowercase();
        if !scope.add(spec, &value, always) {
            let message = format!("duplicate MIME type \"{}\"", String::from_utf8_lossy(&value));
            let warning = Diagnostic::warning("duplicate-value", message).at(word.span).nginx_at(directive.end);
            let label =
                if always.iter().any(|one| one.as_bytes() == value) { "always in the list" } else { "named twice" };
            warnings.push(warning.label(label));
        }
        if value == b"*" {
            return;
        }
    }
}

/// The size of a text without variables.
fn script_size(spec: &DirectiveSpec, word: &Word) -> Result<(), Fault> {
    script(word)?;
    if word.value.contains(&b'$') { Ok(()) } else { require(value::size(&word.value), || size(spec, word)) }
}

/// Whether variables are well written; whether they exist is known when everything has been read.
fn script(word: &Word) -> Result<(), Fault> {
    let mut text = &*word.value;
    while let Some(dollar) = memchr::memchr(b'$', text) {
        text = variable(word, &text[dollar + 1..])?;
    }
    Ok(())
}

/// Reads the name behind a `$`, and gives what is behind it.
fn variable<'a>(word: &Word, text: &'a [u8]) -> Result<&'a [u8], Fault> {
    if let [b'1'..=b'9', rest @ ..] = text {
        return Ok(rest);
    }
    let (name, bracket) = text.strip_prefix(b"{").map_or((text, false), |name| (name, true));
    let length = name.iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_').count();
    let (name, rest) = name.split_at(length);
    let invalid = || {
        let fault = Diagnostic::error("invalid-variable", "invalid variable name").at(word.span);
        fault.label("a name of letters, digits and `_` follows a `$`")
    };
    if bracket && name.is_empty() && rest.is_empty() {
        return Err(Box::new(invalid()));
    }
    if bracket && rest.first() != Some(&b'}') {
        let message = format!("the closing bracket in \"{}\" variable is missing", String::from_utf8_lossy(name));
        return Err(Box::new(Diagnostic::error("invalid-variable", message).at(word.span)));
    }
    if name.is_empty() { Err(Box::new(invalid())) } else { Ok(&rest[usize::from(bracket)..]) }
}
