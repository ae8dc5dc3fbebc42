//! Builds a location out of what the modules install in it.

use std::any::Any;

use super::{Ctx, NodeId, NodeKind};
use crate::diag::Diagnostic;
use crate::http::{Extensions, Filter, FilterSlot, LogHandler, Phase, PhaseHandler};

/// A location under construction.
pub struct LocationBuilder<'a, 'c> {
    /// Names, variables and what was collected while the blocks were read.
    pub ctx: &'a mut Ctx<'c>,
    /// Which block it is made of.
    pub node: NodeId,
    /// What modules want to find again at request time, by type.
    pub extensions: Extensions,
    handlers: [Vec<Box<dyn PhaseHandler>>; Phase::COUNT],
    content: Option<Box<dyn PhaseHandler>>,
    filters: Vec<(FilterSlot, Box<dyn Filter>)>,
    loggers: Vec<Box<dyn LogHandler>>,
}

/// What the modules installed in a location.
pub struct Installed {
    /// Handlers by phase.
    pub handlers: [Box<[Box<dyn PhaseHandler>]>; Phase::COUNT],
    /// The handler that answers all requests.
    pub content: Option<Box<dyn PhaseHandler>>,
    /// Filters in nginx's order.
    pub filters: Box<[Box<dyn Filter>]>,
    /// What runs at the end.
    pub loggers: Box<[Box<dyn LogHandler>]>,
    /// What modules want to find again.
    pub extensions: Extensions,
}

impl<'a, 'c> LocationBuilder<'a, 'c> {
    /// An empty one.
    pub fn new(ctx: &'a mut Ctx<'c>, node: NodeId) -> Self {
        Self {
            ctx,
            node,
            extensions: Extensions::default(),
            handlers: Default::default(),
            content: None,
            filters: Vec::new(),
            loggers: Vec::new(),
        }
    }

    /// What kind of block it is made of.
    pub fn kind(&self) -> &NodeKind {
        self.ctx.kind(self.node)
    }

    /// Adds a handler to a phase. Modules are installed in nginx's running order.
    pub fn on(&mut self, phase: Phase, handler: impl PhaseHandler + 'static) {
        self.handlers[phase as usize].push(Box::new(handler));
    }

    /// Sets the handler that answers all requests here.
    pub fn content(&mut self, handler: impl PhaseHandler + 'static) {
        self.content = Some(Box::new(handler));
    }

    /// Adds a filter.
    pub fn filter(&mut self, slot: FilterSlot, filter: impl Filter + 'static) {
        self.filters.push((slot, Box::new(filter)));
    }

    /// Adds a handler for the end of the request.
    pub fn on_log(&mut self, handler: impl LogHandler + 'static) {
        self.loggers.push(Box::new(handler));
    }

    /// What another module wrote down for this block, merged.
    pub fn conf<C: Any>(&self) -> &C {
        self.ctx.conf_at(self.node)
    }

    /// Complains.
    pub fn complain(&mut self, diagnostic: Diagnostic) {
        self.ctx.complain(diagnostic);
    }

    /// Ends the construction: filters are put into nginx's order.
    pub(super) fn finish(mut self) -> Installed {
        self.filters.sort_by_key(|(slot, _)| *slot);
        Installed {
            handlers: self.handlers.map(Into::into),
            content: self.content,
            filters: self.filters.into_iter().map(|(_, filter)| filter).collect(),
            loggers: self.loggers.into(),
            extensions: self.extensions,
        }
    }
}
