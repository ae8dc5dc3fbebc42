//! What else must hold of a value: bounds, powers of two, and what nginx takes with a warning.

use super::value::Fault;
use crate::{
    diag::Diagnostic,
    schema::{DirectiveSpec, Presence, Rule, value},
    syntax::Directive,
};

/// The smallest memory pool of nginx on a 64-bit machine, and what its size must be a multiple of.
const POOL: (u64, u64) = (112, 16);

/// Looks at a value whose type is right.
pub(super) fn check(directive: &Directive, spec: &DirectiveSpec, warnings: &mut Vec<Diagnostic>) -> Result<(), Fault> {
    let said = match spec.rule {
        None => Ok(()),
        Some(Rule::Lowat) => {
            let message = format!("\"{}\" is not supported, ignored", spec.name);
            warnings.push(warning("unsupported", message, directive));
            Ok(())
        }
        Some(rule) => obey(rule, directive),
    };
    if let Some(warning) = outdated(directive, spec) {
        warnings.push(warning);
    }
    said.map_err(|said| {
        let (message, word) = match said {
            Said::Sentence(sentence) => (sentence, directive.args.first()),
            Said::OfWord(word, sentence) => (sentence, directive.args.get(word)),
            Said::OfDirective(sentence) => (format!("\"{}\" directive {sentence}", spec.name), directive.args.first()),
        };
        let at = word.map_or(directive.name.span, |word| word.span);
        Box::new(Diagnostic::error("invalid-value", message).at(at))
    })
}

fn warning(code: &'static str, message: String, directive: &Directive) -> Diagnostic {
    Diagnostic::warning(code, message).at(directive.name.span).nginx_at(directive.end)
}

/// Deprecated and obsolete directives.
fn outdated(directive: &Directive, spec: &DirectiveSpec) -> Option<Diagnostic> {
    let name = spec.name;
    let message = match (spec.obsolete, spec.instead) {
        _ if spec.presence != Presence::Here => return None,
        (true, Some(new)) => format!("the \"{name}\" directive is obsolete, use the \"{new}\" directive instead"),
        (true, None) => format!("the \"{name}\" directive is obsolete, ignored"),
        (false, Some(new)) => format!("the \"{name}\" directive is deprecated, use the \"{new}\" directive instead"),
        (false, None) => return None,
    };
    Some(warning("outdated-directive", message, directive))
}

/// nginx's complaint: a sentence, or what it says behind `"x" directive`.
enum Said {
    Sentence(String),
    /// A sentence about the argument of this number.
    OfWord(usize, String),
    OfDirective(String),
}

fn obey(rule: Rule, directive: &Directive) -> Result<(), Said> {
    let word = directive.args.first().map_or(&b""[..], |word| &word.value);
    let sentence = |holds: bool, sentence: &str| if holds { Ok(()) } else { Err(Said::Sentence(sentence.into())) };
    let of_directive =
        |holds: bool, sentence: &str| if holds { Ok(()) } else { Err(Said::OfDirective(sentence.into())) };
    let size = value::size(word).unwrap_or_default();
    match rule {
        Rule::Bounds(low, high) => {
            let holds = value::number(word).is_some_and(|value| (low..=high).contains(&value));
            sentence(holds, &format!("value must be between {low} and {high}"))
        }
        Rule::PoolSize => {
            sentence(size >= POOL.0, &format!("the pool size must be no less than {}", POOL.0))?;
            sentence(size.is_multiple_of(POOL.1), &format!("the pool size must be a multiple of {}", POOL.1))
        }
        Rule::GzipWindow => of_directive(is_power(size, 512, 32 << 10), "must be 512, 1k, 2k, 4k, 8k, 16k, or 32k"),
        Rule::GzipHash => {
            of_directive(is_power(size, 512, 128 << 10), "must be 512, 1k, 2k, 4k, 8k, 16k, 32k, 64k, or 128k")
        }
        Rule::Http2RecvBuffer => of_directive(size > 16, "value is too small"),
        Rule::Http2Preread => {
            let most = (1 << 31) - 1;
            sentence(size <= most, &format!("the maximum body preread buffer size is {most}"))
        }
        Rule::PowerOfTwo => {
            of_directive(value::number(word).is_some_and(u64::is_power_of_two), "must be a power of two")
        }
        Rule::Http2Chunk => sentence(size > 0, "the http2 chunk size cannot be zero"),
        Rule::Use => sentence(word == b"epoll", &format!("invalid event type \"{}\"", String::from_utf8_lossy(word))),
        Rule::Aio => of_directive(is_aio(word), "invalid value"),
        Rule::Directio => of_directive(word == b"off" || value::offset(word).is_some(), "invalid value"),
        Rule::ThreadPool => thread_pool(directive),
        Rule::Lowat => Ok(()),
    }
}

fn is_power(size: u64, least: u64, most: u64) -> bool {
    size.is_power_of_two() && (least..=most).contains(&size)
}

fn is_aio(word: &[u8]) -> bool {
    matches!(word, b"on" | b"off" | b"threads") || word.starts_with(b"threads=")
}

/// `thread_pool NAME threads=N [max_queue=N]`: other words are taken and forgotten, as nginx does.
fn thread_pool(directive: &Directive) -> Result<(), Said> {
    let mut threads = 0;
    for (index, word) in directive.args.iter().enumerate().skip(1) {
        let invalid = |what| Said::OfWord(index, format!("invalid {what} value \"{}\"", word.text()));
        if let Some(count) = word.value.strip_prefix(b"threads=") {
            threads = value::number(count).filter(|&count| count > 0).ok_or_else(|| invalid("threads"))?;
        } else if let Some(length) = word.value.strip_prefix(b"max_queue=") {
            value::number(length).ok_or_else(|| invalid("max_queue"))?;
        }
    }
    if threads == 0 {
        return Err(Said::Sentence("\"thread_pool\" must have \"threads\" parameter".into()));
    }
    Ok(())
}
