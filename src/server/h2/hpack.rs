//! Blocks of header fields as clients send them: HPACK (RFC 7541) with a table of its own for each connection, and with
//! nginx's limits.

use std::collections::VecDeque;
use std::ops::Range;

use super::{COMPRESSION_ERROR, Fatal};
use crate::upstream::grpc::{huffman_decode, static_entry};

/// The fields of one block, in order.
#[derive(Debug, Default)]
pub(super) struct Fields {
    arena: Vec<u8>,
    /// Where in it each name and value ends.
    ends: Vec<(usize, usize)>,
    /// Bytes of the block as it came.
    pub(super) length: u64,
}

impl Fields {
    /// Names and values.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let starts = std::iter::once(0).chain(self.ends.iter().map(|(_, end)| *end));
        starts.zip(&self.ends).map(|(start, (name, value))| (&self.arena[start..*name], &self.arena[*name..*value]))
    }

    /// How many bytes names and values have.
    pub(super) fn size(&self) -> usize {
        self.arena.len()
    }

    fn last(&self) -> (&[u8], &[u8]) {
        let Some((name, value)) = self.ends.last() else { return (b"", b"") };
        let start = self.ends.len().checked_sub(2).map_or(0, |at| self.ends[at].1);
        (&self.arena[start..*name], &self.arena[*name..*value])
    }
}

/// `large_client_header_buffers`, as nginx applies it to HTTP/2.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// The longest name or value as it is sent, in bytes.
    pub(super) field: usize,
    /// The most that all names and values may have, in bytes.
    pub(super) all: usize,
}

/// Reads the blocks of one connection.
#[derive(Debug)]
pub(super) struct Decoder {
    table: Table,
    limits: Limits,
}

/// What RFC 9113 gives a table where no setting says otherwise, in bytes.
const TABLE_SIZE: usize = 4096;

/// The most bytes that nginx reads of a number.
const LONGEST_NUMBER: usize = 4;

const TOO_LARGE: Fatal = Fatal::calm("client sent too large header");
const TOO_LARGE_FIELD: Fatal = Fatal::calm("client sent too large header field");
const CUT: Fatal = Fatal::size("client sent header block with incorrect length");
const CUT_FIELD: Fatal = Fatal::size("client sent header field with incorrect length");
const LONG_INDEX: Fatal = Fatal::compression("client sent header block with too long header index value");
const LONG_SIZE: Fatal = Fatal::compression("client sent header block with too long size update value");
const LONG_LENGTH: Fatal = Fatal::compression("client sent header field with too long length value");
const NO_INDEX: Fatal = Fatal::compression("client sent invalid hpack table index 0");
const BAD_CODE: Fatal = Fatal::compression("client sent invalid encoded header field");
const EMPTY_NAME: Fatal = Fatal::protocol("client sent zero header name length");

impl Decoder {
    /// For a new connection.
    pub(super) fn new(limits: Limits) -> Self {
        Self { table: Table { entries: VecDeque::new(), size: 0, most: TABLE_SIZE }, limits }
    }

    /// The most bytes that a block may have before it is read.
    pub(super) fn longest_block(&self) -> usize {
        4 * self.limits.all + (16 << 10)
    }

    /// Reads a whole block.
    ///
    /// # Errors
    /// What is wrong with it, in nginx's words; no block can be read any more.
    pub(super) fn read(&mut self, block: &[u8]) -> Result<Fields, Fatal> {
        let mut fields = Fields { length: block.len() as u64, ..Fields::default() };
        let mut rest = block;
        while let Some(first) = rest.first().copied() {
            match first {
                0x80.. => self.indexed(number(&mut rest, 7, &LONG_INDEX)?, &mut fields)?,
                // RFC 7541, section 4.2: it stands at the beginning.
                0x20..0x40 => match number(&mut rest, 5, &LONG_SIZE)? {
                    size if size <= TABLE_SIZE && fields.ends.is_empty() => self.table.resize(size),
                    size => return Err(bad_size(size)),
                },
                _ => self.literal(&mut rest, first & 0x40 != 0, &mut fields)?,
            }
            if fields.arena.len() > self.limits.all {
                return Err(TOO_LARGE);
            }
        }
        Ok(fields)
    }

    fn indexed(&self, index: usize, fields: &mut Fields) -> Result<(), Fatal> {
        let (name, value) = self.table.find(index)?;
        fields.arena.extend_from_slice(name);
        let name = fields.arena.len();
        fields.arena.extend_from_slice(value);
        fields.ends.push((name, fields.arena.len()));
        Ok(())
    }

    fn literal(&mut self, rest: &mut &[u8], is_kept: bool, fields: &mut Fields) -> Result<(), Fatal> {
        match number(rest, if is_kept { 6 } else { 4 }, &LONG_INDEX)? {
            0 => {
                if self.string(rest, &mut fields.arena)?.is_empty() {
                    return Err(EMPTY_NAME);
                }
            }
            index => fields.arena.extend_from_slice(self.table.find(index)?.0),
        }
        let name = fields.arena.len();
        self.string(rest, &mut fields.arena)?;
        fields.ends.push((name, fields.arena.len()));
        if is_kept {
            let (name, value) = fields.last();
            self.table.add(name, value);
        }
        Ok(())
    }

    fn string(&self, rest: &mut &[u8], out: &mut Vec<u8>) -> Result<Range<usize>, Fatal> {
        let is_coded = rest.first().ok_or(CUT)? & 0x80 != 0;
        let length = number(rest, 7, &LONG_LENGTH)?;
        if length > self.limits.field {
            return Err(TOO_LARGE_FIELD);
        }
        let (text, behind) = rest.split_at_checked(length).ok_or(CUT_FIELD)?;
        *rest = behind;
        let start = out.len();
        if is_coded {
            huffman_decode(text, out).ok_or(BAD_CODE)?;
        } else {
            out.extend_from_slice(text);
        }
        Ok(start..out.len())
    }
}

fn far_index(index: usize) -> Fatal {
    Fatal::said(COMPRESSION_ERROR, format!("client sent out of bound hpack table index: {index}"))
}

fn bad_size(size: usize) -> Fatal {
    Fatal::said(COMPRESSION_ERROR, format!("client sent invalid table size update: {size}"))
}

/// A number whose first byte has so many bits for it. RFC 7541, section 5.1.
fn number(rest: &mut &[u8], bits: u32, too_long: &Fatal) -> Result<usize, Fatal> {
    let most = (1usize << bits) - 1;
    let (first, mut behind) = rest.split_first().ok_or(CUT)?;
    let mut value = usize::from(*first) & most;
    if value == most {
        for shift in 0.. {
            if shift + 1 == LONGEST_NUMBER {
                // What stands there of it may be the block's end, too.
                return Err(if rest.len() <= LONGEST_NUMBER { CUT } else { too_long.clone() });
            }
            let (byte, more) = behind.split_first().ok_or(CUT)?;
            behind = more;
            value += usize::from(byte & 0x7f) << (7 * shift);
            if byte & 0x80 == 0 {
                break;
            }
        }
    }
    *rest = behind;
    Ok(value)
}

/// The fields that a client may name by number.
#[derive(Debug)]
struct Table {
    /// The newest first.
    entries: VecDeque<(Box<[u8]>, usize)>,
    size: usize,
    most: usize,
}

/// What each entry counts beyond its bytes.
const OVERHEAD: usize = 32;

/// Entries of the table that is always there.
const STATIC: usize = 61;

impl Table {
    fn find(&self, index: usize) -> Result<(&[u8], &[u8]), Fatal> {
        if index <= STATIC {
            let (name, value) = static_entry(index).ok_or(NO_INDEX)?;
            return Ok((name.as_bytes(), value.as_bytes()));
        }
        let index = index - STATIC - 1;
        let (text, name) = self.entries.get(index).ok_or_else(|| far_index(index))?;
        Ok(text.split_at(*name))
    }

    fn add(&mut self, name: &[u8], value: &[u8]) {
        let size = name.len() + value.len() + OVERHEAD;
        self.shrink(self.most.saturating_sub(size));
        if size <= self.most {
            self.entries.push_front(([name, value].concat().into(), name.len()));
            self.size += size;
        }
    }

    fn resize(&mut self, most: usize) {
        self.most = most;
        self.shrink(most);
    }

    fn shrink(&mut self, most: usize) {
        while self.size > most {
            let Some((text, _)) = self.entries.pop_back() else { break };
            self.size -= text.len() + OVERHEAD;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoder() -> Decoder {
        Decoder::new(Limits { field: 1000, all: 3000 })
    }

    fn text(fields: &Fields) -> String {
        let line = |(name, value): (&[u8], &[u8])| {
            format!("{}: {}\n", String::from_utf8_lossy(name), String::from_utf8_lossy(value))
        };
        fields.iter().map(line).collect()
    }

    #[test]
    fn reads_the_requests_of_the_rfc() {
        // RFC 7541, appendix C.4: three requests of one connection.
        let blocks: [&[u8]; 3] = [
            &[0x82, 0x86, 0x84, 0x41, 0x8c, 0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff],
            &[0x82, 0x86, 0x84, 0xbe, 0x58, 0x86, 0xa8, 0xeb, 0x10, 0x64, 0x9c, 0xbf],
            &[
                0x82, 0x87, 0x85, 0xbf, 0x40, 0x88, 0x25, 0xa8, 0x49, 0xe9, 0x5b, 0xa9, 0x7d, 0x7f, 0x89, 0x25, 0xa8,
                0x49, 0xe9, 0x5b, 0xb8, 0xe8, 0xb4, 0xbf,
            ],
        ];
        let mut decoder = decoder();
        let read: String = blocks.iter().map(|block| text(&decoder.read(block).unwrap()) + "\n").collect();
        let expected = ":method: GET\n:scheme: http\n:path: /\n:authority: www.example.com\n\n\
                        :method: GET\n:scheme: http\n:path: /\n:authority: www.example.com\ncache-control: no-cache\n\n\
                        :method: GET\n:scheme: https\n:path: /index.html\n:authority: www.example.com\n\
                        custom-key: custom-value\n\n";
        assert_eq!(read, expected);
        assert_eq!((decoder.table.size, decoder.table.entries.len()), (164, 3));
    }

    #[test]
    fn refuses_with_the_codes_of_nginx() {
        let long = [&[0x00, 0x7f, 0xff, 0x7f][..], &[b'a'; 3000]].concat();
        let many = [&[0x40, 1, b'a', 0x7f, 0xe9, 6][..], &[b'a'; 1000], &[0xbe; 4]].concat();
        for (block, expected) in [
            (&[0x80][..], NO_INDEX),
            (&[0xbe], far_index(0)),
            (&[0x00, 0x00], EMPTY_NAME),
            (&[0x00, 0x02, b'a'], CUT_FIELD),
            (&[0x3f, 0xe2, 0x1f], bad_size(4097)),
            (&[0x82, 0x20], bad_size(0)),
            (&[0xff, 0xff], CUT),
            (&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff], LONG_INDEX),
            (&[0x00, 0x81, 0x00], BAD_CODE),
            (&long, TOO_LARGE_FIELD),
            (&many, TOO_LARGE),
        ] {
            assert_eq!(decoder().read(block).unwrap_err(), expected, "{block:?}");
        }
    }

    #[test]
    fn forgets_what_does_not_fit() {
        let mut decoder = decoder();
        decoder.read(&[0x3f, 0x21, 0x40, 1, b'a', 1, b'b', 0x40, 1, b'c', 1, b'd']).unwrap();
        assert_eq!(text(&decoder.read(&[0xbe]).unwrap()), "c: d\n");
        assert_eq!(decoder.read(&[0xbf]).unwrap_err(), far_index(1));
    }
}
