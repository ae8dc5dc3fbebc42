//! The tree as rules look at it: blocks with the blocks around them, what stands in them, and what they inherit.

use std::{borrow::Cow, cell::RefCell, collections::HashMap, ops::Range, rc::Rc, sync::Arc};

use super::request::Trees;
use crate::{
    conf::pattern::compile,
    diag::Span,
    http::{LocationKind, Regex},
    load::{Form, Loaded, Sources},
    schema::{Context, Schema, key},
    syntax::{Directive, Word},
};

/// A configuration under the eyes of the rules.
pub(super) struct View<'a> {
    pub(super) sources: &'a Sources,
    /// What the main file holds: what would stand around a site or a fragment is not known.
    pub(super) form: Form,
    nodes: Vec<Node<'a>>,
    /// The directives of the blocks, one block behind the other, by the keys of their names, those of one name in the order
    /// written; and the keys, which are looked through instead of the names: rules ask far more often than they find.
    by_name: Vec<&'a Directive>,
    keys: Vec<u64>,
    /// The blocks of upstreams, by name.
    upstreams: HashMap<&'a [u8], usize>,
    /// The locations of servers as they are searched, made when they are asked for.
    trees: RefCell<HashMap<usize, Rc<Trees>>>,
    /// What questions about expressions have been answered: many servers ask the same.
    answers: RefCell<HashMap<Vec<u8>, Option<String>>>,
    regexes: RefCell<Regexes>,
}

/// Compiled expressions, by what is written and whether it is a `~*` one.
type Regexes = HashMap<(Vec<u8>, bool), Option<Arc<Regex>>>;

struct Node<'a> {
    directive: Option<&'a Directive>,
    directives: &'a [Directive],
    context: Context,
    parent: Option<usize>,
    children: Vec<usize>,
    /// How it is named, for a location.
    name: Option<Name<'a>>,
    /// Where its directives stand in the view's lists.
    named: Range<usize>,
    /// A bit for each name that stands in it, and that others may share.
    bits: u64,
}

/// A block.
#[derive(Clone, Copy)]
pub(super) struct Block<'v> {
    view: &'v View<'v>,
    id: usize,
}

/// What stands behind `location`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Name<'v> {
    pub(super) kind: LocationKind,
    /// Whether it is a `~*` one.
    pub(super) caseless: bool,
    /// The prefix, the pattern, or the name with its `@`.
    pub(super) text: &'v [u8],
    /// The last word.
    pub(super) word: &'v Word,
}

/// The bit of a name with this key.
fn bit(key: u64) -> u64 {
    1 << (key >> 58)
}

/// Directives that give all requests of a location to something.
const PASSES: [&str; 6] = ["proxy_pass", "fastcgi_pass", "uwsgi_pass", "scgi_pass", "grpc_pass", "memcached_pass"];

impl<'a> View<'a> {
    pub(super) fn new(loaded: &'a Loaded) -> Self {
        let mut view = Self {
            sources: &loaded.sources,
            form: loaded.form,
            nodes: Vec::new(),
            by_name: Vec::new(),
            keys: Vec::new(),
            upstreams: HashMap::new(),
            trees: RefCell::default(),
            answers: RefCell::default(),
            regexes: RefCell::default(),
        };
        view.add(None, &loaded.root, Context::MAIN, None);
        view
    }

    fn add(
        &mut self,
        directive: Option<&'a Directive>,
        directives: &'a [Directive],
        context: Context,
        parent: Option<usize>,
    ) {
        let id = self.nodes.len();
        let named = self.name(if context.is_table() { &[] } else { directives });
        let bits = self.keys[named.clone()].iter().fold(0, |bits, key| bits | bit(*key));
        let name = directive.filter(|_| context == Context::LOCATION).and_then(Name::of);
        self.nodes.push(Node { directive, directives, context, parent, children: Vec::new(), name, named, bits });
        if let Some(parent) = parent {
            self.nodes[parent].children.push(id);
        }
        if context.is_table() {
            return;
        }
        if let (Context::UPSTREAM, Some(name)) = (context, directive.and_then(|one| one.args.first())) {
            self.upstreams.entry(&name.value).or_insert(id);
        }
        for one in directives {
            let Some(block) = &one.block else { continue };
            if let Some(opens) = Schema::nginx().find(&one.name.value, context).and_then(|spec| spec.opens) {
                self.add(Some(one), &block.directives, opens.within(context), Some(id));
            }
        }
    }

    /// Writes a block's directives down by their names.
    fn name(&mut self, directives: &'a [Directive]) -> Range<usize> {
        let mut named: Vec<_> = directives.iter().map(|one| (key(&one.name.value), one)).collect();
        named.sort_by(|(key, one), (other_key, other)| {
            key.cmp(other_key).then_with(|| one.name.value.cmp(&other.name.value))
        });
        let start = self.keys.len();
        self.keys.extend(named.iter().map(|(key, _)| key));
        self.by_name.extend(named.iter().map(|(_, one)| one));
        start..self.keys.len()
    }

    /// The block that everything stands in.
    pub(super) fn root(&self) -> Block<'_> {
        Block { view: self, id: 0 }
    }

    /// Every block of these kinds, outer ones first.
    pub(super) fn blocks(&self, context: Context) -> impl Iterator<Item = Block<'_>> {
        let of_kind = move |id: &usize| self.nodes[*id].context.intersects(context);
        (0..self.nodes.len()).filter(of_kind).map(|id| Block { view: self, id })
    }

    /// Every server block of `http`.
    pub(super) fn servers(&self) -> impl Iterator<Item = Block<'_>> {
        self.blocks(Context::SERVER)
    }

    /// Every block of `http` in which requests are answered.
    pub(super) fn answering(&self) -> impl Iterator<Item = Block<'_>> {
        self.blocks(
            Context::SERVER | Context::SERVER_IF | Context::LOCATION | Context::LOCATION_IF | Context::LIMIT_EXCEPT,
        )
    }

    /// Every directive of this name, with the block it stands in.
    pub(super) fn every<'n>(&'n self, name: &'n str) -> impl Iterator<Item = (Block<'n>, &'n Directive)> {
        let bit = bit(key(name.as_bytes()));
        let blocks = (0..self.nodes.len()).filter(move |id| self.nodes[*id].bits & bit != 0).map(|id| self.block(id));
        blocks.flat_map(move |block| block.all(name).iter().map(move |one| (block, *one)))
    }

    /// Whether a directive of this name stands anywhere.
    pub(super) fn has(&self, name: &str) -> bool {
        self.every(name).next().is_some()
    }

    /// The upstream with this name.
    pub(super) fn upstream(&self, name: &str) -> Option<Block<'_>> {
        self.upstreams.get(name.as_bytes()).map(|id| self.block(*id))
    }

    /// The answer to a question that depends on these words alone, the rule's code first: asked once.
    pub(super) fn once(&self, words: &[&[u8]], ask: impl FnOnce() -> Option<String>) -> Option<String> {
        let key = words.join(&0);
        if let Some(known) = self.answers.borrow().get(&key) {
            return known.clone();
        }
        let answer = ask();
        self.answers.borrow_mut().insert(key, answer.clone());
        answer
    }

    fn block(&self, id: usize) -> Block<'_> {
        Block { view: self, id }
    }
}

impl<'v> Name<'v> {
    /// Reads what stands behind `location`; none where that is no name.
    fn of(location: &'v Directive) -> Option<Self> {
        let args = &location.args;
        let word = args.last()?;
        let (modifier, text): (&[u8], &[u8]) = match args.len() {
            1 => match &*word.value {
                [b'=', text @ ..] => (b"=", text),
                [b'^', b'~', text @ ..] => (b"^~", text),
                [b'~', b'*', text @ ..] => (b"~*", text),
                [b'~', text @ ..] => (b"~", text),
                text => (b"", text),
            },
            _ => (&args[0].value, &word.value),
        };
        let kind = match modifier {
            b"" if text.starts_with(b"@") => LocationKind::Named,
            b"" => LocationKind::Prefix,
            b"=" => LocationKind::Exact,
            b"^~" => LocationKind::PrefixNoRegex,
            b"~" | b"~*" => LocationKind::Regex,
            _ => return None,
        };
        Some(Name { kind, caseless: modifier == b"~*", text, word })
    }
}

impl<'v> Block<'v> {
    fn node(self) -> &'v Node<'v> {
        &self.view.nodes[self.id]
    }

    /// Its number: no two blocks have the same.
    pub(super) fn number(self) -> usize {
        self.id
    }

    /// The configuration it is part of.
    pub(super) fn view(self) -> &'v View<'v> {
        self.view
    }

    /// What kind of block it is.
    pub(super) fn context(self) -> Context {
        self.node().context
    }

    /// The directive that opens it; none for what everything stands in.
    pub(super) fn directive(self) -> Option<&'v Directive> {
        self.node().directive
    }

    /// The words of the directive that opens it, its name left out.
    pub(super) fn args(self) -> &'v [Word] {
        self.directive().map_or(&[], |directive| &directive.args)
    }

    /// The words that open it.
    pub(super) fn place(self) -> Span {
        self.directive().map_or_else(Span::default, Directive::span)
    }

    /// What stands in it, in the order written.
    pub(super) fn directives(self) -> &'v [Directive] {
        self.node().directives
    }

    /// The directives of this name that stand right in it.
    pub(super) fn all(self, name: &str) -> &'v [&'v Directive] {
        let (name, key, node) = (name.as_bytes(), key(name.as_bytes()), self.node());
        if node.bits & bit(key) == 0 {
            return &[];
        }
        let (by_name, keys) = (&self.view.by_name[node.named.clone()], &self.view.keys[node.named.clone()]);
        let Some(first) = keys.iter().position(|known| *known == key) else { return &[] };
        let of_key = &by_name[first..];
        let Some(from) = of_key.iter().position(|one| *one.name.value == *name) else { return &[] };
        let count = of_key[from..].iter().take_while(|one| *one.name.value == *name).count();
        &of_key[from..from + count]
    }

    /// The first directive of this name that stands right in it.
    pub(super) fn one(self, name: &str) -> Option<&'v Directive> {
        self.all(name).first().copied()
    }

    /// Whether a directive of this name stands right in it.
    pub(super) fn has(self, name: &str) -> bool {
        !self.all(name).is_empty()
    }

    /// This block and those around it.
    pub(super) fn up(self) -> impl Iterator<Item = Block<'v>> {
        std::iter::successors(Some(self), |block| block.parent())
    }

    /// The block around it.
    pub(super) fn parent(self) -> Option<Block<'v>> {
        Some(self.view.block(self.node().parent?))
    }

    /// The blocks right in it.
    pub(super) fn children(self) -> impl Iterator<Item = Block<'v>> {
        self.node().children.iter().map(move |id| self.view.block(*id))
    }

    /// This block and all inside it.
    pub(super) fn inside(self) -> impl Iterator<Item = Block<'v>> {
        let mut left = vec![self];
        std::iter::from_fn(move || {
            let block = left.pop()?;
            left.extend(block.node().children.iter().rev().map(|id| block.view.block(*id)));
            Some(block)
        })
    }

    /// The directives of this name that hold here: those of the nearest block that has any, and that block.
    pub(super) fn holds(self, name: &str) -> Option<(Block<'v>, &'v [&'v Directive])> {
        self.up().find(|block| block.has(name)).map(|block| (block, block.all(name)))
    }

    /// The one directive of this name that holds here.
    pub(super) fn holding(self, name: &str) -> Option<&'v Directive> {
        self.holds(name).map(|(_, all)| all[0])
    }

    /// The first argument of the directive of this name that holds here.
    pub(super) fn value(self, name: &str) -> Option<Cow<'v, str>> {
        Some(self.holding(name)?.args.first()?.text())
    }

    /// Whether a flag is on here.
    pub(super) fn is_on(self, name: &str) -> bool {
        self.value(name).is_some_and(|value| value.eq_ignore_ascii_case("on"))
    }

    /// The server it is part of.
    pub(super) fn server(self) -> Option<Block<'v>> {
        self.up().find(|block| block.context() == Context::SERVER)
    }

    /// The location it is, or is part of.
    pub(super) fn location(self) -> Option<Block<'v>> {
        self.up().find(|block| block.context() == Context::LOCATION)
    }

    /// The locations right in it.
    pub(super) fn locations(self) -> impl Iterator<Item = Block<'v>> {
        self.children().filter(|block| block.context() == Context::LOCATION)
    }

    /// The expression that a location is, as the engine that serves runs it.
    pub(super) fn regex(self) -> Option<Arc<Regex>> {
        let name = self.name().filter(|name| name.kind == LocationKind::Regex)?;
        let mut known = self.view.regexes.borrow_mut();
        let regex = known.entry((name.text.to_vec(), name.caseless));
        regex.or_insert_with(|| compile(name.text, name.caseless).map(Arc::new)).clone()
    }

    /// How it is named, for a location.
    pub(super) fn name(self) -> Option<Name<'v>> {
        self.node().name
    }

    /// The prefix of a location that is found by one.
    pub(super) fn prefix(self) -> Option<Cow<'v, str>> {
        let name = self.name()?;
        let is_prefix = matches!(name.kind, LocationKind::Prefix | LocationKind::PrefixNoRegex);
        is_prefix.then(|| String::from_utf8_lossy(name.text))
    }

    /// What it gives all its requests to: `proxy_pass` and its like.
    pub(super) fn pass(self) -> Option<&'v Directive> {
        PASSES.iter().find_map(|name| self.one(name))
    }

    /// Whether it answers requests by something else than files.
    pub(super) fn has_content(self) -> bool {
        self.pass().is_some() || ["return", "stub_status", "empty_gif", "perl", "api"].iter().any(|name| self.has(name))
    }

    /// The locations of its server as the matcher that serves searches them.
    pub(super) fn trees(self) -> Rc<Trees> {
        let server = self.server().unwrap_or(self.view.root());
        let mut trees = self.view.trees.borrow_mut();
        trees.entry(server.id).or_insert_with(|| Rc::new(Trees::new(server))).clone()
    }

    /// The block that answers a request for this path, given as the client sends it; none where the request is refused or
    /// redirected.
    pub(super) fn answers(self, target: &str) -> Option<Block<'v>> {
        let server = self.server()?;
        let id = self.trees().answer(server.id, target)?;
        Some(self.view.block(id))
    }
}
