//! Lexemes to a tree. A fault ends nothing: reading goes on at the next `;`, `{` or `}`.

use super::{
    fault,
    reader::{Lexeme, Origin, Reader},
};
use crate::{
    diag::{Diagnostic, FileId, Span},
    syntax::{Block, Directive, Word},
};

/// Blocks inside blocks deeper than this are refused. No nginx block that nests has a use for more than a handful.
const MAX_DEPTH: usize = 100;

/// `configuration = { statement }`: reads a file. Always gives a tree, and with it everything that is wrong with its syntax,
/// in nginx's sentences. Every file must balance on its own.
pub fn parse(file: FileId, text: &[u8]) -> (Vec<Directive>, Vec<Diagnostic>) {
    Parser::new(Reader::new(file, Origin::File, text)).configuration()
}

/// The same to the letter: what looks like a comment of another language is what nginx takes it for.
pub(crate) fn parse_to_the_letter(file: FileId, text: &[u8]) -> (Vec<Directive>, Vec<Diagnostic>) {
    Parser { sees_comments: false, ..Parser::new(Reader::new(file, Origin::File, text)) }.configuration()
}

/// Reads the value of the `-g` option: statements as in a file, without blocks.
pub fn parse_parameter(file: FileId, text: &[u8]) -> (Vec<Directive>, Vec<Diagnostic>) {
    Parser::new(Reader::new(file, Origin::Parameter, text)).configuration()
}

/// Blocks whose lines are no directives, so that nearly anything may stand in them.
const TABLES: [&[u8]; 5] = [b"types", b"map", b"geo", b"split_clients", b"charset_map"];

/// A block that is still open.
struct Open {
    /// The directive whose block it is; none for a block without one, whose content is dropped.
    directive: Option<Directive>,
    /// What stood before it in the block around it.
    before: Vec<Directive>,
    /// The `{`.
    brace: Span,
}

struct Parser<'a> {
    reader: Reader<'a>,
    /// The words of the statement that is being read.
    words: Vec<Word>,
    /// The directives of the block that is being read.
    directives: Vec<Directive>,
    /// The blocks around it, the outermost first.
    open: Vec<Open>,
    /// Blocks that were skipped for being too deep and wait for their `}`.
    skipped: usize,
    /// Whether `/* … */` is seen as what it is meant for.
    sees_comments: bool,
}

impl<'a> Parser<'a> {
    fn new(reader: Reader<'a>) -> Self {
        let (words, directives, open) = (Vec::new(), Vec::new(), Vec::new());
        Self { reader, words, directives, open, skipped: 0, sees_comments: true }
    }

    fn configuration(mut self) -> (Vec<Directive>, Vec<Diagnostic>) {
        loop {
            match self.reader.lexeme() {
                Lexeme::Word(word) if word.value.starts_with(b"/*") => self.comment(word),
                Lexeme::Word(word) => self.words.push(word),
                Lexeme::End(at) => self.simple(at),
                Lexeme::Open(at) => self.block(at),
                Lexeme::Close(at) => self.close(at),
                Lexeme::Eof(at) => {
                    let open = self.finish(at);
                    self.balance(open, at);
                    return (self.directives, self.reader.faults);
                }
            }
        }
    }

    /// `statement = word { word } ( ";" | block )`: the first kind.
    fn simple(&mut self, end: Span) {
        match self.statement(end) {
            Some(directive) => self.directives.push(directive),
            None => self.fault(fault::lonely_semicolon(end)),
        }
    }

    /// `block = "{" { statement } "}"`: the opening.
    fn block(&mut self, brace: Span) {
        if self.is_part_of_word(brace) {
            return;
        }
        if self.skipped > 0 || self.open.len() == MAX_DEPTH {
            self.skip_block(brace);
            return;
        }
        let directive = match self.statement(brace) {
            Some(directive) => {
                if self.reader.origin == Origin::Parameter {
                    self.fault(fault::block_in_parameter(brace));
                }
                Some(directive)
            }
            None => self.adopt(brace),
        };
        let before = std::mem::take(&mut self.directives);
        self.open.push(Open { directive, before, brace });
    }

    /// A `{` inside a word is the commonest slip with regular expressions. In a table it may be meant: `map $a $b{1 2;}`.
    fn is_part_of_word(&mut self, brace: Span) -> bool {
        let Some(name) = self.words.first() else { return false };
        let is_table = TABLES.contains(&&*name.value);
        let is_name = self.words.len() == 1 && name.span.end == brace.start;
        !is_table && !is_name && self.reader.glue(&mut self.words, brace)
    }

    /// A `{` with no word before it most likely belongs to the statement that a `;` ended too early.
    fn adopt(&mut self, brace: Span) -> Option<Directive> {
        let reader = &self.reader;
        let owner = self.directives.pop_if(|last| last.block.is_none() && reader.is_blank(last.end, brace));
        self.fault(fault::lonely_brace(brace, owner.as_ref().map(|directive| directive.end)));
        owner
    }

    fn skip_block(&mut self, brace: Span) {
        if self.skipped == 0 {
            self.fault(fault::too_deep(brace, MAX_DEPTH));
        }
        self.words.clear();
        self.skipped += 1;
    }

    /// `}`
    fn close(&mut self, at: Span) {
        if let Some(last) = self.words.last() {
            let fault = fault::missing_semicolon(at, last.span);
            self.fault(fault);
            self.simple(Span { end: at.start, ..at });
        } else if self.open.is_empty() {
            self.fault(fault::lonely_close(at));
        }
        if self.skipped > 0 {
            self.skipped -= 1;
        } else {
            self.close_block(at);
        }
    }

    fn close_block(&mut self, close: Span) {
        let Some(Open { directive, before, brace: open }) = self.open.pop() else { return };
        let mut directives = std::mem::replace(&mut self.directives, before);
        directives.shrink_to_fit();
        if let Some(mut directive) = directive {
            directive.block = Some(Block { open, directives, pruned: false, close });
            self.directives.push(directive);
        }
    }

    /// Says which block was left open, or which `}` is one too many, now that the tree is whole.
    fn balance(&mut self, open: Option<Span>, end: Span) {
        let lines = self.reader.lines();
        if let Some(innermost) = open {
            let fault = match lines.unclosed(&self.directives) {
                Some(found) => fault::left_open(&found, end, &lines.indent_of(found.opening)),
                None => fault::unclosed_block(innermost, end),
            };
            self.fault(fault);
        } else if let Some(lonely) = self.reader.faults.iter_mut().find(|fault| fault.code == fault::SURPLUS)
            && let Some(found) = lines.surplus(&self.directives)
        {
            fault::close_early(lonely, &found);
        }
    }

    /// The end of the text: what is still open ends here. The innermost block that is, unless more is said of the end.
    fn finish(&mut self, end: Span) -> Option<Span> {
        let last = self.words.last().map(|word| word.span);
        let innermost = self.open.last();
        let opening = |open: &Open| open.directive.as_ref().map_or(open.brace, Directive::span);
        let open = innermost.map(opening).filter(|_| last.is_none());
        if let Some(last) = last {
            if !self.reader.faults.iter().any(|fault| fault.at == Some(last)) {
                self.fault(fault::unfinished(self.reader.origin, last, end));
            }
            self.simple(end);
        }
        while !self.open.is_empty() {
            self.close_block(end);
        }
        open
    }

    /// The words read so far as a directive.
    fn statement(&mut self, end: Span) -> Option<Directive> {
        // A list of its own, with no room for more: a long file has very many.
        let mut words = self.words.drain(..);
        let name = words.next()?;
        Some(Directive { name, args: words.collect(), block: None, end })
    }

    /// `/* … */` is no comment to nginx, which goes on to the next `;` or `{`. It becomes a directive of its own, of the name
    /// that nginx complains about, so that what follows is seen as what it is. In a table it may be meant.
    fn comment(&mut self, mut word: Word) {
        let in_table = self.open.last().and_then(|open| open.directive.as_ref());
        let in_table = in_table.is_some_and(|directive| TABLES.contains(&&*directive.name.value));
        let is_comment =
            self.sees_comments && self.words.is_empty() && !word.quoted && word.value.starts_with(b"/*") && !in_table;
        // A file outside of all blocks may be lines of a table: `/*.php 1;`.
        let is_sure = !self.open.is_empty() || matches!(&*word.value, b"/*" | b"/**");
        let Some((whole, next)) = self.reader.foreign_comment(word.span).filter(|_| is_comment && is_sure) else {
            self.words.push(word);
            return;
        };
        match next {
            Lexeme::Close(at) => self.fault(fault::comment_before_close(whole, at)),
            Lexeme::Eof(at) => self.fault(fault::comment_at_end(self.reader.origin, whole, at)),
            Lexeme::End(end) | Lexeme::Open(end) => {
                word.span.end = word.span.end.min(whole.end);
                self.directives.push(Directive { name: word, args: Vec::new(), block: None, end });
            }
            Lexeme::Word(_) => {}
        }
        self.reader.go_behind(whole);
    }

    fn fault(&mut self, fault: Diagnostic) {
        self.reader.complain(fault);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tree as one line: `name(arg,arg){…}`.
    fn show(directives: &[Directive]) -> String {
        let show_one = |directive: &Directive| {
            let args: Vec<_> = directive.args.iter().map(|word| word.text()).collect();
            let block = directive.block.as_ref().map(|block| format!("{{{}}}", show(&block.directives)));
            format!("{}({}){}", directive.name.text(), args.join(","), block.unwrap_or_default())
        };
        directives.iter().map(show_one).collect::<Vec<_>>().join(" ")
    }

    /// The tree, and each fault as `MESSAGE:LINE`, nginx's line.
    fn read(text: &str) -> (String, Vec<String>) {
        let (tree, faults) = parse(FileId(0), text.as_bytes());
        let line =
            |span: Span| 1 + text.as_bytes()[..span.start as usize].iter().filter(|&&byte| byte == b'\n').count();
        let faults = faults.iter().map(|fault| format!("{}:{}", fault.message, line(fault.nginx_at.expect("a place"))));
        (show(&tree), faults.collect())
    }

    fn tree(text: &str) -> String {
        let (tree, faults) = read(text);
        assert_eq!(faults, Vec::<String>::new());
        tree
    }

    #[test]
    fn statements_and_blocks_make_a_tree() {
        let text = "a 1 'b c';\nhttp { # note; {\n  server { listen 80; }\n} b;# end";
        assert_eq!(tree(text), "a(1,b c) http(){server(){listen(80)}} b()");
        assert_eq!(tree(""), "");
        assert_eq!(tree("if ($a = \"b\") { x; }"), "if(($a,=,b,)){x()}");
        assert_eq!(tree("a \"\"{ \"b\" ${c}; }"), "a(){b(${c})}");
    }

    #[test]
    fn spans_hold_quotes_and_ends() {
        let (tree, _) = parse(FileId(3), b"ab 'c';\nd {\n}");
        let at = |start, end| Span { file: FileId(3), start, end };
        assert_eq!((tree[0].name.span, tree[0].args[0].span, tree[0].end), (at(0, 2), at(3, 6), at(6, 7)));
        let block = tree[1].block.as_ref().expect("a block");
        assert_eq!((tree[1].end, block.open, block.close), (at(10, 11), at(10, 11), at(12, 13)));
        assert_eq!(tree[0].span(), at(0, 6));
    }

    #[test]
    fn a_missing_semicolon_ends_the_statement_at_the_brace() {
        let (tree, faults) = read("server {\n root /a\n}\nb;");
        assert_eq!(tree, "server(){root(/a)} b()");
        assert_eq!(faults, ["unexpected \"}\":3"]);
    }

    #[test]
    fn every_fault_is_found_in_one_run() {
        let (tree, faults) = read(";\na \"b\"c;\n}\nserver {\n x y\n}\nlast");
        assert_eq!(tree, "a(bc) server(){x(y)} last()");
        let end = "unexpected end of file, expecting \";\" or \"}\":7";
        assert_eq!(
            faults,
            ["unexpected \";\":1", "unexpected \"c\":2", "unexpected \"}\":3", "unexpected \"}\":6", end]
        );
    }

    #[test]
    fn a_semicolon_before_the_brace_keeps_its_block() {
        let (tree, faults) = read("location /a; {\n root /b;\n}");
        assert_eq!(tree, "location(/a){root(/b)}");
        assert_eq!(faults, ["unexpected \"{\":1"]);
        // Behind a brace it is not the statement's.
        assert_eq!(read("a; } { }").0, "a()");
    }

    #[test]
    fn what_follows_a_comment_of_another_language_is_seen() {
        assert_eq!(tree("/* a b */ server {\n root /a;\n}"), "/*() server(){root(/a)}");
        assert_eq!(tree("/* a; b {\n*/ server { }"), "/*() server(){}");
        assert_eq!(tree("a { /*x*/ location /* { b; } }"), "a(){/*x*/() location(/*){b()}}");
        assert_eq!(read("a { b; /* x */ }"), ("a(){b()}".into(), vec!["unexpected \"}\":1".into()]));
        let end = "unexpected end of file, expecting \";\" or \"}\":2";
        assert_eq!(read("a;\n/* x */ "), ("a()".into(), vec![end.into()]));
        // A table may well have such keys.
        assert_eq!(tree("map $a $b { /* 1; */ 2; }"), "map($a,$b){/*(1) */(2)}");
        assert_eq!(tree("/*.php 1; ~*/x 2;"), "/*.php(1) ~*/x(2)");
    }

    #[test]
    fn a_block_of_nothing_is_dropped() {
        let (tree, faults) = read("a {} { b; }\nc;");
        assert_eq!(tree, "a(){} c()");
        assert_eq!(faults, ["unexpected \"{\":1"]);
    }

    #[test]
    fn an_unclosed_quote_costs_one_line() {
        let (tree, faults) = read("a {\n log \"%h;\n b;\n}\nc;");
        assert_eq!(tree, "a(){log(%h) b()} c()");
        assert_eq!(faults, ["unexpected end of file, expecting \";\" or \"}\":5"]);
        assert_eq!(read("a \"").0, "a()");
        assert_eq!(read("a ';").0, "a()");
    }

    #[test]
    fn an_unclosed_block_is_the_one_whose_close_stands_too_far_left() {
        let text = "server {\n  location /a {\n    x;\n  location /b {\n    y;\n  }\n}\n";
        let (_, faults) = parse(FileId(0), text.as_bytes());
        assert_eq!(faults.len(), 1);
        let at = faults[0].at.expect("a place");
        assert_eq!(&text[at.start as usize..at.end as usize], "location /a");
        assert_eq!(faults[0].message, "unexpected end of file, expecting \"}\"");
    }

    /// What is said of a text: the text at fault, what it is repaired to, and the other places.
    fn said_of(text: &str) -> (String, String, Vec<String>) {
        let (_, faults) = parse(FileId(0), text.as_bytes());
        let [fault] = &faults[..] else { panic!("{faults:?}") };
        let word = |at: Span| text[at.start as usize..at.end as usize].to_owned();
        let edit = &fault.fix.as_ref().expect("a repair").edits[0];
        let repaired = [&text[..edit.span.start as usize], &edit.text, &text[edit.span.end as usize..]].concat();
        (word(fault.at.expect("a place")), repaired, fault.related.iter().map(|(at, _)| word(*at)).collect())
    }

    #[test]
    fn an_unclosed_block_ends_before_what_stands_no_further_to_the_right() {
        let text = "http {\n  server {\n    a;\n  server {\n    b;\n  }\n}\n";
        let (at, repaired, related) = said_of(text);
        assert_eq!((at.as_str(), &related[..]), ("server", &["server".to_owned()][..]));
        assert_eq!(repaired, text.replacen("a;\n", "a;\n  }\n", 1));
        // Nothing is made of lines that are not indented at all, or by tabs here and spaces there.
        assert_eq!(said_of("http {\nserver {\na;\n}\n").0, "http");
        assert_eq!(said_of("http {\n\tserver {\n    a;\n    }\n").0, "http");
    }

    #[test]
    fn a_brace_too_many_is_the_one_that_stands_too_far_right() {
        let text = "server {\n  location /a {\n    x;\n  }\n  }\n  location /b {\n    y;\n  }\n}\n";
        let (at, repaired, related) = said_of(text);
        assert_eq!((at.as_str(), &related[..]), ("}", &["server".to_owned()][..]));
        assert_eq!(repaired, text.replacen("  }\n  }\n", "  }\n  \n", 1));
        assert_eq!(said_of("a {\n}\n}\n").1, "a {\n}\n\n");
    }

    #[test]
    fn braces_inside_words_are_kept_and_marked() {
        let text = "rewrite ^/a{2}/b{3,}$ /$1 last;\nroot /srv/{{ app }}/x;\nlocation ~ ^/a{2} { b; }";
        let (tree, faults) = parse(FileId(0), text.as_bytes());
        assert_eq!(faults, vec![]);
        assert_eq!(show(&tree), "rewrite(^/a{2}/b{3,}$,/$1,last) root(/srv/{{ app }}/x) location(~,^/a{2}){b()}");
        assert!(tree.iter().all(|directive| directive.brace().is_some()));
        let (tree, _) = parse(FileId(0), b"map $a $b{2} 3; } location /a{ } a ${b} \"c{2}\";");
        assert_eq!(show(&tree), "map($a,$b){2}(3)} location(/a){} a(${b},c{2})");
        assert!(tree.iter().all(|directive| directive.brace().is_none()));
        assert_eq!(read("server_name {{ a }} b{{ c }};"), ("server_name({{ a }},b{{ c }})".into(), vec![]));
    }

    #[test]
    fn words_longer_than_the_buffer_are_refused() {
        let long = "y".repeat(4096);
        assert_eq!(read(&format!("{long};")).1, ["too long parameter \"yyyyyyyyyy...\" started:1"]);
        assert_eq!(read(&format!("\n#{long}\n")).1, ["too long parameter \"#yyyyyyyyy...\" started:2"]);
        let quoted = read(&format!("a '{long}';")).1;
        assert_eq!(quoted, ["too long parameter, probably missing terminating \"'\" character:1"]);
        assert_eq!(read(&format!("{};", &long[1..])).1, Vec::<String>::new());
    }

    #[test]
    fn endless_blocks_are_refused_without_harm() {
        let (_, faults) = read(&"a {".repeat(100_000));
        assert_eq!(faults[0], "blocks are nested deeper than 100 levels:1");
        let (tree, faults) = read(&format!("{}{} b;", "a {".repeat(200), "}".repeat(200)));
        assert!(tree.ends_with(" b()"));
        assert_eq!(faults.len(), 1);
    }

    #[test]
    fn the_command_line_has_no_blocks_and_its_own_end() {
        let messages = |text: &[u8]| {
            let (_, faults) = parse_parameter(FileId(0), text);
            faults.into_iter().map(|fault| fault.message).collect::<Vec<_>>()
        };
        assert_eq!(messages(b"daemon off; pid /a;"), Vec::<String>::new());
        assert_eq!(messages(b"daemon off"), ["unexpected end of parameter, expecting \";\""]);
        assert_eq!(messages(b"http { }"), ["block directives are not supported in -g option"]);
    }
}
