//! Caddy's directives, line by line, in nginx's words. <https://caddyserver.com/docs/caddyfile/directives>

use super::lines::{value, words};

/// What has been read, and matters for what follows.
#[derive(Default)]
pub(super) struct Caddy {
    open: Vec<Opened>,
}

/// What a `{` has opened.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Opened {
    Site,
    /// A location; of the second kind the path is taken off before it is passed on.
    Location {
        strips: bool,
    },
    /// What has no counterpart is a comment, with all it holds.
    Comment,
}

/// Whether a name looks like the address of a site: `example.com`, `:8080`, `http://localhost`.
pub(super) fn is_address(name: &str) -> bool {
    let host = name.trim_end_matches(',').trim_start_matches("http://").trim_start_matches("https://");
    let (host, port) = host.split_once(':').map_or((host, None), |(host, port)| (host, Some(port)));
    let is_port = port.is_none_or(|port| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()));
    let is_host = |host: &str| host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-*".contains(&byte));
    let has_dots = host.contains('.') && host.split('.').all(|label| !label.is_empty());
    is_port && is_host(host) && (has_dots || host == "localhost" || (host.is_empty() && port.is_some()))
}

impl Caddy {
    /// The lines that say the same; what has no counterpart becomes a comment.
    pub(super) fn line(&mut self, text: &str) -> Vec<String> {
        if text.is_empty() || text.starts_with('#') {
            return vec![text.to_owned()];
        }
        if text == "}" {
            let closed = self.open.pop();
            return vec![if closed == Some(Opened::Comment) { "# }".into() } else { text.into() }];
        }
        let (line, opens) = text.strip_suffix('{').map_or((text, false), |line| (line, true));
        let line = words(line);
        let line: Vec<&str> = line.iter().map(String::as_str).collect();
        let comment = || vec![format!("# {text}")];
        if self.open.contains(&Opened::Comment) {
            self.open.extend(opens.then_some(Opened::Comment));
            return comment();
        }
        if opens {
            let (opened, lines) = self.block(&line).unwrap_or_else(|| (Opened::Comment, comment()));
            self.open.push(opened);
            return lines;
        }
        self.directive(&line).unwrap_or_else(comment)
    }

    /// How deep the blocks are that were opened.
    pub(super) fn depth(&self) -> usize {
        self.open.len()
    }

    fn block(&self, line: &[&str]) -> Option<(Opened, Vec<String>)> {
        let location = |path: &str, strips: bool| {
            let path = if strips { path.trim_end_matches('*') } else { path.trim_end_matches(['*', '/']) };
            let path = if path.is_empty() { "/" } else { path };
            (Opened::Location { strips }, vec![format!("location {} {{", value(path))])
        };
        match *line {
            ["handle" | "route"] => Some(location("/", false)),
            ["handle" | "route", path] if path.starts_with('/') => Some(location(path, false)),
            ["handle_path", path] => Some(location(path, true)),
            ["reverse_proxy", backend] if !self.in_location() => {
                let (opened, mut lines) = location("/", false);
                lines.extend(pass(backend, false).into_iter().map(|line| format!("    {line}")));
                Some((opened, lines))
            }
            ref addresses if self.open.is_empty() && addresses.iter().all(|name| is_address(name)) => {
                Some((Opened::Site, site(addresses)))
            }
            _ => None,
        }
    }

    fn in_location(&self) -> bool {
        matches!(self.open.last(), Some(Opened::Location { .. }))
    }

    fn directive(&self, line: &[&str]) -> Option<Vec<String>> {
        let one = |text: String| Some(vec![text]);
        let strips = self.open.last() == Some(&Opened::Location { strips: true });
        match *line {
            ["root", "*", folder] | ["root", folder] => one(format!("root {};", value(folder))),
            // Files are served wherever nothing else is said.
            ["file_server"] => Some(Vec::new()),
            ["file_server", "browse"] => one("autoindex on;".into()),
            ["encode", ..] => one("gzip on;".into()),
            ["reverse_proxy", backend] if self.in_location() => Some(pass(backend, strips)),
            ["reverse_proxy", path, backend] if path.starts_with('/') && !self.in_location() => {
                let path = path.trim_end_matches('*');
                one(format!("location {} {{ {} }}", value(path), pass(backend, false).join(" ")))
            }
            ["reverse_proxy", backend] => one(format!("location / {{ {} }}", pass(backend, false).join(" "))),
            ["header_up", name, text] if !name.starts_with(['-', '+']) && !text.contains('{') => {
                one(format!("proxy_set_header {} {};", value(name), value(text)))
            }
            ["header", name, text] if !name.starts_with(['-', '+', '/', '@']) && !text.contains('{') => {
                one(format!("add_header {} {};", value(name), value(text)))
            }
            ["redir", from, to, "permanent"] if from.starts_with('/') => {
                one(format!("location = {} {{ return 301 {}; }}", value(from), value(to)))
            }
            ["redir", to, "permanent"] if !to.contains("{uri}") => one(format!("return 301 {};", value(to))),
            ["redir", to, "permanent"] => one(format!("return 301 {};", value(&to.replace("{uri}", "$request_uri")))),
            ["redir", from, to] if from.starts_with('/') => {
                one(format!("location = {} {{ return 302 {}; }}", value(from), value(to)))
            }
            ["redir", to] => one(format!("return 302 {};", value(&to.replace("{uri}", "$request_uri")))),
            ["respond", text] if text.parse::<u16>().is_ok() => one(format!("return {text};")),
            ["respond", text] => one(format!("return 200 {};", value(text))),
            ["respond", text, code] => one(format!("return {code} {};", value(text))),
            ["tls", certificate, key] => Some(vec![
                format!("ssl_certificate {};", value(certificate)),
                format!("ssl_certificate_key {};", value(key)),
            ]),
            ["php_fastcgi", backend] => Some(php(backend)),
            ["import", file] => one(format!("include {};", value(file))),
            ["try_files", ..] => one(format!("{};", line.join(" ").replace("{path}", "$uri"))),
            _ => None,
        }
    }
}

/// `server {` with what the addresses say.
fn site(addresses: &[&str]) -> Vec<String> {
    let mut lines = vec!["server {".to_owned()];
    let (mut ports, mut names) = (Vec::new(), Vec::new());
    for address in addresses {
        let address = address.trim_end_matches(',').trim_start_matches("http://").trim_start_matches("https://");
        let (host, port) = address.split_once(':').unwrap_or((address, "80"));
        names.extend((!host.is_empty()).then_some(host));
        if !ports.contains(&port) {
            ports.push(port);
        }
    }
    lines.extend(ports.iter().map(|port| format!("    listen {port};")));
    if !names.is_empty() {
        lines.push(format!("    server_name {};", names.join(" ")));
    }
    lines
}

/// What passes a request on; Caddy tells the backend the name that was asked for.
fn pass(backend: &str, strips: bool) -> Vec<String> {
    let scheme = if backend.contains("://") { "" } else { "http://" };
    let end = if strips { "/" } else { "" };
    vec![format!("proxy_pass {};", value(&format!("{scheme}{backend}{end}"))), "proxy_set_header Host $host;".into()]
}

fn php(backend: &str) -> Vec<String> {
    let backend = backend.replace("unix//", "unix:/");
    let lines = [
        "location ~ \\.php$ {",
        "    include fastcgi_params;",
        "    fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name;",
        &format!("    fastcgi_pass {};", value(&backend)),
        "}",
    ];
    lines.map(str::to_owned).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn translated(text: &str) -> Vec<String> {
        let mut caddy = Caddy::default();
        text.lines().flat_map(|line| caddy.line(line.trim())).collect()
    }

    #[test]
    fn sites_are_servers() {
        let text =
            "a.test, www.a.test {\nroot * /srv\nencode zstd gzip\nreverse_proxy /api/* localhost:8000\nfile_server\n}";
        let expected = [
            "server {",
            "    listen 80;",
            "    server_name a.test www.a.test;",
            "root /srv;",
            "gzip on;",
            "location /api/ { proxy_pass http://localhost:8000; proxy_set_header Host $host; }",
            "}",
        ];
        assert_eq!(translated(text), expected);
        assert_eq!(
            translated(":8080 {\nrespond \"hi\" 200\n}"),
            ["server {", "    listen 8080;", "return 200 hi;", "}"]
        );
    }

    #[test]
    fn blocks_are_locations_or_comments() {
        let text =
            "handle_path /api/* {\nreverse_proxy a:1\n}\nbasic_auth {\nbob x\n}\nhandle /b/* {\nreverse_proxy a:2\n}";
        let expected = [
            "location /api/ {",
            "proxy_pass http://a:1/;",
            "proxy_set_header Host $host;",
            "}",
            "# basic_auth {",
            "# bob x",
            "# }",
            "location /b {",
            "proxy_pass http://a:2;",
            "proxy_set_header Host $host;",
            "}",
        ];
        assert_eq!(translated(text), expected);
    }

    #[test]
    fn addresses_are_hosts_and_ports() {
        for name in ["example.com", ":80", "localhost", "http://a.b:8080", "*.a.test,"] {
            assert!(is_address(name), "{name}");
        }
        for name in ["server", "a..b", "/x.y", "location", "a.b:c", "$a.b", ""] {
            assert!(!is_address(name), "{name}");
        }
    }
}
