//! A configuration by its meaning: what listens, which names there are, and what is in force where.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{
    Inspection,
    dump::place,
    effective::{InForce, Nest, Nests},
};
use crate::{
    diag::Span,
    schema::{Context, DirectiveSpec, ValueType, value},
    syntax::{Directive, Word},
};

/// A directive in force, by meaning.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Setting {
    /// Name and values, times in milliseconds and sizes in bytes.
    pub(super) meaning: String,
    /// As it was written.
    pub(super) text: String,
    /// Where.
    pub(super) place: String,
}

/// What can be told apart of a configuration. Keys are what people call things by.
#[derive(Debug, Default)]
pub(super) struct Model {
    /// Address to the options of its sockets.
    pub(super) listeners: BTreeMap<String, Setting>,
    /// `name on address` to its server.
    pub(super) names: BTreeMap<String, Setting>,
    /// `upstream x`, and every other block of names and values.
    pub(super) tables: BTreeMap<String, Vec<Setting>>,
    /// Blocks that answer requests, by server and location, and those around them.
    pub(super) blocks: BTreeMap<String, Vec<Setting>>,
    /// Where each of these blocks, tables and upstreams stands.
    pub(super) places: BTreeMap<String, String>,
    /// Expressions of each server in the order in which they are tried.
    pub(super) regexes: BTreeMap<String, Vec<String>>,
    /// What each server is called, with its names on its addresses.
    servers: Vec<(String, BTreeSet<String>)>,
    /// The same by the place of its directive.
    called: HashMap<Span, String>,
}

/// Directives whose order says something: `allow` before `deny`.
pub(super) const ORDERED: &[&str] = &["allow", "deny", "rewrite", "set", "if", "return", "break"];

impl Model {
    /// `like` is another configuration's: servers that share most names are called as they are there.
    pub(super) fn new(look: &Inspection, like: Option<&Self>) -> Self {
        let nests = Nests::new(look);
        let mut model = Self::default();
        let is_server = |nest: &&Nest<'_>| nest.context().intersects(Context::SERVER | Context::STREAM_SERVER);
        for nest in nests.all().iter().filter(is_server) {
            model.call(nest, like);
        }
        for nest in nests.all() {
            model.add(look, nest);
        }
        model
    }

    fn add(&mut self, look: &Inspection, nest: &Nest<'_>) {
        let tables = nest.own().iter().filter(|one| one.block.is_some() && is_table(one));
        for table in tables {
            let lines = table.children().iter().map(|line| setting(look, line, None)).collect();
            self.tables.insert(written(table), lines);
            self.places.insert(written(table), place(look, table));
        }
        if let Some(own) = nest.path.last() {
            let is_table = nest.context().intersects(Context::UPSTREAM | Context::STREAM_UPSTREAM);
            let key = if is_table { written(own) } else { self.key(nest) };
            self.places.insert(key, place(look, own));
        }
        match nest.path.last() {
            Some(upstream) if nest.context().intersects(Context::UPSTREAM | Context::STREAM_UPSTREAM) => {
                self.tables.insert(written(upstream), settings(look, nest));
            }
            Some(server) if nest.context().intersects(Context::SERVER | Context::STREAM_SERVER) => {
                self.listen(look, nest, server);
                self.blocks.insert(self.key(nest), settings(look, nest));
            }
            _ => {
                self.blocks.insert(self.key(nest), settings(look, nest));
            }
        }
        let is_regex = |one: &&Directive| one.args.first().is_some_and(|word| word.value.starts_with(b"~"));
        let located = nest.own().iter().filter(|one| *one.name.value == *b"location");
        let regexes: Vec<_> = located.filter(is_regex).map(written).collect();
        if !regexes.is_empty() {
            self.regexes.insert(self.key(nest), regexes);
        }
    }

    /// Gives a server its name.
    fn call(&mut self, nest: &Nest<'_>, like: Option<&Self>) {
        let Some(server) = nest.path.last() else { return };
        let all = |name: &'static [u8]| nest.own().iter().filter(move |one| *one.name.value == *name);
        let mut names: Vec<_> =
            all(b"server_name").flat_map(|one| &one.args).map(|name| name.text().to_ascii_lowercase()).collect();
        let mut addresses: Vec<_> = all(b"listen").filter_map(|one| one.args.first()).map(address).collect();
        if names.is_empty() {
            names.push(String::new());
        }
        if addresses.is_empty() {
            addresses.push("*:80".into());
        }
        let pairs: BTreeSet<_> =
            addresses.iter().flat_map(|address| names.iter().map(move |name| format!("{name} on {address}"))).collect();
        let shared = |(_, other): &&(String, BTreeSet<String>)| pairs.intersection(other).count();
        let own = match names[0].as_str() {
            "" => format!("server without a name on {}", addresses[0]),
            name => format!("server {name} on {}", addresses[0]),
        };
        // Of several that share as many, one that is called the same is the same.
        let fit = |one: &&(String, BTreeSet<String>)| (one.1 == pairs, shared(one), one.0 == own);
        let same = like.and_then(|like| like.servers.iter().filter(|one| shared(one) > 0).max_by_key(fit));
        let key = same.map_or_else(|| own.clone(), |(key, _)| key.clone());
        self.called.insert(server.name.span, key.clone());
        self.servers.push((key, pairs));
    }

    /// What a block is called: its server, and the locations down to it.
    fn key(&self, nest: &Nest<'_>) -> String {
        let parts = nest.path.iter().filter(|one| *one.name.value != *b"http");
        let parts = parts.map(|one| self.called.get(&one.name.span).cloned().unwrap_or_else(|| written(one)));
        let key = parts.collect::<Vec<_>>().join(", ");
        match (key.is_empty(), nest.path.is_empty()) {
            (true, true) => "main".into(),
            (true, false) => "http".into(),
            _ => key,
        }
    }

    fn listen(&mut self, look: &Inspection, nest: &Nest<'_>, server: &Directive) {
        let named = |name: &'static [u8]| nest.own().iter().filter(move |one| *one.name.value == *name);
        let mut addresses: Vec<_> =
            named(b"listen").filter_map(|one| Some((address(one.args.first()?), one))).collect();
        if addresses.is_empty() {
            addresses.push(("*:80".into(), server));
        }
        let mut names: Vec<_> =
            named(b"server_name").flat_map(|one| one.args.iter().map(move |name| (name, one))).collect();
        let unnamed = Word { value: Box::default(), ..server.name.clone() };
        if names.is_empty() {
            names.push((&unnamed, server));
        }
        for (address, listen) in addresses {
            let mut options: Vec<_> = listen.args.iter().skip(1).map(|word| word.text().into_owned()).collect();
            options.sort();
            let options = if *listen.name.value == *b"listen" { options.join(" ") } else { String::new() };
            let entry = Setting { meaning: options.clone(), text: options, place: place(look, listen) };
            let known = self.listeners.entry(address.clone()).or_insert_with(|| entry.clone());
            if known.meaning.len() < entry.meaning.len() {
                *known = entry;
            }
            for (name, directive) in &names {
                let shown = if name.value.is_empty() { "no name".into() } else { name.text().to_ascii_lowercase() };
                let entry = Setting { meaning: String::new(), text: String::new(), place: place(look, directive) };
                self.names.entry(format!("{shown} on {address}")).or_insert(entry);
            }
        }
    }
}

fn is_table(directive: &Directive) -> bool {
    matches!(&*directive.name.value, b"types" | b"map" | b"geo" | b"split_clients" | b"charset_map")
}

/// An address as we call it: `80` is `*:80`, `10.0.0.1` is `10.0.0.1:80`.
fn address(word: &Word) -> String {
    let text = word.text().to_ascii_lowercase();
    let text = text.replacen("0.0.0.0:", "*:", 1);
    let has_port = text.rsplit_once(':').is_some_and(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()));
    if text.starts_with("unix:") || has_port {
        text
    } else if text.bytes().all(|byte| byte.is_ascii_digit()) {
        format!("*:{text}")
    } else {
        format!("{text}:80")
    }
}

/// What is in force in a block, but for the blocks in it, and for what says no more than the default.
fn settings(look: &Inspection, nest: &Nest<'_>) -> Vec<Setting> {
    let says_something = |line: &&InForce<'_>| {
        let block = line.directive.block.is_some() && *line.directive.name.value != *b"if";
        let is_place = matches!(&*line.directive.name.value, b"listen" | b"server_name");
        !block && !is_place && !line.spec.is_some_and(|spec| is_default(spec, line.directive))
    };
    let mut settings: Vec<_> =
        nest.in_force().iter().filter(says_something).map(|line| setting(look, line.directive, line.spec)).collect();
    // Those whose order says nothing are sorted, those of one name stay as they are.
    settings.sort_by(|one, other| name_of(one).cmp(name_of(other)));
    settings
}

/// What settings are compared by first: all ordered ones stand together.
pub(super) fn name_of(setting: &Setting) -> &str {
    let name = setting.meaning.split(' ').next().unwrap_or_default();
    if ORDERED.contains(&name) { "" } else { name }
}

fn setting(look: &Inspection, directive: &Directive, spec: Option<&DirectiveSpec>) -> Setting {
    Setting { meaning: meaning(directive, spec), text: written(directive), place: place(look, directive) }
}

/// Name and words, quotes only where they are needed.
fn written(directive: &Directive) -> String {
    let words = std::iter::once(&directive.name).chain(&directive.args).map(|word| {
        let text = word.text();
        let needs_quotes = text.is_empty() || text.contains([' ', ';', '{', '}', '\t', '\n', '"']);
        if needs_quotes { format!("{text:?}") } else { text.into_owned() }
    });
    words.collect::<Vec<_>>().join(" ")
}

fn meaning(directive: &Directive, spec: Option<&DirectiveSpec>) -> String {
    let ty = spec.map(|spec| spec.ty);
    let mut words = vec![directive.name.text().into_owned()];
    words.extend(directive.args.iter().map(|word| meant(&word.value, ty)));
    if directive.block.is_some() {
        words.extend(directive.children().iter().map(|inner| format!("{{{}}}", meaning(inner, None))));
    }
    words.join(" ")
}

/// A value by its meaning.
fn meant(text: &[u8], ty: Option<ValueType>) -> String {
    let number = match ty {
        Some(ValueType::Size) => value::size(text).map(|size| size.to_string()),
        Some(ValueType::Offset) => value::offset(text).map(|size| size.to_string()),
        Some(ValueType::Msec) => value::msec(text).map(|time| format!("{}ms", time.as_millis())),
        Some(ValueType::Sec) => value::sec(text).map(|time| format!("{}ms", time.as_millis())),
        Some(ValueType::Flag) => Some(String::from_utf8_lossy(text).to_ascii_lowercase()),
        _ => None,
    };
    number.unwrap_or_else(|| String::from_utf8_lossy(text).into_owned())
}

fn is_default(spec: &DirectiveSpec, directive: &Directive) -> bool {
    let (Some(default), [only]) = (spec.default, &directive.args[..]) else { return false };
    meant(default.as_bytes(), Some(spec.ty)) == meant(&only.value, Some(spec.ty))
}
