//! Words of Apache, Caddy, lighttpd, HAProxy and YAML, with what nginx says instead.

use super::Habit;
use crate::{diag::Fix, syntax::Directive};

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
pub(super) fn name(directive: &Directive) -> Option<Habit> {
    let text = directive.name.text();
    if let Some(tag) = text.strip_prefix('<') {
        let tag = tag.trim_start_matches('/').trim_end_matches('>');
        let instead = WORDS
            .iter()
            .find(|(word, ..)| word.eq_ignore_ascii_case(tag))
            .map_or("name { … }", |(.., instead)| instead);
        return Some(Habit::new("blocks stand in braces, not in tags", format!("write `{instead}`")));
    }
    if &*text == "-" {
        return Some(Habit::new("nginx has no lists as YAML has", "write `name value;`, once for each"));
    }
    if text.starts_with("---") || text.starts_with("%YAML") {
        return Some(Habit::new("this is YAML", "nginx's statements are `name value;` and `name { … }`"));
    }
    let (_, whose, instead) = WORDS.iter().find(|(word, ..)| *word == text)?;
    let habit = match instead.strip_prefix("nothing: ") {
        Some(why) => Habit::new(format!("this is {whose}'s"), format!("take it out: {why}")),
        None => Habit::new(format!("this is {whose}'s"), format!("nginx says `{instead}`")),
    };
    let is_name = instead.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    Some(if is_name {
        habit.fix(Fix::likely(format!("write `{instead}`")).replace(directive.name.span, *instead))
    } else {
        habit
    })
}
