//! An open file: its text, what was seen in it, and places in it as editors count them.

use std::{
    ffi::OsString,
    io,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

use crate::{
    diag::{FileId, Span},
    inspect::{Inspection, Options, inspect},
    load::{Disk, Files, Origin},
    schema::{Context, Schema},
    syntax::{Directive, TokenKind, parse, tokens},
};

/// An open file.
pub(super) struct Document {
    pub(super) uri: String,
    pub(super) path: PathBuf,
    pub(super) text: String,
    pub(super) look: Inspection,
}

/// The statement that a place is in.
pub(super) struct Statement<'t> {
    /// What the innermost block around it holds.
    pub(super) context: Context,
    /// The names of the blocks around, the outermost first.
    pub(super) words: Vec<&'t str>,
    /// The number of the word at the place; that of the next one where there is a space.
    pub(super) index: usize,
    /// The word as far as the place; empty where there is a space.
    pub(super) typed: &'t str,
}

impl Document {
    /// `others` are the texts of the other open files: what is not written yet counts.
    pub(super) fn new(uri: &str, text: &str, others: &[(PathBuf, String)]) -> Self {
        let path = path_of(uri);
        let mut texts: Vec<_> = others.iter().filter(|(other, _)| *other != path).cloned().collect();
        texts.push((path.clone(), text.to_owned()));
        let options = Options { offline: true, without_cycle: true, ..Options::new(path.to_string_lossy()) };
        let look = inspect(&Open(texts), &options);
        Self { uri: uri.to_owned(), path, text: text.to_owned(), look }
    }

    /// The offset that a request asks about.
    pub(super) fn asked(&self, params: &Value) -> usize {
        self.offset(&params["position"])
    }

    /// An editor's position as an offset.
    pub(super) fn offset(&self, position: &Value) -> usize {
        let number = |name: &str| position[name].as_u64().and_then(|number| usize::try_from(number).ok()).unwrap_or(0);
        let (line, character) = (number("line"), number("character"));
        let starts = std::iter::once(0).chain(memchr::memchr_iter(b'\n', self.text.as_bytes()).map(|at| at + 1));
        let Some(start) = starts.into_iter().nth(line) else { return self.text.len() };
        let line = self.text[start..].split('\n').next().unwrap_or_default();
        let mut units = 0;
        for (at, letter) in line.char_indices() {
            if units >= character {
                return start + at;
            }
            units += letter.len_utf16();
        }
        start + line.len()
    }

    /// Two offsets as an editor's range.
    pub(super) fn range(&self, start: usize, end: usize) -> Value {
        range(self.text.as_bytes(), start, end)
    }

    /// A span in this file as a range; that of the `include` where it is in another one.
    pub(super) fn range_of(&self, span: Option<Span>) -> Value {
        let mut span = span;
        while let Some(at) = span {
            let source = self.look.loaded.sources.get(at.file);
            if source.origin == Origin::File && Path::new(&source.name) == self.path {
                return self.range(at.start as usize, at.end as usize);
            }
            span = source.included_at;
        }
        self.range(0, 0)
    }

    /// The statement at an offset; none in a comment.
    pub(super) fn statement(&self, offset: usize) -> Option<Statement<'_>> {
        let before = &self.text.as_bytes()[..offset];
        let tokens = tokens(before);
        let last = tokens.last();
        let in_comment = last.is_some_and(|last| {
            last.kind == TokenKind::Foreign
                || last.kind == TokenKind::Comment && memchr::memchr(b'\n', &before[last.end()..]).is_none()
        });
        if in_comment {
            return None;
        }
        let ends = |kind| matches!(kind, TokenKind::End | TokenKind::Open | TokenKind::Close);
        let start = tokens.iter().rposition(|token| ends(token.kind)).map_or(0, |at| at + 1);
        let words = tokens[start..].iter().filter(|token| token.kind == TokenKind::Word);
        let words: Vec<_> = words.filter_map(|token| std::str::from_utf8(token.text).ok()).collect();
        let touches = last.is_some_and(|last| last.kind == TokenKind::Word && last.end() == offset);
        let typed = if touches { words.last().copied().unwrap_or_default() } else { "" };
        let index = words.len().saturating_sub(usize::from(touches));
        Some(Statement { context: self.context(offset), words, index, typed })
    }

    /// What the innermost block around an offset holds.
    pub(super) fn context(&self, offset: usize) -> Context {
        let (tree, _) = parse(FileId::default(), self.text.as_bytes());
        innermost(&tree, self.look.context, offset)
    }

    /// The word at an offset, without its quotes, and where it stands.
    pub(super) fn word(&self, offset: usize) -> Option<(&str, usize, usize)> {
        let tokens = tokens(self.text.as_bytes());
        let token = tokens
            .iter()
            .find(|token| token.start <= offset && offset <= token.end() && token.kind == TokenKind::Word)?;
        let text = std::str::from_utf8(token.text).ok()?;
        Some((text.trim_matches(['"', '\'']), token.start, token.end()))
    }
}

fn innermost(directives: &[Directive], context: Context, offset: usize) -> Context {
    for directive in directives {
        let Some(block) = &directive.block else { continue };
        let closed = block.close.end > block.close.start;
        let is_in = offset >= block.open.end as usize && (offset <= block.close.start as usize || !closed);
        if is_in {
            let spec = Schema::nginx().find(&directive.name.value, context);
            return match spec.and_then(|spec| spec.opens) {
                Some(opens) => innermost(&block.directives, opens.within(context), offset),
                None => Context::NONE,
            };
        }
    }
    context
}

/// Where a span is, as a URI and a range; none for what stands in no file.
pub(super) fn place(look: &Inspection, span: Span) -> Option<(String, Value)> {
    let source = look.loaded.sources.get(span.file);
    let range = range(&source.text, span.start as usize, span.end as usize);
    (source.origin == Origin::File).then(|| (crate::paths::uri(&source.name), range))
}

fn range(text: &[u8], start: usize, end: usize) -> Value {
    json!({ "start": position(text, start), "end": position(text, end) })
}

fn position(text: &[u8], offset: usize) -> Value {
    let before = &text[..offset.min(text.len())];
    let line = memchr::memchr_iter(b'\n', before).count();
    let start = memchr::memrchr(b'\n', before).map_or(0, |at| at + 1);
    let character = String::from_utf8_lossy(&before[start..]).encode_utf16().count();
    json!({ "line": line, "character": character })
}

/// The path of a `file:` URI.
pub(super) fn path_of(uri: &str) -> PathBuf {
    let path = uri.strip_prefix("file://").unwrap_or(uri);
    let (mut bytes, mut rest) = (Vec::new(), path.as_bytes());
    while let Some((&byte, behind)) = rest.split_first() {
        let digits = behind.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()).filter(|_| byte == b'%') {
            Some(escaped) => {
                bytes.push(escaped);
                rest = &behind[2..];
            }
            None => {
                bytes.push(byte);
                rest = behind;
            }
        }
    }
    crate::paths::from_bytes(&bytes)
}

/// Open files as they are in the editor, all others as they are on disk.
struct Open(Vec<(PathBuf, String)>);

impl Files for Open {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        match self.0.iter().find(|(open, _)| open == path) {
            Some((_, text)) => Ok(text.clone().into_bytes()),
            None => Disk.read(path),
        }
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<OsString>> {
        Disk.list(folder)
    }

    fn exists(&self, path: &Path) -> bool {
        self.0.iter().any(|(open, _)| open == path) || Disk.exists(path)
    }
}
