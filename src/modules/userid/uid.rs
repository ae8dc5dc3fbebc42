//! The numbers that clients are told apart by, and the cookie they come in.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::net::IpAddr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;

use crate::http::{HeaderId, Request, base64, date};
use crate::log::Level;

/// How many letters of the cookie are the number; a mark may follow.
pub(super) const LETTERS: usize = 22;

/// Four words: a service or server, a time, a process, and a count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Uid([u32; 4]);

/// Counts that grow by this much leave room for threads, once thought of.
const STEP: u32 = 0x100;

/// Where the counts of the second version begin, again and again.
const FIRST: u32 = 0x0303_0302;

static COUNT_V1: AtomicU32 = AtomicU32::new(1);
static COUNT: AtomicU32 = AtomicU32::new(FIRST);

impl Uid {
    /// The count of a number is never zero.
    pub(super) const NONE: Uid = Uid([0; 4]);

    /// A number of the first version.
    pub(super) fn first_version(service: Option<u32>) -> Self {
        Self([service.unwrap_or(0), now(), process(), COUNT_V1.fetch_add(STEP, Ordering::Relaxed)])
    }

    /// A new number; without a service, the server's address tells servers apart.
    pub(super) fn new(service: Option<u32>, address: Option<IpAddr>) -> Self {
        let server = match (service, address) {
            (Some(service), _) => service.to_be_bytes(),
            (None, Some(IpAddr::V4(address))) => address.octets(),
            (None, Some(IpAddr::V6(address))) => {
                let [.., a, b, c, d] = address.octets();
                [a, b, c, d]
            }
            (None, None) => [0; 4],
        };
        let next = |count: u32| Some(count.wrapping_add(STEP).max(FIRST));
        let count = COUNT.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).unwrap_or_else(|count| count);
        Self([u32::from_ne_bytes(server), now().to_be(), process().to_be(), count.to_be()])
    }

    fn from_bytes(bytes: &[u8]) -> Self {
        let mut words = [0; 4];
        for (word, bytes) in words.iter_mut().zip(bytes.chunks_exact(4)) {
            *word = u32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        }
        if words[3] == 0 { Self::NONE } else { Self(words) }
    }

    /// The words as they lie in memory.
    pub(super) fn bytes(self) -> Vec<u8> {
        self.0.iter().flat_map(|word| word.to_ne_bytes()).collect()
    }
}

impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|word| write!(f, "{word:08X}"))
    }
}

fn now() -> u32 {
    date::now() as u32
}

/// When this process began, as far as 16 bits tell it, and its number.
fn process() -> u32 {
    static STARTED: OnceLock<u32> = OnceLock::new();
    *STARTED.get_or_init(|| {
        let micros = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.subsec_micros());
        (micros / 20) << 16 | std::process::id()
    })
}

/// A request's numbers.
#[derive(Default)]
pub(super) struct Ids {
    /// Whether the cookie was looked for.
    pub(super) read: Cell<bool>,
    /// What the client sent.
    pub(super) got: Cell<Uid>,
    /// The cookie's value.
    pub(super) sent: RefCell<Bytes>,
    /// What the client is sent.
    pub(super) set: Cell<Uid>,
    /// Whether the client's number counts no more.
    pub(super) reset: Cell<bool>,
}

impl Ids {
    pub(super) fn read_cookie(&self, r: &Request, name: &[u8]) {
        let headers = r.headers.borrow();
        let mut cookies = headers.get_all(HeaderId::Cookie);
        let Some((header, value)) = cookies.find_map(|header| Some((header, find(header, name)?))) else { return };
        *self.sent.borrow_mut() = Bytes::copy_from_slice(value);
        let complain = |what: &str| {
            r.log_with(Level::Error, |line| {
                line.put("client sent ").put(what).put(" userid cookie \"").bytes(header).put('"');
            });
        };
        match value.get(..LETTERS).map(base64::decode) {
            None => complain("too short"),
            Some(None) => complain("invalid"),
            Some(Some(mut bytes)) => {
                bytes.resize(16, 0);
                self.got.set(Uid::from_bytes(&bytes));
            }
        }
    }
}

/// The value of a cookie of this name, in any case.
fn find<'c>(cookies: &'c [u8], name: &[u8]) -> Option<&'c [u8]> {
    let mut rest = cookies;
    while !rest.is_empty() {
        if let Some(found) = rest.split_at_checked(name.len()).filter(|(start, _)| start.eq_ignore_ascii_case(name))
            && let Some(value) = without_spaces(found.1).strip_prefix(b"=")
        {
            let value = without_spaces(value);
            return Some(&value[..memchr::memchr(b';', value).unwrap_or(value.len())]);
        }
        let end = memchr::memchr2(b';', b',', rest)?;
        rest = without_spaces(&rest[end + 1..]);
    }
    None
}

fn without_spaces(text: &[u8]) -> &[u8] {
    &text[text.iter().take_while(|byte| **byte == b' ').count()..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_cookies() {
        for (cookies, value) in [
            ("uid=a", Some("a")),
            ("x=uid; UID = b ; y", Some("b ")),
            ("uids=a; uid=", Some("")),
            ("x=1,uid=c", Some("c")),
            ("uid", None),
            ("xuid=a", None),
        ] {
            assert_eq!(find(cookies.as_bytes(), b"uid"), value.map(str::as_bytes), "{cookies}");
        }
    }

    #[test]
    fn numbers_survive_a_cookie() {
        let first = Uid::new(None, Some([127, 0, 0, 1].into()));
        let second = Uid::new(Some(7), None);
        assert_ne!(first, second);
        for uid in [first, second, Uid::first_version(None)] {
            let mut text = Vec::new();
            base64::append(&uid.bytes(), &mut text);
            assert_eq!(Uid::from_bytes(&base64::decode(&text[..LETTERS]).unwrap()), uid);
        }
        assert_eq!(first.bytes()[..4], [127, 0, 0, 1]);
        assert_eq!(second.bytes()[..4], [0, 0, 0, 7]);
    }
}
