//! What a directive or variable is, under the pointer.

use serde_json::{Value, json};

use super::document::Document;
use crate::{
    modules::runs,
    schema::{DirectiveSpec, Schema, ValueType, about as words_about},
};

pub(super) fn hover(document: &Document, offset: usize) -> Value {
    let Some((word, start, end)) = document.word(offset) else { return Value::Null };
    let text = match word.find('$') {
        Some(_) => variable(word, offset - start),
        None => {
            let context = document.context(start);
            let statement = document.statement(end).filter(|statement| statement.index == 0);
            statement.and_then(|_| directive(word, context)).map(about)
        }
    };
    match text {
        Some(text) => json!({ "contents": { "kind": "markdown", "value": text }, "range": document.range(start, end) }),
        None => Value::Null,
    }
}

/// The directive that may stand here; that of another place where none may.
fn directive(name: &str, context: crate::schema::Context) -> Option<&'static DirectiveSpec> {
    let schema = Schema::nginx();
    schema.find(name.as_bytes(), context).or_else(|| schema.named(name.as_bytes()).next())
}

/// What there is to say of a directive, as Markdown.
pub(super) fn about(spec: &DirectiveSpec) -> String {
    let mut text = format!("**{}** · {}\n\n", spec.name, spec.module);
    if let Some(words) = words_about(spec.name) {
        text += &format!("{words}\n\n");
    }
    text += &format!("Takes {}{}; stands in: {}.", spec.arity, kind(spec.ty), spec.contexts);
    if let Some(default) = spec.default {
        text += &format!("  \nDefault: `{default}`.");
    }
    if let Some(since) = spec.since {
        text += &format!("  \nSince nginx {since}.");
    }
    let state = match (runs(spec), spec.obsolete, spec.no_effect) {
        (true, ..) => "rnginx runs it.",
        (_, true, _) => "nginx takes it and does nothing with it.",
        (.., true) => "It only tunes nginx's internals; rnginx needs nothing of it.",
        _ if spec.name == "include" => "It is part of the language.",
        _ => "rnginx knows it, and does not run it yet.",
    };
    text + &format!("\n\n{state} [nginx's page]({})", spec.documentation())
}

fn kind(ty: ValueType) -> String {
    let word = match ty {
        ValueType::Flag => "`on` or `off`",
        ValueType::Number => "a number",
        ValueType::Size => "a size (`k`, `m`)",
        ValueType::Offset => "a size (`k`, `m`, `g`)",
        ValueType::Msec | ValueType::Sec => "a time (`30s`, `5m`)",
        ValueType::Script | ValueType::ScriptSize | ValueType::Predicates => "variables may stand in it",
        ValueType::MimeTypes => "MIME types",
        ValueType::Enum(words) => return format!(" (one of {})", words.join(", ")),
        ValueType::Bitmask(words) => return format!(" (some of {})", words.join(", ")),
        _ => return String::new(),
    };
    format!(" ({word})")
}

/// The variable at an offset in a word.
fn variable(word: &str, offset: usize) -> Option<String> {
    let start = word.get(..(offset + 1).min(word.len()))?.rfind('$')?;
    let name = word[start + 1..].trim_start_matches('{');
    let name: String = name.chars().take_while(|letter| letter.is_ascii_alphanumeric() || *letter == '_').collect();
    let fits = |spec: &&crate::schema::VariableSpec| spec.name == name || spec.is_prefix && name.starts_with(spec.name);
    match Schema::nginx().variables().iter().find(fits) {
        Some(spec) if spec.is_prefix => {
            Some(format!("**${}**… · {}\n\nA family of variables: what follows names it.", spec.name, spec.module))
        }
        Some(spec) => Some(format!("**${}** · {}\n\nOne of nginx's own variables.", spec.name, spec.module)),
        None if name.bytes().all(|byte| byte.is_ascii_digit()) && !name.is_empty() => {
            Some(format!("**${name}**\n\nWhat group {name} of the last regular expression matched."))
        }
        None => None,
    }
}
