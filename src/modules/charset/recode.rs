//! Bodies become another charset while they are sent.

use std::io::Write;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;

use super::tables::Table;
use crate::http::utf8::{self, NoCharacter};
use crate::http::{Body, BodyCut, BodyStream, Chunk, Headers, MemoryBody, Piece};

pub(super) fn recode(body: Body, table: Arc<Table>) -> Body {
    match body {
        Body::Empty => Body::Empty,
        body => Body::Stream(Box::new(Recoder { body: MemoryBody::new(body), table, carried: Vec::new() })),
    }
}

struct Recoder {
    body: MemoryBody,
    table: Arc<Table>,
    /// The first bytes of a character whose last ones have not come yet.
    carried: Vec<u8>,
}

impl BodyStream for Recoder {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Chunk, BodyCut>>> {
        loop {
            let bytes = match ready!(self.body.poll_next(cx)) {
                Some(Ok(Piece::Bytes(bytes))) => bytes,
                Some(Ok(Piece::Flush)) => return Poll::Ready(Some(Ok(Chunk::Flush))),
                Some(Err(cut)) => return Poll::Ready(Some(Err(cut))),
                None => return Poll::Ready(None),
            };
            let recoded = match &*self.table {
                Table::Bytes(table) => recode_bytes(bytes, table),
                Table::ToUtf8(table) => to_utf8(bytes, table),
                Table::FromUtf8(pages) => from_utf8(bytes, pages, &mut self.carried),
            };
            if !recoded.is_empty() {
                return Poll::Ready(Some(Ok(Chunk::Bytes(recoded))));
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

fn recode_bytes(bytes: Bytes, table: &[u8; 256]) -> Bytes {
    if bytes.iter().all(|byte| table[usize::from(*byte)] == *byte) {
        return bytes;
    }
    bytes.iter().map(|byte| table[usize::from(*byte)]).collect()
}

/// A piece in which no byte becomes more than one is left as it is, unknown bytes and all: so does nginx.
fn to_utf8(bytes: Bytes, table: &[[u8; 4]; 256]) -> Bytes {
    if bytes.iter().all(|byte| table[usize::from(*byte)][0] == 1) {
        return bytes;
    }
    let mut out = Vec::with_capacity(bytes.len() * 2);
    for byte in &bytes {
        let entry = &table[usize::from(*byte)];
        out.extend_from_slice(&entry[1..=usize::from(entry[0])]);
    }
    out.into()
}

/// Characters that the charset lacks become `&#1234;`, and what is no character `?`.
fn from_utf8(bytes: Bytes, pages: &[Option<Box<[u8; 256]>>; 256], carried: &mut Vec<u8>) -> Bytes {
    if carried.is_empty() && bytes.is_ascii() {
        return bytes;
    }
    let joined = [std::mem::take(carried).as_slice(), &bytes].concat();
    let mut rest = &joined[..];
    let mut out = Vec::with_capacity(joined.len());
    while let Some((first, behind)) = rest.split_first() {
        if *first < 0x80 {
            out.push(*first);
            rest = behind;
            continue;
        }
        match utf8::decode(&mut rest) {
            Ok(character) => put(character, pages, &mut out),
            Err(NoCharacter::Invalid) => out.push(b'?'),
            Err(NoCharacter::Incomplete) => {
                carried.extend_from_slice(rest);
                break;
            }
        }
    }
    out.into()
}

fn put(character: u32, pages: &[Option<Box<[u8; 256]>>; 256], out: &mut Vec<u8>) {
    let page = pages.get((character >> 8) as usize).and_then(Option::as_deref);
    match page.map(|page| page[(character & 0xff) as usize]) {
        Some(byte) if byte != 0 => out.push(byte),
        _ => write!(out, "&#{character};").expect("a Vec takes every write"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(mut body: Body) -> Vec<u8> {
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let mut all = Vec::new();
        while let Poll::Ready(Some(Ok(Chunk::Bytes(bytes)))) = body.poll_next(&mut cx) {
            all.extend_from_slice(&bytes);
        }
        all
    }

    fn pages() -> Arc<Table> {
        let mut pages: Box<[Option<Box<[u8; 256]>>; 256]> = Box::new([const { None }; 256]);
        let mut page = Box::new([0; 256]);
        page[0x4e] = 0xc0;
        pages[4] = Some(page);
        Arc::new(Table::FromUtf8(pages))
    }

    #[test]
    fn recodes_from_utf8_across_pieces() {
        let whole = "aю€😀\u{44f}b".as_bytes();
        for at in 0..whole.len() {
            let pieces = [&whole[..at], &whole[at..]].map(|piece| Chunk::Bytes(Bytes::copy_from_slice(piece)));
            assert_eq!(text(recode(Body::chunks(pieces), pages())), b"a\xc0&#8364;&#128512;&#1103;b", "{at}");
        }
        let broken = Body::Bytes(Bytes::from_static(b"a\xff\xd1"));
        assert_eq!(text(recode(broken, pages())), b"a?");
    }

    #[test]
    fn recodes_to_utf8() {
        let mut table = Box::new([[1, b'?', 0, 0]; 256]);
        table[0xc0] = [2, 0xd1, 0x8e, 0];
        table[b'a' as usize] = [1, b'a', 0, 0];
        let table = Arc::new(Table::ToUtf8(table));
        let recoded = |bytes: &'static [u8]| text(recode(Body::Bytes(Bytes::from_static(bytes)), table.clone()));
        assert_eq!(recoded(b"a\xc0\xff"), "aю?".as_bytes());
        assert_eq!(recoded(b"a\xff"), b"a\xff");
    }
}
