//! `proxy-buffering-off`: no buffers, for everything.

use crate::{
    diag::Diagnostic,
    lint::{Rule, View, text::arg},
    schema::Context,
};

pub(super) static RULE: Rule = Rule {
    code: "proxy-buffering-off",
    title: "`proxy_buffering off` holds for a whole server",
    why: "Without buffers a backend's worker is held until the slowest client has read its answer: a few dozen phones on bad lines stop \
          an application. Streams of events need it, and they can say so themselves with `X-Accel-Buffering: no`.",
    bad: "server {\n    listen 80;\n    proxy_buffering off;\n    proxy_set_header Host $host;\n    location / {\n        proxy_pass http://127.0.0.1:8000;\n    }\n}",
    good: "server {\n    listen 80;\n    proxy_set_header Host $host;\n    location / {\n        proxy_pass http://127.0.0.1:8000;\n    }\n    location /events/ {\n        \
           proxy_buffering off;\n        proxy_pass http://127.0.0.1:8000;\n    }\n}",
    allow: "Where all that is proxied is streams, or large downloads from a registry.",
    check,
};

fn check(view: &View<'_>, out: &mut Vec<Diagnostic>) {
    for (block, found) in view.every("proxy_buffering") {
        let is_wide = block.context().intersects(Context::HTTP | Context::SERVER);
        let locations = block.inside().filter(|inner| inner.has("proxy_pass")).count();
        if is_wide && locations > 0 && arg(found, 0).eq_ignore_ascii_case("off") {
            out.push(
                RULE.at(found.span(), "a slow client holds the backend until it has read its answer, everywhere")
                    .help("set it in the locations that stream"),
            );
        }
    }
}
