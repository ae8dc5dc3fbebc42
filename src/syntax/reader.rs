//! Text to lexemes with their places: what ends a word, and which words nginx would not take.

use nom::{Parser, branch::alt, combinator::recognize};

use super::{
    balance::Lines,
    fault::{self, BUFFER},
    lexer::{self, Rest},
};
use crate::{
    diag::{Diagnostic, FileId, Span},
    syntax::Word,
};

/// How many words are read ahead, at most.
const AHEAD: usize = 1000;

/// What a configuration is made of.
pub(super) enum Lexeme {
    Word(Word),
    /// `;`
    End(Span),
    /// `{`
    Open(Span),
    /// `}`
    Close(Span),
    /// The end of the text.
    Eof(Span),
}

/// Where the text came from: they differ in a few rules.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    File,
    /// The `-g` option.
    Parameter,
}

/// Whether a byte may not follow a closing quote.
fn is_glued(next: u8) -> bool {
    !matches!(next, b' ' | b'\t' | b'\r' | b'\n' | b';' | b'{' | b')' | b'}')
}

/// Whether a quoted text holds what looks like whole statements: its first line ends as one does, and more lines follow.
fn spans_statements(content: &[u8]) -> bool {
    let mut lines = content.split(|&byte| byte == b'\n');
    let first = lines.next().unwrap_or_default().trim_ascii_end();
    first.ends_with(b";") && lines.next().is_some()
}

/// Reads a text from its start to its end.
pub(super) struct Reader<'a> {
    file: FileId,
    pub(super) origin: Origin,
    text: &'a [u8],
    rest: Rest<'a>,
    pub(super) faults: Vec<Diagnostic>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(file: FileId, origin: Origin, text: &'a [u8]) -> Self {
        Self { file, origin, text, rest: text, faults: Vec::new() }
    }

    /// `lexeme = word | ";" | "{" | "}" | end of file`, with spaces and comments before it.
    pub(super) fn lexeme(&mut self) -> Lexeme {
        self.blank();
        let start = self.offset();
        match self.rest.first() {
            None => Lexeme::Eof(self.span(start)),
            Some(b';') => Lexeme::End(self.skip_byte()),
            Some(b'{') => Lexeme::Open(self.skip_byte()),
            Some(b'}') => Lexeme::Close(self.skip_byte()),
            Some(b'"' | b'\'') => Lexeme::Word(self.quoted()),
            Some(_) => Lexeme::Word(self.bare()),
        }
    }

    /// `blank = { space | comment }`
    fn blank(&mut self) {
        let begins = |byte: &u8| lexer::is_space(*byte) || *byte == b'#';
        while self.rest.first().is_some_and(begins)
            && let Ok((rest, blank)) = alt((lexer::space, recognize(lexer::comment))).parse(self.rest)
        {
            let start = self.offset();
            self.rest = rest;
            if blank[0] == b'#' && blank.len() >= BUFFER {
                self.refuse_long(start, start);
            }
        }
    }

    fn bare(&mut self) -> Word {
        let start = self.offset();
        let (rest, raw) = lexer::bare_word(self.rest).unwrap_or_else(|_| self.rest.split_at(0));
        self.rest = rest;
        if raw.len() + usize::from(self.before_space()) >= BUFFER {
            self.refuse_long(start, start);
        }
        self.word(start, raw, false)
    }

    fn quoted(&mut self) -> Word {
        let start = self.offset();
        let quote = self.rest[0];
        let Ok((rest, quoted)) = lexer::quoted_word(self.rest) else { return self.bare() };
        if !quoted.closed {
            return self.unclosed(start, quote);
        }
        if let Some(&glued) = rest.first().filter(|next| is_glued(**next))
            && spans_statements(quoted.content)
        {
            return self.closed_by_another(start, self.text.len() - rest.len(), glued);
        }
        self.rest = rest;
        let length = quoted.content.len();
        if length >= BUFFER {
            self.refuse_long_quoted(start, quote);
        } else if length + 1 + usize::from(self.before_space()) >= BUFFER {
            self.refuse_long(start + 1, start);
        }
        let word = self.word(start, quoted.content, true);
        self.glued(word)
    }

    /// What may follow a closing quote: space, `;`, `{`, `)` or the end. Other bytes are a fault, and taken into the word.
    fn glued(&mut self, mut word: Word) -> Word {
        match self.rest.first().filter(|next| is_glued(**next)) {
            None => word,
            Some(&byte) => {
                let start = self.offset();
                let at = Span { end: start as u32 + 1, ..self.span(start) };
                let whole = self.in_other_quotes(word.span);
                self.complain(fault::glued(byte, at, word.span, whole));
                let more = if matches!(byte, b'"' | b'\'') { self.quoted() } else { self.bare() };
                word.value = [&*word.value, &*more.value].concat().into();
                word.span.end = more.span.end;
                word
            }
        }
    }

    /// A text whose quotes are closed by a letter of it, `'it's'`, up to the last of them on its line, with the same in the
    /// other quotes.
    fn in_other_quotes(&self, word: Span) -> Option<(Span, String)> {
        let (start, quote) = (word.start as usize, *self.text.get(word.start as usize)?);
        let line = self.text[start..].split(|&byte| byte == b'\n').next()?;
        let line = line.split(|&byte| byte == b'#').next()?.trim_ascii_end();
        let text = line.strip_suffix(b";").unwrap_or(line).trim_ascii_end().strip_suffix(&[quote])?;
        let inside = std::str::from_utf8(text.get(1..)?).ok()?;
        let other = if quote == b'"' { '\'' } else { '"' };
        let is_apostrophe = |at: usize| {
            let letter =
                |at: Option<usize>| at.and_then(|at| inside.as_bytes().get(at)).is_some_and(u8::is_ascii_alphabetic);
            letter(at.checked_sub(1)) && letter(Some(at + 1))
        };
        let mut quotes = inside.match_indices(char::from(quote)).map(|(at, _)| at).peekable();
        let is_text = quotes.peek().is_some() && quotes.all(is_apostrophe) && !inside.contains([other, ';', '{', '}']);
        let span = Span { end: word.start + text.len() as u32 + 1, ..word };
        is_text.then(|| (span, format!("{other}{inside}{other}")))
    }

    /// Takes a `{` that was just read into the word before it, where it looks like a part of it: a quantifier `{2,3}`, or a
    /// placeholder `{{ name }}`, which may begin a word too.
    pub(super) fn glue(&mut self, words: &mut Vec<Word>, brace: Span) -> bool {
        let last = words.last().filter(|last| last.span.end == brace.start);
        if self.origin == Origin::Parameter || last.is_some_and(|last| last.quoted) {
            return false;
        }
        let quantifier = last.and_then(|_| lexer::quantifier(self.rest));
        let Some(length) = quantifier.or_else(|| lexer::placeholder(self.rest)) else { return false };
        self.rest = &self.rest[length..];
        if let Ok((rest, _)) = lexer::bare_word(self.rest) {
            self.rest = rest;
        }
        let start = last.map_or(brace, |last| last.span).start as usize;
        let brace = last.and_then(|last| last.brace).or(Some(brace));
        if last.is_some() {
            words.pop();
        }
        words.push(Word { brace, ..self.word(start, &self.text[start..self.offset()], false) });
        true
    }

    /// A comment of another language that begins with this word, which was just read: all of it, and what ends the
    /// statement that nginx takes it for. None where it has no end, or nginx reads on for very long.
    pub(super) fn foreign_comment(&self, first: Span) -> Option<(Span, Lexeme)> {
        let start = first.start as usize;
        let length = memchr::memmem::find(self.text.get(start + 2..)?, b"*/")? + 4;
        let whole = Span { end: (start + length) as u32, ..first };
        let mut ahead = Self { faults: Vec::new(), ..*self };
        let next = (0..AHEAD).map(|_| ahead.lexeme()).find(|next| !matches!(next, Lexeme::Word(_)))?;
        Some((whole, next))
    }

    /// Whether nothing but space stands between two places.
    pub(super) fn is_blank(&self, before: Span, behind: Span) -> bool {
        let between = self.text.get(before.end as usize..behind.start as usize);
        between.is_some_and(|between| between.iter().all(|&byte| lexer::is_space(byte)))
    }

    /// Goes on behind a span.
    pub(super) fn go_behind(&mut self, span: Span) {
        self.rest = &self.text[span.end as usize..];
    }

    /// A quote that is never closed: the word ends with its line, so that the lines behind it are still read.
    fn unclosed(&mut self, start: usize, quote: u8) -> Word {
        let line = self.rest.split(|&byte| byte == b'\n').next().unwrap_or(self.rest).trim_ascii_end();
        let raw = line.strip_suffix(b";").unwrap_or(line);
        self.rest = &self.rest[raw.len()..];
        let word = self.word(start, &raw[1..], true);
        if !self.refuse_long_quoted(start, quote) {
            let end = self.end();
            self.complain(fault::unclosed_quote(self.origin, quote, word.span, end));
        }
        word
    }

    /// A quote that is closed only by the next quote of the file, some statements on, and `glued` stands right behind that:
    /// the slip is here. The word ends with its line.
    fn closed_by_another(&mut self, start: usize, behind: usize, glued: u8) -> Word {
        let content = self.line_of_quote();
        self.rest = &self.rest[content.len() + 1..];
        let word = self.word(start, content, true);
        let file = self.file;
        let at = |start: usize| Span { file, start: start as u32, end: start as u32 + 1 };
        let quote = self.text[start];
        self.complain(fault::closed_by_another(glued, quote, word.span, (at(behind - 1), at(behind))));
        word
    }

    /// What stands behind a quote on its line, without the `;` at its end.
    fn line_of_quote(&self) -> &'a [u8] {
        let line = self.rest[1..].split(|&byte| byte == b'\n').next().unwrap_or_default().trim_ascii_end();
        line.strip_suffix(b";").unwrap_or(line)
    }

    /// Nobody reads more than a thousand faults.
    pub(super) fn complain(&mut self, fault: Diagnostic) {
        const MOST: usize = 1000;
        if self.faults.len() < MOST {
            self.faults.push(fault);
        }
    }

    /// nginx refuses what fills its buffer while there is more of the file to read. `from` is the buffer's first byte.
    fn refuse_long(&mut self, from: usize, start: usize) {
        if self.fills_buffer(from) {
            let fault = fault::too_long(self.first_byte(start), &self.text[from..from + 10]);
            self.complain(fault);
        }
    }

    /// Whether nginx stops here; else the quoted word, however long, is the end of the file.
    fn refuse_long_quoted(&mut self, start: usize, quote: u8) -> bool {
        let refused = self.fills_buffer(start + 1);
        if refused {
            let fault = fault::too_long_quoted(self.first_byte(start), quote);
            self.complain(fault);
        }
        refused
    }

    fn fills_buffer(&self, from: usize) -> bool {
        self.origin == Origin::File && self.text.len() > from + BUFFER
    }

    /// The end of the text: nginx's line there is that of the last line break.
    pub(super) fn end(&self) -> Span {
        let end = self.text.len() as u32;
        Span { file: self.file, start: end, end }
    }

    pub(super) fn lines(&self) -> Lines<'a> {
        Lines(self.text)
    }

    fn before_space(&self) -> bool {
        self.rest.first().is_some_and(|&byte| lexer::is_space(byte))
    }

    fn word(&self, start: usize, raw: &[u8], quoted: bool) -> Word {
        Word { value: lexer::resolve_escapes(raw).into(), span: self.span(start), quoted, brace: None }
    }

    fn skip_byte(&mut self) -> Span {
        let start = self.offset();
        self.rest = &self.rest[1..];
        self.span(start)
    }

    fn first_byte(&self, start: usize) -> Span {
        Span { file: self.file, start: start as u32, end: start as u32 + 1 }
    }

    fn offset(&self) -> usize {
        self.text.len() - self.rest.len()
    }

    /// From `start` to where the reader stands.
    fn span(&self, start: usize) -> Span {
        Span { file: self.file, start: start as u32, end: self.offset() as u32 }
    }
}
