//! The pages about what `check --system` finds, as Markdown: `docs/machine.md`.

/// Something that can be wrong with a machine.
#[derive(Clone, Copy, Debug)]
pub struct Finding {
    /// Kebab-case name, stable.
    pub code: &'static str,
    /// What is wrong, in one line without a full stop.
    pub title: &'static str,
    /// What is looked at, what happens where it is so, and what repairs it.
    pub why: &'static str,
}

/// Everything that is looked for, by code.
pub const FINDINGS: &[Finding] = &[
    Finding {
        code: "bind",
        title: "An address cannot be listened on",
        why: "Each `listen` is tried for a moment and closed again. The system refused this one for a reason that is neither \
              a taken port nor a missing right; its own words follow.",
    },
    Finding {
        code: "certificate-early",
        title: "A certificate does not hold yet",
        why: "Its first day lies ahead: clients refuse it until then. Either the clock of this machine is wrong (`date`), or the \
              certificate was put into place too soon.",
    },
    Finding {
        code: "certificate-ends-soon",
        title: "A certificate ends within two weeks",
        why: "Whatever renews it should have done so by now: certbot does so thirty days before the end. `certbot renew --dry-run` \
              tells what keeps it from that.",
    },
    Finding {
        code: "certificate-expired",
        title: "A certificate has ended",
        why: "Browsers show a warning in the place of the site. A new one comes from `certbot renew`, and is used from the next \
              reload on.",
    },
    Finding {
        code: "certificate-name",
        title: "A certificate does not hold for a name of its server",
        why: "Browsers compare the name in the address bar with the names in the certificate. A wildcard stands for one label \
              only: `*.shop.test` holds for `www.shop.test`, and neither for `shop.test` nor for `a.b.shop.test`.",
    },
    Finding {
        code: "foreign-address",
        title: "A server listens on an address that this machine does not have",
        why: "`bind()` fails, and the server does not start. `ip address` lists the addresses that are there. An address that \
              comes later, as with keepalived, needs `sysctl net.ipv4.ip_nonlocal_bind=1`.",
    },
    Finding {
        code: "missing-folder",
        title: "A folder that is written to is not there",
        why: "Logs are made where they are missing, folders are not: the server does not start. `mkdir -p` makes them.",
    },
    Finding {
        code: "not-seen",
        title: "Something could not be looked at",
        why: "Either whoever asks may not look at a file or folder, and nothing is said about it; root may: `sudo rnginx check \
              --system`. Or errors stand in the way of what the configuration would open.",
    },
    Finding {
        code: "port-taken",
        title: "Another program listens on a port",
        why: "`bind()` fails with `98: Address already in use`, and the server does not start. `ss -ltnp 'sport = :80'` names the \
              program: often another web server, or this one, running already.",
    },
    Finding {
        code: "privileged-port",
        title: "A port below 1024 is for root only",
        why: "Start the server as root, which gives its workers another user; or grant this one right with `setcap \
              cap_net_bind_service=+ep`; or listen on a port above.",
    },
    Finding {
        code: "root-unreadable",
        title: "The workers' user cannot read what is to be served",
        why: "Every folder on the way to a file must let the user through (`x`), and the file itself must be readable (`r`). Homes \
              that are closed to others are the usual cause. Without it requests get 403, and the log says `13: Permission \
              denied`. The whole way is walked, and the first 2000 files below the root are looked at.",
    },
    Finding {
        code: "socket-unreachable",
        title: "The workers' user cannot get to the UNIX socket of an upstream",
        why: "To connect, every folder on the way must let the user through (`x`), and the socket itself must be writable (`w`). \
              What is missing is named: the folder, the right, or the group that the user would have to be in. Requests get 502, \
              and the log says `connect() to unix:… failed (13: Permission denied)`.",
    },
    Finding {
        code: "temp-folder",
        title: "A folder for temporary files cannot be written to",
        why: "Uploads and answers that do not fit into memory go through these folders: such requests get 500, small ones do \
              not. `chown` gives the folder to the workers' user.",
    },
    Finding {
        code: "upstream-down",
        title: "Nobody listens where a request is passed on to",
        why: "Connecting was tried once, for a second at most. Requests get 502. Either the program behind it does not run, or it \
              listens elsewhere: on another port, or on `127.0.0.1` where the configuration asks for `[::1]`.",
    },
];

/// The one with this code.
pub fn finding(code: &str) -> Option<&'static Finding> {
    FINDINGS.iter().find(|finding| finding.code == code)
}

impl Finding {
    /// Its page.
    pub fn page(&self) -> String {
        format!("# {}\n\n{}.\n\n{}\n", self.code, self.title, self.why)
    }
}

/// All of them on one page.
pub fn document() -> String {
    let sections = FINDINGS.iter().map(|one| format!("\n## {}\n\n{}.\n\n{}\n", one.code, one.title, one.why));
    format!(
        "# The machine\n\nMade from `src/inspect/system/pages.rs`; do not edit. What `rnginx check --system` finds besides the \
         configuration: warnings,\neach with the command that repairs it.\n{}",
        sections.collect::<String>()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `RNGINX_WRITE=1 cargo test --lib documentation` writes it anew.
    #[test]
    fn the_documentation_of_the_machine_is_fresh() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/machine.md");
        if std::env::var_os("RNGINX_WRITE").is_some() {
            std::fs::write(path, document()).expect("the page can be written");
        }
        assert!(std::fs::read_to_string(path).is_ok_and(|written| written == document()), "docs/machine.md is stale");
    }

    #[test]
    fn every_finding_is_a_code_and_has_a_page() {
        assert!(FINDINGS.windows(2).all(|pair| pair[0].code < pair[1].code));
        for found in FINDINGS {
            assert!(crate::diag::CODES.iter().any(|row| row.code == found.code), "{}", found.code);
        }
        let sources = [include_str!("mod.rs"), include_str!("ports.rs"), include_str!("certificate.rs")];
        let quoted = sources.iter().flat_map(|text| text.split("#[cfg(test)]").next().unwrap_or_default().split('"'));
        let codes = quoted.filter(|word| crate::diag::CODES.iter().any(|row| row.code == *word));
        codes.for_each(|code| assert!(finding(code).is_some(), "{code} has no page"));
    }
}
