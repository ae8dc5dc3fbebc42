//! Apache's directives, line by line, in nginx's words. <https://httpd.apache.org/docs/2.4/mod/directives.html>

use super::lines::{value, words};
use super::rewrite::{self, Condition};

/// What has been read, and matters for what follows.
#[derive(Default)]
pub(super) struct Apache {
    /// The conditions before a `RewriteRule`.
    conditions: Vec<Condition>,
    /// The tags that are open; those that have no counterpart are comments, with all they hold.
    open: Vec<Tag>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Tag {
    Block,
    Comment,
}

impl Apache {
    /// The lines that say the same; what has no counterpart becomes a comment.
    pub(super) fn line(&mut self, text: &str) -> Vec<String> {
        if text.is_empty() || text.starts_with('#') {
            return vec![text.to_owned()];
        }
        let is_comment = self.open.contains(&Tag::Comment);
        let line = words(text.trim_end_matches(';'));
        let line: Vec<&str> = line.iter().map(String::as_str).collect();
        if let Some(tag) = text.strip_prefix('<') {
            return self.tag(tag, is_comment).unwrap_or_else(|| vec![format!("# {text}")]);
        }
        let said = if is_comment { None } else { self.directive(&line) };
        said.unwrap_or_else(|| vec![format!("# {text}")])
    }

    /// How deep the blocks are that were opened.
    pub(super) fn depth(&self) -> usize {
        self.open.iter().filter(|tag| **tag == Tag::Block).count()
    }

    /// `<VirtualHost *:80>`, `</VirtualHost>`
    fn tag(&mut self, tag: &str, is_comment: bool) -> Option<Vec<String>> {
        if tag.starts_with('/') {
            return (self.open.pop()? == Tag::Block).then(|| vec!["}".into()]);
        }
        let tag = words(tag.trim_end_matches('>'));
        let tag: Vec<&str> = tag.iter().map(String::as_str).collect();
        let opened = match tag[..] {
            ["VirtualHost", ref at @ ..] if !is_comment => {
                let listens = at.iter().map(|at| format!("    listen {};", at.trim_start_matches("*:")));
                Some(std::iter::once("server {".into()).chain(listens).collect())
            }
            ["Location", at] if !is_comment => Some(vec![format!("location {} {{", value(at))]),
            ["LocationMatch", at] if !is_comment => Some(vec![format!("location ~ {} {{", value(at))]),
            _ => None,
        };
        self.open.push(if opened.is_some() { Tag::Block } else { Tag::Comment });
        opened
    }

    fn directive(&mut self, line: &[&str]) -> Option<Vec<String>> {
        match *line {
            ["RewriteCond", subject, pattern, ref flags @ ..] => {
                self.conditions.push(Condition::new(subject, pattern, flags.first().copied()));
                Some(Vec::new())
            }
            ["RewriteRule", pattern, target, ref flags @ ..] => {
                let conditions = std::mem::take(&mut self.conditions);
                let rule = rewrite::rule(&conditions, pattern, target, flags.first().copied());
                Some(rule.unwrap_or_else(|| vec![format!("# {}", line.join(" "))]))
            }
            _ => plain(line),
        }
    }
}

/// Directives that mean the same wherever they stand. An empty answer is for what nginx needs no words for.
fn plain(line: &[&str]) -> Option<Vec<String>> {
    let one = |text: String| Some(vec![text]);
    let said = |name: &str, values: &[&str]| {
        let values: Vec<_> = values.iter().map(|text| value(text)).collect();
        Some(vec![format!("{name} {};", values.join(" "))])
    };
    match *line {
        [
            "RewriteEngine" | "RewriteBase" | "ProxyPassReverse" | "ProxyRequests" | "AllowOverride" | "ServerAdmin",
            ..,
        ]
        | ["ExpiresActive" | "Order" | "AuthType", ..]
        | ["Require", "all", "granted"]
        | ["Require", "valid-user"] => Some(Vec::new()),
        ["DocumentRoot", root] => said("root", &[root]),
        ["ServerName", name] => {
            let name = name.rsplit("//").next().unwrap_or(name);
            said("server_name", &[name.split(':').next().unwrap_or(name)])
        }
        ["ServerAlias", ref names @ ..] => said("server_name", names),
        ["Listen", at] => said("listen", &[at]),
        ["DirectoryIndex", ref names @ ..] => said("index", names),
        ["Include" | "IncludeOptional", file] => said("include", &[file]),
        ["ErrorDocument", code, page] if page.starts_with(['/', 'h']) => said("error_page", &[code, page]),
        ["Alias", at, folder] => one(format!("location {} {{ alias {}; }}", value(at), value(folder))),
        ["Redirect", "permanent" | "301", from, to] | ["RedirectPermanent", from, to] => {
            redirect(from, to, "permanent")
        }
        ["Redirect", "temp" | "302", from, to] | ["Redirect", from, to] if from.starts_with('/') => {
            redirect(from, to, "redirect")
        }
        ["RedirectMatch", "permanent" | "301", from, to] => said("rewrite", &[from, to, "permanent"]),
        ["RedirectMatch", "temp" | "302", from, to] | ["RedirectMatch", from, to] => {
            said("rewrite", &[from, to, "redirect"])
        }
        ["ProxyPass", at, backend, ..] if backend.starts_with("http") && !at.starts_with('^') => {
            one(format!("location {} {{ proxy_pass {}; }}", value(at), value(backend)))
        }
        ["ProxyPreserveHost", on] if on.eq_ignore_ascii_case("on") => said("proxy_set_header", &["Host", "$host"]),
        ["Header", "always", "set" | "add" | "append", name, text] if !text.contains('%') => {
            one(format!("add_header {} {} always;", value(name.trim_end_matches(':')), value(text)))
        }
        ["Header", "set" | "add" | "append", name, text] if !text.contains('%') => {
            said("add_header", &[name.trim_end_matches(':'), text])
        }
        ["RequestHeader", "set" | "add" | "append", name, text] if !text.contains('%') => {
            said("proxy_set_header", &[name.trim_end_matches(':'), text])
        }
        ["SetEnv", name, text] => said("fastcgi_param", &[name, text]),
        ["ErrorLog", file] => said("error_log", &[&log(file)]),
        ["CustomLog", file, ..] => said("access_log", &[&log(file)]),
        ["Options", ref words @ ..] => options(words),
        ["Allow", "from", ref whom @ ..] => each("allow", whom),
        ["Deny", "from", ref whom @ ..] => each("deny", whom),
        ["Require", "all", "denied"] => said("deny", &["all"]),
        ["SSLEngine", on] if on.eq_ignore_ascii_case("on") => said("listen", &["443", "ssl"]),
        ["SSLCertificateFile", file] => said("ssl_certificate", &[file]),
        ["SSLCertificateKeyFile", file] => said("ssl_certificate_key", &[file]),
        ["SSLProtocol", ..] => said("ssl_protocols", &["TLSv1.2", "TLSv1.3"]),
        ["SSLCipherSuite", ciphers] => said("ssl_ciphers", &[ciphers]),
        ["AuthName", realm] => one(format!("auth_basic {};", value(realm))),
        ["AuthUserFile", file] => said("auth_basic_user_file", &[file]),
        ["KeepAlive", off] if off.eq_ignore_ascii_case("off") => said("keepalive_timeout", &["0"]),
        ["KeepAliveTimeout", time] => said("keepalive_timeout", &[time]),
        ["MaxKeepAliveRequests", count] => said("keepalive_requests", &[count]),
        ["LimitRequestBody", size] => said("client_max_body_size", &[size]),
        _ => None,
    }
}

/// Apache redirects what begins with a path, and keeps the rest of it.
fn redirect(from: &str, to: &str, how: &str) -> Option<Vec<String>> {
    let from = from.replace('.', "\\.");
    Some(vec![format!("rewrite {} {} {how};", value(&format!("^{from}(.*)$")), value(&format!("{to}$1")))])
}

fn each(name: &str, whom: &[&str]) -> Option<Vec<String>> {
    let is_address =
        |whom: &&str| *whom == "all" || whom.bytes().all(|byte| byte.is_ascii_digit() || b".:/".contains(&byte));
    whom.iter().all(is_address).then(|| whom.iter().map(|whom| format!("{name} {whom};")).collect())
}

fn options(words: &[&str]) -> Option<Vec<String>> {
    let indexes = words.iter().find(|word| word.trim_start_matches(['+', '-']) == "Indexes");
    Some(
        indexes
            .map(|word| if word.starts_with('-') { "autoindex off;" } else { "autoindex on;" }.into())
            .into_iter()
            .collect(),
    )
}

/// Debian's name for the folder of logs.
fn log(file: &str) -> String {
    file.replace("${APACHE_LOG_DIR}", "/var/log/nginx")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn translated(text: &str) -> Vec<String> {
        let mut apache = Apache::default();
        text.lines().flat_map(|line| apache.line(line.trim())).collect()
    }

    #[test]
    fn lines_are_said_in_nginx_s_words() {
        let cases = [
            ("DocumentRoot \"/srv/my site\"", "root \"/srv/my site\";"),
            ("ServerName https://a.test:443", "server_name a.test;"),
            ("ErrorDocument 404 /404.html", "error_page 404 /404.html;"),
            ("Redirect permanent /old.html /new", "rewrite ^/old\\.html(.*)$ /new$1 permanent;"),
            ("Redirect /a http://b/", "rewrite ^/a(.*)$ http://b/$1 redirect;"),
            ("ProxyPass /api http://127.0.0.1:8000/", "location /api { proxy_pass http://127.0.0.1:8000/; }"),
            ("Header always set X-Frame-Options DENY", "add_header X-Frame-Options DENY always;"),
            ("Options -Indexes +FollowSymLinks", "autoindex off;"),
            ("Allow from 10.0.0.0/8", "allow 10.0.0.0/8;"),
            ("Deny from example.com", "# Deny from example.com"),
            ("ProxyPass /static !", "# ProxyPass /static !"),
            ("AllowOverride All", ""),
        ];
        for (apache, nginx) in cases {
            assert_eq!(translated(apache).concat(), nginx, "{apache}");
        }
    }

    #[test]
    fn tags_become_blocks_or_comments() {
        let text = "<VirtualHost *:80 [::1]:81>\nServerName a\n<Directory />\nRequire all denied\n</Directory>\n</VirtualHost>";
        let expected = [
            "server {",
            "    listen 80;",
            "    listen [::1]:81;",
            "server_name a;",
            "# <Directory />",
            "# Require all denied",
            "# </Directory>",
            "}",
        ];
        assert_eq!(translated(text), expected);
    }

    #[test]
    fn conditions_go_with_their_rule() {
        let text = "RewriteCond %{HTTPS} off\nRewriteRule ^(.*)$ https://%{HTTP_HOST}%{REQUEST_URI} [L,R=301]";
        assert_eq!(translated(text), ["if ($scheme = http) { return 301 https://$host$request_uri; }"]);
        assert_eq!(translated("RewriteRule ^old$ /new"), ["rewrite ^/old$ /new;"]);
    }
}
