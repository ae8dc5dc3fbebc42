//! A text as its tokens, comments among them and every byte in its place: for what rewrites a file.

use super::lexer;

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// A bare or quoted word, quotes and escapes as they were written.
    Word,
    /// `;`
    End,
    /// `{`
    Open,
    /// `}`
    Close,
    /// From `#` to the end of its line, without the spaces before that.
    Comment,
    /// What stands in the block of another language, as in `content_by_lua_block { … }`.
    Foreign,
}

/// One token and its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token<'a> {
    /// What it is.
    pub kind: TokenKind,
    /// Offset of its first byte.
    pub start: usize,
    /// Its bytes.
    pub text: &'a [u8],
}

impl Token<'_> {
    /// Offset behind its last byte.
    pub fn end(&self) -> usize {
        self.start + self.text.len()
    }
}

/// All tokens of a text. What stands between them is spaces and line feeds, and nothing else.
pub fn tokens(text: &[u8]) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let (mut at, mut statement) = (0, 0);
    while let Some(&byte) = text.get(at) {
        let rest = &text[at..];
        if lexer::is_space(byte) {
            at += 1;
            continue;
        }
        let (kind, length) = match byte {
            b';' => (TokenKind::End, 1),
            b'{' => (TokenKind::Open, 1),
            b'}' => (TokenKind::Close, 1),
            b'#' => (TokenKind::Comment, comment(rest)),
            b'"' | b'\'' => {
                (TokenKind::Word, lexer::quoted_word(rest).map_or(1, |(behind, _)| rest.len() - behind.len()))
            }
            _ => (TokenKind::Word, lexer::bare_word(rest).map_or(1, |(_, word)| word.len())),
        };
        tokens.push(Token { kind, start: at, text: &rest[..length] });
        at += length;
        if kind == TokenKind::Open && is_foreign(&tokens[statement..]) {
            let inside = &text[at..];
            let length = lua(inside);
            tokens.push(Token { kind: TokenKind::Foreign, start: at, text: &inside[..length] });
            at += length;
        }
        if matches!(kind, TokenKind::End | TokenKind::Open | TokenKind::Close) {
            statement = tokens.len();
        }
    }
    tokens
}

fn comment(rest: &[u8]) -> usize {
    let line = rest.split(|&byte| byte == b'\n').next().unwrap_or_default();
    line.trim_ascii_end().len()
}

fn is_foreign(statement: &[Token<'_>]) -> bool {
    let name = statement.iter().find(|token| token.kind == TokenKind::Word);
    name.is_some_and(|name| name.text.ends_with(b"_by_lua_block"))
}

/// The length of Lua up to the brace that ends the block around it: braces in strings and comments do not count.
fn lua(text: &[u8]) -> usize {
    let (mut at, mut depth) = (0, 0);
    while let Some(&byte) = text.get(at) {
        let rest = &text[at..];
        at += match byte {
            b'}' if depth == 0 => return at,
            b'{' => {
                depth += 1;
                1
            }
            b'}' => {
                depth -= 1;
                1
            }
            b'"' | b'\'' => lexer::quoted_word(rest).map_or(1, |(behind, _)| rest.len() - behind.len()),
            b'-' if rest.starts_with(b"--") => match long_bracket(&rest[2..]) {
                Some(length) => 2 + length,
                None => memchr::memchr(b'\n', rest).unwrap_or(rest.len()),
            },
            b'[' => long_bracket(rest).unwrap_or(1),
            _ => 1,
        };
    }
    text.len()
}

/// The length of `[==[ … ]==]`.
fn long_bracket(rest: &[u8]) -> Option<usize> {
    let level = rest.strip_prefix(b"[")?.iter().take_while(|&&byte| byte == b'=').count();
    rest.get(level + 1).filter(|&&byte| byte == b'[')?;
    let close = [&b"]"[..], &vec![b'='; level], b"]"].concat();
    let end = memchr::memmem::find(&rest[level + 2..], &close)?;
    Some(level + 2 + end + close.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<&str> {
        tokens(text.as_bytes()).iter().map(|token| std::str::from_utf8(token.text).unwrap()).collect()
    }

    #[test]
    fn nothing_but_spaces_is_lost() {
        assert_eq!(texts("a \"b c\"; # d \r\n}{${x}y#z"), ["a", "\"b c\"", ";", "# d", "}", "{", "${x}y#z"]);
    }

    #[test]
    fn lua_is_one_token() {
        let text = "content_by_lua_block { local a = {'}'} -- }\n --[[ } ]] return \"}\" } return 1;";
        assert_eq!(
            texts(text),
            ["content_by_lua_block", "{", " local a = {'}'} -- }\n --[[ } ]] return \"}\" ", "}", "return", "1", ";"]
        );
    }
}
