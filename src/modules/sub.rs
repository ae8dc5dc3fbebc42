//! `sub_filter`: text of a response is replaced on its way. <https://nginx.org/en/docs/http/ngx_http_sub_module.html>

mod matcher;

use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;

use self::matcher::{Found, Matcher};
use crate::conf::{Args, Command, Ctx, Inherit, LocationBuilder, Module, SetResult};
use crate::http::{
    BodyCut, BodyStream, Chunk, Filter, FilterSlot, Headers, MediaTypes, MemoryBody, Piece, Request, Response, Script,
};

/// `ngx_http_sub_filter_module`.
pub struct Sub;

/// The directives of one block.
#[derive(Default)]
pub struct Conf {
    pairs: Vec<Pair>,
    types: Option<MediaTypes>,
    once: Option<bool>,
    last_modified: Option<bool>,
}

/// What is looked for, in any case, and what is put in its place.
#[derive(Clone)]
struct Pair {
    pattern: Script,
    value: Script,
}

const MOST_PAIRS: usize = 255;

impl Module for Sub {
    type Conf = Conf;
    const NAME: &'static str = "http_sub";
    const COMMANDS: &'static [Command<Conf>] = &[
        Command::custom("sub_filter", add_pair),
        Command::custom("sub_filter_types", |c, args, _| {
            args.add_types(&mut c.types, &["text/html"]);
            Ok(())
        }),
        Command::flag("sub_filter_once", |c| &mut c.once),
        Command::flag("sub_filter_last_modified", |c| &mut c.last_modified),
    ];

    fn merge(parent: &Conf, conf: &mut Conf) {
        conf.pairs.inherit(&parent.pairs);
        conf.types.inherit(&parent.types);
        conf.once.inherit(&parent.once);
        conf.last_modified.inherit(&parent.last_modified);
    }

    fn install(conf: &Conf, location: &mut LocationBuilder<'_, '_>) {
        if conf.pairs.is_empty() {
            return;
        }
        let constants = conf.pairs.iter().map(|pair| pair.pattern.as_constant().cloned()).collect::<Option<Vec<_>>>();
        location.filter(
            FilterSlot::Sub,
            Replace {
                values: conf.pairs.iter().map(|pair| pair.value.clone()).collect(),
                patterns: conf.pairs.iter().map(|pair| pair.pattern.clone()).collect(),
                matcher: constants.and_then(|patterns| Matcher::new(&patterns)).map(Arc::new),
                types: conf.types.clone().unwrap_or_else(|| MediaTypes::new([&b"text/html"[..]])),
                once: conf.once.unwrap_or(true),
                last_modified: conf.last_modified.unwrap_or(false),
            },
        );
    }
}

fn add_pair(c: &mut Conf, args: &Args<'_>, ctx: &mut Ctx<'_>) -> SetResult {
    if args.value(1).is_empty() {
        return Err(args.error(1, "invalid-value", "empty search pattern"));
    }
    if c.pairs.len() == MOST_PAIRS {
        return Err(args.error(1, "too-many", "number of search patterns exceeds 255"));
    }
    c.pairs.push(Pair { pattern: ctx.script(args.word(1))?, value: ctx.script(args.word(2))? });
    Ok(())
}

struct Replace {
    patterns: Box<[Script]>,
    values: Arc<[Script]>,
    /// Made beforehand where no pattern has a variable.
    matcher: Option<Arc<Matcher>>,
    types: MediaTypes,
    once: bool,
    last_modified: bool,
}

impl Filter for Replace {
    fn filter(&self, r: &Rc<Request>, response: &mut Response) -> Result<(), u16> {
        if response.content_length == Some(0) || !response.has_type(&self.types) {
            return Ok(());
        }
        let Some(matcher) = self.matcher_for(r) else { return Ok(()) };
        if r.is_main() {
            response.clear_content_length();
            if self.last_modified {
                response.weaken_etag();
            } else {
                response.clear_last_modified();
                response.clear_etag();
            }
        }
        let replacer = |body| Replacer {
            body: MemoryBody::new(body),
            left: matcher.len(),
            search: matcher::Search::new(matcher, self.once),
            r: r.clone(),
            values: self.values.clone(),
            evaluated: vec![None; self.values.len()],
            once: self.once,
            held: Bytes::new(),
            pieces: Vec::new(),
            ready: VecDeque::new(),
            ended: false,
        };
        response.body.wrap(|body| Box::new(replacer(body)));
        Ok(())
    }
}

impl Replace {
    fn matcher_for(&self, r: &Request) -> Option<Arc<Matcher>> {
        if let Some(matcher) = &self.matcher {
            return Some(matcher.clone());
        }
        let patterns: Vec<Bytes> = self.patterns.iter().map(|pattern| pattern.eval(r)).collect();
        Matcher::new(&patterns).map(Arc::new)
    }
}

/// A body with its text replaced.
struct Replacer {
    r: Rc<Request>,
    body: MemoryBody,
    search: matcher::Search,
    values: Arc<[Script]>,
    /// Values, once they were needed.
    evaluated: Vec<Option<Bytes>>,
    once: bool,
    /// With `sub_filter_once`, how many patterns were not found yet.
    left: usize,
    /// What may be the beginning of something that is looked for.
    held: Bytes,
    /// What goes out as one piece, as from nginx: of a page with many replacements every one would be a chunk else.
    pieces: Vec<Bytes>,
    ready: VecDeque<Result<Chunk, BodyCut>>,
    ended: bool,
}

/// How much is gathered before it goes out.
const GATHERED: usize = 64 << 10;

impl Replacer {
    fn take(&mut self, bytes: Bytes) {
        if self.once && self.left == 0 {
            return self.emit(bytes);
        }
        let text = match self.held.is_empty() {
            true => bytes,
            false => [std::mem::take(&mut self.held), bytes].concat().into(),
        };
        let mut sent = 0;
        while let Some(Found { start, end, pair }) = self.search.next(&text) {
            self.emit(text.slice(sent..start));
            let value = self.evaluated[pair].get_or_insert_with(|| self.values[pair].eval(&self.r)).clone();
            self.emit(value);
            sent = end;
            if self.once {
                self.left -= 1;
                if self.left == 0 {
                    return self.emit(text.slice(sent..));
                }
            }
        }
        let hold = self.search.hold(&text).max(sent);
        self.emit(text.slice(sent..hold));
        self.held = text.slice(hold..);
    }

    /// Lets go of what cannot begin anything.
    fn flush(&mut self) {
        if self.once && self.left == 0 {
            return;
        }
        let text = std::mem::take(&mut self.held);
        let hold = self.search.hold_little(&text);
        self.emit(text.slice(..hold));
        self.held = text.slice(hold..);
    }

    fn emit(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.pieces.push(bytes);
        }
    }

    /// Takes what is there already; `false` where that is nothing.
    fn gather(&mut self, cx: &mut Context<'_>) -> bool {
        let mut taken = 0;
        let mut is_ready = false;
        while taken < GATHERED {
            let Poll::Ready(piece) = self.body.poll_next(cx) else { break };
            is_ready = true;
            let behind = match piece {
                Some(Ok(Piece::Bytes(bytes))) => {
                    taken += bytes.len();
                    self.take(bytes);
                    continue;
                }
                Some(Ok(Piece::Flush)) => {
                    self.flush();
                    Some(Ok(Chunk::Flush))
                }
                Some(Err(cut)) => Some(Err(cut)),
                None => {
                    self.ended = true;
                    let held = std::mem::take(&mut self.held);
                    self.emit(held);
                    None
                }
            };
            self.join();
            self.ready.extend(behind);
            return true;
        }
        self.join();
        is_ready
    }

    fn join(&mut self) {
        let bytes = match &self.pieces[..] {
            [] => return,
            [one] => one.clone(),
            several => several.concat().into(),
        };
        self.pieces.clear();
        self.ready.push_back(Ok(Chunk::Bytes(bytes)));
    }
}

impl BodyStream for Replacer {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Chunk, BodyCut>>> {
        loop {
            if let Some(chunk) = self.ready.pop_front() {
                return Poll::Ready(Some(chunk));
            }
            if self.ended {
                return Poll::Ready(None);
            }
            if !self.gather(cx) {
                return Poll::Pending;
            }
        }
    }

    fn poll_progress(&mut self, cx: &mut Context<'_>) {
        self.body.poll_progress(cx);
    }

    fn trailers(&mut self) -> Option<Headers> {
        self.body.trailers()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Replaces in text that comes in these pieces; the values are the patterns in brackets.
    fn replace(patterns: &[&str], once: bool, pieces: &[&str]) -> String {
        let patterns: Vec<Bytes> = patterns.iter().map(|pattern| Bytes::copy_from_slice(pattern.as_bytes())).collect();
        let mut search = matcher::Search::new(Arc::new(Matcher::new(&patterns).unwrap()), once);
        let (mut out, mut held) = (Vec::new(), Vec::new());
        for piece in pieces {
            let text = [&held[..], piece.as_bytes()].concat();
            let mut sent = 0;
            while let Some(found) = search.next(&text) {
                out.extend_from_slice(&text[sent..found.start]);
                out.extend_from_slice(&[b"[", &patterns[found.pair][..], b"]"].concat());
                sent = found.end;
            }
            let hold = search.hold(&text).max(sent);
            out.extend_from_slice(&text[sent..hold]);
            held = text[hold..].to_vec();
        }
        out.extend_from_slice(&held);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn replaces_wherever_pieces_end() {
        let text = "xxfOobarfoOBarfoo bar foobafoobarbaz";
        let expected = "xx[foobar][foobar][foo] [bar] [foo]ba[foobar]baz";
        for first in 0..text.len() {
            for second in first..text.len() {
                let pieces = [&text[..first], &text[first..second], &text[second..]];
                assert_eq!(replace(&["foobar", "foo", "bar"], false, &pieces), expected, "{pieces:?}");
            }
        }
    }

    #[test]
    fn replaces_once() {
        assert_eq!(replace(&["a", "b"], true, &["aab", "bab"]), "[a]a[b]bab");
        assert_eq!(replace(&["a"], true, &["baa"]), "b[a]a");
    }

    #[test]
    fn prefers_the_first_pattern() {
        assert_eq!(replace(&["ab", "abc"], false, &["abcabc"]), "[ab]c[ab]c");
        assert_eq!(replace(&["abc", "ab"], false, &["abcab", "d"]), "[abc][ab]d");
        // nginx waits for the first one, and sends what is left at the end as it came.
        assert_eq!(replace(&["abc", "ab"], false, &["abcab"]), "[abc]ab");
    }
}
