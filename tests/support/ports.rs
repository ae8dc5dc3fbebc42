//! Free TCP ports for the literal 8080…8099 that stand in cases, held by a lock file each so that test runs side by side do not meet.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};

use fancy_regex::Regex;
use rustix::fs::{FlockOperation, flock};
use socket2::{Domain, Socket, Type};

/// Four digits, so that lengths in answers stay what they are with 8080, and below the ports that the kernel gives out.
pub const POOL: std::ops::Range<u16> = 7000..8000;

/// The ports of one case, free again when dropped.
pub struct Ports {
    held: Vec<(u16, u16, File)>,
}

impl Ports {
    /// Finds a free port for every literal port that stands in one of `texts`.
    pub fn for_texts(texts: &[&str]) -> Ports {
        let literal = literal_port();
        let mut ports = Ports { held: Vec::new() };
        for found in texts.iter().flat_map(|t| literal.find_iter(t)).flatten() {
            let port = found.as_str().parse().expect("the pattern is four digits");
            if ports.actual(port).is_none() {
                let (actual, lock) = free_port();
                ports.held.push((port, actual, lock));
            }
        }
        ports
    }

    pub fn actual(&self, literal: u16) -> Option<u16> {
        let of = |held: &&(u16, u16, File)| held.0 == literal;
        self.held.iter().find(of).map(|held| held.1)
    }

    /// `text` with the ports that are really used.
    pub fn apply(&self, text: &str) -> String {
        let change = |found: &fancy_regex::Captures<str>| {
            let literal = found[0].parse().expect("the pattern is four digits");
            let actual = self.actual(literal);
            actual.unwrap_or(literal).to_string()
        };
        literal_port().replace_all(text, change).into_owned()
    }

    /// `text` with the literal ports of the case again.
    pub fn undo(&self, text: &str) -> String {
        let change = |found: &fancy_regex::Captures<str>| {
            let actual: u16 = found[0].parse().expect("the pattern is four digits");
            let of = |held: &&(u16, u16, File)| held.1 == actual;
            let literal = self.held.iter().find(of).map_or(actual, |held| held.0);
            literal.to_string()
        };
        pool_port().replace_all(text, change).into_owned()
    }
}

/// A number that could be taken for a port of the pool: a case must not have one, or it would be rewritten by chance.
pub fn ambiguous(text: &str) -> Option<String> {
    let found = pool_port().find(text).ok().flatten()?;
    Some(found.as_str().to_owned())
}

fn literal_port() -> Regex {
    Regex::new(r"(?<![0-9A-Za-z.])80[89][0-9](?![0-9A-Za-z])").expect("a fixed pattern")
}

fn pool_port() -> Regex {
    Regex::new(r"(?<![0-9A-Za-z])7[0-9]{3}(?![0-9A-Za-z])").expect("a fixed pattern")
}

fn free_port() -> (u16, File) {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let user = rustix::process::geteuid().as_raw();
    let folder = std::env::temp_dir().join(format!("rnginx-test-ports-{user}"));
    fs::create_dir_all(&folder).expect("the temporary folder can be written");
    let start = std::process::id().wrapping_mul(37);
    for _ in 0..POOL.len() {
        let step = start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = POOL.start + (step % POOL.len() as u32) as u16;
        let lock = File::create(folder.join(port.to_string())).expect("a lock file can be made");
        let locked = flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok();
        if locked && can_bind(port) {
            return (port, lock);
        }
    }
    panic!("no free port in {POOL:?}");
}

/// Without listening: a child that is just being started would keep a listening socket open for a moment.
fn can_bind(port: u16) -> bool {
    let try_bind = || {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.set_reuse_address(true)?;
        socket.bind(&SocketAddr::from(([0, 0, 0, 0], port)).into())
    };
    try_bind().is_ok()
}
