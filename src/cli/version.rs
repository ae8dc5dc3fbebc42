//! What `-v`, `-V` and `-h` say.

use crate::paths::Layout;

/// The nginx that we do the work of, and ourselves where nginx names a build.
pub const VERSION: &str = concat!("nginx/1.28.3 (rnginx/", env!("CARGO_PKG_VERSION"), ")");

/// What nginx calls modules that can be left out; a name stands here when the module works.
const MODULES: &[&str] = &["http_v2_module"];

const LETTERS: &[(&str, &str)] = &[
    ("-?,-h", "this help"),
    ("-v", "show version and exit"),
    ("-V", "show version and configure options then exit"),
    ("-t", "test configuration and exit"),
    ("-T", "test configuration, dump it and exit"),
    ("-q", "suppress non-error messages during configuration testing"),
    ("-s signal", "send signal to a master process: stop, quit, reopen, reload"),
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
    let defaults = [
        ("-p prefix", format!("set prefix path (default: {})", layout.prefix)),
        ("-e filename", format!("set error log file (default: {})", layout.error_log)),
        ("-c filename", format!("set configuration file (default: {})", layout.conf)),
        ("-g directives", "set global directives out of configuration file".to_owned()),
    ];
    let fixed = LETTERS.iter().map(|(letter, meaning)| (*letter, (*meaning).to_owned()));
    for (letter, meaning) in fixed.chain(defaults) {
        text += &format!("  {letter:<14}: {meaning}\n");
    }
    text + "\n"
}

/// The lines of `-V`, behind the line of `-v`.
pub fn configure(layout: &Layout) -> String {
    let mut text = "configure arguments:".to_owned();
    for (name, value) in layout.arguments() {
        text += &format!(" --{name}={value}");
    }
    for module in MODULES {
        text += &format!(" --with-{module}");
    }
    text + "\n"
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
        assert!(text.starts_with("configure arguments: --prefix=/usr/share/nginx --"), "{text}");
        assert!(text.contains(" --conf-path=/etc/nginx/nginx.conf "));
        assert!(text.ends_with(" --with-http_v2_module\n"));
    }
}
