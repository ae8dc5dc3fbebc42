//! Variables: numbered at load time, evaluated on demand, kept where nginx keeps them.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;

use bytes::Bytes;

use super::Request;
use crate::log::Level;

/// A variable's number in [`super::Cycle::variables`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VarIndex(pub u16);

/// Appends a variable's value and says whether there is one (`false`: nginx's `not_found`).
pub type GetFn = fn(&Request, &mut Vec<u8>) -> bool;

/// The same for a family such as `$arg_NAME`; the second argument is `NAME`.
pub type GetPrefixFn = fn(&Request, &[u8], &mut Vec<u8>) -> bool;

/// The same for values that a configuration block defines (`map`, `geo`, `split_clients`).
pub trait Compute: Send + Sync {
    /// Appends the value and says whether there is one.
    fn compute(&self, r: &Request, out: &mut Vec<u8>) -> bool;
}

/// How a variable gets its value.
pub enum Getter {
    /// A built-in variable.
    Builtin(GetFn),
    /// A member of a family of built-in variables, with the rest of its name.
    Prefix(GetPrefixFn, Box<[u8]>),
    /// A variable that a block defines.
    Computed(Box<dyn Compute>),
    /// Only ever assigned (named captures); not found until then.
    Assigned,
}

/// One variable of a compiled configuration.
pub struct Variable {
    /// Its name without `$`.
    pub name: Box<[u8]>,
    /// How it gets its value.
    pub getter: Getter,
    /// Whether a value found once stays for the rest of the request (nginx's lack of `NOCACHEABLE`).
    pub cacheable: bool,
    /// What `set` does for the few that keep their value elsewhere (`$args`, `$limit_rate`).
    pub setter: Option<fn(&Request, &[u8])>,
}

/// A built-in variable, or a family of them, as a module lists it.
#[derive(Clone, Copy)]
pub struct VariableDef {
    /// The name without `$`; for a family the prefix, ending in `_`.
    pub name: &'static str,
    /// How it gets its value.
    pub get: BuiltinGet,
    /// Whether a value found once stays for the rest of the request.
    pub cacheable: bool,
    /// Whether `set`, `map`, … may define a variable of this name.
    pub changeable: bool,
    /// What `set` does, where it is special.
    pub set: Option<fn(&Request, &[u8])>,
}

/// A getter in a [`VariableDef`].
#[derive(Clone, Copy)]
pub enum BuiltinGet {
    /// One variable.
    One(GetFn),
    /// A family.
    Family(GetPrefixFn),
}

impl VariableDef {
    /// A variable whose value is asked for anew each time.
    pub const fn new(name: &'static str, get: GetFn) -> Self {
        Self { name, get: BuiltinGet::One(get), cacheable: false, changeable: false, set: None }
    }

    /// A family of variables.
    pub const fn family(prefix: &'static str, get: GetPrefixFn) -> Self {
        Self { name: prefix, get: BuiltinGet::Family(get), cacheable: false, changeable: false, set: None }
    }

    /// The first value found stays.
    #[must_use]
    pub const fn cached(mut self) -> Self {
        self.cacheable = true;
        self
    }

    /// A configuration may define a variable of the same name.
    #[must_use]
    pub const fn changeable(mut self) -> Self {
        self.changeable = true;
        self
    }

    /// `set` goes through this function.
    #[must_use]
    pub const fn settable(mut self, set: fn(&Request, &[u8])) -> Self {
        self.set = Some(set);
        self.changeable = true;
        self
    }
}

/// nginx's own variables by name, for what names variables at request time. It stands in the cycle's extensions.
pub struct VariableNames {
    single: HashMap<&'static str, VariableDef>,
    families: Vec<VariableDef>,
}

impl VariableNames {
    /// Sorts definitions.
    pub fn new(definitions: impl Iterator<Item = VariableDef>) -> Self {
        let (families, single): (Vec<_>, Vec<_>) =
            definitions.partition(|definition| matches!(definition.get, BuiltinGet::Family(_)));
        Self { single: single.into_iter().map(|definition| (definition.name, definition)).collect(), families }
    }

    fn append(&self, r: &Request, name: &[u8], out: &mut Vec<u8>) -> bool {
        let found = std::str::from_utf8(name).ok().and_then(|name| self.single.get(name));
        let fits = |family: &&VariableDef| name.starts_with(family.name.as_bytes());
        let family = || self.families.iter().filter(fits).max_by_key(|family| family.name.len());
        match found.or_else(family) {
            Some(VariableDef { get: BuiltinGet::One(get), .. }) => get(r, out),
            Some(VariableDef { get: BuiltinGet::Family(get), name: prefix, .. }) => get(r, &name[prefix.len()..], out),
            None => false,
        }
    }
}

/// The values that a request and its subrequests have found or been given.
#[derive(Default)]
pub struct VarSlots {
    slots: RefCell<Vec<Slot>>,
    /// Variables being evaluated inside each other.
    depth: Cell<u8>,
}

/// How deep variables may stand inside each other.
const MAX_DEPTH: u8 = 100;

#[derive(Clone, Default)]
enum Slot {
    #[default]
    Unknown,
    NotFound,
    Value(Bytes),
}

impl VarSlots {
    /// Appends the kept value; `None` where nothing is kept.
    fn append(&self, index: VarIndex, out: &mut Vec<u8>) -> Option<bool> {
        match self.slots.borrow().get(usize::from(index.0))? {
            Slot::Unknown => None,
            Slot::NotFound => Some(false),
            Slot::Value(bytes) => {
                out.extend_from_slice(bytes);
                Some(true)
            }
        }
    }

    /// Keeps a value, or that there is none.
    pub fn keep(&self, index: VarIndex, value: Option<Bytes>) {
        let mut slots = self.slots.borrow_mut();
        let index = usize::from(index.0);
        if slots.len() <= index {
            slots.resize(index + 1, Slot::Unknown);
        }
        slots[index] = value.map_or(Slot::NotFound, Slot::Value);
    }

    /// Forgets everything that was kept.
    pub fn clear(&self) {
        self.slots.borrow_mut().clear();
    }
}

impl Request {
    /// Appends a variable's value and says whether there is one.
    pub fn append_variable(&self, index: VarIndex, out: &mut Vec<u8>) -> bool {
        if let Some(found) = self.variables().append(index, out) {
            return found;
        }
        let variable = &self.cycle().variables[usize::from(index.0)];
        let start = out.len();
        let found = self.evaluate(variable, out);
        if variable.cacheable {
            let value = found.then(|| Bytes::copy_from_slice(&out[start..]));
            self.variables().keep(index, value);
        }
        found
    }

    /// The same of a variable whose name, in lower case, is known only now.
    pub fn append_variable_named(&self, name: &[u8], out: &mut Vec<u8>) -> bool {
        if let Some(index) = self.cycle().variable_names.get(name) {
            return self.append_variable(*index, out);
        }
        self.cycle().extensions.get::<VariableNames>().is_some_and(|names| names.append(self, name, out))
    }

    /// The same at the end of a request, when nobody is left to remember the value for.
    pub fn append_last(&self, index: VarIndex, out: &mut Vec<u8>) -> bool {
        if let Some(found) = self.variables().append(index, out) {
            return found;
        }
        let variable = &self.cycle().variables[usize::from(index.0)];
        // Some of nginx's own (`$request_id`) would differ the next time.
        if variable.cacheable && matches!(variable.getter, Getter::Builtin(_)) {
            return self.append_variable(index, out);
        }
        self.evaluate(variable, out)
    }

    fn evaluate(&self, variable: &Variable, out: &mut Vec<u8>) -> bool {
        match &variable.getter {
            Getter::Builtin(get) => get(self, out),
            Getter::Prefix(get, rest) => get(self, rest, out),
            Getter::Computed(computed) => self.compute(variable, &**computed, out),
            Getter::Assigned => false,
        }
    }

    /// Only these can stand inside each other.
    fn compute(&self, variable: &Variable, computed: &dyn Compute, out: &mut Vec<u8>) -> bool {
        let depth = &self.variables().depth;
        if depth.get() == MAX_DEPTH {
            self.log_with(Level::Error, |line| {
                line.put("cycle while evaluating variable \"").bytes(&variable.name).put('"');
            });
            return false;
        }
        depth.set(depth.get() + 1);
        let found = computed.compute(self, out);
        depth.set(depth.get() - 1);
        found
    }

    /// A variable's value, `None` where nginx says not found.
    pub fn variable(&self, index: VarIndex) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        self.append_variable(index, &mut out).then_some(out)
    }

    /// Assigns a variable as `set` does.
    pub fn assign(&self, index: VarIndex, value: Bytes) {
        match self.cycle().variables[usize::from(index.0)].setter {
            Some(set) => set(self, &value),
            None => self.variables().keep(index, Some(value)),
        }
    }
}
