//! Every code that a diagnostic may have, and what it means.

/// A code.
#[derive(Clone, Copy, Debug)]
pub struct Code {
    /// Stable kebab-case name.
    pub code: &'static str,
    /// What it is about, in one line.
    pub meaning: &'static str,
}

const fn row(code: &'static str, meaning: &'static str) -> Code {
    Code { code, meaning }
}

/// All codes but those of the rules in [`crate::lint`], by name.
pub const CODES: &[Code] = &[
    row("absolute-index", "`index` names an absolute path where only the last name may be one"),
    row("argument-count", "a directive, or a line of a table, has too few or too many arguments"),
    row("assumed-name", "a name in a part of a configuration is taken to be defined in another file"),
    row("assumed-upstream", "a name in a part of a configuration is taken for an upstream of another file"),
    row("balancing-method", "an upstream has a second method of choosing among its servers, which replaces the first"),
    row("bind", "an address cannot be listened on"),
    row("block-in-parameter", "`-g` holds a block"),
    row(
        "brace-in-word",
        "a `{` inside a word begins a block to nginx: most often a quantifier of an expression that is not in quotes",
    ),
    row("buffer-sizes", "the sizes of a backend's buffers do not go together"),
    row("cannot-open", "a log cannot be opened"),
    row("certificate", "a certificate cannot be loaded"),
    row("certificate-early", "a certificate does not hold yet"),
    row("certificate-ends-soon", "a certificate ends within two weeks"),
    row("certificate-expired", "a certificate has ended"),
    row("certificate-key", "a certificate's key cannot be loaded, or belongs to another certificate"),
    row("certificate-name", "a certificate does not hold for a name of its server"),
    row("charset-map", "a `charset_map` leads from a charset to the same one"),
    row("conflicting-name", "two servers have one name on one address; the second one is not asked under it"),
    row("conflicting-parameter", "parameters exclude each other"),
    row("conflicting-parameters", "parameters exclude each other"),
    row("cpu-affinity", "`worker_cpu_affinity` names as many processors as there are no workers"),
    row("crl", "a list of revoked certificates cannot be loaded"),
    row("deprecated", "a parameter is taken, and should be written in another way"),
    row("dhparam", "a file of Diffie-Hellman parameters cannot be read"),
    row("duplicate-charset-map", "two tables lead from one charset to another"),
    row("duplicate-default-server", "two servers of an address are its `default_server`"),
    row("duplicate-directive", "a block takes one directive of this name, or of a name that excludes it"),
    row("duplicate-extension", "two lines of `types` are about one ending"),
    row("duplicate-format", "two log formats have one name"),
    row("duplicate-listen", "a server listens twice on an address, or two give it options"),
    row("duplicate-location", "two locations of a block have one name"),
    row("duplicate-upstream", "two upstreams have one name"),
    row("duplicate-value", "a value is named twice, or a table has a second default"),
    row("duplicate-variable", "two directives define one variable"),
    row("empty-path", "a `…_store` directive names no file"),
    row("empty-replacement", "`rewrite` puts nothing in the place of what it matches"),
    row("empty-upstream", "an upstream has no server"),
    row("fastcgi-split", "the expression of `fastcgi_split_path_info` does not have two groups"),
    row("foreign-address", "a server listens on an address that this machine does not have"),
    row("hash-size", "one of nginx's hash tables cannot be made with the size that is written"),
    row("host-not-found", "a host has no address"),
    row("include-cycle", "a file includes itself"),
    row("include-depth", "files include one another too deeply"),
    row("invalid-address", "an address to listen on cannot be read"),
    row("invalid-condition", "the condition of an `if` cannot be read"),
    row("invalid-geo", "a line of `geo` cannot be read"),
    row("invalid-location", "a location's modifier or place is wrong"),
    row("invalid-map", "a line of `map` cannot be read"),
    row("invalid-name", "a server's name is none, or has a wildcard where none may stand"),
    row("invalid-network", "a network cannot be read"),
    row("invalid-parameter", "a directive has no such parameter"),
    row("invalid-percent", "a share of `split_clients` cannot be read, or there are more than 100 in a hundred"),
    row("invalid-range", "a range of addresses cannot be read"),
    row("invalid-referer", "a name of `valid_referers` cannot be read"),
    row("invalid-regex", "an expression does not compile"),
    row("invalid-syslog", "the parameters of a log to syslog are wrong"),
    row("invalid-upstream", "where a request is passed on to cannot be read"),
    row("invalid-value", "a value is not of the type that it has to be"),
    row("invalid-variable", "the name of a variable is none"),
    row("invalid-zone", "a zone's name or size cannot be read"),
    row("layout", "a text cannot be laid out anew without changing it"),
    row("load-module", "a module cannot be loaded"),
    row("long-line", "a line of a password file is too long"),
    row("low-address-bits", "an address says more than its network"),
    row("misplaced-directive", "a directive may not stand in this kind of block"),
    row("missing-block", "a directive that opens a block has none"),
    row("missing-file", "the configuration file cannot be read"),
    row("missing-folder", "a folder that is written to is not there"),
    row("missing-include", "a file that is included cannot be read"),
    row("missing-parameter", "a parameter that is needed is not there"),
    row("missing-section", "a whole configuration has no `events`"),
    row("mixed-secure-link", "`secure_link` and `secure_link_secret` stand side by side"),
    row("no-cache-key", "a cache has no key"),
    row("no-certificate", "a server that speaks TLS has no certificate"),
    row("no-certificate-key", "a certificate has no key"),
    row("no-charset-map", "no table leads from one charset to another"),
    row("no-cipher", "no cipher of a list is known"),
    row("no-client-ca", "certificates of clients are asked for, and no authority for them is named"),
    row("no-curve", "a curve is not known"),
    row("no-effect", "a directive is taken and does nothing here"),
    row("no-protocol", "no protocol of a list is known"),
    row("no-such-file", "a file cannot be opened"),
    row("no-trusted-certificate", "a backend's certificate is to be verified, and no authority for it is named"),
    row("no-valid-referer", "`$invalid_referer` is asked for where there is no `valid_referers`"),
    row("not-run", "nginx runs this directive, and rnginx does not yet"),
    row("not-seen", "something of the machine could not be looked at"),
    row("not-supported", "a parameter is not supported on this system"),
    row("ocsp", "nobody can be asked whether clients' certificates are still good"),
    row("odd-network", "a network stands in `geo` twice"),
    row("odd-range", "a range of addresses hides another"),
    row("outdated-directive", "a directive is deprecated or without effect by now"),
    row("overlapping-ranges", "two ranges of addresses overlap"),
    row("path-levels", "two directives name one folder, with different levels of folders below it"),
    row("port-taken", "another program listens on a port"),
    row("privileged-port", "a port below 1024 is for root only"),
    row("proxy-pass-uri", "`proxy_pass` has a path where nothing says which part of the request's path it replaces"),
    row("proxy-redirect-default", "`proxy_redirect default` stands where there is nothing to work it out from"),
    row("redefined-protocols", "servers on one address ask for different protocols"),
    row("removed-directive", "nginx had this directive until not long ago"),
    row("resolve", "`resolve` needs a `zone` and a `resolver`"),
    row("resolver", "the address of a `resolver` cannot be read"),
    row("root-unreadable", "the workers' user cannot read what is to be served"),
    row("same-path", "two caches, or a cache and temporary files, have one folder"),
    row("small-buffers", "buffers for headers are smaller than one header's"),
    row("small-zone", "a zone is too small"),
    row("socket-unreachable", "the workers' user cannot get to the UNIX socket of an upstream"),
    row("ssl-command", "OpenSSL does not take a command of `ssl_conf_command`"),
    row("stapling", "nothing can be stapled"),
    row("stapling-file", "the file to staple cannot be read"),
    row("supplied", "blocks were put around a file that is not a whole configuration"),
    row("surplus-brace", "a block is closed that is not open"),
    row("suspicious-name", "a server's name holds a slash"),
    row("temp-folder", "a folder for temporary files cannot be written to"),
    row("ticket-key", "a file of ticket keys has the wrong length"),
    row("tls", "TLS cannot be set up as it is asked for"),
    row("too-deep", "blocks stand in one another too deeply"),
    row("too-long", "a word or a comment is longer than nginx's buffer"),
    row("too-many", "there are more of these than nginx takes"),
    row("unclosed-block", "a block is never closed"),
    row("unclosed-quote", "a quote is never closed"),
    row("unexpected-block", "a directive without a block has one"),
    row("unexpected-end", "the text ends inside a statement"),
    row("unexpected-token", "a byte stands where it cannot"),
    row("unknown-directive", "nginx 1.28 has no directive of this name"),
    row("unknown-format", "there is no log format of this name"),
    row("unknown-group", "the system has no group of this name"),
    row("unknown-host", "a host has no address"),
    row("unknown-thread-pool", "there is no pool of threads with this name"),
    row("unknown-user", "the system has no user of this name"),
    row("unknown-variable", "there is no variable of this name"),
    row("unknown-zone", "a cache names a zone that is not defined"),
    row("unresolved-host", "a host was not looked up"),
    row("unsupported", "a directive is not supported on this system, and ignored"),
    row("upstream-down", "nobody listens where a request is passed on to"),
    row("upstream-port", "an upstream is named with a port that it does not have"),
    row("url-prefix", "a URL does not begin with a scheme that can be proxied to"),
    row("user-ignored", "`user` means nothing to a master that is not root"),
    row("worker-connections", "`worker_connections` is too small for the addresses that are listened on"),
    row("zone", "a zone is not defined, has no size, or belongs to another directive"),
];

/// `docs/diagnostics.md`, as Markdown.
pub fn document() -> String {
    let rows: String = CODES.iter().map(|row| format!("| `{}` | {} |\n", row.code, row.meaning)).collect();
    format!(
        "# Diagnostics\n\nMade from `src/diag/codes.rs`; do not edit. Every diagnostic has one of these codes, or that of a \
         [rule](rules/README.md). Its first line\nis nginx's own sentence where nginx says anything, so that a search for it \
         finds what others wrote. Programs read them by\n`rnginx check --format json`.\n\nA warning is allowed where it \
         stands by `# rnginx: allow CODE reason`; an error never is.\n\n| code | what it means |\n| --- | --- |\n{rows}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_stand_by_name() {
        assert!(CODES.windows(2).all(|pair| pair[0].code < pair[1].code));
    }

    /// `RNGINX_WRITE=1 cargo test --lib documentation` writes it anew.
    #[test]
    fn the_documentation_of_the_codes_is_fresh() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/diagnostics.md");
        if std::env::var_os("RNGINX_WRITE").is_some() {
            std::fs::write(path, document()).expect("the page can be written");
        }
        assert!(
            std::fs::read_to_string(path).is_ok_and(|written| written == document()),
            "docs/diagnostics.md is stale"
        );
    }
}
