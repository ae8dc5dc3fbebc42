//! Variables by name while the configuration is read: use may come before definition.

use std::collections::HashMap;

use crate::diag::{Diagnostic, Span, closest};
use crate::http::{BuiltinGet, Getter, VarIndex, Variable, VariableDef};
use crate::load::NOT_RUN;
use crate::schema::{Schema, VariableSpec};

/// The variables of a configuration.
pub(super) struct VariableTable {
    builtin: HashMap<&'static str, VariableDef>,
    families: Vec<VariableDef>,
    by_name: HashMap<Box<[u8]>, VarIndex>,
    entries: Vec<Entry>,
}

struct Entry {
    name: Box<[u8]>,
    first_use: Option<Span>,
    defined: Option<Variable>,
    /// Only `set` defines it, so a family of built-in variables that has this name gives the value.
    weak: bool,
}

impl VariableTable {
    pub(super) fn new(definitions: impl Iterator<Item = VariableDef>) -> Self {
        let (families, single): (Vec<_>, Vec<_>) =
            definitions.partition(|definition| matches!(definition.get, BuiltinGet::Family(_)));
        let builtin = single.into_iter().map(|definition| (definition.name, definition)).collect();
        Self { builtin, families, by_name: HashMap::new(), entries: Vec::new() }
    }

    fn index(&mut self, name: &[u8]) -> VarIndex {
        let name = name.to_ascii_lowercase();
        if let Some(index) = self.by_name.get(&name[..]) {
            return *index;
        }
        let index =
            VarIndex(u16::try_from(self.entries.len()).expect("a configuration names fewer than 65,536 variables"));
        self.by_name.insert(name.clone().into(), index);
        self.entries.push(Entry { name: name.into(), first_use: None, defined: None, weak: false });
        index
    }

    /// The first value found of a variable of nginx's own stays after all.
    pub(super) fn keep(&mut self, name: &str) {
        if let Some(definition) = self.builtin.get_mut(name) {
            definition.cacheable = true;
        }
    }

    /// Numbers a variable that is used.
    pub(super) fn used(&mut self, name: &[u8], at: Span) -> VarIndex {
        let index = self.index(name);
        self.entries[usize::from(index.0)].first_use.get_or_insert(at);
        index
    }

    /// Defines a variable that a configuration block computes. A later definition replaces an earlier one,
    /// as in nginx.
    pub(super) fn define(&mut self, name: &[u8], getter: Getter, cacheable: bool) -> Result<VarIndex, Diagnostic> {
        let (index, builtin) = self.changeable(name)?;
        let entry = &mut self.entries[usize::from(index.0)];
        entry.weak = false;
        // One of nginx's own keeps its ways but for the value.
        let cacheable = cacheable && builtin.is_none_or(|builtin| builtin.cacheable);
        let setter = builtin.and_then(|builtin| builtin.set);
        entry.defined = Some(Variable { name: entry.name.clone(), getter, cacheable, setter });
        Ok(index)
    }

    /// Defines a variable that is assigned at request time: it keeps the definition that it has.
    pub(super) fn declare(&mut self, name: &[u8], getter: Getter, weak: bool) -> Result<VarIndex, Diagnostic> {
        let (index, builtin) = self.changeable(name)?;
        let entry = &mut self.entries[usize::from(index.0)];
        entry.weak &= weak;
        if entry.defined.is_none() && builtin.is_none() {
            entry.weak = weak;
            entry.defined = Some(Variable { name: entry.name.clone(), getter, cacheable: true, setter: None });
        }
        Ok(index)
    }

    fn changeable(&mut self, name: &[u8]) -> Result<(VarIndex, Option<VariableDef>), Diagnostic> {
        let index = self.index(name);
        let builtin = self.builtin_for(index);
        if builtin.is_some_and(|definition| !definition.changeable) {
            let name = String::from_utf8_lossy(name);
            return Err(Diagnostic::error("duplicate-variable", format!("the duplicate \"{name}\" variable")));
        }
        Ok((index, builtin))
    }

    fn builtin_for(&self, index: VarIndex) -> Option<VariableDef> {
        let name = std::str::from_utf8(&self.entries[usize::from(index.0)].name).ok()?;
        self.builtin.get(name).copied()
    }

    /// Settles every name; what nobody defined is an error at its first use.
    pub(super) fn settle(
        mut self,
        complain: &mut dyn FnMut(Diagnostic),
    ) -> (Vec<Variable>, HashMap<Box<[u8]>, VarIndex>) {
        let (entries, mut unknown) = (std::mem::take(&mut self.entries), Vec::new());
        let settled = entries.into_iter().map(|entry| self.settle_one(entry, &mut unknown));
        let variables: Vec<Variable> = settled.collect();
        for (name, first_use) in &unknown {
            let is_known = |name: &[u8]| unknown.iter().all(|(other, _)| other.as_bytes() != name);
            let known = variables.iter().map(|variable| &*variable.name).filter(|name| is_known(name));
            let fault = refuse(name, known);
            complain(first_use.map_or(fault.clone(), |span| fault.at(span).after_reading()));
        }
        (variables, self.by_name)
    }

    fn settle_one(&self, entry: Entry, unknown: &mut Vec<(String, Option<Span>)>) -> Variable {
        match entry.defined {
            Some(variable) if !entry.weak => return variable,
            defined => {
                if let Some(variable) = self.builtin_variable(&entry.name).or(defined) {
                    return variable;
                }
            }
        }
        unknown.push((String::from_utf8_lossy(&entry.name).into_owned(), entry.first_use));
        Variable { name: entry.name, getter: Getter::Assigned, cacheable: false, setter: None }
    }

    fn builtin_variable(&self, name: &[u8]) -> Option<Variable> {
        let text = std::str::from_utf8(name).ok()?;
        let found = self.builtin.get(text).or_else(|| self.family(text))?;
        let getter = match found.get {
            BuiltinGet::One(get) => Getter::Builtin(get),
            BuiltinGet::Family(get) => Getter::Prefix(get, name[found.name.len()..].into()),
        };
        Some(Variable { name: name.into(), getter, cacheable: found.cacheable, setter: found.set })
    }

    fn family(&self, name: &str) -> Option<&VariableDef> {
        let fits = self.families.iter().filter(|family| name.starts_with(family.name));
        fits.max_by_key(|family| family.name.len())
    }
}

/// What is said of a variable that nobody defines; `known` are the names of the others.
fn refuse<'n>(name: &str, known: impl Iterator<Item = &'n [u8]>) -> Diagnostic {
    if let Some(module) = builtin_of_nginx(name) {
        return not_run(name, module);
    }
    let fault = Diagnostic::error("unknown-variable", format!("unknown \"{name}\" variable"));
    let builtin = Schema::nginx().variables().iter().filter(|spec| !spec.later && !spec.is_prefix);
    let builtin = builtin.filter(|spec| !spec.module.starts_with("stream")).map(|spec| spec.name);
    match closest(name, builtin.chain(known.filter_map(|name| std::str::from_utf8(name).ok()))) {
        Some(near) => fault.help(format!("did you mean `${near}`?")),
        None => fault,
    }
}

/// The module of nginx that has a variable of this name.
fn builtin_of_nginx(name: &str) -> Option<&'static str> {
    let is_it =
        |spec: &&VariableSpec| !spec.later && (spec.name == name || spec.is_prefix && name.starts_with(spec.name));
    Schema::nginx()
        .variables()
        .iter()
        .filter(|spec| !spec.module.starts_with("stream"))
        .find(is_it)
        .map(|spec| spec.module)
}

/// Ours: nginx would know it.
fn not_run(name: &str, module: &str) -> Diagnostic {
    Diagnostic::error(NOT_RUN, format!("\"${name}\" variable is known to nginx, not run by rnginx yet"))
        .label(format!("from nginx's {module} module"))
}
