//! A way out for sentences of nginx's that name a fault and nothing else. What was found where the fault was found goes first.

use crate::{
    diag::{Diagnostic, Severity},
    schema::DirectiveSpec,
};

/// What to do about a sentence: it holds these parts in this order. `{1}` and `{2}` stand for what it has in quotes.
struct Advice(&'static [&'static str], &'static str);

const CONDITION: &str = "a condition is `$name`, `$name = text`, `$name ~ expression` (or `!=`, `~*`, `!~`, `!~*`), or one of `-f`, \
                         `-d`, `-e`, `-x` with a path";
const WILDCARD: &str = "a `*` stands for whole labels, at one end: `*.example.com`, `www.example.*`";
const PORT: &str = "a port is a number from 1 to 65535";
const PATH: &str =
    "make this file, or write the path of the one that is there; relative paths begin at the folder of the main file";
const SIZE: &str = "a size is a number with `k` or `m` behind it: `32k`, `10m`";

/// The first that fits is said.
const ADVICE: &[Advice] = &[
    // Variables and expressions.
    Advice(
        &["unknown \"", "\" variable"],
        "nobody defines `${1}`: `set`, `map` and `geo` do, and named captures `(?<{1}>…)`",
    ),
    Advice(
        &["invalid variable name \"$\""],
        "a `$` always begins a variable; for a plain one: `geo $dollar { default \"$\"; }`",
    ),
    Advice(&["invalid variable name"], "the name of a variable begins with `$`"),
    Advice(&["the closing bracket in"], "close it: `${name}`"),
    Advice(&["the duplicate \"", "\" variable"], "`${1}` is nginx's own: take another name"),
    Advice(&["invalid condition"], CONDITION),
    Advice(&["in condition"], CONDITION),
    Advice(&["pcre2_compile()", "missing closing parenthesis"], "close the `(`, or write `\\(` for a plain one"),
    Advice(&["pcre2_compile()", "unmatched closing parenthesis"], "take the `)` out, or write `\\)` for a plain one"),
    Advice(
        &["pcre2_compile()", "quantifier does not follow"],
        "`*`, `+` and `?` repeat what is before them; write `.*` for anything, `\\*` for a plain one",
    ),
    Advice(&["pcre2_compile()", "missing terminating ]"], "close the `[`, or write `\\[` for a plain one"),
    Advice(&["pcre2_compile()", "same name"], "give each named capture a name of its own"),
    Advice(
        &["pcre2_compile()", "non-existent subpattern"],
        "`\\1` means the first `( )` of the same expression, and there is none; use `$1` outside of it",
    ),
    Advice(
        &["pcre2_compile()", "subpattern name"],
        "a named capture is `(?<name>…)`, and its name begins with a letter",
    ),
    Advice(
        &["invalid location modifier"],
        "a location is `location /path`, `= /path`, `^~ /path`, `~ expression` or `~* expression`",
    ),
    Advice(&["empty regex"], "put an expression behind the `~`"),
    Advice(&["pattern \"", "must have 2 captures"], "such as `^(.+\\.php)(/.+)$`"),
    // Locations.
    Advice(
        &["location \"", "\" is outside location"],
        "a location inside another begins with its path; move this one out",
    ),
    Advice(&["location \"", "cannot be inside the"], "nothing can stand in it: move this location out"),
    Advice(&["named location", "server level only"], "move it out into the server"),
    Advice(&["duplicate location"], "put both into one, or change the path of one"),
    Advice(
        &["\"alias\" directive cannot be used inside the named location"],
        "a named location has no path that could be replaced: use `root`",
    ),
    Advice(&["variable cannot be used in the"], "it is made from this very directive: write the path itself"),
    Advice(
        &["cannot have URI part in location given by regular expression"],
        "take the path behind the host away; a `rewrite … break;` before it changes what is asked for",
    ),
    Advice(&["\"proxy_redirect default\" should be placed after"], "write it below the `proxy_pass`"),
    Advice(
        &["\"proxy_redirect default\" cannot be used with \"proxy_pass\" directive with variables"],
        "say what is to be replaced: `proxy_redirect http://backend/ /;`",
    ),
    Advice(&["invalid method"], "methods are written in capitals: `limit_except GET POST { }`"),
    Advice(&["index \"", "is invalid"], "name a file: `index index.html;`"),
    Advice(&["invalid code"], "a code is `=` and a number: `=404`"),
    Advice(&["invalid return code"], "a code comes first: `return 301 https://example.com$request_uri;`"),
    Advice(&["must be between 300 and 599"], "error pages are for the codes from 300 to 599"),
    Advice(&["empty replacement"], "say what to write: `rewrite ^/old$ /new;`"),
    // Addresses.
    Advice(&["invalid URL prefix"], "begin with `http://` or `https://`: `proxy_pass http://127.0.0.1:8000;`"),
    Advice(
        &["host not found in upstream"],
        "the name is looked up when the server starts: is it spelt right, and is its machine or container there by then?",
    ),
    Advice(&["host not found in resolver"], "write the address of the name server: `resolver 127.0.0.53;`"),
    Advice(&["host not found in"], "write an address of this machine, or `*`"),
    Advice(&["no port in upstream"], "add one, `127.0.0.1:9000`; a name without is that of an `upstream`"),
    Advice(&["no host in upstream"], "say whom to ask: `127.0.0.1:8000`"),
    Advice(&["invalid port"], PORT),
    Advice(&["port range"], "the lower port comes first: `8080-8090`"),
    Advice(&["invalid host in"], "a host is a name or an address; those of IPv6 stand in brackets, `[::1]:80`"),
    Advice(&["no path in the unix domain socket"], "the path stands behind the colon: `unix:/run/app.sock`"),
    Advice(&["too long path in the unix domain socket"], "the system takes 107 bytes at most: choose a shorter path"),
    Advice(&["invalid address"], "an address is expected here, and no name: `127.0.0.1`"),
    Advice(&["invalid network"], "a network is an address with the number of its bits: `10.0.0.0/8`"),
    Advice(&["invalid range"], "a range is two addresses, the lower one first: `10.0.0.1-10.0.0.9`"),
    Advice(&["\" overlaps \""], "end one range where the other begins"),
    Advice(&["a duplicate listen"], "one `listen` is enough for each address of a server"),
    Advice(&["a duplicate default server"], "take `default_server` out of one of the two"),
    Advice(&["duplicate listen options"], "write the options at one of the `listen` only: they hold for all"),
    Advice(&["invalid so_keepalive value"], "it is `on`, `off`, or times and a number: `30m::10`"),
    Advice(&["server name \"", "\" is invalid"], WILDCARD),
    Advice(&["invalid hostname or wildcard"], WILDCARD),
    Advice(&["invalid referer"], "name a host, `none`, `blocked`, or `~` with an expression"),
    // Upstreams.
    Advice(&["no servers are inside upstream"], "name one: `server 127.0.0.1:8000;`"),
    Advice(&["no servers in upstream"], "all of them are backups: one has to be none"),
    Advice(&["may not have port"], "leave the port away: the servers of the `upstream` have theirs"),
    Advice(&["duplicate upstream"], "put both into one, or rename one"),
    Advice(&["balancing method does not support"], "take the parameter out, or the balancing method"),
    Advice(&["no resolver defined to resolve names at run time"], "add `resolver 127.0.0.53;` beside the servers"),
    Advice(&["no name servers defined"], "write the address of a name server: `resolver 127.0.0.53;`"),
    // Shared memory and caches.
    Advice(
        &["zero size shared memory zone"],
        "define it in `http`: a `…_zone` or `…_cache_path` directive with `zone={1}:10m` or `keys_zone={1}:10m`",
    ),
    Advice(&["\"proxy_cache\" zone"], "define it in `http`: `proxy_cache_path /var/cache/nginx keys_zone={2}:10m;`"),
    Advice(&["_cache\" zone"], "define it in `http`, with `keys_zone={2}:10m`"),
    Advice(&["shared memory zone", "already declared for a different use"], "give each zone a name of its own"),
    Advice(
        &["shared memory zone", "conflicts with already declared size"],
        "write the same size at both places, or at one only",
    ),
    Advice(&["is already bound to key"], "give the second zone a name of its own"),
    Advice(&["duplicate zone"], "give each cache a zone of its own"),
    Advice(&["the same path name"], "give each a folder of its own"),
    Advice(&["must have \"keys_zone\" parameter"], "add `keys_zone=NAME:10m`"),
    Advice(&["must have \"zone\" parameter"], "add `zone=NAME:10m`"),
    Advice(&["must have \"threads\" parameter"], "add `threads=32`"),
    Advice(&["must have", "\"max\" parameter"], "add `max=1000`"),
    Advice(&["invalid keys zone size"], "write the name and a size: `keys_zone=NAME:10m`"),
    Advice(&["invalid zone size"], "write the name and a size: `zone=NAME:10m`"),
    Advice(&["is too small"], "a zone takes 8 pages of memory at least: 32k"),
    Advice(&["invalid \"levels\""], "up to three numbers, 1 or 2 each: `levels=1:2`"),
    Advice(&["invalid rate"], "a rate is `10r/s` or `30r/m`"),
    Advice(&["invalid session cache"], "such as `shared:SSL:10m`"),
    Advice(&["invalid OCSP cache"], "such as `shared:OCSP:1m`"),
    Advice(&["invalid status"], "a code from 100 to 599, or `any`"),
    Advice(&["directive is incompatible with"], "keep one of the two"),
    Advice(&["cannot be mixed with"], "keep one of the two kinds"),
    // Logs.
    Advice(&["unknown log format escaping"], "it is `default`, `json` or `none`"),
    Advice(&["unknown log format"], "define it in `http`: `log_format {1} '$remote_addr …';`, or use `combined`"),
    Advice(&["duplicate \"log_format\""], "give one of them another name; `combined` is nginx's own"),
    Advice(&["invalid log level"], "it is debug, info, notice, warn, error, crit, alert or emerg"),
    Advice(&["duplicate log level"], "one level is enough: it stands for those above it too"),
    Advice(&["invalid buffer size"], SIZE),
    Advice(&["invalid flush time"], "a time such as `flush=1m`"),
    Advice(&["buffered logs cannot have variables"], "take `buffer` and `gzip` out, or the variables"),
    Advice(&["logs to syslog cannot be buffered"], "take `buffer` and `gzip` out"),
    Advice(&["no buffer is defined for access_log"], "add `buffer=32k`, or take `flush` out"),
    Advice(
        &["already defined with conflicting parameters"],
        "write the same parameters wherever this file is logged to",
    ),
    Advice(&["syslog"], "such as `syslog:server=127.0.0.1:514,facility=local7,tag=nginx,severity=info`"),
    // Tables.
    Advice(&["duplicate default map parameter"], "keep one `default`"),
    Advice(&["conflicting parameter"], "it stands here twice: keep one"),
    Advice(&["invalid number of the map parameters"], "a line is `value result;`, in quotes where there are spaces"),
    Advice(&["invalid number of the geo parameters"], "a line is `network value;`"),
    Advice(
        &["invalid percent value"],
        "such as `12.5%`, with two digits behind the point at most, or `*` for the rest",
    ),
    Advice(&["percent total is greater"], "all together may be 100% at most"),
    Advice(&["\"ranges\" directive must be the first"], "move `ranges;` to the top of the block"),
    // TLS.
    Advice(&["no \"ssl_certificate_key\" is defined"], "add `ssl_certificate_key /path/to/key.pem;`"),
    Advice(
        &["no \"ssl_certificate\" is defined"],
        "add `ssl_certificate /path/to/cert.pem;` and `ssl_certificate_key`, or take `ssl` out",
    ),
    Advice(
        &["no ssl_client_certificate"],
        "add `ssl_client_certificate /path/to/ca.pem;`: whose certificates are to be trusted",
    ),
    Advice(
        &["key values mismatch"],
        "the key is another certificate's; the right one says the same to `openssl pkey -in KEY -pubout` as `openssl x509 -in CERT -noout -pubkey`",
    ),
    Advice(&["cannot load certificate", "No such file"], PATH),
    Advice(&["cannot load certificate", "Permission denied"], "only some may read it: ask again as root"),
    Advice(
        &["cannot load certificate key", "PEM_read_bio"],
        "it has to be a PEM file: `-----BEGIN PRIVATE KEY-----` and what follows",
    ),
    Advice(
        &["cannot load certificate", "PEM_read_bio"],
        "it has to be a PEM file: `-----BEGIN CERTIFICATE-----` and what follows",
    ),
    Advice(&["PEM_read_bio", "DH PARAMETERS"], "make one: `openssl dhparam -out dhparam.pem 2048`"),
    Advice(&["must be 48 or 80 bytes"], "make one: `openssl rand 80 > ticket.key`"),
    Advice(&["SSL_CTX_set1_curves_list"], "such as `X25519:prime256v1`"),
    Advice(&["No such file or directory"], PATH),
    // The machine.
    Advice(&["getpwnam("], "write a user that there is (`getent passwd`), or make it: `useradd --system {1}`"),
    Advice(&["getgrnam("], "write a group that there is (`getent group`), or make it: `groupadd --system {1}`"),
    Advice(&["worker_connections are not enough"], "each listening socket takes one: allow more"),
    Advice(&["unknown thread pool"], "describe it outside of all blocks: `thread_pool {1} threads=32;`"),
    Advice(&["invalid event type"], "leave `use` out: the best one is taken"),
    Advice(&["invalid character", "worker_cpu_affinity"], "a mask is made of `0` and `1`, a digit for each CPU"),
    Advice(&["it must be \"on\" or \"off\""], "write `on` or `off`"),
    Advice(&["invalid max_size value"], SIZE),
    Advice(&["invalid min_free value"], SIZE),
    Advice(&["invalid time value"], "a time is a number with `s`, `m`, `h` or `d` behind it: `10m`"),
    Advice(&["invalid inactive value"], "a time is a number with `s`, `m`, `h` or `d` behind it: `60m`"),
];

/// Adds a way out to an error without any. `spec` finds the directive that the fault is in.
pub(super) fn advise(said: &mut Diagnostic, spec: impl FnOnce(&Diagnostic) -> Option<&'static DirectiveSpec>) {
    if said.severity != Severity::Error || said.help.is_some() {
        return;
    }
    let known = ADVICE.iter().find(|advice| advice.is_for(&said.message));
    said.help = environment(&said.message).or_else(|| known.map(|advice| advice.filled(&said.message)));
    if said.help.is_none() && said.label.is_none() && said.fix.is_none() {
        let page = |spec: &DirectiveSpec| format!("what `{}` takes: {}", spec.name, spec.documentation());
        said.help = spec(said).map(page);
    }
}

/// Names of variables in capitals are those of the environment.
fn environment(message: &str) -> Option<String> {
    let name = message.strip_prefix("unknown \"")?.strip_suffix("\" variable")?;
    let is_name =
        name.len() > 1 && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_' || byte.is_ascii_digit());
    is_name.then(|| {
        format!("nginx reads no environment variables: have `${name}` filled in before it starts, as by `envsubst '${name}'`")
    })
}

impl Advice {
    fn is_for(&self, message: &str) -> bool {
        let mut rest = Some(message);
        self.0.iter().all(|part| {
            rest = rest.and_then(|text| text.split_once(part)).map(|(_, behind)| behind);
            rest.is_some()
        })
    }

    fn filled(&self, message: &str) -> String {
        let quoted = |number: usize| message.split('"').nth(2 * number - 1).unwrap_or("NAME");
        self.1.replace("{1}", quoted(1)).replace("{2}", quoted(2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn help(message: &str) -> Option<String> {
        let mut said = Diagnostic::error("x", message);
        advise(&mut said, |_| None);
        said.help
    }

    #[test]
    fn sentences_have_a_way_out() {
        let cases = [
            ("unknown \"a\" variable", "nobody defines `$a`: `set`, `map` and `geo` do, and named captures `(?<a>…)`"),
            (
                "invalid variable name \"$\"",
                "a `$` always begins a variable; for a plain one: `geo $dollar { default \"$\"; }`",
            ),
            ("the closing bracket in \"a\" variable is missing", "close it: `${name}`"),
            (
                "\"proxy_cache\" zone \"a\" is unknown",
                "define it in `http`: `proxy_cache_path /var/cache/nginx keys_zone=a:10m;`",
            ),
            ("unknown log format \"a\"", "define it in `http`: `log_format a '$remote_addr …';`, or use `combined`"),
            ("invalid port in upstream \"a:x\"", PORT),
        ];
        for (message, expected) in cases {
            assert_eq!(help(message).as_deref(), Some(expected), "{message}");
        }
        assert_eq!(help("\"x\" directive is not allowed here"), None);
    }

    #[test]
    fn no_advice_hides_another() {
        for (number, advice) in ADVICE.iter().enumerate() {
            let message = advice.0.join("");
            let first = ADVICE.iter().position(|other| other.is_for(&message));
            assert_eq!(first, Some(number), "{message}");
        }
    }
}
