//! What stands in words: variables, captures, URLs.

use std::{borrow::Cow, net::IpAddr};

use super::view::{Block, View};
use crate::syntax::{Directive, Word};

/// The variables of a word in lower case, without `$`; captures by number are among them.
pub(super) fn variables(word: &Word) -> Vec<String> {
    let text = &word.value;
    let dollars = memchr::memchr_iter(b'$', text);
    let names = dollars.filter_map(|dollar| {
        let name = text[dollar + 1..].strip_prefix(b"{").unwrap_or(&text[dollar + 1..]);
        let length = name.iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_').count();
        // `$1x` is the first capture, and an x behind it.
        let length = if name.first().is_some_and(u8::is_ascii_digit) { 1 } else { length };
        let name = String::from_utf8_lossy(&name[..length]).to_ascii_lowercase();
        (!name.is_empty()).then_some(name)
    });
    names.collect()
}

/// Whether a word holds one of these variables.
pub(super) fn uses(word: &Word, names: &[&str]) -> bool {
    variables(word).iter().any(|name| names.contains(&name.as_str()))
}

/// The argument of this number, as text; an empty one where there are not so many.
pub(super) fn arg(directive: &Directive, number: usize) -> Cow<'_, str> {
    directive.args.get(number).map(Word::text).unwrap_or_default()
}

/// Names in a sentence: `a`, `b` and `c`.
pub(super) fn list<S: AsRef<str>>(names: &[S]) -> String {
    let quoted: Vec<_> = names.iter().map(|name| format!("`{}`", name.as_ref())).collect();
    match &quoted[..] {
        [all @ .., last] if !all.is_empty() => format!("{} and {last}", all.join(", ")),
        _ => quoted.concat(),
    }
}

/// Where `proxy_pass` and its like send requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// `http`, `https`, `grpc`; empty where none is written.
    pub(super) scheme: String,
    /// A host with its port, or the path of a UNIX socket.
    pub(super) authority: String,
    /// What stands behind the host, with its `/`.
    pub(super) uri: Option<String>,
    /// Whether it is a UNIX socket.
    pub(super) unix: bool,
}

impl Target {
    /// The target of a `…_pass` directive.
    pub(super) fn of(pass: &Directive) -> Option<Self> {
        Some(Self::read(&pass.args.first()?.text()))
    }

    /// Reads `http://host:port/uri`, `unix:/path:/uri`, and hosts without a scheme.
    pub(super) fn read(text: &str) -> Self {
        let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
        let scheme = scheme.to_ascii_lowercase();
        if let Some(path) = rest.strip_prefix("unix:") {
            let (path, uri) = path.split_once(':').map_or((path, None), |(path, uri)| (path, Some(uri.to_owned())));
            return Self { scheme, authority: path.to_owned(), uri: uri.filter(|uri| !uri.is_empty()), unix: true };
        }
        // `$request_uri` and its like begin with a slash.
        let paths = ["$request_uri", "$uri", "$document_uri", "$is_args", "$args", "${request_uri}", "${uri}"];
        let path = paths.iter().filter_map(|name| rest.find(name)).filter(|at| *at > 0).min();
        let end = rest.find(['/', '?']).unwrap_or(rest.len()).min(path.unwrap_or(rest.len()));
        let uri = (end < rest.len()).then(|| rest[end..].to_owned());
        Self { scheme, authority: rest[..end].to_owned(), uri, unix: false }
    }

    /// The host without its port.
    pub(super) fn host(&self) -> &str {
        if let Some(rest) = self.authority.strip_prefix('[') {
            return rest.split(']').next().unwrap_or(rest);
        }
        match self.authority.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit() || byte == b'$') => host,
            _ => &self.authority,
        }
    }

    /// Whether the host is only known when a request comes.
    pub(super) fn is_variable(&self) -> bool {
        self.authority.contains('$')
    }

    /// A name of the open internet, which may have another address tomorrow.
    pub(super) fn is_public_name(&self) -> bool {
        let host = self.host().trim_end_matches('.');
        let Some((_, last)) = host.rsplit_once('.') else { return false };
        let reserved = [
            "local",
            "localhost",
            "internal",
            "lan",
            "home",
            "test",
            "example",
            "invalid",
            "localdomain",
            "cluster",
            "consul",
        ];
        !self.unix
            && !self.is_variable()
            && host.parse::<IpAddr>().is_err()
            && last.len() > 1
            && last.bytes().all(|byte| byte.is_ascii_alphabetic())
            && !reserved.contains(&last)
            && !["example.com", "example.org", "example.net"].iter().any(|name| host.ends_with(name))
    }

    /// Whether an application of one's own stands there: a socket, this machine, a private network, a container.
    pub(super) fn is_near(&self, view: &View<'_>) -> bool {
        if self.unix {
            return true;
        }
        if let Some(upstream) = view.upstream(self.host()) {
            let servers = upstream.all("server");
            return servers.iter().any(|server| Self::read(&arg(server, 0)).is_near_itself());
        }
        self.is_near_itself()
    }

    fn is_near_itself(&self) -> bool {
        match self.host().parse::<IpAddr>() {
            _ if self.unix => true,
            Ok(IpAddr::V4(ip)) => ip.is_loopback() || ip.is_private(),
            Ok(IpAddr::V6(ip)) => ip.is_loopback() || ip.is_unique_local(),
            Err(_) => !self.is_variable() && !self.host().contains('.'),
        }
    }
}

/// The headers that a `proxy_set_header` or its like sets here, in lower case.
pub(super) fn header_names(block: Block<'_>, directive: &str) -> Vec<String> {
    let all = block.holds(directive).map_or(&[][..], |(_, all)| all);
    all.iter().map(|one| arg(one, 0).to_ascii_lowercase()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_read() {
        let read = |text: &str| {
            let target = Target::read(text);
            (target.host().to_owned(), target.uri, target.unix)
        };
        assert_eq!(read("http://127.0.0.1:8000/v1"), ("127.0.0.1".into(), Some("/v1".into()), false));
        assert_eq!(read("http://unix:/run/a.sock:/b"), ("/run/a.sock".into(), Some("/b".into()), true));
        assert_eq!(read("https://[::1]:443"), ("::1".into(), None, false));
        assert_eq!(read("unix:/run/php.sock"), ("/run/php.sock".into(), None, true));
        assert!(Target::read("https://api.shop.com").is_public_name());
        for near in ["http://app:8000", "http://10.0.0.1", "http://a.local", "http://$x.com", "http://1.2.3.4"] {
            assert!(!Target::read(near).is_public_name(), "{near}");
        }
    }

    #[test]
    fn names_are_listed() {
        assert_eq!((list(&["a"]), list(&["a", "b", "c"])), ("`a`".into(), "`a`, `b` and `c`".into()));
    }
}
