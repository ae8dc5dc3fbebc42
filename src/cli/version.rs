//! What `-v`, `-V` and `-h` say.

use crate::modules::runs;
use crate::paths::Layout;
use crate::schema::Schema;

/// The nginx that we do the work of, and ourselves where nginx names a build.
pub const VERSION: &str = concat!("nginx/1.28.3 (rnginx/", env!("CARGO_PKG_VERSION"), ")");

/// Modules that nginx has when it is built `--with` them.
const EXTRA: [&str; 19] = [
    "http_ssl",
    "http_v2",
    "http_v3",
    "http_realip",
    "http_addition",
    "http_sub",
    "http_dav",
    "http_flv",
    "http_mp4",
    "http_gunzip",
    "http_gzip_static",
    "http_random_index",
    "http_secure_link",
    "http_stub_status",
    "http_auth_request",
    "http_slice",
    "http_degradation",
    "stream_ssl",
    "stream_realip",
];

/// Modules that nginx has unless it is built `--without` them.
const USUAL: [&str; 29] = [
    "http_charset",
    "http_gzip",
    "http_ssi",
    "http_userid",
    "http_access",
    "http_auth_basic",
    "http_mirror",
    "http_autoindex",
    "http_geo",
    "http_map",
    "http_split_clients",
    "http_referer",
    "http_rewrite",
    "http_proxy",
    "http_fastcgi",
    "http_uwsgi",
    "http_scgi",
    "http_grpc",
    "http_memcached",
    "http_limit_conn",
    "http_limit_req",
    "http_empty_gif",
    "http_browser",
    "http_upstream_hash",
    "http_upstream_ip_hash",
    "http_upstream_least_conn",
    "http_upstream_random",
    "http_upstream_keepalive",
    "http_upstream_zone",
];

/// One of nginx's flags.
pub struct Flag {
    /// What stands behind the `-`.
    pub letter: char,
    /// What the value is called; empty where there is none.
    pub value: &'static str,
    /// What it does, in nginx's words.
    pub meaning: &'static str,
}

const fn flag(letter: char, value: &'static str, meaning: &'static str) -> Flag {
    Flag { letter, value, meaning }
}

/// All of them, in the order of nginx's help. `-?` and `-h` are one.
pub const FLAGS: &[Flag] = &[
    flag('h', "", "this help"),
    flag('v', "", "show version and exit"),
    flag('V', "", "show version and configure options then exit"),
    flag('t', "", "test configuration and exit"),
    flag('T', "", "test configuration, dump it and exit"),
    flag('q', "", "suppress non-error messages during configuration testing"),
    flag('s', "signal", "send signal to a master process: stop, quit, reopen, reload"),
    flag('p', "prefix", "set prefix path"),
    flag('e', "filename", "set error log file"),
    flag('c', "filename", "set configuration file"),
    flag('g', "directives", "set global directives out of configuration file"),
];

/// The line of `-v`.
pub fn version() -> String {
    format!("nginx version: {VERSION}\n")
}

/// The text of `-h`, behind the line of `-v`.
pub fn help(layout: &Layout) -> String {
    let mut text = "Usage: nginx [-?hvVtTq] [-s signal] [-p prefix]\n             \
                    [-e filename] [-c filename] [-g directives]\n\nOptions:\n"
        .to_owned();
    for Flag { letter, value, meaning } in FLAGS {
        let shown = if *letter == 'h' { "-?,-h".to_owned() } else { format!("-{letter} {value}") };
        let default = match letter {
            'p' => format!(" (default: {})", layout.prefix),
            'e' => format!(" (default: {})", layout.error_log),
            'c' => format!(" (default: {})", layout.conf),
            _ => String::new(),
        };
        text += &format!("  {:<14}: {meaning}{default}\n", shown.trim_end());
    }
    text + "\n"
}

/// The lines of `-V`, behind the line of `-v`.
pub fn configure(layout: &Layout) -> String {
    // What reads this looks for OpenSSL's sentence about names; ours is rustls, which has them always.
    let mut text = "TLS SNI support enabled\nconfigure arguments:".to_owned();
    for (name, value) in layout.arguments() {
        text += &format!(" --{name}={value}");
    }
    for module in EXTRA.into_iter().filter(|module| works(module)) {
        text += &format!(" --with-{module}_module");
    }
    for module in USUAL.into_iter().filter(|module| !works(module)) {
        text += &format!(" --without-{module}_module");
    }
    if !Schema::nginx().named(b"proxy_cache").any(runs) {
        text += " --without-http-cache";
    }
    text + "\n"
}

/// Whether we run anything of a module.
fn works(module: &str) -> bool {
    Schema::nginx().directives().iter().any(|row| row.module == module && runs(row))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certbot_can_read_the_version() {
        let digits = version().strip_prefix("nginx version: nginx/").unwrap().split(' ').next().unwrap().to_owned();
        assert_eq!(digits, "1.28.3");
    }

    #[test]
    fn help_is_nginx_help_with_our_paths() {
        let help = help(&Layout::SOURCE);
        assert!(help.starts_with("Usage: nginx [-?hvVtTq] [-s signal] [-p prefix]\n             [-e filename]"));
        assert!(help.contains("  -?,-h         : this help\n"));
        assert!(help.contains("  -p prefix     : set prefix path (default: /usr/local/nginx/)\n"));
        assert!(help.ends_with("of configuration file\n\n"));
    }

    #[test]
    fn configure_names_paths_and_what_works() {
        let text = configure(&Layout::DEBIAN);
        assert!(text.contains("\nconfigure arguments: --prefix=/usr/share/nginx --"), "{text}");
        assert!(text.contains(" --conf-path=/etc/nginx/nginx.conf "));
        assert!(!text.contains("rewrite"), "what works is not left out: {text}");
        for module in USUAL.into_iter().chain(EXTRA) {
            let rows = Schema::nginx().directives();
            let is_known = rows.iter().any(|row| row.module == module) || module == "stream_realip";
            assert!(is_known, "{module}");
        }
    }
}
