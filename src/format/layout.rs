//! Tokens to text: what stands between any two of them.

use super::Style;
use crate::syntax::{Token, TokenKind};

/// Values are put under each other behind names up to this long.
const LONGEST_NAME: usize = 48;

/// Blocks whose lines are names and values.
const TABLES: [&[u8]; 5] = [b"types", b"map", b"geo", b"split_clients", b"charset_map"];

/// The text of the tokens, one statement a line.
pub(super) fn lay_out(text: &[u8], tokens: &[Token<'_>], style: Style) -> Vec<u8> {
    let mut writer =
        Writer { text, tokens, style, out: Vec::with_capacity(text.len()), depth: 0, words: 0, columns: vec![] };
    for index in 0..tokens.len() {
        writer.token(index);
    }
    if !writer.out.is_empty() {
        writer.out.push(b'\n');
    }
    writer.out
}

struct Writer<'a> {
    text: &'a [u8],
    tokens: &'a [Token<'a>],
    style: Style,
    out: Vec<u8>,
    depth: usize,
    /// How many words of the statement have been written.
    words: usize,
    /// For each open block, the column of its values where it is a table.
    columns: Vec<Option<usize>>,
}

impl Writer<'_> {
    fn token(&mut self, index: usize) {
        let token = self.tokens[index];
        match token.kind {
            TokenKind::Word => self.word(index),
            TokenKind::Comment => self.comment(index),
            TokenKind::End => {
                if self.ends_with_comment(index) {
                    self.line(self.depth + 1);
                }
                self.words = 0;
            }
            TokenKind::Open => self.open(index),
            TokenKind::Close => self.close(index),
            TokenKind::Foreign => {}
        }
        self.out.extend_from_slice(token.text);
    }

    fn word(&mut self, index: usize) {
        let token = self.tokens[index];
        if self.words == 0 {
            self.statement(index);
        } else if self.breaks(index) > 0 || self.ends_with_comment(index) {
            self.line(self.depth + 1);
        } else if self.tokens[index - 1].end() != token.start {
            self.gap(index);
        }
        self.words += 1;
    }

    /// One space between words; in a table as many as its column wants.
    fn gap(&mut self, index: usize) {
        let column = self.columns.last().copied().flatten().filter(|_| self.words == 1);
        let width = self.tokens[index - 1].text.len();
        let spaces = column.map_or(1, |column| column.saturating_sub(width).max(1));
        self.out.resize(self.out.len() + spaces, b' ');
    }

    fn comment(&mut self, index: usize) {
        if index > 0 && self.breaks(index) == 0 {
            self.out.push(b' ');
        } else if self.words > 0 {
            self.line(self.depth + 1);
        } else {
            self.statement(index);
        }
    }

    fn open(&mut self, index: usize) {
        if self.words == 0 {
            self.statement(index);
        } else if self.ends_with_comment(index) {
            self.line(self.depth);
        } else {
            self.out.push(b' ');
        }
        let name = self.name_of(index);
        self.columns.push(name.filter(|name| TABLES.contains(name)).and_then(|_| self.column(index)));
        self.depth += 1;
        self.words = 0;
    }

    /// The first word of the statement that a `{` ends.
    fn name_of(&self, open: usize) -> Option<&[u8]> {
        let begins = |token: &Token<'_>| !matches!(token.kind, TokenKind::Word | TokenKind::Comment);
        let start = self.tokens[..open].iter().rposition(begins).map_or(0, |at| at + 1);
        let first = self.tokens[start..open].iter().find(|token| token.kind == TokenKind::Word)?;
        Some(first.text)
    }

    fn close(&mut self, index: usize) {
        self.depth = self.depth.saturating_sub(1);
        self.columns.pop();
        self.words = 0;
        match self.tokens[index.saturating_sub(1)].kind {
            TokenKind::Open if index > 0 => self.out.push(b' '),
            TokenKind::Foreign => {}
            _ => self.line(self.depth),
        }
    }

    /// The column of a table's values: behind its longest name.
    fn column(&self, open: usize) -> Option<usize> {
        let mut widest = 0;
        let mut starts = true;
        for (at, token) in self.tokens.iter().enumerate().skip(open + 1) {
            match token.kind {
                TokenKind::Close => break,
                TokenKind::Open | TokenKind::Foreign => return None,
                TokenKind::End => starts = true,
                TokenKind::Word if starts => {
                    let has_value = self.tokens.get(at + 1).is_some_and(|next| next.kind == TokenKind::Word);
                    widest = widest.max(if has_value { token.text.len() } else { 0 });
                    starts = false;
                }
                TokenKind::Word | TokenKind::Comment => {}
            }
        }
        (widest > 0 && widest <= LONGEST_NAME).then_some(widest + 1)
    }

    /// Begins a statement's line, with the empty line before it that was there.
    fn statement(&mut self, index: usize) {
        if index == 0 {
            return;
        }
        let is_first = self.tokens[index - 1].kind == TokenKind::Open;
        if self.breaks(index) > 1 && !is_first {
            self.out.push(b'\n');
        }
        self.line(self.depth);
    }

    fn line(&mut self, depth: usize) {
        self.out.push(b'\n');
        self.out.resize(self.out.len() + depth * self.style.indent, b' ');
    }

    /// How many line feeds stood before a token.
    fn breaks(&self, index: usize) -> usize {
        let from = index.checked_sub(1).map_or(0, |before| self.tokens[before].end());
        memchr::memchr_iter(b'\n', &self.text[from..self.tokens[index].start]).count()
    }

    /// Whether what stands before would swallow a token on its line.
    fn ends_with_comment(&self, index: usize) -> bool {
        index > 0 && self.tokens[index - 1].kind == TokenKind::Comment
    }
}
