//! Values by host name, with wildcards, as nginx's combined hash finds them.

use std::collections::HashSet;

use super::NameMap;

/// Values by host name: `example.com`, `*.example.com`, `.example.com` (both), `www.example.*`.
#[derive(Clone, Debug)]
pub struct HostTable<T> {
    exact: NameMap<Box<[u8]>, T>,
    /// `*.example.com` as `.example.com`.
    heads: NameMap<Box<[u8]>, T>,
    /// `www.example.*` as `www.example.`.
    tails: NameMap<Box<[u8]>, T>,
    /// `example.com` of `.example.com`, beside which the exact name cannot stand.
    reserved: HashSet<Box<[u8]>>,
}

/// Why a name was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostFault {
    /// A wildcard where none may stand.
    #[error("invalid name or wildcard")]
    Invalid,
    /// It is there already.
    #[error("conflicting name")]
    Conflict,
}

impl<T> Default for HostTable<T> {
    fn default() -> Self {
        let (exact, heads, tails) = (NameMap::default(), NameMap::default(), NameMap::default());
        Self { exact, heads, tails, reserved: HashSet::new() }
    }
}

impl<T: Clone> HostTable<T> {
    /// Whether there is no name at all.
    pub fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.heads.is_empty() && self.tails.is_empty()
    }

    /// Adds a name that stands for itself, whatever it looks like.
    ///
    /// # Errors
    /// [`HostFault::Conflict`]
    pub fn insert_exact(&mut self, name: &[u8], value: T) -> Result<(), HostFault> {
        let name = name.to_ascii_lowercase();
        if self.reserved.contains(&name[..]) {
            return Err(HostFault::Conflict);
        }
        put(&mut self.exact, &name, value)
    }

    /// Adds a name that may be a wildcard.
    ///
    /// # Errors
    /// [`HostFault`]
    pub fn insert(&mut self, name: &[u8], value: T) -> Result<(), HostFault> {
        let stars = name.iter().filter(|byte| **byte == b'*').count();
        if stars > 1 || name.windows(2).any(|pair| pair == b"..") || name.contains(&0) {
            return Err(HostFault::Invalid);
        }
        let lower = name.to_ascii_lowercase();
        match &lower[..] {
            [b'.', _, ..] => self.insert_with_bare(&lower, value),
            [b'*', b'.', _, ..] => put(&mut self.heads, &lower[1..], value),
            [_, .., b'.', b'*'] => put(&mut self.tails, &lower[..lower.len() - 1], value),
            _ if stars > 0 => Err(HostFault::Invalid),
            _ => self.insert_exact(&lower, value),
        }
    }

    /// `.example.com` stands for `example.com` too.
    fn insert_with_bare(&mut self, key: &[u8], value: T) -> Result<(), HostFault> {
        let bare = &key[1..];
        if self.exact.contains_key(bare) || !self.reserved.insert(bare.into()) {
            return Err(HostFault::Conflict);
        }
        put(&mut self.heads, key, value.clone())?;
        self.exact.insert(bare.into(), value);
        Ok(())
    }

    /// All names, as they are written: `*.example.com`, `www.example.*`; `.example.com` as the two that it stands for.
    pub fn names(&self) -> impl Iterator<Item = Vec<u8>> {
        let exact = self.exact.keys().map(|name| name.to_vec());
        let heads = self.heads.keys().map(|name| [b"*", &name[..]].concat());
        exact.chain(heads).chain(self.tails.keys().map(|name| [name, &b"*"[..]].concat()))
    }

    /// The value of a name in lower case: exact names first, then the longest wildcard at the front, then the
    /// longest at the end.
    pub fn find(&self, name: &[u8]) -> Option<&T> {
        if let Some(value) = self.exact.get(name) {
            return Some(value);
        }
        if self.heads.is_empty() && self.tails.is_empty() {
            return None;
        }
        let dots = || memchr::memchr_iter(b'.', name);
        // Before the first dot may be nothing: nginx finds `*.example.com` for `.example.com`.
        let head = || dots().find_map(|dot| self.heads.get(&name[dot..]));
        let tail = || dots().rev().filter(|dot| dot + 1 < name.len()).find_map(|dot| self.tails.get(&name[..=dot]));
        head().or_else(tail)
    }
}

fn put<T>(map: &mut NameMap<Box<[u8]>, T>, key: &[u8], value: T) -> Result<(), HostFault> {
    if map.contains_key(key) {
        return Err(HostFault::Conflict);
    }
    map.insert(key.into(), value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_names() {
        let mut hosts = HostTable::default();
        for (number, name) in
            ["Example.com", "*.example.com", ".b.org", "www.example.*", "*.a.example.com"].iter().enumerate()
        {
            hosts.insert(name.as_bytes(), number).unwrap();
        }
        for (host, number) in [
            ("example.com", Some(0)),
            ("x.example.com", Some(1)),
            ("x.y.example.com", Some(1)),
            ("x.a.example.com", Some(4)),
            ("a.example.com", Some(1)),
            ("b.org", Some(2)),
            ("x.b.org", Some(2)),
            ("www.example.net", Some(3)),
            ("www.example.co.uk", Some(3)),
            ("www.example.", None),
            (".example.com", Some(1)),
            ("c.org", None),
        ] {
            assert_eq!(hosts.find(host.as_bytes()).copied(), number, "{host}");
        }
    }

    #[test]
    fn refuses_names() {
        let mut hosts = HostTable::default();
        for wrong in ["*", "a*", "*.a.*", "a..b", "a.*.b", "*a.b"] {
            assert_eq!(hosts.insert(wrong.as_bytes(), ()), Err(HostFault::Invalid), "{wrong}");
        }
        hosts.insert(b".a.b", ()).unwrap();
        for twice in ["a.b", "*.a.b", "A.B"] {
            assert_eq!(hosts.insert(twice.as_bytes(), ()), Err(HostFault::Conflict), "{twice}");
        }
    }

    fn table(names: &[&str]) -> (HostTable<usize>, Vec<Result<(), HostFault>>) {
        let mut table = HostTable::default();
        let added = names.iter().enumerate().map(|(number, name)| table.insert(name.as_bytes(), number)).collect();
        (table, added)
    }

    #[test]
    fn finds_the_longest_wildcard() {
        let (table, _) = table(&["a.test", "*.test", "*.b.test", "www.*", "www.a.*", ".bare.test", ""]);
        let find = |name: &str| table.find(name.as_bytes()).copied();
        assert_eq!((find("a.test"), find("c.test"), find("x.y.test")), (Some(0), Some(1), Some(1)));
        assert_eq!((find("c.b.test"), find("b.test")), (Some(2), Some(1)));
        assert_eq!((find("www.x"), find("www.a.b"), find("www.b.test")), (Some(3), Some(4), Some(2)));
        assert_eq!((find("bare.test"), find("x.bare.test"), find("")), (Some(5), Some(5), Some(6)));
        assert_eq!((find("test"), find("www")), (None, None));
    }

    #[test]
    fn refuses_what_nginx_refuses() {
        let (_, added) = table(&["a.*.b", "*.a.*", "a..b", "*", "A", "a", ".c", "c", "*.c", "*.d", ".d", "d"]);
        use HostFault::{Conflict, Invalid};
        let expected = [
            Err(Invalid),
            Err(Invalid),
            Err(Invalid),
            Err(Invalid),
            Ok(()),
            Err(Conflict),
            Ok(()),
            Err(Conflict),
            Err(Conflict),
            Ok(()),
            Err(Conflict),
            Err(Conflict),
        ];
        assert_eq!(added, expected);
    }
}
