//! Words of Apache, Caddy, lighttpd, HAProxy and YAML, with what nginx says instead.

mod apache;
mod caddy;
mod lines;
mod rewrite;
mod yaml;

use self::lines::Line;
use super::Habit;
use crate::{
    diag::{Fix, Span},
    load::Sources,
    syntax::Directive,
};

/// What a word of another server is here: the word, whose it is, and what to write. A single name can simply take its place.
const WORDS: &[(&str, &str, &str)] = &[
    ("DocumentRoot", APACHE, "root"),
    ("ServerName", APACHE, "server_name"),
    ("ServerAlias", APACHE, "server_name"),
    ("Listen", APACHE, "listen"),
    ("DirectoryIndex", APACHE, "index"),
    ("Include", APACHE, "include"),
    ("IncludeOptional", APACHE, "include"),
    ("ErrorDocument", APACHE, "error_page"),
    ("Alias", APACHE, "location /x/ { alias /path/; }"),
    ("Redirect", APACHE, "location = /old { return 301 /new; }"),
    ("RedirectMatch", APACHE, "rewrite ^/old(.*)$ /new$1 permanent;"),
    ("RewriteEngine", APACHE, "nothing: `rewrite` needs no switch"),
    ("RewriteBase", APACHE, "nothing: `rewrite` sees the whole path"),
    ("RewriteRule", APACHE, "rewrite ^/old(.*)$ /new$1 last;"),
    ("RewriteCond", APACHE, "if ($variable ~ pattern) { }, or try_files for `-f` and `-d`"),
    ("AllowOverride", APACHE, "nothing: there are no `.htaccess` files"),
    ("Options", APACHE, "autoindex on; for `Indexes`, and nothing else"),
    ("Order", APACHE, "allow and deny, which are looked at in the order written"),
    ("Allow", APACHE, "allow 10.0.0.0/8;"),
    ("Deny", APACHE, "deny all;"),
    ("Require", APACHE, "allow and deny, or auth_basic"),
    ("ProxyPass", APACHE, "location /x/ { proxy_pass http://backend/; }"),
    ("ProxyPassReverse", APACHE, "proxy_redirect, which works by itself most often"),
    ("ProxyPreserveHost", APACHE, "proxy_set_header Host $host;"),
    ("ProxyRequests", APACHE, "nothing: nginx is no forward proxy"),
    ("RequestHeader", APACHE, "proxy_set_header Name value;"),
    ("Header", APACHE, "add_header Name value always;"),
    ("SetEnv", APACHE, "fastcgi_param NAME value;"),
    ("SetEnvIf", APACHE, "map $http_name $variable { }"),
    ("ErrorLog", APACHE, "error_log"),
    ("CustomLog", APACHE, "access_log"),
    ("LogFormat", APACHE, "log_format name '…';"),
    ("LogLevel", APACHE, "error_log /path level;"),
    ("ServerAdmin", APACHE, "nothing: nginx shows no address"),
    ("ServerTokens", APACHE, "server_tokens off;"),
    ("SSLEngine", APACHE, "listen 443 ssl;"),
    ("SSLCertificateFile", APACHE, "ssl_certificate"),
    ("SSLCertificateKeyFile", APACHE, "ssl_certificate_key"),
    ("SSLProtocol", APACHE, "ssl_protocols TLSv1.2 TLSv1.3;"),
    ("SSLCipherSuite", APACHE, "ssl_ciphers"),
    ("AuthType", APACHE, "auth_basic \"realm\";"),
    ("AuthName", APACHE, "auth_basic"),
    ("AuthUserFile", APACHE, "auth_basic_user_file"),
    ("KeepAlive", APACHE, "keepalive_timeout"),
    ("KeepAliveTimeout", APACHE, "keepalive_timeout"),
    ("MaxKeepAliveRequests", APACHE, "keepalive_requests"),
    ("Timeout", APACHE, "send_timeout, client_body_timeout or proxy_read_timeout"),
    ("LimitRequestBody", APACHE, "client_max_body_size"),
    ("LoadModule", APACHE, "load_module"),
    ("User", APACHE, "user"),
    ("AddType", APACHE, "types { type/subtype ending; }"),
    ("AddHandler", APACHE, "location ~ \\.php$ { fastcgi_pass …; }"),
    ("SetHandler", APACHE, "location ~ \\.php$ { fastcgi_pass …; }"),
    ("ExpiresActive", APACHE, "expires"),
    ("ExpiresByType", APACHE, "expires, with a map over $sent_http_content_type"),
    ("VirtualHost", APACHE, "server { listen 80; server_name …; }"),
    ("Directory", APACHE, "location"),
    ("reverse_proxy", CADDY, "location / { proxy_pass http://backend; }"),
    ("file_server", CADDY, "root /path;"),
    ("php_fastcgi", CADDY, "location ~ \\.php$ { fastcgi_pass …; }"),
    ("redir", CADDY, "return 301 URL;"),
    ("respond", CADDY, "return 200 text;"),
    ("handle", CADDY, "location"),
    ("handle_path", CADDY, "location /x/ { proxy_pass http://backend/; }"),
    ("basicauth", CADDY, "auth_basic and auth_basic_user_file"),
    ("basic_auth", CADDY, "auth_basic and auth_basic_user_file"),
    ("encode", CADDY, "gzip on;"),
    ("header", CADDY, "add_header Name value;"),
    ("header_up", CADDY, "proxy_set_header Name value;"),
    ("tls", CADDY, "listen 443 ssl; with ssl_certificate and ssl_certificate_key"),
    ("import", CADDY, "include"),
    ("server.document-root", LIGHTTPD, "root"),
    ("server.port", LIGHTTPD, "listen"),
    ("frontend", HAPROXY, "server { listen …; }"),
    ("backend", HAPROXY, "upstream"),
    ("bind", HAPROXY, "listen"),
    ("use_backend", HAPROXY, "proxy_pass"),
    ("default_backend", HAPROXY, "proxy_pass"),
];

const APACHE: &str = "Apache";
const CADDY: &str = "Caddy";
const LIGHTTPD: &str = "lighttpd";
const HAPROXY: &str = "HAProxy";

/// A word of another server, or of another format.
pub(super) fn name(sources: &Sources, directive: &Directive) -> Option<Habit> {
    let text = directive.name.text();
    let at = directive.name.span;
    if let Some(tag) = text.strip_prefix('<') {
        let tag = tag.trim_start_matches('/').trim_end_matches('>');
        let known = WORDS.iter().find(|(word, ..)| word.eq_ignore_ascii_case(tag));
        let instead = known.map_or("name { … }", |(.., instead)| instead);
        let habit = Habit::new("blocks stand in braces, not in tags", format!("write `{instead}`"));
        return Some(habit.with(known.and_then(|_| from_apache(sources, at))));
    }
    if &*text == "-" {
        return Some(Habit::new("nginx has no lists as YAML has", "write `name value;`, once for each"));
    }
    if text.starts_with("---") || text.starts_with("%YAML") {
        return Some(Habit::new("this is YAML", "nginx's statements are `name value;` and `name { … }`"));
    }
    if directive.block.is_some() && caddy::is_address(&text) {
        let help = format!("nginx says `server {{ listen 80; server_name {text}; … }}`");
        return Some(Habit::new("a site begins with its name in Caddy", help).with(from_caddy(sources, at)));
    }
    let (_, whose, instead) = WORDS.iter().find(|(word, ..)| *word == text)?;
    let habit = match instead.strip_prefix("nothing: ") {
        Some(why) => Habit::new(format!("this is {whose}'s"), format!("take it out: {why}")),
        None => Habit::new(format!("this is {whose}'s"), format!("nginx says `{instead}`")),
    };
    let is_name = instead.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    let whole = match *whose {
        APACHE => from_apache(sources, at),
        CADDY => from_caddy(sources, at),
        _ => None,
    };
    let respelt = || is_name.then(|| Fix::likely(format!("write `{instead}`")).replace(at, *instead));
    Some(habit.with(whole.or_else(respelt)))
}

/// Whether a name is one of another server: a file of such is no whole configuration of nginx.
pub(crate) fn is_foreign(directive: &Directive) -> bool {
    let text = directive.name.text();
    let is_tag = text.starts_with('<');
    is_tag || WORDS.iter().any(|(word, ..)| *word == text) || (directive.block.is_some() && caddy::is_address(&text))
}

/// The lines from this word on that are Apache's, in nginx's words.
fn from_apache(sources: &Sources, at: Span) -> Option<Fix> {
    let mut depth = 0_usize;
    let lines = while_some(lines::from(sources, at), |line| {
        let first = line.text.split([' ', '\t', '>']).next().unwrap_or_default();
        let is_theirs = line.text.starts_with('<') || is_word_of(APACHE, first) || depth > 0;
        if line.text.starts_with("</") {
            depth = depth.checked_sub(1)?;
        } else if line.text.starts_with('<') {
            depth += 1;
        }
        (is_theirs && !line.text.ends_with('\\')).then_some(())
    });
    let mut apache = apache::Apache::default();
    let title = "write these lines of Apache's in nginx's words";
    in_nginx_words(sources, at, &lines, title, |text| (apache.line(text), apache.depth()))
}

/// The same for Caddy.
fn from_caddy(sources: &Sources, at: Span) -> Option<Fix> {
    let mut depth = 0_usize;
    let lines = while_some(lines::from(sources, at), |line| {
        let first = line.text.split([' ', '\t']).next().unwrap_or_default();
        let is_theirs = is_word_of(CADDY, first) || depth > 0 || (line.text.ends_with('{') && caddy::is_address(first));
        if line.text == "}" {
            depth = depth.checked_sub(1)?;
        } else if line.text.ends_with('{') {
            depth += 1;
        }
        // What is nginx's already needs no translation.
        (is_theirs && !line.text.ends_with(';')).then_some(())
    });
    let mut caddy = caddy::Caddy::default();
    let title = "write these lines of Caddy's in nginx's words";
    in_nginx_words(sources, at, &lines, title, |text| (caddy.line(text), caddy.depth()))
}

/// Lines of `name: value` from this word on, in nginx's words, where there are several.
pub(super) fn from_yaml(sources: &Sources, at: Span) -> Option<Fix> {
    let lines = while_some(lines::from(sources, at), |line| yaml::is_line(line.text).then_some(()));
    let new = yaml::translate(&lines).filter(|_| lines.len() > 1)?;
    lines::replaced(sources, at, &lines, &new, "write these lines of YAML's in nginx's words")
}

fn is_word_of(whose: &str, text: &str) -> bool {
    WORDS.iter().any(|(word, who, _)| *word == text && *who == whose)
}

/// The lines up to the first that is something else; empty ones and comments at their end are left alone.
fn while_some<'a>(
    lines: impl Iterator<Item = Line<'a>>,
    mut is_theirs: impl FnMut(&Line<'a>) -> Option<()>,
) -> Vec<Line<'a>> {
    let is_blank = |line: &Line<'_>| line.text.is_empty() || line.text.starts_with('#');
    let mut taken: Vec<_> =
        lines.map_while(|line| if is_blank(&line) { Some(line) } else { is_theirs(&line).map(|()| line) }).collect();
    while taken.pop_if(|line| is_blank(line)).is_some() {}
    taken
}

/// The repair of some lines, each of which becomes some lines; the depth of blocks is known behind each.
fn in_nginx_words(
    sources: &Sources,
    at: Span,
    lines: &[Line<'_>],
    title: &str,
    mut said: impl FnMut(&str) -> (Vec<String>, usize),
) -> Option<Fix> {
    let outer = lines.first()?.indent;
    let mut new = Vec::new();
    let mut depth = 0;
    for line in lines {
        let (lines, behind) = said(line.text);
        depth = behind;
        new.extend(lines.into_iter().map(|text| (line.indent.saturating_sub(outer), text)));
    }
    let says_something = new.iter().any(|(_, text)| !text.is_empty() && !text.starts_with('#'));
    // A block that is not closed within these lines would swallow what follows.
    (depth == 0 && says_something).then(|| lines::replaced(sources, at, lines, &new, title))?
}
