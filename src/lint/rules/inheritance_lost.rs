//! `inheritance-lost`: parameters, limits and filters that a block loses by having one of its own.

use crate::{
    diag::Diagnostic,
    lint::{
        Rule, View,
        lost::lost,
        text::{arg, list},
    },
};

/// What holds in a block only until it has one of its own, and adds up otherwise.
const ADDING: [&str; 10] = [
    "fastcgi_param",
    "uwsgi_param",
    "scgi_param",
    "grpc_set_header",
    "proxy_hide_header",
    "fastcgi_hide_header",
    "limit_req",
    "limit_conn",
    "sub_filter",
    "add_trailer",
];

pub(super) static RULE: Rule = Rule {
    code: "inheritance-lost",
    title: "A directive drops all its kin of the blocks around it",
    why: "Directives that add up, such as `fastcgi_param`, `limit_req` or `sub_filter`, are inherited only by blocks that have none of \
          their own. A location that sets one `fastcgi_param` sends nothing of the server's `include fastcgi_params`: no \
          `SCRIPT_FILENAME`, no `QUERY_STRING`.",
    bad: "server {\n    listen 80;\n    fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name;\n    fastcgi_param QUERY_STRING $query_string;\n    \
          location = /index.php {\n        fastcgi_param HTTPS on;\n        fastcgi_pass 127.0.0.1:9000;\n    }\n}",
    good: "server {\n    listen 80;\n    location = /index.php {\n        fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name;\n        \
           fastcgi_param QUERY_STRING $query_string;\n        fastcgi_param HTTPS on;\n        fastcgi_pass 127.0.0.1:9000;\n    }\n}",
    allow: "Where a block is meant to have rules of its own alone, such as a limit that replaces another.",
    check,
};

fn check(view: &View<'_>, out: &mut Vec<Diagnostic>) {
    for name in ADDING.into_iter().filter(|name| view.has(name)) {
        for block in view.answering() {
            // A limit for the same key is meant to replace the other.
            let key = |one: &crate::syntax::Directive| arg(one, 0).into_owned();
            let Some(lost) = lost(block, name, key).filter(|_| name != "limit_req" || block.all(name).len() == 1)
            else {
                continue;
            };
            let names = lost.names();
            let shown = if names.len() > 4 {
                format!("{} and {} more", list(&names[..3]), names.len() - 3)
            } else {
                list(&names)
            };
            let message = format!("the \"{name}\" {shown} set around this block does not hold in it");
            out.push(lost.said(&RULE, block, message));
        }
    }
}
