//! The Debian packages that nginx is built with: PCRE2, zlib, OpenSSL, a compiler.

use std::process::Command;

const NEEDED: [(&str, &str); 5] = [
    ("/usr/include/pcre2.h", "libpcre2-dev"),
    ("/usr/include/zlib.h", "zlib1g-dev"),
    ("/usr/include/openssl/ssl.h", "libssl-dev"),
    ("/usr/bin/cc", "gcc"),
    ("/usr/bin/make", "make"),
];

/// Installs what is missing with apt-get, as root; for anybody else says what to install.
pub fn install_missing() -> Result<(), String> {
    let absent = |(file, _): &&(&str, &str)| !std::path::Path::new(file).exists();
    let missing: Vec<&str> = NEEDED.iter().filter(absent).map(|(_, package)| *package).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let names = missing.join(" ");
    if !rustix::process::geteuid().is_root() {
        return Err(format!("please install first: apt-get install {names}"));
    }
    eprintln!("oracle: installing {names}");
    apt(&["update", "-q"])?;
    let mut arguments = vec!["install", "-q", "-y", "--no-install-recommends"];
    arguments.extend(missing);
    apt(&arguments)
}

fn apt(arguments: &[&str]) -> Result<(), String> {
    let mut command = Command::new("apt-get");
    command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
    let output = command.output().map_err(|e| format!("apt-get: {e}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("apt-get {} failed:\n{said}", arguments.join(" ")))
}
