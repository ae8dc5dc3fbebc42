//! The command line, as nginx reads it: letters may stand together, values attached or apart.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use crate::process::Order;

/// What the command line asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Args {
    /// `-?`, `-h`
    pub help: bool,
    /// `-v`, and with every letter that implies it
    pub version: bool,
    /// `-V`
    pub configure: bool,
    /// `-t`, `-T`
    pub test: bool,
    /// `-T`
    pub dump: bool,
    /// `-q`
    pub quiet: bool,
    /// `-s`
    pub order: Option<Order>,
    /// `-p`
    pub prefix: Option<OsString>,
    /// `-e`
    pub error_log: Option<OsString>,
    /// `-c`
    pub conf: Option<OsString>,
    /// `-g`
    pub directives: Option<OsString>,
}

/// A command line that nginx refuses, in its words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArgsError {
    /// A word or a letter that means nothing.
    #[error("invalid option: \"{0}\"")]
    Invalid(String),
    /// A letter without its value.
    #[error("option \"-{0}\" requires {1}")]
    Missing(char, &'static str),
}

impl Args {
    /// Reads the words behind the program's name.
    pub fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Self, ArgsError> {
        let mut args = Self::default();
        let mut words = words.into_iter();
        while let Some(word) = words.next() {
            match word.as_bytes().split_first() {
                Some((b'-', letters)) => args.letters(letters, &mut words)?,
                _ => return Err(ArgsError::Invalid(word.to_string_lossy().into_owned())),
            }
        }
        Ok(args)
    }

    /// Reads one word's letters; one that takes a value ends the word.
    fn letters(&mut self, letters: &[u8], words: &mut impl Iterator<Item = OsString>) -> Result<(), ArgsError> {
        for (at, letter) in letters.iter().enumerate() {
            if self.flag(*letter) {
                continue;
            }
            let what = wanted_by(*letter).ok_or_else(|| invalid(&[*letter]))?;
            let value = match &letters[at + 1..] {
                [] => words.next().ok_or(ArgsError::Missing(char::from(*letter), what))?,
                attached => OsString::from_vec(attached.to_vec()),
            };
            return self.value(*letter, value);
        }
        Ok(())
    }

    fn flag(&mut self, letter: u8) -> bool {
        match letter {
            b'?' | b'h' => self.help = true,
            b'v' => {}
            b'V' => self.configure = true,
            b't' => self.test = true,
            b'T' => self.dump = true,
            b'q' => self.quiet = true,
            _ => return false,
        }
        self.version |= matches!(letter, b'?' | b'h' | b'v' | b'V');
        self.test |= self.dump;
        true
    }

    fn value(&mut self, letter: u8, value: OsString) -> Result<(), ArgsError> {
        let place = match letter {
            b'p' => &mut self.prefix,
            b'e' => &mut self.error_log,
            b'c' => &mut self.conf,
            b'g' => &mut self.directives,
            _ => {
                let order = Order::from_name(value.as_bytes());
                self.order = Some(order.ok_or_else(|| unknown_order(&value))?);
                return Ok(());
            }
        };
        *place = Some(value);
        Ok(())
    }
}

/// What the value of a letter is called in nginx's complaint.
fn wanted_by(letter: u8) -> Option<&'static str> {
    match letter {
        b'p' => Some("directory name"),
        b'e' | b'c' => Some("file name"),
        b'g' | b's' => Some("parameter"),
        _ => None,
    }
}

fn invalid(letter: &[u8]) -> ArgsError {
    ArgsError::Invalid(String::from_utf8_lossy(letter).into_owned())
}

fn unknown_order(value: &OsStr) -> ArgsError {
    ArgsError::Invalid(format!("-s {}", value.to_string_lossy()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Args, String> {
        Args::parse(line.split_whitespace().map(OsString::from)).map_err(|error| error.to_string())
    }

    #[test]
    fn letters_stand_together_and_values_attached_or_apart() {
        let args = parse("-tq -cone.conf -p /p -g daemon=off; -e stderr").unwrap();
        assert!(args.test && args.quiet && !args.dump && !args.version);
        assert_eq!(args.conf, Some("one.conf".into()));
        assert_eq!(args.prefix, Some("/p".into()));
        assert_eq!(args.directives, Some("daemon=off;".into()));
        assert_eq!(args.error_log, Some("stderr".into()));
        assert_eq!(parse("-tc x").unwrap().conf, Some("x".into()));
    }

    #[test]
    fn a_letter_implies_what_it_needs() {
        assert!(parse("-T").unwrap().test);
        for word in ["-h", "-?", "-v", "-V"] {
            assert!(parse(word).unwrap().version, "{word}");
        }
        assert_eq!(parse("-").unwrap(), Args::default());
    }

    #[test]
    fn orders_are_four() {
        assert_eq!(parse("-s quit").unwrap().order, Some(Order::Quit));
        assert_eq!(parse("-sreload").unwrap().order, Some(Order::Reload));
        assert_eq!(parse("-s foo").unwrap_err(), "invalid option: \"-s foo\"");
    }

    #[test]
    fn refuses_in_nginx_words() {
        let cases = [
            ("-z", "invalid option: \"z\""),
            ("-v -tz", "invalid option: \"z\""),
            ("foo", "invalid option: \"foo\""),
            ("-c", "option \"-c\" requires file name"),
            ("-e", "option \"-e\" requires file name"),
            ("-p", "option \"-p\" requires directory name"),
            ("-g", "option \"-g\" requires parameter"),
            ("-s", "option \"-s\" requires parameter"),
        ];
        for (line, message) in cases {
            assert_eq!(parse(line).unwrap_err(), message);
        }
        assert_eq!(Args::parse([OsString::new()]).unwrap_err().to_string(), "invalid option: \"\"");
    }
}
