//! Where a directive may stand.

use std::{fmt, ops::BitOr};

/// A set of the kinds of blocks; most often of one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Context(u32);

/// Every kind of block: its word in `grammar/directives.conf`, and how we say it.
const KINDS: [(&str, &str); 20] = [
    ("main", "main"),
    ("events", "events"),
    ("http", "http"),
    ("server", "server"),
    ("server-if", "if in server"),
    ("location", "location"),
    ("location-if", "if in location"),
    ("limit_except", "limit_except"),
    ("upstream", "upstream"),
    ("stream", "stream"),
    ("stream-server", "server in stream"),
    ("stream-upstream", "upstream in stream"),
    ("mail", "mail"),
    ("mail-server", "server in mail"),
    ("types", "types"),
    ("map", "map"),
    ("geo", "geo"),
    ("split_clients", "split_clients"),
    ("charset_map", "charset_map"),
    ("stream-geo", "geo in stream"),
];

impl Context {
    /// Outside of every block.
    pub const MAIN: Self = Self(1);
    /// `events`
    pub const EVENTS: Self = Self(1 << 1);
    /// `http`
    pub const HTTP: Self = Self(1 << 2);
    /// `server` in `http`
    pub const SERVER: Self = Self(1 << 3);
    /// `if` in `server`
    pub const SERVER_IF: Self = Self(1 << 4);
    /// `location`
    pub const LOCATION: Self = Self(1 << 5);
    /// `if` in `location`
    pub const LOCATION_IF: Self = Self(1 << 6);
    /// `limit_except`
    pub const LIMIT_EXCEPT: Self = Self(1 << 7);
    /// `upstream` in `http`
    pub const UPSTREAM: Self = Self(1 << 8);
    /// `stream`
    pub const STREAM: Self = Self(1 << 9);
    /// `server` in `stream`
    pub const STREAM_SERVER: Self = Self(1 << 10);
    /// `upstream` in `stream`
    pub const STREAM_UPSTREAM: Self = Self(1 << 11);
    /// `mail`
    pub const MAIL: Self = Self(1 << 12);
    /// `server` in `mail`
    pub const MAIL_SERVER: Self = Self(1 << 13);
    /// `types`, whose lines are not directives. So are the ones that follow.
    pub const TYPES: Self = Self(1 << 14);
    /// `map`, in `http` or `stream`
    pub const MAP: Self = Self(1 << 15);
    /// `geo` in `http`
    pub const GEO: Self = Self(1 << 16);
    /// `split_clients`, in `http` or `stream`
    pub const SPLIT_CLIENTS: Self = Self(1 << 17);
    /// `charset_map`
    pub const CHARSET_MAP: Self = Self(1 << 18);
    /// `geo` in `stream`
    pub const STREAM_GEO: Self = Self(1 << 19);
    /// Every block whose lines are directives.
    pub const ANY: Self = Self((1 << 14) - 1);
    /// No block.
    pub const NONE: Self = Self(0);

    /// The kind with this word in `grammar/directives.conf`.
    pub fn named(word: &str) -> Option<Self> {
        if word == "any" {
            return Some(Self::ANY);
        }
        KINDS.iter().position(|(name, _)| *name == word).map(|bit| Self(1 << bit))
    }

    /// Whether one of `other` is among these.
    pub fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Those of the same section of a configuration, `http` or `stream` or `mail`, as `place`; all where there are none.
    #[must_use]
    pub fn near(self, place: Self) -> Self {
        let http = Self(0x1fc);
        let sections = [http, Self(0xe00), Self(0x3000)];
        let section = sections.into_iter().find(|section| section.intersects(place)).unwrap_or(Self::ANY);
        if self.intersects(section) { Self(self.0 & section.0) } else { self }
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether its lines are not directives but entries of a table of their own kind.
    pub fn is_table(self) -> bool {
        !self.is_empty() && !self.intersects(Self::ANY)
    }

    /// The kinds one by one, the outermost first.
    pub fn each(self) -> impl Iterator<Item = Self> {
        (0..KINDS.len()).map(|bit| Self(1 << bit)).filter(move |kind| self.intersects(*kind))
    }
}

impl BitOr for Context {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// `http, server, if in location`
impl fmt::Display for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, kind) in self.each().enumerate() {
            let (_, words) = KINDS[kind.0.trailing_zeros() as usize];
            write!(f, "{}{words}", if index == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_constant_has_its_word() {
        let words = ["main", "events", "location-if", "limit_except", "stream-upstream", "mail-server", "charset_map"];
        let kinds = [
            Context::MAIN,
            Context::EVENTS,
            Context::LOCATION_IF,
            Context::LIMIT_EXCEPT,
            Context::STREAM_UPSTREAM,
            Context::MAIL_SERVER,
            Context::CHARSET_MAP,
        ];
        assert_eq!(words.map(Context::named), kinds.map(Some));
        assert_eq!((Context::named("any"), Context::named("vhost")), (Some(Context::ANY), None));
    }

    #[test]
    fn sets_are_said_in_words() {
        assert_eq!(
            (Context::HTTP | Context::LOCATION_IF | Context::SERVER).to_string(),
            "http, server, if in location"
        );
        assert_eq!(Context::NONE.to_string(), "");
    }

    #[test]
    fn near_places_are_of_the_same_section() {
        let all = Context::SERVER | Context::STREAM_SERVER | Context::MAIL_SERVER;
        assert_eq!((all.near(Context::LOCATION), all.near(Context::STREAM)), (Context::SERVER, Context::STREAM_SERVER));
        assert_eq!((all.near(Context::MAIN), Context::MAIN.near(Context::HTTP)), (all, Context::MAIN));
        assert_eq!(
            (Context::HTTP | Context::LIMIT_EXCEPT | Context::UPSTREAM).near(Context::SERVER).to_string(),
            "http, limit_except, upstream"
        );
    }

    #[test]
    fn tables_are_not_blocks_of_directives() {
        assert!(Context::MAP.is_table() && Context::STREAM_GEO.is_table());
        assert!(!Context::HTTP.is_table() && !Context::NONE.is_table() && !Context::ANY.intersects(Context::TYPES));
    }
}
