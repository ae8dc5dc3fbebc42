//! A module: what it adds to the language, and how what was written becomes what a request meets.

use std::any::Any;
use std::marker::PhantomData;
use std::time::Duration;

use bytes::Bytes;

use super::{Args, Ctx, LocationBuilder};
use crate::diag::Diagnostic;
use crate::http::{Script, VariableDef};

/// One nginx module.
pub trait Module: 'static {
    /// What the directives of one block write down. `None` in a field means "not set in this block".
    type Conf: Default + 'static;
    /// The module's name in `grammar/directives.conf`.
    const NAME: &'static str;
    /// Other modules of the table whose rows of the same names it runs too.
    const ALSO: &'static [&'static str] = &[];
    /// Its directives; each has a row in the table.
    const COMMANDS: &'static [Command<Self::Conf>] = &[];
    /// Its variables.
    const VARIABLES: &'static [VariableDef] = &[];

    /// Gives a block what the block around it has set and it has not.
    fn merge(_parent: &Self::Conf, _conf: &mut Self::Conf) {}

    /// Installs handlers and filters in a location (or server, or `if` block), every default resolved.
    fn install(_conf: &Self::Conf, _location: &mut LocationBuilder<'_, '_>) {}

    /// Runs once when all blocks have been read: settles names that were used before they were defined.
    fn finish(_ctx: &mut Ctx<'_>) {}
}

/// What a setter returns; the place of the fault is filled in where it is missing.
pub type SetResult = Result<(), Diagnostic>;

/// One directive of a module.
pub struct Command<C: 'static> {
    /// Its name.
    pub name: &'static str,
    set: Setter<C>,
}

/// What a directive does with its arguments. The typed ones refuse a second directive in the same block
/// with nginx's `"name" directive is duplicate`.
enum Setter<C: 'static> {
    Flag(fn(&mut C) -> &mut Option<bool>),
    Size(fn(&mut C) -> &mut Option<usize>),
    Offset(fn(&mut C) -> &mut Option<u64>),
    Number(fn(&mut C) -> &mut Option<u64>),
    Msec(fn(&mut C) -> &mut Option<Duration>),
    Sec(fn(&mut C) -> &mut Option<Duration>),
    Text(fn(&mut C) -> &mut Option<Bytes>),
    Script(fn(&mut C) -> &mut Option<Script>),
    Custom(fn(&mut C, &Args<'_>, &mut Ctx<'_>) -> SetResult),
}

impl<C> Command<C> {
    /// `on` or `off`.
    pub const fn flag(name: &'static str, field: fn(&mut C) -> &mut Option<bool>) -> Self {
        Self { name, set: Setter::Flag(field) }
    }

    /// A size in bytes, `k` and `m` allowed.
    pub const fn size(name: &'static str, field: fn(&mut C) -> &mut Option<usize>) -> Self {
        Self { name, set: Setter::Size(field) }
    }

    /// A size in bytes, `g` allowed too.
    pub const fn offset(name: &'static str, field: fn(&mut C) -> &mut Option<u64>) -> Self {
        Self { name, set: Setter::Offset(field) }
    }

    /// A whole number.
    pub const fn number(name: &'static str, field: fn(&mut C) -> &mut Option<u64>) -> Self {
        Self { name, set: Setter::Number(field) }
    }

    /// A time that nginx keeps in milliseconds.
    pub const fn msec(name: &'static str, field: fn(&mut C) -> &mut Option<Duration>) -> Self {
        Self { name, set: Setter::Msec(field) }
    }

    /// A time that nginx keeps in seconds.
    pub const fn sec(name: &'static str, field: fn(&mut C) -> &mut Option<Duration>) -> Self {
        Self { name, set: Setter::Sec(field) }
    }

    /// A string without variables.
    pub const fn text(name: &'static str, field: fn(&mut C) -> &mut Option<Bytes>) -> Self {
        Self { name, set: Setter::Text(field) }
    }

    /// A string with variables.
    pub const fn script(name: &'static str, field: fn(&mut C) -> &mut Option<Script>) -> Self {
        Self { name, set: Setter::Script(field) }
    }

    /// Anything else.
    pub const fn custom(name: &'static str, set: fn(&mut C, &Args<'_>, &mut Ctx<'_>) -> SetResult) -> Self {
        Self { name, set: Setter::Custom(set) }
    }

    fn run(&self, conf: &mut C, args: &Args<'_>, ctx: &mut Ctx<'_>) -> SetResult {
        match self.set {
            Setter::Flag(field) => assign(field(conf), args, || args.flag(1)),
            Setter::Size(field) => assign(field(conf), args, || args.size(1)),
            Setter::Offset(field) => assign(field(conf), args, || args.offset(1)),
            Setter::Number(field) => assign(field(conf), args, || args.number(1)),
            Setter::Msec(field) => assign(field(conf), args, || args.msec(1)),
            Setter::Sec(field) => assign(field(conf), args, || args.sec(1)),
            Setter::Text(field) => assign(field(conf), args, || Ok(args.bytes(1))),
            Setter::Script(field) => assign(field(conf), args, || ctx.script(args.word(1))),
            Setter::Custom(set) => set(conf, args, ctx),
        }
    }
}

/// Fills a field once.
///
/// # Errors
/// nginx's `"name" directive is duplicate` where it is filled already, and what `value` says.
pub fn assign<T>(field: &mut Option<T>, args: &Args<'_>, value: impl FnOnce() -> Result<T, Diagnostic>) -> SetResult {
    if field.is_some() {
        return Err(args.duplicate());
    }
    *field = Some(value()?);
    Ok(())
}

/// A module whose `Conf` type has been forgotten, so that all of them stand in one list.
pub trait AnyModule: Sync {
    /// See [`Module::NAME`].
    fn name(&self) -> &'static str;
    /// See [`Module::ALSO`].
    fn also(&self) -> &'static [&'static str];
    /// The names of its directives, in the order of their numbers.
    fn commands(&self) -> Vec<&'static str>;
    /// See [`Module::VARIABLES`].
    fn variables(&self) -> &'static [VariableDef];
    /// A block's values with nothing set.
    fn new_conf(&self) -> Box<dyn Any>;
    /// Runs the directive of this number.
    ///
    /// # Errors
    /// What is wrong with the arguments.
    fn run(&self, command: usize, conf: &mut dyn Any, args: &Args<'_>, ctx: &mut Ctx<'_>) -> SetResult;
    /// See [`Module::merge`].
    fn merge(&self, parent: &dyn Any, conf: &mut dyn Any);
    /// See [`Module::install`].
    fn install(&self, conf: &dyn Any, location: &mut LocationBuilder<'_, '_>);
    /// See [`Module::finish`].
    fn finish(&self, ctx: &mut Ctx<'_>);
}

/// Forgets a module's `Conf` type.
pub const fn erase<M: Module>() -> &'static dyn AnyModule {
    &Erased::<M>(PhantomData)
}

struct Erased<M>(PhantomData<fn() -> M>);

const SAME_MODULE: &str = "a module is handed only values that it made itself";

impl<M: Module> AnyModule for Erased<M> {
    fn name(&self) -> &'static str {
        M::NAME
    }

    fn also(&self) -> &'static [&'static str] {
        M::ALSO
    }

    fn commands(&self) -> Vec<&'static str> {
        M::COMMANDS.iter().map(|command| command.name).collect()
    }

    fn variables(&self) -> &'static [VariableDef] {
        M::VARIABLES
    }

    fn new_conf(&self) -> Box<dyn Any> {
        Box::<M::Conf>::default()
    }

    fn run(&self, command: usize, conf: &mut dyn Any, args: &Args<'_>, ctx: &mut Ctx<'_>) -> SetResult {
        M::COMMANDS[command].run(conf.downcast_mut().expect(SAME_MODULE), args, ctx)
    }

    fn merge(&self, parent: &dyn Any, conf: &mut dyn Any) {
        M::merge(parent.downcast_ref().expect(SAME_MODULE), conf.downcast_mut().expect(SAME_MODULE));
    }

    fn install(&self, conf: &dyn Any, location: &mut LocationBuilder<'_, '_>) {
        M::install(conf.downcast_ref().expect(SAME_MODULE), location);
    }

    fn finish(&self, ctx: &mut Ctx<'_>) {
        M::finish(ctx);
    }
}
