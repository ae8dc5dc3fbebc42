//! `django-without-host`: Django behind a proxy that never tells it the host.

use std::borrow::Cow;

use crate::{
    diag::{Diagnostic, Fix},
    lint::{
        Block, Rule, View,
        text::{Target, header_names},
    },
};

pub(super) static RULE: Rule = Rule {
    code: "django-without-host",
    title: "Django never gets the `Host` that the client asked for",
    why: "`location / { proxy_pass http://unix:/run/gunicorn/gunicorn.sock; }` runs at once and looks finished. But Django gets \
          `Host: localhost` with every request, for that is what nginx sends to a socket. With `DEBUG` off and `ALLOWED_HOSTS` set to \
          the site's name every page is `400 Bad Request`; people then allow `*` and lose the check. Links in mails lead to \
          `localhost`, and forms over HTTPS fail the CSRF check, because the `Origin` is another host than Django's.",
    bad: "location /static/ {\n    alias /home/shop/staticfiles/;\n}\nlocation /media/ {\n    alias /home/shop/media/;\n}\nlocation / {\n    \
          proxy_pass http://unix:/run/gunicorn/gunicorn.sock;\n}",
    good: "location /static/ {\n    alias /home/shop/staticfiles/;\n}\nlocation /media/ {\n    alias /home/shop/media/;\n}\nlocation / {\n    \
           proxy_set_header Host $host;\n    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;\n    \
           proxy_set_header X-Forwarded-Proto $scheme;\n    proxy_pass http://unix:/run/gunicorn/gunicorn.sock;\n}",
    allow: "Where Django is told its name in another way, as by `USE_X_FORWARDED_HOST`.",
    check,
};

fn check(view: &View<'_>, out: &mut Vec<Diagnostic>) {
    for (block, pass) in view.every("proxy_pass").filter(|(block, _)| is_django(*block)) {
        let told = header_names(block, "proxy_set_header");
        let has = |name: &str| told.iter().any(|one| one == name);
        let Some(target) = Target::of(pass).filter(|_| !has("host") && !has("x-forwarded-host")) else { continue };
        let sees = if target.unix { "localhost" } else { &target.authority };
        let indent = view.sources.indent(pass.name.span);
        let wanted = [
            ("host", "Host $host"),
            ("x-forwarded-for", "X-Forwarded-For $proxy_add_x_forwarded_for"),
            ("x-forwarded-proto", "X-Forwarded-Proto $scheme"),
        ];
        let missing = wanted.iter().filter(|(name, _)| !has(name));
        let text: String = missing.map(|(_, header)| format!("proxy_set_header {header};\n{indent}")).collect();
        out.push(
            RULE.at(
                pass.span(),
                format!("Django is asked for the host \"{sees}\", whatever name the client asked for"),
            )
            .label("no `proxy_set_header Host` holds here")
            .help("add `proxy_set_header Host $host;`, or ALLOWED_HOSTS never sees the site's name")
            .fix(Fix::likely("hand the host on").before(pass.name.span, text)),
        );
    }
}

/// Whether a proxied location looks like a Django application: by the name of its backend, or by static files and uploads
/// that stand beside it.
pub(super) fn is_django(block: Block<'_>) -> bool {
    let Some(target) = block.one("proxy_pass").and_then(Target::of) else { return false };
    let upstream = block.view().upstream(target.host());
    let servers =
        upstream.into_iter().flat_map(|upstream| upstream.all("server")).map(|one| super::super::text::arg(one, 0));
    let names: Vec<_> = servers.chain([Cow::from(&target.authority)]).map(|name| name.to_ascii_lowercase()).collect();
    let named = |part: &str| names.iter().any(|name| name.contains(part));
    let beside = |prefix: &str| {
        block.server().is_some_and(|server| {
            server.locations().any(|one| {
                one.prefix().is_some_and(|name| name.trim_end_matches('/') == prefix)
                    && (one.has("alias") || one.has("root"))
            })
        })
    };
    target.is_near(block.view()) && (named("django") || (beside("/static") && (beside("/media") || named("gunicorn"))))
}
