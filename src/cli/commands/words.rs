//! The words behind a command: options anywhere, values attached by `=` or apart, operands.

use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::{OsStrExt, OsStringExt},
};

use super::{Command, Opt, Value};

/// A command's words, read by its table.
#[derive(Debug, Default)]
pub(in crate::cli) struct Words {
    options: Vec<(&'static str, OsString)>,
    operands: Vec<OsString>,
}

/// Words that a command does not take.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::cli) enum WordsError {
    /// No option of this name.
    #[error("there is no option {0}")]
    Unknown(String),
    /// An option without its value.
    #[error("option --{0} wants a value")]
    Missing(&'static str),
    /// A value where none is taken.
    #[error("option --{0} takes no value")]
    Surplus(&'static str),
    /// A value that is none of those known.
    #[error("\"{1}\" is no value of --{0}: it is one of {2}")]
    NoneOf(&'static str, String, String),
    /// Too few or too many operands.
    #[error("it takes {0}")]
    Operands(&'static str),
    /// A value that makes no sense.
    #[error("{0}")]
    Value(String),
}

impl Words {
    /// Reads what stands behind the command.
    pub(super) fn parse(command: &Command, words: &[OsString]) -> Result<Self, WordsError> {
        let mut read = Self::default();
        let mut words = words.iter();
        let mut only_operands = false;
        while let Some(word) = words.next() {
            let bytes = word.as_bytes();
            if only_operands || !bytes.starts_with(b"-") || bytes == b"-" {
                read.operands.push(word.clone());
            } else if bytes == b"--" {
                only_operands = true;
            } else {
                read.option(command, bytes, &mut words)?;
            }
        }
        let (least, most) = command.operands.count;
        if !read.has("help") && !(least..=most).contains(&read.operands.len()) {
            let shown = if most == 0 { "no operands" } else { command.operands.shown };
            return Err(WordsError::Operands(shown));
        }
        Ok(read)
    }

    fn option<'w>(
        &mut self,
        command: &Command,
        word: &[u8],
        words: &mut impl Iterator<Item = &'w OsString>,
    ) -> Result<(), WordsError> {
        if matches!(word, b"--help" | b"-h") {
            self.options.push(("help", OsString::new()));
            return Ok(());
        }
        let (option, attached) =
            find(command, word).ok_or_else(|| WordsError::Unknown(String::from_utf8_lossy(word).into_owned()))?;
        let value = match (option.value, attached) {
            (Value::None, None) => OsString::new(),
            (Value::None, Some(_)) => return Err(WordsError::Surplus(option.long)),
            (_, Some(value)) => OsString::from_vec(value.to_vec()),
            (_, None) => words.next().ok_or(WordsError::Missing(option.long))?.clone(),
        };
        if let Value::OneOf(known) = option.value
            && !known.iter().any(|known| value == *known)
        {
            let value = value.to_string_lossy().into_owned();
            return Err(WordsError::NoneOf(option.long, value, known.join(", ")));
        }
        self.options.push((option.long, value));
        Ok(())
    }

    /// Whether an option is there.
    pub(super) fn has(&self, long: &str) -> bool {
        self.options.iter().any(|(name, _)| *name == long)
    }

    /// The last value of an option.
    pub(super) fn value(&self, long: &str) -> Option<&OsStr> {
        self.all(long).last()
    }

    /// The last value of an option, as text.
    pub(super) fn text(&self, long: &str) -> Option<std::borrow::Cow<'_, str>> {
        self.value(long).map(OsStr::to_string_lossy)
    }

    /// All values of an option.
    pub(super) fn all<'w>(&'w self, long: &str) -> impl Iterator<Item = &'w OsStr> {
        self.options.iter().filter(move |(name, _)| *name == long).map(|(_, value)| value.as_os_str())
    }

    /// What is no option.
    pub(super) fn operands(&self) -> &[OsString] {
        &self.operands
    }
}

/// The option of a word, and the value that is attached to it.
fn find<'w>(command: &Command, word: &'w [u8]) -> Option<(&'static Opt, Option<&'w [u8]>)> {
    if let Some(long) = word.strip_prefix(b"--") {
        let (name, value) = match memchr::memchr(b'=', long) {
            Some(at) => (&long[..at], Some(&long[at + 1..])),
            None => (long, None),
        };
        return command.options.iter().find(|option| option.long.as_bytes() == name).map(|option| (option, value));
    }
    let letter = char::from(*word.get(1)?);
    let option = command.options.iter().find(|option| option.short == Some(letter))?;
    Some((option, word.get(2..).filter(|rest| !rest.is_empty())))
}

/// How an option is shown: `-H, --header TEXT`.
pub(in crate::cli) fn shown(option: &Opt) -> String {
    let short = option.short.map_or(String::new(), |short| format!("-{short}, "));
    let value = match option.value {
        Value::None => String::new(),
        Value::OneOf(known) if known.len() > FEW => " WORD".to_owned(),
        Value::OneOf(known) => format!(" {}", known.join("|")),
        Value::Path => " FILE".to_owned(),
        Value::Text(shown) => format!(" {shown}"),
    };
    format!("{short}--{}{value}", option.long)
}

/// Words that stand beside an option itself, at most.
const FEW: usize = 6;

/// What an option does, and the words that it takes where they are many.
pub(in crate::cli) fn meaning(option: &Opt) -> String {
    match option.value {
        Value::OneOf(known) if known.len() > FEW => format!("{}: {}", option.help, known.join(", ")),
        _ => option.help.to_owned(),
    }
}

/// What `--help` says.
pub(in crate::cli) fn usage(command: &Command) -> String {
    let options = if command.options.is_empty() { "" } else { " [OPTION…]" };
    let operands = command.operands.shown;
    let mut text = format!("Usage: rnginx {}{options} {operands}", command.name).trim_end().to_owned();
    text += &format!("\n\n{}.\n", command.summary);
    if !command.about.is_empty() {
        text += &format!("\n{}\n", command.about);
    }
    for option in command.options {
        text += &format!("\n  {}\n        {}", shown(option), meaning(option));
    }
    text + if command.options.is_empty() { "" } else { "\n" }
}

#[cfg(test)]
mod tests {
    use super::{super::named, *};

    fn parse(command: &str, line: &str) -> Result<Words, WordsError> {
        let words: Vec<_> = line.split_whitespace().map(OsString::from).collect();
        Words::parse(named(&command.into()).unwrap(), &words)
    }

    #[test]
    fn options_stand_anywhere() {
        let words = parse("check", "a --offline --format=json -- --b").unwrap();
        assert!(words.has("offline") && !words.has("system"));
        assert_eq!(
            (words.text("format").as_deref(), words.operands()),
            (Some("json"), &["a".into(), "--b".into()][..])
        );
        assert_eq!(parse("check", "--format json a").unwrap().text("format").as_deref(), Some("json"));
        assert!(parse("check", "--help").unwrap().has("help"));
    }

    #[test]
    fn what_makes_no_sense_is_said() {
        let said = |line| parse("check", line).unwrap_err().to_string();
        assert_eq!(said("a --bogus"), "there is no option --bogus");
        assert_eq!(said("a --format"), "option --format wants a value");
        assert_eq!(said("a --offline=yes"), "option --offline takes no value");
        assert!(said("a --format xml").starts_with("\"xml\" is no value of --format: it is one of human, nginx, json"));
        assert_eq!(said(""), "it takes PATH…");
    }
}
