//! A row of the table: what nginx says about one directive or one variable.

use std::fmt;

use super::{Arity, Context};

/// A version of nginx.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u16, pub u16, pub u16);

impl Version {
    /// The nginx that rnginx is.
    pub const NGINX: Self = Self(1, 28, 3);

    /// Reads `1.28.3`.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.').map(|part| part.parse().ok());
        let version = Self(parts.next()??, parts.next()??, parts.next()??);
        parts.next().is_none().then_some(version)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

/// What the arguments are, and with it how nginx reads them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueType {
    /// The directive has rules of its own.
    Custom,
    /// `on` or `off`
    Flag,
    /// A number
    Number,
    /// A size in bytes with `k` or `m`
    Size,
    /// A size in bytes with `k`, `m` or `g`
    Offset,
    /// A time kept in milliseconds
    Msec,
    /// A time kept in seconds
    Sec,
    /// Any word
    String,
    /// Any word; the directive may be repeated and adds up.
    Strings,
    /// A name and a value; the directive may be repeated and adds up.
    Pairs,
    /// A number of buffers and their size
    Buffers,
    /// A path and up to three levels of hashed folders
    Path,
    /// File permissions: `user:rw group:r`
    Access,
    /// A text with variables
    Script,
    /// A text with variables; a size where it has none
    ScriptSize,
    /// Texts with variables that are true unless empty or `0`
    Predicates,
    /// MIME types
    MimeTypes,
    /// One of these words
    Enum(&'static [&'static str]),
    /// Some of these words
    Bitmask(&'static [&'static str]),
}

impl ValueType {
    /// Whether a block holds one value of it, so that a second one is a duplicate.
    pub fn is_single(self) -> bool {
        use ValueType::*;
        !matches!(self, Custom | Strings | Pairs | Predicates | MimeTypes | Bitmask(_))
    }

    /// How many arguments it takes where the row does not say.
    pub(super) fn arity(self) -> Option<Arity> {
        use ValueType::*;
        match self {
            Custom | Path | Access => None,
            Buffers | Pairs => Some(Arity::exactly(2)),
            Predicates | MimeTypes | Bitmask(_) => Some(Arity::AtLeast(1)),
            _ => Some(Arity::exactly(1)),
        }
    }
}

/// What the block of a directive is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opens {
    /// A block of this kind.
    In(Context),
    /// `if`, which depends on where it stands.
    If,
}

impl Opens {
    /// What stands in the block, where the directive itself stands in `around`.
    pub fn within(self, around: Context) -> Context {
        match self {
            Self::In(context) => context,
            Self::If if around.intersects(Context::SERVER) => Context::SERVER_IF,
            Self::If => Context::LOCATION_IF,
        }
    }
}

/// What else must hold of a value, beyond its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// A number between these two.
    Bounds(u64, u64),
    /// A size for one of nginx's memory pools.
    PoolSize,
    /// Not supported on Linux, and ignored with a warning.
    Lowat,
    /// 512 to 32k, a power of two.
    GzipWindow,
    /// 512 to 128k, a power of two.
    GzipHash,
    /// More than 16 bytes.
    Http2RecvBuffer,
    /// At most 2^31 - 1.
    Http2Preread,
    /// A power of two.
    PowerOfTwo,
    /// Not zero.
    Http2Chunk,
    /// `epoll`
    Use,
    /// `on`, `off` or `threads[=pool]`
    Aio,
    /// `off` or a size
    Directio,
    /// `threads=` and `max_queue=`
    ThreadPool,
}

/// Whether nginx 1.28 has a directive at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It has.
    Here,
    /// A later one has, since this version where it is known.
    Later(Option<Version>),
    /// It was removed in this version.
    Removed(Version),
    /// nginx on another system has.
    NotLinux,
}

/// One directive of one module. A name may have several: `server` is three.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectiveSpec {
    /// Its place in the table, from 0.
    pub number: u16,
    /// As it is written.
    pub name: &'static str,
    /// Its module's name without `ngx_` and `_module`: `http_proxy`.
    pub module: &'static str,
    /// Where it may stand.
    pub contexts: Context,
    /// How many arguments it takes.
    pub arity: Arity,
    /// What its block is, for a block directive.
    pub opens: Option<Opens>,
    /// What its arguments are.
    pub ty: ValueType,
    /// Whether a second one in the same block is a duplicate.
    pub single: bool,
    /// The directive whose value it shares; itself most often.
    pub slot: &'static str,
    /// The directive that cannot stand beside it in a block.
    pub rival: Option<&'static str>,
    /// What else must hold of its value.
    pub rule: Option<Rule>,
    /// nginx takes it and does nothing with it.
    pub obsolete: bool,
    /// What to write instead.
    pub instead: Option<&'static str>,
    /// It only tunes nginx's internals, so that rnginx needs nothing of it.
    pub no_effect: bool,
    /// The default as the documentation says it.
    pub default: Option<&'static str>,
    /// The first version that had it, where the documentation says so.
    pub since: Option<Version>,
    /// Whether nginx 1.28 on Linux has it.
    pub presence: Presence,
}

impl DirectiveSpec {
    /// The page about it.
    pub fn documentation(&self) -> String {
        let page = match self.module {
            "http_try_files" | "http_copy" | "http" => "http/ngx_http_core_module".into(),
            "http_upstream_conf" => "http/ngx_http_upstream_conf_module".into(),
            module if module.starts_with("http_upstream_") => "http/ngx_http_upstream_module".into(),
            "stream" => "stream/ngx_stream_core_module".into(),
            module if module.starts_with("stream_upstream_") => "stream/ngx_stream_upstream_module".into(),
            "mail" => "mail/ngx_mail_core_module".into(),
            "google_perftools" => "ngx_google_perftools_module".into(),
            module => match module.split_once('_') {
                Some((kind @ ("http" | "stream" | "mail"), _)) => format!("{kind}/ngx_{module}_module"),
                _ => "ngx_core_module".into(),
            },
        };
        format!("https://nginx.org/en/docs/{page}.html#{}", self.name)
    }
}

/// One built-in variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VariableSpec {
    /// Without the `$`; a name that ends with `_` and is a prefix stands for a family: `arg_`.
    pub name: &'static str,
    /// Whether it is a prefix: `$arg_NAME`.
    pub is_prefix: bool,
    /// Its module's name without `ngx_` and `_module`.
    pub module: &'static str,
    /// `set` gives it a meaning of its own: `$limit_rate`.
    pub settable: bool,
    /// A configuration may define a variable of the same name.
    pub changeable: bool,
    /// It is worked out anew each time.
    pub no_cache: bool,
    /// It is newer than nginx 1.28.
    pub later: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_and_ordered() {
        assert_eq!(Version::parse("1.28.3"), Some(Version::NGINX));
        assert!(Version::parse("1.29.0") > Some(Version::NGINX) && Version::parse("1.9.15") < Some(Version::NGINX));
        assert_eq!((Version::parse("1.2"), Version::parse("1.2.3.4"), Version::parse("a.b.c")), (None, None, None));
    }

    #[test]
    fn an_if_is_what_stands_around_it() {
        assert_eq!(Opens::If.within(Context::SERVER), Context::SERVER_IF);
        assert_eq!(Opens::If.within(Context::LOCATION), Context::LOCATION_IF);
        assert_eq!(Opens::In(Context::HTTP).within(Context::MAIN), Context::HTTP);
    }
}
