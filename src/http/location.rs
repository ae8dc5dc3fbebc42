//! Locations: what a request meets once its URI has chosen one, and the tree that chooses.

use std::any::{Any, TypeId};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::{
    Filter, Lifetime, LogHandler, MatchLimit, NameMap, Phase, PhaseHandler, Regex, Request, Script, ServerTokens,
    TempPath,
};
use crate::log::ErrorLog;

/// A location's number in [`super::Cycle::locations`]. Server blocks and `if` blocks have one too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LocationId(pub u32);

/// What kind of block a [`Location`] was made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LocationKind {
    /// The `http` block itself: only ever a parent.
    Http,
    /// A `server` block, before a location is found.
    Server,
    /// `location = /x`
    Exact,
    /// `location /x`
    Prefix,
    /// `location ^~ /x`
    PrefixNoRegex,
    /// `location ~ x` and `location ~* x`
    Regex,
    /// `location @x`
    Named,
    /// `if (…) {}`; it keeps the name of the location around it.
    If,
    /// `limit_except … {}`
    LimitExcept,
}

/// What a request meets: every default resolved, handlers in running order.
pub struct Location {
    /// The prefix, pattern or name as written, without modifier.
    pub name: Bytes,
    /// What it was made of.
    pub kind: LocationKind,
    /// The core module's values.
    pub core: CoreConf,
    /// Locations inside this one.
    pub tree: LocationTree,
    /// Handlers by phase.
    pub handlers: [Box<[Box<dyn PhaseHandler>]>; Phase::COUNT],
    /// The handler that answers all requests here (`proxy_pass`, `stub_status`), in place of the content phase.
    pub content: Option<Box<dyn PhaseHandler>>,
    /// Filters in nginx's order.
    pub filters: Box<[Box<dyn Filter>]>,
    /// What runs at the end.
    pub loggers: Box<[Box<dyn LogHandler>]>,
    /// `limit_except`
    pub limit_except: Option<LimitExcept>,
    /// What modules want to find again at request time, by type.
    pub extensions: Extensions,
}

/// `limit_except`: what all other methods meet.
#[derive(Clone, Copy, Debug)]
pub struct LimitExcept {
    /// The bits of the methods that are excepted, see [`super::Method::bit`].
    pub methods: u32,
    /// The location that all others are moved to.
    pub location: LocationId,
}

impl Location {
    /// The handlers of a phase.
    pub fn handlers(&self, phase: Phase) -> &[Box<dyn PhaseHandler>] {
        &self.handlers[phase as usize]
    }
}

impl std::fmt::Debug for Location {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Location({:?} {:?})", self.kind, String::from_utf8_lossy(&self.name))
    }
}

/// Values of any type, found by their type.
#[derive(Default)]
pub struct Extensions(Vec<(TypeId, Box<dyn Any + Send + Sync>)>);

impl Extensions {
    /// Puts a value in place of the one of its type.
    pub fn insert<T: Send + Sync + 'static>(&mut self, value: T) {
        self.0.retain(|(id, _)| *id != TypeId::of::<T>());
        self.0.push((TypeId::of::<T>(), Box::new(value)));
    }

    /// The value of this type.
    pub fn get<T: 'static>(&self) -> Option<&T> {
        let (_, value) = self.0.iter().find(|(id, _)| *id == TypeId::of::<T>())?;
        value.downcast_ref()
    }
}

/// How a URI becomes a path.
#[derive(Clone, Debug)]
pub enum Root {
    /// `root`: the whole URI stands behind it.
    Root(Script),
    /// `alias`: the URI without the location's prefix stands behind it; in a regular expression's
    /// location, nothing does.
    Alias(Script),
}

impl Root {
    /// The path as written.
    pub fn script(&self) -> &Script {
        match self {
            Root::Root(script) | Root::Alias(script) => script,
        }
    }
}

/// One `error_page` for one status.
#[derive(Clone, Debug)]
pub struct ErrorPage {
    /// The status it stands for.
    pub status: u16,
    /// What becomes of the status.
    pub answer: ErrorAnswer,
    /// A URI, `@name` or absolute URL.
    pub target: Script,
}

/// What an `error_page` does to the status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorAnswer {
    /// Nothing: the client sees the original one.
    Keep,
    /// `=`: the client sees what the target answers.
    FromTarget,
    /// `=200`: the client sees this one.
    Replace(u16),
}

/// `types`: file extension (lower case) to media type.
pub type Types = NameMap<Box<[u8]>, Bytes>;

/// `keepalive_disable`: browsers whose connections are closed after a POST (MSIE 6) or always (Safari on a Mac).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeepaliveDisable {
    /// `msie6`
    pub msie6: bool,
    /// `safari`
    pub safari: bool,
}

/// `lingering_close`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LingeringClose {
    /// `off`
    Off,
    /// `on`
    On,
    /// `always`
    Always,
}

/// `client_body_in_file_only`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyInFile {
    /// `off`: only what does not fit the buffer.
    Off,
    /// `on`: always, and the file stays.
    Kept,
    /// `clean`: always, and the file goes with the request.
    Clean,
}

impl BodyInFile {
    /// How long the file of a body stays.
    pub fn lifetime(self) -> Lifetime {
        match self {
            BodyInFile::Off => Lifetime::Nameless,
            BodyInFile::Kept => Lifetime::Kept,
            BodyInFile::Clean => Lifetime::WhileUsed,
        }
    }
}

/// `if_modified_since`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IfModifiedSince {
    /// `off`
    Off,
    /// `exact`
    Exact,
    /// `before`
    Before,
}

/// The core module's directives in a location, resolved. Sizes in bytes.
#[derive(Clone, Debug)]
pub struct CoreConf {
    /// `root` or `alias`.
    pub root: Root,
    /// How many bytes of the URI an `alias` takes away; `usize::MAX` in locations of regular expressions,
    /// where it takes all.
    pub alias_prefix: usize,
    /// `types`
    pub types: Arc<Types>,
    /// `default_type`
    pub default_type: Bytes,
    /// `internal`
    pub internal: bool,
    /// `error_page`, in the order written.
    pub error_pages: Arc<[ErrorPage]>,
    /// `error_log`
    pub error_log: Arc<ErrorLog>,
    /// `client_max_body_size`; 0 is no limit.
    pub client_max_body_size: u64,
    /// `client_body_buffer_size`
    pub client_body_buffer_size: usize,
    /// `client_body_timeout`
    pub client_body_timeout: Duration,
    /// `client_body_temp_path`
    pub client_body_temp_path: Arc<TempPath>,
    /// `client_body_in_file_only`
    pub client_body_in_file_only: BodyInFile,
    /// `keepalive_timeout`, first value; zero closes after each response.
    pub keepalive_timeout: Duration,
    /// `keepalive_timeout`, second value: seconds in the `Keep-Alive` header; 0 sends none.
    pub keepalive_header: u64,
    /// `keepalive_requests`
    pub keepalive_requests: u64,
    /// `keepalive_min_timeout`
    pub keepalive_min_timeout: Duration,
    /// `keepalive_disable`
    pub keepalive_disable: KeepaliveDisable,
    /// `keepalive_time`
    pub keepalive_time: Duration,
    /// `send_timeout`
    pub send_timeout: Duration,
    /// `sendfile`
    pub sendfile: bool,
    /// `sendfile_max_chunk`; 0 is no limit.
    pub sendfile_max_chunk: u64,
    /// `http2_chunk_size`, bytes, where it is set.
    pub http2_chunk_size: Option<usize>,
    /// `tcp_nodelay`
    pub tcp_nodelay: bool,
    /// `auth_delay`
    pub auth_delay: Duration,
    /// `satisfy any` rather than `all`.
    pub satisfy_any: bool,
    /// `log_not_found`
    pub log_not_found: bool,
    /// `log_subrequest`
    pub log_subrequest: bool,
    /// `server_tokens`
    pub server_tokens: ServerTokens,
    /// `etag`
    pub etag: bool,
    /// `if_modified_since`
    pub if_modified_since: IfModifiedSince,
    /// `max_ranges`
    pub max_ranges: u64,
    /// `chunked_transfer_encoding`
    pub chunked_transfer_encoding: bool,
    /// `absolute_redirect`
    pub absolute_redirect: bool,
    /// `server_name_in_redirect`
    pub server_name_in_redirect: bool,
    /// `port_in_redirect`
    pub port_in_redirect: bool,
    /// `recursive_error_pages`
    pub recursive_error_pages: bool,
    /// `msie_padding`
    pub msie_padding: bool,
    /// `msie_refresh`
    pub msie_refresh: bool,
    /// `limit_rate`, bytes a second; empty is no limit.
    pub limit_rate: Option<Script>,
    /// `limit_rate_after`, bytes.
    pub limit_rate_after: Option<Script>,
    /// `lingering_close`
    pub lingering_close: LingeringClose,
    /// `lingering_time`
    pub lingering_time: Duration,
    /// `lingering_timeout`
    pub lingering_timeout: Duration,
    /// `postpone_output`, bytes.
    pub postpone_output: usize,
    /// `post_action`: a URI, or `@name`.
    pub post_action: Option<Bytes>,
    /// `subrequest_output_buffer_size`, bytes.
    pub subrequest_output_buffer_size: usize,
    /// `reset_timedout_connection`
    pub reset_timedout_connection: bool,
}

impl CoreConf {
    /// The media type for a file extension in any case: from `types`, or else `default_type`.
    pub fn type_of(&self, extension: Option<&[u8]>) -> &Bytes {
        extension.and_then(|extension| self.known_type(extension)).unwrap_or(&self.default_type)
    }

    fn known_type(&self, extension: &[u8]) -> Option<&Bytes> {
        if extension.iter().any(u8::is_ascii_uppercase) {
            return self.types.get(&extension.to_ascii_lowercase()[..]);
        }
        self.types.get(extension)
    }
}

/// The locations of one block, as nginx searches them.
#[derive(Debug, Default)]
pub struct LocationTree {
    /// `=` locations.
    exact: NameMap<Bytes, LocationId>,
    /// Prefix locations sorted by name, each with the nearest one that is a prefix of it.
    prefixes: Vec<PrefixEntry>,
    /// `/x` for each proxied location `/x/`.
    without_slash: NameMap<Bytes, LocationId>,
    /// Regular expressions in the order written.
    regexes: Vec<(Arc<Regex>, LocationId)>,
}

#[derive(Debug)]
struct PrefixEntry {
    name: Bytes,
    id: LocationId,
    parent: Option<usize>,
}

/// What goes into a [`LocationTree`].
#[derive(Debug, Default)]
pub struct LocationTreeParts {
    /// `=` locations by name.
    pub exact: NameMap<Bytes, LocationId>,
    /// Prefix locations.
    pub prefixes: Vec<(Bytes, LocationId)>,
    /// Exact and prefix locations whose last slash a client may forget.
    pub auto_redirect: Vec<(Bytes, LocationId)>,
    /// Regular expressions in the order written.
    pub regexes: Vec<(Arc<Regex>, LocationId)>,
}

/// What the search for a location found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing better than the block that was searched.
    None,
    /// A prefix location; a regular expression further out may still win.
    Prefix(LocationId),
    /// This location and no other.
    Final(LocationId),
    /// The client should ask for the same URI with a slash behind it.
    AddSlash(LocationId),
}

impl LocationTree {
    /// Sorts the locations for the search.
    pub fn new(mut parts: LocationTreeParts) -> Self {
        parts.prefixes.sort_by(|a, b| a.0.cmp(&b.0));
        let mut prefixes: Vec<PrefixEntry> = Vec::with_capacity(parts.prefixes.len());
        for (name, id) in parts.prefixes {
            let mut parent = prefixes.len().checked_sub(1);
            while let Some(index) = parent.filter(|&index| !name.starts_with(&prefixes[index].name)) {
                parent = prefixes[index].parent;
            }
            prefixes.push(PrefixEntry { name, id, parent });
        }
        let cut = |(name, id): (Bytes, LocationId)| (name.slice(..name.len().saturating_sub(1)), id);
        let without_slash = parts.auto_redirect.into_iter().map(cut).collect();
        Self { exact: parts.exact, prefixes, without_slash, regexes: parts.regexes }
    }

    /// The regular expressions in the order they are tried.
    pub fn regexes(&self) -> impl Iterator<Item = (&Regex, LocationId)> {
        self.regexes.iter().map(|(regex, id)| (&**regex, *id))
    }

    /// The `=` locations, in no order.
    pub fn exact_names(&self) -> impl Iterator<Item = (&Bytes, LocationId)> {
        self.exact.iter().map(|(name, id)| (name, *id))
    }

    /// The prefix locations, sorted by name.
    pub fn prefix_names(&self) -> impl Iterator<Item = (&Bytes, LocationId)> {
        self.prefixes.iter().map(|entry| (&entry.name, entry.id))
    }

    /// The `=` location of this very URI.
    pub fn exact(&self, uri: &[u8]) -> Option<LocationId> {
        self.exact.get(uri).copied()
    }

    /// The longest prefix location, and whether it is the URI itself.
    pub fn longest_prefix(&self, uri: &[u8]) -> Option<(LocationId, bool)> {
        let mut candidate = self.prefixes.partition_point(|entry| &entry.name[..] <= uri).checked_sub(1);
        while let Some(index) = candidate {
            let entry = &self.prefixes[index];
            if uri.starts_with(&entry.name) {
                return Some((entry.id, entry.name.len() == uri.len()));
            }
            candidate = entry.parent;
        }
        None
    }

    fn slash_redirect(&self, uri: &[u8]) -> Option<LocationId> {
        self.without_slash.get(uri).copied()
    }
}

/// Blocks that locations are searched in: those of a cycle, or of a configuration that is only looked at.
pub trait Locations {
    /// The locations inside a block.
    fn tree(&self, block: LocationId) -> &LocationTree;

    /// Whether a prefix location is a `^~` one, behind which no regular expression around it is tried.
    fn ends_search(&self, location: LocationId) -> bool;
}

impl Locations for super::Cycle {
    fn tree(&self, block: LocationId) -> &LocationTree {
        &self.location(block).tree
    }

    fn ends_search(&self, location: LocationId) -> bool {
        self.location(location).kind == LocationKind::PrefixNoRegex
    }
}

impl super::Cycle {
    /// Chooses the location of a URI below a block, nested ones included; regular expressions leave
    /// their captures in the request.
    ///
    /// # Errors
    /// [`MatchLimit`] where a regular expression gave up.
    pub fn find_location(&self, r: &Request, block: LocationId, uri: &[u8]) -> Result<Found, MatchLimit> {
        find_location(self, block, uri, &|regex| regex.exec(r, uri))
    }
}

/// Chooses the location of a URI below a block, nested ones included. `matches` tries a regular expression on it.
///
/// # Errors
/// [`MatchLimit`] where a regular expression gave up.
pub fn find_location<L: Locations>(
    locations: &L,
    block: LocationId,
    uri: &[u8],
    matches: &impl Fn(&Regex) -> Result<bool, MatchLimit>,
) -> Result<Found, MatchLimit> {
    let tree = locations.tree(block);
    if let Some(id) = tree.exact(uri) {
        return Ok(Found::Final(id));
    }
    let prefix = tree.longest_prefix(uri);
    if !prefix.is_some_and(|(_, whole)| whole)
        && let Some(id) = tree.slash_redirect(uri)
    {
        return Ok(Found::AddSlash(id));
    }
    let Some((id, _)) = prefix else { return find_regex(locations, tree, uri, matches, Found::None) };
    let found = match find_location(locations, id, uri, matches)? {
        Found::None => Found::Prefix(id),
        Found::Prefix(nested) => Found::Prefix(nested),
        settled => return Ok(settled),
    };
    if locations.ends_search(id) {
        return Ok(found);
    }
    find_regex(locations, tree, uri, matches, found)
}

fn find_regex<L: Locations>(
    locations: &L,
    tree: &LocationTree,
    uri: &[u8],
    matches: &impl Fn(&Regex) -> Result<bool, MatchLimit>,
    otherwise: Found,
) -> Result<Found, MatchLimit> {
    for (regex, id) in tree.regexes() {
        if matches(regex)? {
            return Ok(match find_location(locations, id, uri, matches)? {
                Found::None => Found::Final(id),
                Found::Prefix(nested) => Found::Final(nested),
                settled => settled,
            });
        }
    }
    Ok(otherwise)
}
