//! `grammar/directives.conf`, read once by our own parser.

use std::{collections::HashMap, str, sync::LazyLock};

use super::key::NameHash;
use super::{Arity, Context, DirectiveSpec, Opens, Presence, Rule, ValueType, VariableSpec, Version};
use crate::{
    diag::FileId,
    syntax::{Directive, Word, parse},
};

const TEXT: &str = include_str!("../../grammar/directives.conf");

static NGINX: LazyLock<Schema> = LazyLock::new(|| match Reader::default().table(TEXT) {
    Ok(schema) => schema,
    Err(fault) => panic!("grammar/directives.conf is part of the program, and has a test: {fault}"),
});

/// What the language allows.
#[derive(Debug, Default)]
pub struct Schema {
    rows: Vec<DirectiveSpec>,
    by_name: HashMap<&'static [u8], Vec<u16>, NameHash>,
    variables: Vec<VariableSpec>,
    families: Vec<(&'static str, Vec<&'static str>)>,
}

impl Schema {
    /// The language of nginx 1.28.
    pub fn nginx() -> &'static Self {
        &NGINX
    }

    /// Every directive, in the order of nginx's modules.
    pub fn directives(&self) -> &[DirectiveSpec] {
        &self.rows
    }

    /// Every built-in variable.
    pub fn variables(&self) -> &[VariableSpec] {
        &self.variables
    }

    /// The directives with this name, in the order in which nginx asks its modules.
    pub fn named(&self, name: &[u8]) -> impl Iterator<Item = &DirectiveSpec> {
        self.by_name.get(name).into_iter().flatten().map(|&row| &self.rows[usize::from(row)])
    }

    /// The directive that nginx 1.28 takes this name for in this place.
    pub fn find(&self, name: &[u8], context: Context) -> Option<&DirectiveSpec> {
        self.named(name).find(|spec| spec.presence == Presence::Here && spec.contexts.intersects(context))
    }

    /// The directives of nginx 1.28 that may stand in this place.
    pub fn within(&self, context: Context) -> impl Iterator<Item = &DirectiveSpec> {
        self.rows.iter().filter(move |spec| spec.presence == Presence::Here && spec.contexts.intersects(context))
    }

    /// Whose directive it is, where it belongs to a module that is not part of nginx: `the njs module`.
    pub fn third_party(&self, name: &[u8]) -> Option<&'static str> {
        let name = str::from_utf8(name).ok()?;
        self.families
            .iter()
            .find(|(_, patterns)| patterns.iter().any(|pattern| matches(pattern, name)))
            .map(|(who, _)| *who)
    }
}

/// A `*` stands for any text, in one place at most.
fn matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((start, end)) => name.len() >= start.len() + end.len() && name.starts_with(start) && name.ends_with(end),
    }
}

#[derive(Default)]
struct Reader {
    schema: Schema,
}

impl Reader {
    fn table(mut self, text: &'static str) -> Result<Schema, String> {
        let (tree, faults) = parse(FileId::default(), text.as_bytes());
        if let Some(fault) = faults.first() {
            return Err(fault.message.clone());
        }
        for statement in &tree {
            match &*statement.name.value {
                b"module" => self.module(text, statement)?,
                b"family" => self.family(text, statement)?,
                _ => return Err(format!("what is {}?", statement.name.text())),
            }
        }
        for row in &self.schema.rows {
            self.schema.by_name.entry(row.name.as_bytes()).or_default().push(row.number);
        }
        Ok(self.schema)
    }

    fn module(&mut self, text: &'static str, statement: &Directive) -> Result<(), String> {
        let name = words(text, &statement.args).next().ok_or("a module without a name")?;
        for row in statement.children() {
            let fault = |fault: String| format!("{name}: {}: {fault}", row.name.text());
            if &*row.name.value == b"variable" {
                self.schema.variables.push(variable(name, text, row).map_err(fault)?);
            } else {
                let number = u16::try_from(self.schema.rows.len()).map_err(|_| "too many rows")?;
                let spec = directive(name, text, row).map_err(fault)?;
                self.schema.rows.push(DirectiveSpec { number, ..spec });
            }
        }
        Ok(())
    }

    fn family(&mut self, text: &'static str, statement: &Directive) -> Result<(), String> {
        let mut names = words(text, &statement.args);
        let who = names.next().ok_or("a family without a name")?;
        self.schema.families.push((who, names.collect()));
        Ok(())
    }
}

/// The words as they stand in the text, without their quotes: the table has no escapes.
fn words<'a>(text: &'static str, words: &'a [Word]) -> impl Iterator<Item = &'static str> + 'a {
    words.iter().map(move |word| slice(text, word))
}

fn slice(text: &'static str, word: &Word) -> &'static str {
    let inset = usize::from(word.quoted);
    &text[word.span.start as usize + inset..word.span.end as usize - inset]
}

fn variable(module: &'static str, text: &'static str, row: &Directive) -> Result<VariableSpec, String> {
    let mut words = words(text, &row.args);
    let name = words.next().and_then(|name| name.strip_prefix('$')).ok_or("no name")?;
    let (name, is_prefix) = name.strip_suffix('*').map_or((name, false), |name| (name, true));
    let mut spec =
        VariableSpec { name, is_prefix, module, settable: false, changeable: false, no_cache: false, later: false };
    for word in words {
        match word {
            "settable" => spec.settable = true,
            "changeable" => spec.changeable = true,
            "no-cache" => spec.no_cache = true,
            "later" => spec.later = true,
            _ => return Err(format!("what is {word}?")),
        }
    }
    Ok(spec)
}

fn directive(module: &'static str, text: &'static str, row: &Directive) -> Result<DirectiveSpec, String> {
    let name = slice(text, &row.name);
    let mut spec = DirectiveSpec {
        number: 0,
        name,
        module,
        contexts: Context::NONE,
        arity: Arity::NONE,
        opens: None,
        ty: ValueType::Custom,
        single: false,
        slot: name,
        rival: None,
        rule: None,
        obsolete: false,
        instead: None,
        no_effect: false,
        default: None,
        since: None,
        presence: Presence::Here,
    };
    let mut arity = None;
    for word in words(text, &row.args) {
        if let Some((key, value)) = word.split_once('=') {
            if key == "args" {
                arity = Some(Arity::parse(value).ok_or(format!("what is {word}?"))?);
            } else {
                attribute(&mut spec, key, value).ok_or(format!("what is {word}?"))?;
            }
        } else {
            bare(&mut spec, word).ok_or(format!("what is {word}?"))?;
        }
    }
    spec.arity = arity.or(spec.ty.arity()).ok_or("how many arguments?")?;
    spec.single |= spec.ty.is_single();
    if let Some(version) = spec.since.filter(|&version| version > Version::NGINX) {
        spec.presence = Presence::Later(Some(version));
    }
    if spec.contexts.is_empty() { Err("where may it stand?".into()) } else { Ok(spec) }
}

fn attribute(spec: &mut DirectiveSpec, key: &str, value: &'static str) -> Option<()> {
    match key {
        "default" => spec.default = Some(value),
        "since" => spec.since = Some(Version::parse(value)?),
        "removed" => spec.presence = Presence::Removed(Version::parse(value)?),
        "one-of" => spec.ty = ValueType::Enum(alternatives(value)),
        "any-of" => spec.ty = ValueType::Bitmask(alternatives(value)),
        "opens" if value == "if" => spec.opens = Some(Opens::If),
        "opens" => spec.opens = Some(Opens::In(Context::named(value)?)),
        "slot" => spec.slot = value,
        "rival" => spec.rival = Some(value),
        "instead" => spec.instead = Some(value),
        "bounds" => {
            let (low, high) = value.split_once('-')?;
            spec.rule = Some(Rule::Bounds(low.parse().ok()?, high.parse().ok()?));
        }
        "check" => spec.rule = Some(rule(value)?),
        _ => return None,
    }
    Some(())
}

/// The table lives as long as the program, and so do the lists in it.
fn alternatives(value: &'static str) -> &'static [&'static str] {
    value.split('|').collect::<Vec<_>>().leak()
}

fn rule(name: &str) -> Option<Rule> {
    Some(match name {
        "pool-size" => Rule::PoolSize,
        "lowat" => Rule::Lowat,
        "gzip-window" => Rule::GzipWindow,
        "gzip-hash" => Rule::GzipHash,
        "http2-recv-buffer" => Rule::Http2RecvBuffer,
        "http2-preread" => Rule::Http2Preread,
        "power-of-two" => Rule::PowerOfTwo,
        "http2-chunk" => Rule::Http2Chunk,
        "use" => Rule::Use,
        "aio" => Rule::Aio,
        "directio" => Rule::Directio,
        "thread-pool" => Rule::ThreadPool,
        _ => return None,
    })
}

fn bare(spec: &mut DirectiveSpec, word: &str) -> Option<()> {
    if let Some(context) = Context::named(word) {
        spec.contexts = spec.contexts | context;
        return Some(());
    }
    match word {
        "once" => spec.single = true,
        "obsolete" => spec.obsolete = true,
        "no-effect" => spec.no_effect = true,
        "later" => spec.presence = Presence::Later(None),
        "not-linux" => spec.presence = Presence::NotLinux,
        _ => spec.ty = value_type(word)?,
    }
    Some(())
}

fn value_type(word: &str) -> Option<ValueType> {
    Some(match word {
        "flag" => ValueType::Flag,
        "num" => ValueType::Number,
        "size" => ValueType::Size,
        "offset" => ValueType::Offset,
        "msec" => ValueType::Msec,
        "sec" => ValueType::Sec,
        "string" => ValueType::String,
        "strings" => ValueType::Strings,
        "pairs" => ValueType::Pairs,
        "buffers" => ValueType::Buffers,
        "path" => ValueType::Path,
        "access" => ValueType::Access,
        "script" => ValueType::Script,
        "script-size" => ValueType::ScriptSize,
        "predicates" => ValueType::Predicates,
        "mime-types" => ValueType::MimeTypes,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(name: &str, context: Context) -> &'static DirectiveSpec {
        Schema::nginx().find(name.as_bytes(), context).expect("a row")
    }

    #[test]
    fn the_table_is_whole() {
        let schema = Schema::nginx();
        let here = schema.directives().iter().filter(|spec| spec.presence == Presence::Here).count();
        assert_eq!((here, schema.directives().len()), (736, 789));
        assert_eq!(schema.variables().len(), 241);
    }

    #[test]
    fn a_name_in_one_place_is_one_directive() {
        for spec in Schema::nginx().directives().iter().filter(|spec| spec.presence == Presence::Here) {
            for context in spec.contexts.each() {
                assert_eq!(Schema::nginx().find(spec.name.as_bytes(), context), Some(spec), "{} {context}", spec.name);
            }
        }
    }

    #[test]
    fn rows_hold_what_nginx_says() {
        let size = one("client_max_body_size", Context::LOCATION);
        assert_eq!((size.ty, size.arity, size.default), (ValueType::Offset, Arity::exactly(1), Some("1m")));
        assert_eq!((size.module, size.single, size.opens), ("http_core", true, None));
        let server = one("server", Context::UPSTREAM);
        assert_eq!((server.module, server.arity, server.single), ("http_upstream", Arity::AtLeast(1), false));
        assert_eq!(one("server", Context::HTTP).opens, Some(Opens::In(Context::SERVER)));
        assert_eq!(one("satisfy", Context::HTTP).ty, ValueType::Enum(&["all", "any"]));
        assert_eq!(one("gzip_comp_level", Context::HTTP).rule, Some(Rule::Bounds(1, 9)));
        assert!(one("multi_accept", Context::EVENTS).no_effect && one("proxy_pass", Context::LOCATION_IF).single);
        assert_eq!(Schema::nginx().find(b"listen", Context::LOCATION), None);
    }

    #[test]
    fn other_versions_are_known() {
        let presence = |name: &str| Schema::nginx().named(name.as_bytes()).map(|spec| spec.presence).next();
        assert_eq!(presence("early_hints"), Some(Presence::Later(Some(Version(1, 29, 0)))));
        assert_eq!(presence("ssl"), Some(Presence::Removed(Version(1, 25, 1))));
        assert_eq!((presence("kqueue_events"), presence("foo")), (Some(Presence::NotLinux), None));
    }

    #[test]
    fn other_peoples_modules_are_known() {
        let who = |name: &str| Schema::nginx().third_party(name.as_bytes());
        assert_eq!(who("content_by_lua_block"), Some("OpenResty's Lua module"));
        assert_eq!((who("brotli"), who("brotli_types")), (Some("the Brotli module"), Some("the Brotli module")));
        assert_eq!((who("brotlix"), who("proxy_pass")), (None, None));
    }

    #[test]
    fn every_row_has_a_page() {
        let page = |name: &str, context| one(name, context).documentation();
        assert_eq!(
            page("limit_req", Context::HTTP),
            "https://nginx.org/en/docs/http/ngx_http_limit_req_module.html#limit_req"
        );
        assert_eq!(page("use", Context::EVENTS), "https://nginx.org/en/docs/ngx_core_module.html#use");
        assert_eq!(
            page("hash", Context::STREAM_UPSTREAM),
            "https://nginx.org/en/docs/stream/ngx_stream_upstream_module.html#hash"
        );
    }
}
