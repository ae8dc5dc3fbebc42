//! `tracing` spans and events as lines of the error log, for `error_log … debug`; without it a span costs one load.

use std::fmt::{self, Debug, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, RwLock};

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Event, Metadata, Span, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::{LookupSpan, Registry, SpanRef};

use super::{DebugMask, ErrorLog, Level, Line};

/// Whether any log of the running configuration takes debug lines.
static ON: AtomicBool = AtomicBool::new(false);

/// Takes lines of spans that belong to no connection.
static MAIN: RwLock<Option<Arc<ErrorLog>>> = RwLock::new(None);

/// Turns debug lines on or off; `main` takes those that belong to no connection. Called whenever a configuration comes
/// into force.
pub fn switch(on: bool, main: &Arc<ErrorLog>) {
    if let Ok(mut slot) = MAIN.write() {
        *slot = on.then(|| Arc::clone(main));
    }
    if on {
        // Fails where a subscriber stands already: ours from an earlier call, or an embedding program's own.
        let _ = tracing::subscriber::set_global_default(Registry::default().with(DebugLines));
    }
    if ON.swap(on, Ordering::Relaxed) != on {
        tracing::callsite::rebuild_interest_cache();
    }
}

/// Sends the lines of a span, and of all spans and events in it, to a log under a connection's number.
pub fn attach(span: &Span, log: &Arc<ErrorLog>, connection: u64) {
    span.with_subscriber(|(id, dispatch)| {
        if let Some(span) = dispatch.downcast_ref::<Registry>().and_then(|registry| registry.span(id)) {
            span.extensions_mut().replace(Destination { log: Arc::clone(log), connection: Some(connection) });
        }
    });
}

#[derive(Clone)]
struct Destination {
    log: Arc<ErrorLog>,
    connection: Option<u64>,
}

/// What a span was given, as ` name=value` text.
struct Fields(String);

struct DebugLines;

impl<S> Layer<S> for DebugLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        if ON.load(Ordering::Relaxed) { Interest::always() } else { Interest::never() }
    }

    fn enabled(&self, _: &Metadata<'_>, _: Context<'_, S>) -> bool {
        ON.load(Ordering::Relaxed)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(if ON.load(Ordering::Relaxed) { LevelFilter::TRACE } else { LevelFilter::OFF })
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if let Some(span) = context.span(id) {
            let mut fields = Fields(String::new());
            attributes.record(&mut fields);
            span.extensions_mut().replace(fields);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields(String::new());
        event.record(&mut fields);
        write(event.metadata(), context.event_span(event), &fields.0);
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        if let Some(span) = context.span(&id) {
            write(span.metadata(), Some(span), " closed");
        }
    }
}

fn write<'a, S: LookupSpan<'a>>(metadata: &Metadata<'_>, span: Option<SpanRef<'a, S>>, what: &str) {
    let main = || Some(Destination { log: MAIN.read().ok()?.clone()?, connection: None });
    let Some(to) = span.as_ref().and_then(destination).or_else(main) else { return };
    if to.log.debugs(part(metadata.target())) {
        to.log.write(Level::Debug, to.connection, |line| {
            for span in span.into_iter().flat_map(|span| span.scope().from_root()) {
                scope(line, &span);
            }
            line.put(what.trim_start());
        });
    }
}

fn destination<'a, S: LookupSpan<'a>>(span: &SpanRef<'a, S>) -> Option<Destination> {
    span.scope().find_map(|span| span.extensions().get::<Destination>().cloned())
}

fn scope<'a, S: LookupSpan<'a>>(line: &mut Line, span: &SpanRef<'a, S>) {
    match span.extensions().get::<Fields>() {
        Some(Fields(fields)) if !fields.is_empty() => {
            line.put(format_args!("{}{{{}}}: ", span.name(), fields.trim_start()))
        }
        _ => line.put(format_args!("{}: ", span.name())),
    };
}

/// The debug part that a module's lines belong to.
fn part(target: &str) -> DebugMask {
    match target.split("::").nth(1) {
        Some("process" | "cli" | "load" | "check") => DebugMask::CORE,
        Some("server") => DebugMask::EVENT,
        _ => DebugMask::HTTP,
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        // Writing to a string cannot fail; a failing `Debug` leaves what it wrote.
        let _ = match field.name() {
            "message" => write!(self.0, " {value:?}"),
            name => write!(self.0, " {name}={value:?}"),
        };
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &Plain(value));
    }
}

/// Text without the quotes that `Debug` puts around it.
struct Plain<'a>(&'a str);

impl Debug for Plain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{LogFile, Sink};
    use super::*;

    #[test]
    fn spans_come_out_under_debug_and_nothing_without() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let log = Arc::new(ErrorLog::to(Sink::File(Arc::new(LogFile::open(&path).unwrap())), Level::Debug));
        for on in [false, true, false] {
            switch(on, &log);
            let span = tracing::info_span!("request", method = "GET");
            attach(&span, &log, 7);
            span.in_scope(|| {
                let _phase = tracing::info_span!("phase", name = "access").entered();
                tracing::debug!(status = 403, "refused");
            });
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<_> = text.lines().map(|line| line.split_once("*7 ").unwrap().1).collect();
        assert_eq!(
            lines,
            [
                "request{method=GET}: phase{name=access}: refused status=403",
                "request{method=GET}: phase{name=access}: closed",
                "request{method=GET}: closed",
            ]
        );
    }
}
