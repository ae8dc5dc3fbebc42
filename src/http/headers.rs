//! Header fields as they came over the wire: one byte arena and small ranges into it, order and case kept.
//!
//! Names that anything treats specially are told apart once, when a field is pushed; see [`HeaderId`].

use super::header_id::HeaderId;

/// A range of bytes inside an arena; 32 bits are enough for any head that our limits let through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Piece {
    at: u32,
    len: u32,
}

impl Piece {
    /// The range `start..end` of a buffer shorter than 4 GiB.
    #[inline]
    pub(crate) fn new(start: usize, end: usize) -> Piece {
        debug_assert!(start <= end && end <= u32::MAX as usize);
        Piece { at: start as u32, len: (end - start) as u32 }
    }

    #[inline]
    pub(crate) fn of(self, bytes: &[u8]) -> &[u8] {
        &bytes[self.start()..self.end()]
    }

    #[inline]
    pub(crate) fn start(self) -> usize {
        self.at as usize
    }

    #[inline]
    pub(crate) fn end(self) -> usize {
        self.at as usize + self.len as usize
    }

    #[inline]
    pub(crate) fn len(self) -> usize {
        self.len as usize
    }

    #[inline]
    pub(crate) fn is_empty(self) -> bool {
        self.len == 0
    }
}

/// A field pushed by its id has no name in the arena: it is spelled as nginx spells it.
const CANONICAL: Piece = Piece { at: u32::MAX, len: 0 };

#[derive(Clone, Copy, Debug)]
struct Field {
    name: Piece,
    value: Piece,
    id: HeaderId,
}

/// A list of header fields.
///
/// Values and names are raw bytes. `clear` keeps the memory, so one value serves many messages.
#[derive(Clone, Debug, Default)]
pub(crate) struct Headers {
    arena: Vec<u8>,
    fields: Vec<Field>,
    /// One bit for each id that has a field: most look-ups are for fields that are not there.
    present: u64,
}

impl Headers {
    pub(crate) fn new() -> Headers {
        Headers::default()
    }

    /// Room for `fields` fields whose names and values take `bytes` bytes together.
    pub(crate) fn with_capacity(fields: usize, bytes: usize) -> Headers {
        Headers { arena: Vec::with_capacity(bytes), fields: Vec::with_capacity(fields), present: 0 }
    }

    pub(crate) fn clear(&mut self) {
        self.arena.clear();
        self.fields.clear();
        self.present = 0;
    }

    pub(crate) fn len(&self) -> usize {
        self.fields.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// Adds a field at the end; `name` is kept as it is spelled.
    pub(crate) fn push(&mut self, name: &[u8], value: &[u8]) {
        let id = HeaderId::of(name);
        let name = self.store(name);
        let value = self.store(value);
        self.push_pieces(id, name, value);
    }

    /// Adds a field at the end that counts as none of those told apart, whatever its name: it is sent and seen
    /// by name, and nothing else comes of it.
    pub(crate) fn push_plain(&mut self, name: &[u8], value: &[u8]) {
        let name = self.store(name);
        let value = self.store(value);
        self.push_pieces(HeaderId::Other, name, value);
    }

    /// Adds a field at the end, its name spelled as nginx spells it. `id` must not be [`HeaderId::Other`].
    pub(crate) fn push_id(&mut self, id: HeaderId, value: &[u8]) {
        debug_assert!(id != HeaderId::Other);
        let value = self.store(value);
        self.push_pieces(id, CANONICAL, value);
    }

    /// The value of the first field of this kind.
    #[inline]
    pub(crate) fn get(&self, id: HeaderId) -> Option<&[u8]> {
        if !self.has(id) {
            return None;
        }
        self.get_all(id).next()
    }

    /// Is there a field of this kind? Costs one bit test.
    #[inline]
    pub(crate) fn has(&self, id: HeaderId) -> bool {
        self.present & id.bit() != 0
    }

    /// The values of all fields of this kind, in order.
    pub(crate) fn get_all(&self, id: HeaderId) -> impl Iterator<Item = &[u8]> {
        self.fields.iter().filter(move |field| field.id == id).map(|field| field.value.of(&self.arena))
    }

    /// The value of the first field of this name, in any case.
    pub(crate) fn find(&self, name: &[u8]) -> Option<&[u8]> {
        self.find_all(name).next()
    }

    /// The values of all fields of this name, in any case, in order.
    pub(crate) fn find_all(&self, name: &[u8]) -> impl Iterator<Item = &[u8]> {
        self.iter().filter(move |(_, found, _)| found.eq_ignore_ascii_case(name)).map(|(_, _, value)| value)
    }

    /// The values that nginx's `$http_NAME`, `$sent_http_NAME` and `$upstream_http_NAME` mean:
    /// `variable` is the lower-case rest of the variable's name, where `_` stands for `-`.
    pub(crate) fn find_variable(&self, variable: &[u8]) -> impl Iterator<Item = &[u8]> {
        self.iter().filter(move |(_, name, _)| is_variable_of(variable, name)).map(|(_, _, value)| value)
    }

    /// All fields in order: id, name as spelled, value.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (HeaderId, &[u8], &[u8])> {
        self.fields.iter().map(|field| (field.id, self.name(field), field.value.of(&self.arena)))
    }

    /// Drops every field of this kind; tells if there was one.
    pub(crate) fn remove(&mut self, id: HeaderId) -> bool {
        let before = self.fields.len();
        if self.has(id) {
            self.fields.retain(|field| field.id != id);
            self.present &= !id.bit();
        }
        self.fields.len() != before
    }

    /// Drops every field of this name, in any case; tells if there was one.
    pub(crate) fn remove_name(&mut self, name: &[u8]) -> bool {
        let before = self.fields.len();
        self.retain(|_, found, _| !found.eq_ignore_ascii_case(name));
        self.fields.len() != before
    }

    /// Keeps the fields for which `keep(id, name, value)` is true.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(HeaderId, &[u8], &[u8]) -> bool) {
        let arena = &self.arena;
        self.fields.retain(|field| keep(field.id, field.name_in(arena), field.value.of(arena)));
        self.present = self.fields.iter().fold(0, |bits, field| bits | field.id.bit());
    }

    /// Makes `value` the only value of this kind, where the first one stood or else at the end.
    pub(crate) fn set(&mut self, id: HeaderId, value: &[u8]) {
        debug_assert!(id != HeaderId::Other);
        if !self.has(id) {
            return self.push_id(id, value);
        }
        let value = self.store(value);
        let mut first = true;
        self.fields.retain_mut(|field| {
            if field.id != id {
                return true;
            }
            field.value = value;
            std::mem::take(&mut first)
        });
    }

    /// The same by name, which is then spelled as given.
    pub(crate) fn replace(&mut self, name: &[u8], value: &[u8]) {
        let id = HeaderId::of(name);
        debug_assert!(id != HeaderId::Other);
        if !self.has(id) {
            return self.push(name, value);
        }
        self.set(id, value);
        let name = self.store(name);
        if let Some(field) = self.fields.iter_mut().find(|field| field.id == id) {
            field.name = name;
        }
    }

    fn name<'a>(&'a self, field: &Field) -> &'a [u8] {
        field.name_in(&self.arena)
    }

    fn store(&mut self, bytes: &[u8]) -> Piece {
        let start = self.arena.len();
        self.arena.extend_from_slice(bytes);
        Piece::new(start, self.arena.len())
    }
}

/// For parsers: the arena is the message's own head, and fields are ranges of it.
impl Headers {
    /// Notes a field whose name and value lie in the bytes that [`Headers::adopt`] will be given.
    #[inline]
    pub(crate) fn push_pieces(&mut self, id: HeaderId, name: Piece, value: Piece) {
        self.present |= id.bit();
        self.fields.push(Field { name, value, id });
    }

    /// Makes a copy of `head` the arena; the pieces noted so far point into it.
    pub(crate) fn adopt(&mut self, head: &[u8]) {
        self.arena.clear();
        self.arena.extend_from_slice(head);
    }

    /// Whether there is one.
    pub(crate) fn has_arena(&self) -> bool {
        !self.arena.is_empty()
    }

    /// The first fields alone.
    #[cold]
    pub(crate) fn first(&self, fields: usize) -> Headers {
        let fields: Vec<Field> = self.fields.iter().take(fields).copied().collect();
        let present = fields.iter().fold(0, |present, field| present | field.id.bit());
        Headers { fields, present, ..self.clone() }
    }

    /// Bytes of the arena; after [`Headers::adopt`], of the head.
    #[inline]
    pub(crate) fn bytes(&self, piece: Piece) -> &[u8] {
        piece.of(&self.arena)
    }

    /// Where the first field of this kind stands in the bytes being parsed: its name and value.
    pub(crate) fn pieces(&self, id: HeaderId) -> Option<(Piece, Piece)> {
        if !self.has(id) {
            return None;
        }
        self.fields.iter().find(|field| field.id == id).map(|field| (field.name, field.value))
    }
}

impl Field {
    fn name_in<'a>(&self, arena: &'a [u8]) -> &'a [u8] {
        if self.name == CANONICAL { self.id.name().as_bytes() } else { self.name.of(arena) }
    }
}

fn is_variable_of(variable: &[u8], name: &[u8]) -> bool {
    let spelled = |byte: u8| if byte == b'-' { b'_' } else { byte.to_ascii_lowercase() };
    variable.len() == name.len() && variable.iter().zip(name).all(|(&want, &have)| want == spelled(have))
}

/// A decimal number as nginx reads `Content-Length`: digits only, at least one, no overflow of 63 bits.
pub(crate) fn parse_length(value: &[u8]) -> Option<u64> {
    if value.is_empty() {
        return None;
    }
    let mut length: i64 = 0;
    for &byte in value {
        if !byte.is_ascii_digit() {
            return None;
        }
        length = length.checked_mul(10)?.checked_add(i64::from(byte - b'0'))?;
    }
    Some(length as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Headers {
        let mut headers = Headers::new();
        headers.push(b"HOST", b"a.example");
        headers.push(b"X-Thing", b"1");
        headers.push_id(HeaderId::SetCookie, b"a=1");
        headers.push(b"set-cookie", b"b=2");
        headers
    }

    fn lines(headers: &Headers) -> Vec<String> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        headers.iter().map(|(_, name, value)| format!("{}: {}", text(name), text(value))).collect()
    }

    #[test]
    fn keeps_order_and_case() {
        assert_eq!(lines(&sample()), ["HOST: a.example", "X-Thing: 1", "Set-Cookie: a=1", "set-cookie: b=2"]);
    }

    #[test]
    fn finds_by_id_and_by_name() {
        let headers = sample();
        assert_eq!(headers.get(HeaderId::Host), Some(&b"a.example"[..]));
        assert_eq!(headers.get(HeaderId::Cookie), None);
        assert_eq!(headers.get_all(HeaderId::SetCookie).collect::<Vec<_>>(), [b"a=1", b"b=2"]);
        assert_eq!(headers.find(b"x-thing"), Some(&b"1"[..]));
        assert_eq!(headers.find(b"x-thin"), None);
        assert_eq!(headers.find_variable(b"x_thing").collect::<Vec<_>>(), [b"1"]);
        assert_eq!(headers.find_variable(b"set_cookie").count(), 2);
        assert_eq!(headers.find_variable(b"x-thing").count(), 0);
    }

    #[test]
    fn removes_and_sets() {
        let mut headers = sample();
        assert!(headers.remove(HeaderId::Host));
        assert!(!headers.remove(HeaderId::Host));
        headers.set(HeaderId::SetCookie, b"c=3");
        headers.set(HeaderId::Server, b"me");
        assert_eq!(lines(&headers), ["X-Thing: 1", "Set-Cookie: c=3", "Server: me"]);
        assert!(headers.remove_name(b"x-THING"));
        headers.replace(b"SERVER", b"you");
        assert_eq!(lines(&headers), ["Set-Cookie: c=3", "SERVER: you"]);
        headers.set(HeaderId::Server, b"me");
        headers.retain(|id, _, _| id != HeaderId::SetCookie);
        assert!(!headers.has(HeaderId::SetCookie));
        assert_eq!(lines(&headers), ["SERVER: me"]);
        headers.clear();
        assert!(headers.is_empty() && headers.get(HeaderId::Server).is_none());
    }

    #[test]
    fn adopts_a_head() {
        let head = b"Host: b.example\r\n";
        let mut headers = Headers::with_capacity(4, 64);
        headers.push_pieces(HeaderId::Host, Piece::new(0, 4), Piece::new(6, 15));
        headers.adopt(head);
        headers.push(b"X", b"y");
        assert_eq!(lines(&headers), ["Host: b.example", "X: y"]);
    }

    #[test]
    fn reads_lengths() {
        assert_eq!(parse_length(b"0"), Some(0));
        assert_eq!(parse_length(b"0042"), Some(42));
        assert_eq!(parse_length(b"9223372036854775807"), Some(i64::MAX as u64));
        for bad in [&b""[..], b"9223372036854775808", b"+1", b"-1", b"1 ", b"1,1", b"0x1"] {
            assert_eq!(parse_length(bad), None, "{bad:?}");
        }
    }
}
