//! `rnginx man`: the manual page, for `man`.

use std::io::{self, Write};

use super::{COMMANDS, Command, NOTHING, Outcome, Words, words};
use crate::cli::version::FLAGS;

pub(super) const COMMAND: Command = Command {
    name: "man",
    operands: NOTHING,
    summary: "Prints the manual page",
    about: "rnginx man > /usr/local/share/man/man8/rnginx.8",
    options: &[],
    run,
};

fn run(_: &Words) -> Outcome {
    io::stdout().write_all(page().as_bytes())?;
    Ok(true)
}

const ABOUT: &str = "\
rnginx reads the configuration of nginx, says what is wrong with it, and runs it as nginx 1.28 does: the same files, options, \
signals, log lines and answers. Without a command it takes nginx's options.";

const SIGNALS: &[(&str, &str)] = &[
    ("TERM, INT", "end at once"),
    ("QUIT", "end when requests are answered"),
    ("HUP", "take the configuration as it is now; no connection is lost"),
    ("USR1", "open log files again"),
    ("USR2", "start the program anew on the same sockets"),
    ("WINCH", "let workers end, and keep the sockets"),
];

fn page() -> String {
    let mut page = format!(".TH RNGINX 8 \"\" \"rnginx {}\"\n", env!("CARGO_PKG_VERSION"));
    page += &format!(".SH NAME\nrnginx {} runs and checks nginx configurations\n.SH SYNOPSIS\n", "\\-");
    page += ".B rnginx\n[\\-?hvVtTq] [\\-s signal] [\\-p prefix] [\\-e filename] [\\-c filename] [\\-g directives]\n";
    for command in COMMANDS {
        let options = if command.options.is_empty() { "" } else { " [OPTION…]" };
        page +=
            &format!(".br\n.B rnginx {}\n{}\n", command.name, text(&format!("{options} {}", command.operands.shown)));
    }
    page += &format!(".SH DESCRIPTION\n{}\n.SH OPTIONS\n", text(ABOUT));
    for flag in FLAGS {
        let value = if flag.value.is_empty() { String::new() } else { format!(" {}", flag.value) };
        page += &item(&format!("-{}{value}", flag.letter), flag.meaning);
    }
    page += ".SH COMMANDS\n";
    for command in COMMANDS {
        page += &format!(".SS {}\n{}.\n", command.name, text(command.summary));
        for line in command.about.lines() {
            page += &format!("{}\n", text(line));
        }
        for option in command.options {
            page += &item(&words::shown(option), &words::meaning(option));
        }
    }
    page += ".SH SIGNALS\n";
    for (signal, meaning) in SIGNALS {
        page += &item(signal, meaning);
    }
    page += ".SH EXIT STATUS\n";
    for (code, meaning) in [
        ("0", "all is well"),
        ("1", "a configuration has errors, or something failed"),
        ("2", "a command's words make no sense"),
    ] {
        page += &item(code, meaning);
    }
    page + ".SH SEE ALSO\nhttps://nginx.org/en/docs/\n"
}

fn item(what: &str, meaning: &str) -> String {
    format!(".TP\n.B {}\n{}\n", text(what), text(meaning))
}

/// A line of roff: `-` stays one, and nothing at its start is a request.
fn text(line: &str) -> String {
    let line = line.trim().replace('\\', "\\e").replace('-', "\\-");
    if line.starts_with(['.', '\'']) { format!("\\&{line}") } else { line }
}
