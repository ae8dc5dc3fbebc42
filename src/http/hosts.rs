//! Host names with wildcards, as `valid_referers` and its kin take them.

use std::collections::HashMap;

/// Values by host name: `example.com`, `*.example.com`, `.example.com` (both), `www.example.*`.
#[derive(Clone)]
pub struct HostTable<T> {
    exact: HashMap<Box<[u8]>, T>,
    /// `*.x` as `.x`.
    heads: HashMap<Box<[u8]>, T>,
    /// `x.*` as `x.`.
    tails: HashMap<Box<[u8]>, T>,
}

/// Why a name was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostFault {
    /// A wildcard stands where none may, or a label is empty.
    Invalid,
    /// The name is there already.
    Conflict,
}

impl<T> Default for HostTable<T> {
    fn default() -> Self {
        Self { exact: HashMap::new(), heads: HashMap::new(), tails: HashMap::new() }
    }
}

impl<T: Clone> HostTable<T> {
    /// Whether there is no name at all.
    pub fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.heads.is_empty() && self.tails.is_empty()
    }

    /// Adds a name, in any case.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn insert(&mut self, name: &[u8], value: T) -> Result<(), HostFault> {
        let stars = name.iter().filter(|byte| **byte == b'*').count();
        if stars > 1 || name.windows(2).any(|pair| pair == b"..") {
            return Err(HostFault::Invalid);
        }
        let name = name.to_ascii_lowercase();
        match &name[..] {
            [b'.', bare @ ..] if !bare.is_empty() => {
                put(&mut self.exact, bare, value.clone())?;
                put(&mut self.heads, &name, value)
            }
            [b'*', head @ ..] if head.len() > 1 && head[0] == b'.' => put(&mut self.heads, head, value),
            [tail @ .., b'*'] if tail.len() > 1 && tail.ends_with(b".") => put(&mut self.tails, tail, value),
            _ if stars > 0 => Err(HostFault::Invalid),
            _ => put(&mut self.exact, &name, value),
        }
    }

    /// The value for a host name in lower case: the name itself, else the longest `*.x`, else the longest `x.*`.
    pub fn find(&self, host: &[u8]) -> Option<&T> {
        let dots = || memchr::memchr_iter(b'.', host);
        let head = || dots().filter(|dot| *dot > 0).find_map(|dot| self.heads.get(&host[dot..]));
        let tail = || dots().rev().filter(|dot| dot + 1 < host.len()).find_map(|dot| self.tails.get(&host[..=dot]));
        self.exact.get(host).or_else(head).or_else(tail)
    }
}

fn put<T>(table: &mut HashMap<Box<[u8]>, T>, name: &[u8], value: T) -> Result<(), HostFault> {
    match table.insert(name.into(), value) {
        None => Ok(()),
        Some(_) => Err(HostFault::Conflict),
    }
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
            (".example.com", None),
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
}
