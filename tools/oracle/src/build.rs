//! The build itself. It prints a great deal, so it runs in a process of its own: that goes to a log, one line of progress to the terminal.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, IsTerminal, Write};
use std::path::Path;
use std::process::{Command, Stdio};

/// Beside what the nginx-src crate always configures: realip, ssl, v2, stream with realip and ssl, threads.
const MODULES: [&str; 18] = [
    "--with-pcre-jit",
    "--with-file-aio",
    "--with-http_addition_module",
    "--with-http_auth_request_module",
    "--with-http_dav_module",
    "--with-http_degradation_module",
    "--with-http_flv_module",
    "--with-http_gunzip_module",
    "--with-http_gzip_static_module",
    "--with-http_mp4_module",
    "--with-http_random_index_module",
    "--with-http_secure_link_module",
    "--with-http_slice_module",
    "--with-http_stub_status_module",
    "--with-http_sub_module",
    "--with-http_v3_module",
    "--with-stream_ssl_preread_module",
    "--with-cc-opt=-O2",
];

/// About how many lines the build prints, to tell how far it is.
const LINES: usize = 960;

/// Builds in this process; `folder` gets the binary `nginx` and all object files.
pub fn inner(folder: &Path) -> Result<(), String> {
    nginx_src::build(folder).map(|_| ()).map_err(|e| e.to_string())
}

/// Builds in another process and says on a terminal how far it is.
pub fn with_progress(folder: &Path) -> Result<(), String> {
    fs::create_dir_all(folder).map_err(|e| e.to_string())?;
    let folder = folder.canonicalize().map_err(|e| e.to_string())?;
    let log_path = folder.join("build.log");
    let mut log = File::create(&log_path).map_err(|e| e.to_string())?;
    let mut child = start(&folder)?;
    let output = child.stdout.take().expect("the output is a pipe");
    let mut progress = Progress::new();
    for line in BufReader::new(output).split(b'\n') {
        let line = line.map_err(|e| e.to_string())?;
        log.write_all(&line).and_then(|()| log.write_all(b"\n")).map_err(|e| e.to_string())?;
        progress.step();
    }
    progress.end();
    let status = child.wait().map_err(|e| e.to_string())?;
    if !status.success() {
        return Err(format!("the build failed, see {}", log_path.display()));
    }
    println!("{}", folder.join("nginx").display());
    Ok(())
}

fn start(folder: &Path) -> Result<std::process::Child, String> {
    let program = std::env::current_exe().map_err(|e| e.to_string())?;
    Command::new(program)
        .arg("--inner")
        .env("NGX_CONFIGURE_ARGS", MODULES.join(" "))
        .env("CACHE_DIR", folder.join("cache"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|e| e.to_string())
}

struct Progress {
    lines: usize,
    shown: bool,
}

impl Progress {
    fn new() -> Progress {
        Progress { lines: 0, shown: std::io::stderr().is_terminal() }
    }

    fn step(&mut self) {
        self.lines += 1;
        if self.shown {
            let percent = (self.lines * 100 / LINES).min(99);
            eprint!("\rbuilding nginx 1.28.3: {percent:3} %");
        }
    }

    fn end(&self) {
        if self.shown {
            eprintln!("\rbuilding nginx 1.28.3: done ");
        }
    }
}
