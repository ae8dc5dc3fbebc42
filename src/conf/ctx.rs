//! The state of a compilation: blocks and what was written in them, names, and complaints.

use std::any::{Any, TypeId};
use std::cell::OnceCell;
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;

use super::names::VariableTable;
use super::{AnyModule, Args, Resources, SetResult};
use crate::diag::{Diagnostic, Severity, Span};
use crate::http::{Extensions, Getter, LocationKind, NameHash, Regex, VarIndex, Variable, VariableDef};
use crate::paths::Paths;
use crate::schema::{Context, Schema};
use crate::syntax::{Directive, Word};

/// A block's number. Blocks below `http` become locations of the same number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u32);

/// What kind of block a node is.
#[derive(Clone, Debug)]
pub enum NodeKind {
    /// The file itself.
    Main,
    /// `events`
    Events,
    /// `http`
    Http,
    /// `server`
    Server,
    /// `location`
    Location(LocationName),
    /// `if` in a server block.
    ServerIf,
    /// `if` in a location.
    LocationIf,
    /// `limit_except`
    LimitExcept,
    /// `upstream`
    Upstream(Bytes),
}

/// How a location is named.
#[derive(Clone, Debug)]
pub struct LocationName {
    /// `=`, `^~`, `~`, `@` or none.
    pub kind: LocationKind,
    /// The prefix, pattern, or the name without `@`.
    pub name: Bytes,
    /// The compiled pattern.
    pub regex: Option<Arc<Regex>>,
}

impl NodeKind {
    /// Where directives in it stand, in the table's words.
    pub fn context(&self) -> Context {
        match self {
            NodeKind::Main => Context::MAIN,
            NodeKind::Events => Context::EVENTS,
            NodeKind::Http => Context::HTTP,
            NodeKind::Server => Context::SERVER,
            NodeKind::Location(_) => Context::LOCATION,
            NodeKind::ServerIf => Context::SERVER_IF,
            NodeKind::LocationIf => Context::LOCATION_IF,
            NodeKind::LimitExcept => Context::LIMIT_EXCEPT,
            NodeKind::Upstream(_) => Context::UPSTREAM,
        }
    }
}

struct Node {
    kind: NodeKind,
    parent: Option<NodeId>,
    at: Span,
    end: Span,
    confs: Box<[Slot]>,
}

/// What a module wrote down for a block. Most blocks are untouched by most modules, and those below one block then share
/// what it gives them. None where it is untouched, or away.
type Slot = Option<Rc<Values>>;

/// A module's values of a block, and what a block in it that sets nothing has of them.
struct Values {
    conf: Box<dyn Any>,
    below: OnceCell<Rc<Values>>,
}

impl Values {
    fn new(module: &dyn AnyModule) -> Rc<Self> {
        Rc::new(Self { conf: module.new_conf(), below: OnceCell::new() })
    }

    /// What is given to a block that sets nothing itself.
    fn untouched(&self, module: &dyn AnyModule) -> Rc<Self> {
        let make = || {
            let mut below = Self::new(module);
            module.merge(&*self.conf, Self::own(&mut below));
            below
        };
        self.below.get_or_init(make).clone()
    }

    fn own(values: &mut Rc<Self>) -> &mut dyn Any {
        &mut *Rc::get_mut(values).expect(UNSHARED).conf
    }
}

const PRESENT: &str = "a block's values are only away while its own directive runs";
const UNSHARED: &str = "values are shared when all blocks have been read, and not written after that";
const FOUND: &str = "the slot was found by this type";

/// The state of a compilation.
pub struct Ctx<'c> {
    /// Opens logs and files on the compiler's behalf.
    pub resources: &'c mut dyn Resources,
    /// What goes into the cycle's extensions.
    pub extensions: Extensions,
    schema: &'static Schema,
    modules: &'static [&'static dyn AnyModule],
    /// The modules by the types of their values, sorted.
    slots: Vec<(TypeId, usize)>,
    defaults: Vec<Rc<Values>>,
    /// By the numbers of the table's rows.
    commands: Vec<Option<CommandPlace>>,
    nodes: Vec<Node>,
    current: NodeId,
    /// The values, by block and module, that a module's own directive has in its hands.
    away: Vec<(NodeId, usize)>,
    collected: HashMap<TypeId, Box<dyn Any>>,
    variables: VariableTable,
    regexes: HashMap<(Box<[u8]>, bool), Regex>,
    diagnostics: Vec<Diagnostic>,
    paths: &'c Paths,
}

/// A directive's module and number.
#[derive(Clone, Copy)]
struct CommandPlace {
    module: usize,
    command: usize,
}

impl<'c> Ctx<'c> {
    /// A compilation with nothing read yet.
    pub fn new(
        schema: &'static Schema,
        modules: &'static [&'static dyn AnyModule],
        resources: &'c mut dyn Resources,
        paths: &'c Paths,
    ) -> Self {
        let defaults: Vec<_> = modules.iter().map(|module| Values::new(*module)).collect();
        let types = defaults.iter().map(|values| (*values.conf).type_id());
        let mut slots: Vec<_> = types.enumerate().map(|(slot, of_type)| (of_type, slot)).collect();
        slots.sort_unstable();
        let definitions = modules.iter().flat_map(|module| module.variables()).copied();
        let mut ctx = Self {
            resources,
            extensions: Extensions::default(),
            schema,
            modules,
            slots,
            defaults,
            commands: commands(schema, modules),
            nodes: Vec::new(),
            current: NodeId(0),
            away: Vec::new(),
            collected: HashMap::new(),
            variables: VariableTable::new(definitions),
            regexes: HashMap::new(),
            diagnostics: Vec::new(),
            paths,
        };
        ctx.push_node(NodeKind::Main, None, Span::default(), Span::default());
        ctx
    }

    fn push_node(&mut self, kind: NodeKind, parent: Option<NodeId>, at: Span, end: Span) -> NodeId {
        let id = NodeId(u32::try_from(self.nodes.len()).expect("fewer blocks than bytes in a file"));
        let confs = vec![None; self.modules.len()].into();
        self.nodes.push(Node { kind, parent, at, end, confs });
        id
    }

    /// Runs the directives of the current block.
    pub fn run(&mut self, directives: &[Directive]) {
        for directive in directives {
            if let Err(diagnostic) = self.run_one(directive) {
                self.complain_in(directive, diagnostic);
            }
        }
    }

    /// Directives that no module runs have been answered by the check, those without effect need no answer.
    fn run_one(&mut self, directive: &Directive) -> SetResult {
        let context = self.kind(self.current).context();
        let Some(spec) = self.schema.find(&directive.name.value, context) else { return Ok(()) };
        let Some(CommandPlace { module, command }) = self.commands[usize::from(spec.number)] else { return Ok(()) };
        let node = self.current;
        let mut conf = self.take(node, module).unwrap_or_else(|| Values::new(self.modules[module]));
        let result = self.modules[module].run(command, Values::own(&mut conf), &Args::new(directive), self);
        self.put_back(node, module, Some(conf));
        result
    }

    /// Takes a block's values out for as long as their module has them in its hands.
    fn take(&mut self, node: NodeId, module: usize) -> Slot {
        let taken = self.slot(node, module).take();
        assert!(taken.is_some() || !self.away.contains(&(node, module)), "{PRESENT}");
        self.away.push((node, module));
        taken
    }

    fn put_back(&mut self, node: NodeId, module: usize, values: Slot) {
        *self.slot(node, module) = values;
        self.away.pop();
    }

    /// Runs a directive's block as a block of its own below the current one.
    pub fn block(&mut self, args: &Args<'_>, kind: NodeKind) -> NodeId {
        let directive = args.directive();
        let end = directive.block.as_ref().map_or(directive.end, |block| block.close);
        let id = self.push_node(kind, Some(self.current), directive.name.span, end);
        let outer = std::mem::replace(&mut self.current, id);
        self.run(directive.children());
        self.current = outer;
        id
    }

    /// The block whose directives are being read.
    pub fn current(&self) -> NodeId {
        self.current
    }

    /// What kind of block a node is.
    pub fn kind(&self, node: NodeId) -> &NodeKind {
        &self.nodes[node.0 as usize].kind
    }

    /// The block around a block.
    pub fn parent(&self, node: NodeId) -> Option<NodeId> {
        self.nodes[node.0 as usize].parent
    }

    /// Where a block's directive stands.
    pub fn place(&self, node: NodeId) -> Span {
        self.nodes[node.0 as usize].at
    }

    /// The end of a block, its `}`.
    pub fn end(&self, node: NodeId) -> Span {
        self.nodes[node.0 as usize].end
    }

    /// The end of the `http` block, where nginx stands when it complains about values that do not go together.
    pub fn end_of_http(&self) -> Span {
        let http = self.nodes.iter().find(|node| matches!(node.kind, NodeKind::Http));
        http.map_or(Span::default(), |node| node.end)
    }

    /// All blocks, outer ones first.
    pub fn nodes(&self) -> impl ExactSizeIterator<Item = NodeId> + use<> {
        (0..u32::try_from(self.nodes.len()).expect("fewer blocks than bytes in a file")).map(NodeId)
    }

    fn slot(&mut self, node: NodeId, module: usize) -> &mut Slot {
        &mut self.nodes[node.0 as usize].confs[module]
    }

    fn slot_of<C: Any>(&self) -> usize {
        let at = self.slots.binary_search_by_key(&TypeId::of::<C>(), |(of_type, _)| *of_type);
        self.slots[at.expect("only values of modules are asked for")].1
    }

    /// What a module wrote down for a block.
    pub fn conf_at<C: Any>(&self, node: NodeId) -> &C {
        let slot = self.slot_of::<C>();
        self.values(node, slot).conf.downcast_ref().expect(FOUND)
    }

    fn values(&self, node: NodeId, slot: usize) -> &Rc<Values> {
        self.nodes[node.0 as usize].confs[slot].as_ref().unwrap_or_else(|| {
            assert!(!self.away.contains(&(node, slot)), "{PRESENT}");
            &self.defaults[slot]
        })
    }

    /// What a module wrote down for the blocks that are meant, outer ones first; values that blocks share are met once.
    pub fn each_conf<C: Any>(&self, is_meant: impl Fn(&NodeKind) -> bool) -> Vec<&C> {
        let slot = self.slot_of::<C>();
        let mut met: HashSet<_, NameHash> = HashSet::default();
        let meant = self.nodes().filter(|node| is_meant(self.kind(*node)));
        let values = meant.map(|node| self.values(node, slot)).filter(|values| met.insert(Rc::as_ptr(values)));
        values.map(|values| values.conf.downcast_ref().expect(FOUND)).collect()
    }

    /// The same, to change it, before all blocks have been read.
    pub fn conf_at_mut<C: Any>(&mut self, node: NodeId) -> &mut C {
        let module = self.slot_of::<C>();
        let new = self.modules[module];
        assert!(!self.away.contains(&(node, module)), "{PRESENT}");
        let values = self.slot(node, module).get_or_insert_with(|| Values::new(new));
        Values::own(values).downcast_mut().expect(FOUND)
    }

    /// Gives every block what the blocks around it set.
    pub fn merge(&mut self) {
        for node in self.nodes() {
            for slot in 0..self.modules.len() {
                let merged = self.merged(node, slot);
                *self.slot(node, slot) = Some(merged);
            }
        }
    }

    /// What a block has of a module when the block around it, merged before, has given it its own.
    fn merged(&mut self, node: NodeId, slot: usize) -> Rc<Values> {
        let module = self.modules[slot];
        let own = self.slot(node, slot).take();
        let around = self.parent(node).and_then(|parent| self.nodes[parent.0 as usize].confs[slot].as_ref());
        match (own, around) {
            (Some(values), None) => values,
            (Some(mut values), Some(around)) => {
                module.merge(&*around.conf, Values::own(&mut values));
                values
            }
            (None, None) => Values::new(module),
            (None, Some(around)) => around.untouched(module),
        }
    }

    /// Lets every module install itself in a location.
    pub fn install(&mut self, node: NodeId) -> super::builder::Installed {
        let modules = self.modules;
        let mut builder = super::LocationBuilder::new(self, node);
        for (slot, module) in modules.iter().enumerate() {
            let values = builder.ctx.values(node, slot).clone();
            module.install(&*values.conf, &mut builder);
        }
        builder.finish()
    }

    /// Lets every module settle its names.
    pub fn finish(&mut self) {
        self.check_zones();
        for module in self.modules.iter() {
            module.finish(self);
        }
    }

    /// What a module collects for the whole configuration, made on first use.
    pub fn collected<T: Any + Default>(&mut self) -> &mut T {
        let entry = self.collected.entry(TypeId::of::<T>()).or_insert_with(|| Box::<T>::default());
        entry.downcast_mut().expect("the entry was found by this type")
    }

    /// A path as nginx takes it: relative ones stand under the prefix.
    pub fn full_path(&self, path: impl AsRef<Path>) -> PathBuf {
        self.paths.full(path)
    }

    /// A path as nginx takes it for certificates, password files and other parts of the configuration:
    /// relative ones stand under the folder of the main file.
    pub fn conf_path(&self, path: impl AsRef<Path>) -> PathBuf {
        self.paths.conf_prefix.join(path)
    }

    /// Where this run has its files.
    pub fn paths(&self) -> &'c Paths {
        self.paths
    }

    /// Numbers a variable that a module uses at request time; the name is without `$`.
    pub fn variable(&mut self, name: &[u8], at: Span) -> VarIndex {
        self.variables.used(name, at)
    }

    /// The first value found of a variable of nginx's own stays in this configuration, where others look anew each time.
    pub fn keep_variable(&mut self, name: &str) {
        self.variables.keep(name);
    }

    /// The variables that modules bring along.
    pub fn builtin_variables(&self) -> impl Iterator<Item = VariableDef> + use<> {
        self.modules.iter().flat_map(|module| module.variables()).copied()
    }

    /// Defines a variable.
    ///
    /// # Errors
    /// nginx's `invalid variable name` and `the duplicate "x" variable`.
    pub fn define_variable(&mut self, word: &Word, getter: Getter, cacheable: bool) -> Result<VarIndex, Diagnostic> {
        let name = variable_name(word)?;
        self.variables.define(name, getter, cacheable).map_err(|diagnostic| diagnostic.at(word.span))
    }

    /// Defines a variable that `set` and its like assign; `getter` speaks for it until then. One that is
    /// defined already keeps its definition.
    ///
    /// # Errors
    /// As [`Self::define_variable`].
    pub fn assigned_variable(&mut self, word: &Word, getter: Getter) -> Result<VarIndex, Diagnostic> {
        let name = variable_name(word)?;
        self.variables.declare(name, getter, true).map_err(|diagnostic| diagnostic.at(word.span))
    }

    /// Numbers a variable that a named capture assigns.
    pub(super) fn capture_variable(&mut self, name: &str) -> Result<VarIndex, Diagnostic> {
        self.variables.declare(name.as_bytes(), Getter::Assigned, false)
    }

    /// An expression that was compiled before: many servers write the same one.
    pub(super) fn known_regex(&self, pattern: &[u8], caseless: bool) -> Option<&Regex> {
        self.regexes.get(&(pattern.into(), caseless))
    }

    /// Keeps an expression for the next that writes it.
    pub(super) fn keep_regex(&mut self, regex: &Regex, caseless: bool) {
        self.regexes.insert((regex.pattern().into(), caseless), regex.clone());
    }

    /// Complains.
    pub fn complain(&mut self, diagnostic: Diagnostic) {
        self.diagnostics.push(diagnostic);
    }

    /// Complains about a directive; its name is at fault where the complaint names no place.
    pub fn complain_in(&mut self, directive: &Directive, diagnostic: Diagnostic) {
        let at = diagnostic.at.unwrap_or(directive.name.span);
        // A complaint that names another line than that of its place knows better than we do.
        let nginx_at = diagnostic.nginx_at.filter(|span| diagnostic.at != Some(*span)).unwrap_or(directive.end);
        self.diagnostics.push(Diagnostic { at: Some(at), nginx_at: Some(nginx_at), ..diagnostic });
    }

    /// Whether something is wrong already.
    pub fn has_failed(&self) -> bool {
        self.diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
    }

    /// Ends the compilation: all variables with their names, and all that was complained about.
    pub fn settle(mut self) -> Settled {
        let mut diagnostics = self.diagnostics;
        let (variables, variable_names) = self.variables.settle(&mut |diagnostic| diagnostics.push(diagnostic));
        Settled { variables, variable_names, extensions: std::mem::take(&mut self.extensions), diagnostics }
    }
}

/// Who runs the rows of the table. Two modules may have directives of one name in different places; the table says whose
/// one is.
fn commands(schema: &Schema, modules: &[&dyn AnyModule]) -> Vec<Option<CommandPlace>> {
    let mut commands = vec![None; schema.directives().len()];
    let mut names: HashMap<_, Vec<_>> = HashMap::new();
    for (module, found) in modules.iter().enumerate() {
        for (command, name) in found.commands().into_iter().enumerate() {
            names.entry(name).or_default().push((found.name(), CommandPlace { module, command }));
        }
    }
    for row in schema.directives() {
        commands[usize::from(row.number)] = match names.get(row.name).map(|places| &places[..]) {
            Some([(_, only)]) => Some(*only),
            Some(several) => several.iter().find(|(owner, _)| *owner == row.module).map(|(_, place)| *place),
            None => None,
        };
    }
    commands
}

/// What stands behind the `$`.
fn variable_name(word: &Word) -> Result<&[u8], Diagnostic> {
    word.value.strip_prefix(b"$").filter(|name| !name.is_empty()).ok_or_else(|| {
        let message = format!("invalid variable name \"{}\"", word.text());
        Diagnostic::error("invalid-variable", message).at(word.span)
    })
}

/// What is left of a compilation when all blocks are built.
pub struct Settled {
    /// All variables.
    pub variables: Vec<Variable>,
    /// Variables by name.
    pub variable_names: HashMap<Box<[u8]>, VarIndex>,
    /// What modules keep for the whole configuration.
    pub extensions: Extensions,
    /// Everything that was complained about.
    pub diagnostics: Vec<Diagnostic>,
}
