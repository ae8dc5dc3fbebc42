//! Apache's `RewriteCond` and `RewriteRule` as nginx's `if`, `rewrite`, `return` and `try_files`.
//! <https://httpd.apache.org/docs/2.4/mod/mod_rewrite.html>

use super::lines::value;

/// One `RewriteCond`.
pub(super) struct Condition {
    /// `%{HTTPS}`
    subject: String,
    /// `!-f`, `^www\.`
    pattern: String,
    any_case: bool,
    /// `[OR]` joins it with the next one, which nginx's `if` cannot.
    is_joined: bool,
}

impl Condition {
    pub(super) fn new(subject: &str, pattern: &str, flags: Option<&str>) -> Self {
        let flags = list(flags);
        let has = |short, long| flags.iter().any(|flag| *flag == short || *flag == long);
        let (any_case, is_joined) = (has("NC", "nocase"), has("OR", "ornext"));
        Self { subject: subject.into(), pattern: pattern.into(), any_case, is_joined }
    }

    /// Whether it asks for there being no such file, or no such folder.
    fn asks_for_nothing(&self) -> bool {
        self.subject == "%{REQUEST_FILENAME}" && matches!(&*self.pattern, "!-f" | "!-d")
    }

    /// The brackets of an `if`.
    fn brackets(&self) -> Option<String> {
        let (not, pattern) = self.pattern.strip_prefix('!').map_or(("", &*self.pattern), |pattern| ("!", pattern));
        if self.subject == "%{HTTPS}" {
            let wants_off = matches!(pattern, "off" | "=off") == not.is_empty();
            return Some(format!("$scheme = {}", if wants_off { "http" } else { "https" }));
        }
        let subject = variables(&self.subject)?;
        if matches!(pattern, "-f" | "-d" | "-x") {
            return Some(format!("{not}{pattern} {subject}"));
        }
        if let Some(text) = pattern.strip_prefix('=') {
            return Some(format!("{subject} {not}= {}", value(text)));
        }
        let case = if self.any_case { "*" } else { "" };
        (!pattern.starts_with(['-', '<', '>'])).then(|| format!("{subject} {not}~{case} {}", value(pattern)))
    }
}

/// A rule with the conditions before it. None for what nginx says in quite another way.
pub(super) fn rule(conditions: &[Condition], pattern: &str, target: &str, flags: Option<&str>) -> Option<Vec<String>> {
    let flags = list(flags);
    let to = variables(target)?;
    if !conditions.is_empty() && conditions.iter().all(Condition::asks_for_nothing) && matches_all(pattern) {
        let is_page = !to.contains(':') && !to.contains("$1") && to != "-";
        let folder = if conditions.iter().any(|one| one.pattern == "!-d") { " $uri/" } else { "" };
        let query = if to.contains('?') { "" } else { "?$args" };
        return is_page.then(|| {
            vec![format!("try_files $uri{folder} {};", value(&format!("/{}{query}", to.trim_start_matches('/'))))]
        });
    }
    let done = action(pattern, &to, &flags)?;
    match conditions {
        [] => Some(vec![done]),
        [only] if !only.is_joined && !to.contains('%') => Some(vec![format!("if ({}) {{ {done} }}", only.brackets()?)]),
        _ => None,
    }
}

/// What is done where the conditions hold.
fn action(pattern: &str, to: &str, flags: &[&str]) -> Option<String> {
    let has = |short: &str, long: &str| flags.iter().any(|flag| *flag == short || *flag == long);
    let (forbidden, gone) = (has("F", "forbidden"), has("G", "gone"));
    let code = flags.iter().find_map(|flag| flag.strip_prefix("R=").or(flag.strip_prefix("redirect=")));
    let redirects = code.is_some() || has("R", "redirect");
    let regex = value(&format!("{}{}", if has("NC", "nocase") { "(?i)" } else { "" }, whole_path(pattern, to)));
    if forbidden || gone {
        let code = if forbidden { 403 } else { 410 };
        return Some(if matches_all(pattern) {
            format!("return {code};")
        } else {
            format!("if ($uri ~ {regex}) {{ return {code}; }}")
        });
    }
    if to == "-" || code.is_some_and(|code| !matches!(code, "301" | "302" | "permanent" | "temp")) {
        return None;
    }
    let permanent = matches!(code, Some("301" | "permanent"));
    if redirects && matches_all(pattern) && !to.contains("$1") {
        return Some(format!("return {} {};", if permanent { 301 } else { 302 }, value(to)));
    }
    let how = match () {
        () if permanent => " permanent",
        () if redirects => " redirect",
        () if has("L", "last") => " last",
        () if has("END", "end") => " break",
        () => "",
    };
    // Apache forgets the query where the target has one; nginx keeps it.
    let forget = if to.contains('?') && !has("QSA", "qsappend") { "?" } else { "" };
    Some(format!("rewrite {regex} {}{how};", value(&format!("{to}{forget}"))))
}

/// In a folder's own file paths have no `/` at their start; nginx's always have one.
fn whole_path(pattern: &str, to: &str) -> String {
    let keeps_slash = |rest: &str| rest.starts_with('(') && to.contains("$1") && !to.contains("/$1");
    match pattern.strip_prefix('^') {
        Some(rest) if !rest.starts_with(['/', '.']) && !keeps_slash(rest) => format!("^/{rest}"),
        _ => pattern.to_owned(),
    }
}

fn matches_all(pattern: &str) -> bool {
    matches!(pattern, "^" | "." | ".*" | "(.*)" | "^(.*)$" | "^.*$" | "^(.*)" | "^/?(.*)" | "^/?(.*)$" | "^/(.*)$")
}

/// `[L,R=301]`
fn list(flags: Option<&str>) -> Vec<&str> {
    flags.map_or(Vec::new(), |flags| flags.trim_matches(['[', ']']).split(',').map(str::trim).collect())
}

/// `%{NAME}` as nginx's variables.
fn variables(text: &str) -> Option<String> {
    let (mut out, mut rest) = (String::new(), text);
    while let Some(at) = rest.find("%{") {
        let end = at + rest[at..].find('}')?;
        out += &rest[..at];
        out += &variable(&rest[at + 2..end])?;
        rest = &rest[end + 1..];
    }
    Some(out + rest)
}

fn variable(name: &str) -> Option<String> {
    let header = name.strip_prefix("HTTP:").map(|name| name.to_ascii_lowercase().replace('-', "_"));
    if let Some(header) = header {
        return Some(format!("$http_{header}"));
    }
    let known = match name {
        "HTTP_HOST" => "$host",
        "REQUEST_URI" => "$request_uri",
        "REQUEST_FILENAME" | "SCRIPT_FILENAME" => "$request_filename",
        "QUERY_STRING" => "$args",
        "REQUEST_METHOD" => "$request_method",
        "REQUEST_SCHEME" => "$scheme",
        "REMOTE_ADDR" => "$remote_addr",
        "REMOTE_USER" => "$remote_user",
        "SERVER_NAME" => "$server_name",
        "SERVER_PORT" => "$server_port",
        "SERVER_PROTOCOL" => "$server_protocol",
        "DOCUMENT_ROOT" => "$document_root",
        "THE_REQUEST" => "$request",
        "HTTP_USER_AGENT" => "$http_user_agent",
        "HTTP_REFERER" => "$http_referer",
        "HTTP_COOKIE" => "$http_cookie",
        "HTTP_ACCEPT" => "$http_accept",
        _ => return None,
    };
    Some(known.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(conditions: &[(&str, &str, &str)], rule_is: (&str, &str, &str)) -> Option<String> {
        let conditions =
            conditions.iter().map(|(subject, pattern, flags)| Condition::new(subject, pattern, Some(flags)));
        let (pattern, target, flags) = rule_is;
        rule(&conditions.collect::<Vec<_>>(), pattern, target, Some(flags)).map(|lines| lines.join("\n"))
    }

    #[test]
    fn a_front_controller_is_try_files() {
        let nothing = [("%{REQUEST_FILENAME}", "!-f", ""), ("%{REQUEST_FILENAME}", "!-d", "")];
        assert_eq!(
            said(&nothing, ("^", "index.php", "[L]")).as_deref(),
            Some("try_files $uri $uri/ /index.php?$args;")
        );
        assert_eq!(said(&nothing[..1], (".*", "/a.php?x=1", "")).as_deref(), Some("try_files $uri /a.php?x=1;"));
        assert_eq!(said(&nothing, ("^(.*)$", "index.php?q=$1", "[L]")), None);
    }

    #[test]
    fn conditions_become_brackets() {
        let www = [("%{HTTP_HOST}", "^www\\.a\\.test$", "[NC]")];
        let expected = "if ($host ~* ^www\\.a\\.test$) { rewrite ^/(.*)$ https://a.test/$1 permanent; }";
        assert_eq!(said(&www, ("^(.*)$", "https://a.test/$1", "[R=301,L]")).as_deref(), Some(expected));
        let agent = [("%{HTTP_USER_AGENT}", "bot", "")];
        assert_eq!(said(&agent, ("^", "-", "[F]")).as_deref(), Some("if ($http_user_agent ~ bot) { return 403; }"));
        let proto = [("%{HTTP:X-Forwarded-Proto}", "!=https", "")];
        let expected = "if ($http_x_forwarded_proto != https) { return 302 https://$host$request_uri; }";
        assert_eq!(said(&proto, ("^", "https://%{HTTP_HOST}%{REQUEST_URI}", "[R]")).as_deref(), Some(expected));
        assert_eq!(said(&[("%{A}", "b", "")], ("^", "/c", "")), None);
    }

    #[test]
    fn a_query_is_forgotten_unless_it_is_appended() {
        assert_eq!(said(&[], ("^/a/(.*)$", "/b?x=$1", "[L]")).as_deref(), Some("rewrite ^/a/(.*)$ /b?x=$1? last;"));
        assert_eq!(said(&[], ("^a/(.*)$", "/b?x=$1", "[QSA]")).as_deref(), Some("rewrite ^/a/(.*)$ /b?x=$1;"));
    }
}
