//! What nginx settles whenever a request enters a location.

use super::browser::Browser;
use super::{HeaderId, LocationId, Method, PhaseHandler, Request, clock};

impl Request {
    /// Moves to another location and settles what nginx settles there: `limit_except`, the handler that
    /// answers all requests, and whether the connection may be kept. The handler of the location before
    /// stays where this one (an `if` block) has none.
    pub fn enter(&self, location: LocationId) {
        let except = self.cycle().location(location).limit_except;
        let entered = match except {
            Some(limit) if limit.methods & self.method.get().bit() == 0 => limit.location,
            _ => location,
        };
        self.location.set(entered);
        if self.location().content.is_some() {
            self.content.set(Some(entered));
        }
        if self.is_main() && self.connection_is_spent() {
            self.out.keep_alive.set(false);
        }
    }

    /// Goes on where another request stands: in its location, with what is settled about its URI.
    pub fn continue_as(&self, other: &Self) {
        self.enter(other.location_id());
        self.content.set(other.content.get());
        self.unchanged_uri.set(other.unchanged_uri.get());
        self.valid_location.set(other.valid_location.get());
        self.share_captures(other);
    }

    fn connection_is_spent(&self) -> bool {
        let (core, connection) = (&self.location().core, &self.connection);
        connection.requests.get() >= core.keepalive_requests
            || core.keepalive_timeout.is_zero()
            || clock::now().saturating_duration_since(connection.start).as_millis() > core.keepalive_time.as_millis()
            || self.browser_mishandles_keep_alive()
    }

    /// Old browsers that stall on a kept connection; only those that are asked about are looked for.
    fn browser_mishandles_keep_alive(&self) -> bool {
        let disable = self.location().core.keepalive_disable;
        let msie6 = disable.msie6 && self.method.get() == Method::Post;
        if !msie6 && !disable.safari {
            return false;
        }
        let browser = self.header(HeaderId::UserAgent).map(|agent| Browser::of(&agent)).unwrap_or_default();
        (msie6 && browser.msie6) || (disable.safari && browser.safari)
    }

    /// The handler that answers all requests of the location, in place of the content phase.
    pub fn content_handler(&self) -> Option<&dyn PhaseHandler> {
        self.cycle().location(self.content.get()?).content.as_deref()
    }

    /// Leaves the answer to the content phase.
    pub fn clear_content_handler(&self) {
        self.content.set(None);
    }
}
