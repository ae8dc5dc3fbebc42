//! The layout of a configuration made even: spaces, lines and indents change, tokens and comments never do.

mod layout;

use crate::{
    diag::{Diagnostic, FileId},
    syntax::{Directive, TokenKind, parse_to_the_letter, tokens},
};

/// How a text is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// Spaces for each block around a line.
    pub indent: usize,
}

impl Default for Style {
    fn default() -> Self {
        Self { indent: 4 }
    }
}

/// Lays a file's text out anew.
///
/// One statement stands on a line, blocks are indented, words are one space apart; lines that were broken between words and
/// single empty lines stay, and the values in `types`, `map` and their like stand under each other.
///
/// # Errors
/// What the parser says of a broken text: there is no telling what was meant.
pub fn format(text: &[u8], style: Style) -> Result<Vec<u8>, Vec<Diagnostic>> {
    let before = tokens(text);
    let (tree, mut faults) = parse_to_the_letter(FileId::default(), &masked(text));
    refuse_braces(&tree, &mut faults);
    if !faults.is_empty() {
        return Err(faults);
    }
    let formatted = layout::lay_out(text, &before, style);
    let same = tokens(&formatted).iter().map(|token| token.text).eq(before.iter().map(|token| token.text));
    if same { Ok(formatted) } else { Err(vec![Diagnostic::error("layout", "this text cannot be laid out anew")]) }
}

/// A `{` that was meant for a part of a word begins a block to nginx.
fn refuse_braces(tree: &[Directive], faults: &mut Vec<Diagnostic>) {
    for directive in tree {
        if let Some((word, brace)) = directive.brace() {
            let fault = Diagnostic::error("brace-in-word", "unexpected \"{\"").at(brace);
            faults.push(fault.help(format!("put quotes around it: \"{}\"", word.text())));
        }
        refuse_braces(directive.children(), faults);
    }
}

/// The text with spaces in the place of other languages.
fn masked(text: &[u8]) -> Vec<u8> {
    let mut masked = text.to_vec();
    for token in tokens(text).iter().filter(|token| token.kind == TokenKind::Foreign) {
        for byte in masked[token.start..token.end()].iter_mut().filter(|byte| **byte != b'\n') {
            *byte = b' ';
        }
    }
    masked
}

#[cfg(test)]
mod tests {
    use super::*;

    fn formatted(text: &str) -> String {
        String::from_utf8(format(text.as_bytes(), Style::default()).expect("a sound text")).expect("text")
    }

    #[test]
    fn blocks_are_indented_and_comments_stay() {
        let text =
            "# top\n\n\n\nevents{}\nhttp { # all\nserver{listen 80;server_name  a\n   b; # names\n\n\n# end\n}\n\n}";
        insta::assert_snapshot!(formatted(text), @r"
        # top

        events { }
        http { # all
            server {
                listen 80;
                server_name a
                    b; # names

                # end
            }
        }
        ");
    }

    #[test]
    fn tables_are_columns() {
        let text = "map $a $b{default 0;~*long 1; # x\n}\ntypes{text/html html\nhtm;a/b c;}";
        insta::assert_snapshot!(formatted(text), @r"
        map $a $b {
            default 0;
            ~*long  1; # x
        }
        types {
            text/html html
                htm;
            a/b       c;
        }
        ");
    }

    #[test]
    fn what_stands_together_stays_together() {
        let text = "server { if ($a = \"b\") { return 200 'a\n  b'; } content_by_lua_block {\n  if x then { } end\n} }";
        insta::assert_snapshot!(formatted(text), @r#"
        server {
            if ($a = "b") {
                return 200 'a
          b';
            }
            content_by_lua_block {
          if x then { } end
        }
        }
        "#);
    }

    #[test]
    fn broken_texts_are_left_alone() {
        assert!(format(b"server { listen 80", Style::default()).is_err());
        assert!(format(b"location ~ a{2} { }", Style::default()).is_err());
    }

    #[test]
    fn a_second_time_changes_nothing() {
        for text in [
            "",
            "\n\n# a",
            "a;# b\n# c\nd {} # e\n{ }",
            "a # x\n b;",
            "a { # x\n\n b; }",
            "log_format m '$a'\r\n  '$b';",
        ] {
            let Ok(once) = format(text.as_bytes(), Style::default()) else { continue };
            assert_eq!(format(&once, Style::default()).as_deref(), Ok(&once[..]), "{text}");
        }
    }
}
