//! `rnginx completions`: what a shell offers behind the program's name.

use std::io::{self, Write};

use super::{COMMANDS, Command, Operands, Opt, Outcome, Value, Words};
use crate::cli::version::{FLAGS, Flag};

pub(super) const COMMAND: Command = Command {
    name: "completions",
    operands: Operands { shown: "SHELL", count: (1, 1), kind: Value::OneOf(SHELLS) },
    summary: "Prints what bash, zsh or fish needs to complete the program's words",
    about: "bash: rnginx completions bash > /etc/bash_completion.d/rnginx\n\
            zsh:  rnginx completions zsh > /usr/local/share/zsh/site-functions/_rnginx\n\
            fish: rnginx completions fish > /etc/fish/completions/rnginx.fish",
    options: &[],
    run,
};

const SHELLS: &[&str] = &["bash", "zsh", "fish"];

/// What is offered behind `-s`.
const SIGNALS: &str = "stop quit reopen reload";

fn run(words: &Words) -> Outcome {
    let shell = words.operands().first().map(|shell| shell.to_string_lossy().into_owned()).unwrap_or_default();
    let text = match shell.as_str() {
        "bash" => bash(),
        "zsh" => zsh(),
        "fish" => fish(),
        _ => {
            let known = SHELLS.join(", ");
            return Err(super::WordsError::Value(format!("there is nothing for {shell}, but for {known}")).into());
        }
    };
    io::stdout().write_all(text.as_bytes())?;
    Ok(true)
}

/// Every way to write an option.
fn spellings(option: &Opt) -> Vec<String> {
    let short = option.short.map(|short| format!("-{short}"));
    short.into_iter().chain([format!("--{}", option.long)]).collect()
}

fn bash() -> String {
    let commands: Vec<_> = COMMANDS.iter().map(|command| command.name).collect();
    let flags: Vec<_> = FLAGS.iter().map(|flag| format!("-{}", flag.letter)).collect();
    let mut cases = String::new();
    for command in COMMANDS {
        for option in command.options {
            if let Some(reply) = bash_value(option.value) {
                let words: Vec<_> = spellings(option).iter().map(|word| format!("'{} {word}'", command.name)).collect();
                cases += &format!("        {}) {reply}; return ;;\n", words.join(" | "));
            }
        }
    }
    let mut operands = String::new();
    for command in COMMANDS {
        let options: Vec<_> = command.options.iter().flat_map(spellings).chain(["--help".into()]).collect();
        let reply = bash_value(command.operands.kind).unwrap_or_else(|| ":".into());
        operands += &format!(
            "        {})\n            case $current in\n                -*) COMPREPLY=($(compgen -W '{}' -- \"$current\")) ;;\n                \
             *) {reply} ;;\n            esac\n            ;;\n",
            command.name,
            options.join(" ")
        );
    }
    format!(
        "# Completions of rnginx for bash, made by `rnginx completions bash`.\n\
         _rnginx() {{\n    local current=${{COMP_WORDS[COMP_CWORD]}} previous=${{COMP_WORDS[COMP_CWORD-1]}} command=${{COMP_WORDS[1]}}\n    \
         COMPREPLY=()\n    if [ \"$COMP_CWORD\" -eq 1 ]; then\n        \
         COMPREPLY=($(compgen -W '{} {}' -- \"$current\"))\n        return\n    fi\n    case \"$command $previous\" in\n{cases}    esac\n    \
         case $command in\n{operands}        -*)\n            case $previous in\n                \
         -s) COMPREPLY=($(compgen -W '{SIGNALS}' -- \"$current\")) ;;\n                \
         -p) COMPREPLY=($(compgen -d -- \"$current\")) ;;\n                \
         -c | -e) COMPREPLY=($(compgen -f -- \"$current\")) ;;\n                \
         *) COMPREPLY=($(compgen -W '{}' -- \"$current\")) ;;\n            esac\n            ;;\n    esac\n}}\n\
         complete -o filenames -F _rnginx rnginx\n",
        commands.join(" "),
        flags.join(" "),
        flags.join(" "),
    )
}

fn bash_value(value: Value) -> Option<String> {
    match value {
        Value::None => None,
        Value::OneOf(words) => Some(format!("COMPREPLY=($(compgen -W '{}' -- \"$current\"))", words.join(" "))),
        Value::Path => Some("COMPREPLY=($(compgen -f -- \"$current\"))".into()),
        Value::Text(_) => Some(":".into()),
    }
}

fn zsh() -> String {
    let commands: String =
        COMMANDS.iter().map(|command| format!("        '{}:{}'\n", command.name, zsh_text(command.summary))).collect();
    let cases: String = COMMANDS.iter().map(zsh_command).collect();
    let flags: String = FLAGS.iter().map(|flag| format!("        {} \\\n", zsh_flag(flag))).collect();
    format!(
        "#compdef rnginx\n# Completions of rnginx for zsh, made by `rnginx completions zsh`.\n\
         _rnginx() {{\n    local -a commands=(\n{commands}    )\n    if (( CURRENT == 2 )) && [[ $words[2] != -* ]]; then\n        \
         _describe command commands\n        return\n    fi\n    local command=$words[2]\n    case $command in\n{cases}        *) _arguments -s \\\n{flags}            ;;\n    esac\n}}\n\
         _rnginx \"$@\"\n"
    )
}

fn zsh_command(command: &Command) -> String {
    let mut lines: Vec<_> = command.options.iter().flat_map(zsh_option).collect();
    lines.push("'--help[say what it takes]'".into());
    let many = if command.operands.count.1 > 1 { "*" } else { "1" };
    if let Some(value) = zsh_value(command.operands.kind) {
        lines.push(format!("'{many}:{}:{value}'", zsh_text(command.operands.shown)));
    }
    let lines = lines.join(" \\\n            ");
    format!(
        "        {})\n            shift words; (( CURRENT-- ))\n            _arguments {lines}\n            ;;\n",
        command.name
    )
}

fn zsh_option(option: &'static Opt) -> Vec<String> {
    let help = zsh_text(option.help);
    let value = zsh_value(option.value).map_or(String::new(), |value| format!(":value:{value}"));
    spellings(option).iter().map(|word| format!("'*{word}[{help}]{value}'")).collect()
}

fn zsh_flag(flag: &Flag) -> String {
    let value = match flag.letter {
        's' => format!(":signal:({SIGNALS})"),
        'p' => ":folder:_files -/".into(),
        'c' | 'e' => ":file:_files".into(),
        'g' => ":directives: ".into(),
        _ => String::new(),
    };
    format!("'-{}[{}]{value}'", flag.letter, zsh_text(flag.meaning))
}

fn zsh_value(value: Value) -> Option<String> {
    match value {
        Value::None => None,
        Value::OneOf(words) => Some(format!("({})", words.join(" "))),
        Value::Path => Some("_files".into()),
        Value::Text(_) => Some(" ".into()),
    }
}

/// A text inside single quotes, in which `[`, `]` and `:` mean something.
fn zsh_text(text: &str) -> String {
    let text = text.replace('\'', "'\\''");
    text.replace(':', "\\:").replace('[', "\\[").replace(']', "\\]")
}

fn fish() -> String {
    let mut text =
        "# Completions of rnginx for fish, made by `rnginx completions fish`.\ncomplete -c rnginx -f\n".to_owned();
    for command in COMMANDS {
        let Command { name, summary, .. } = command;
        text += &format!("complete -c rnginx -n __fish_use_subcommand -a {name} -d '{}'\n", fish_text(summary));
        let here = format!("complete -c rnginx -n '__fish_seen_subcommand_from {name}'");
        for option in command.options {
            let short = option.short.map_or(String::new(), |short| format!(" -s {short}"));
            let value = fish_value(option.value);
            text += &format!("{here} -l {}{short}{value} -d '{}'\n", option.long, fish_text(option.help));
        }
        text += &match command.operands.kind {
            Value::Path => format!("{here} -F\n"),
            Value::OneOf(words) => format!("{here} -a '{}'\n", words.join(" ")),
            Value::None | Value::Text(_) => String::new(),
        };
    }
    for Flag { letter, meaning, .. } in FLAGS {
        let value = match letter {
            's' => format!(" -x -a '{SIGNALS}'"),
            'p' | 'c' | 'e' => " -r -F".into(),
            'g' => " -x".into(),
            _ => String::new(),
        };
        text +=
            &format!("complete -c rnginx -n __fish_use_subcommand -s '{letter}'{value} -d '{}'\n", fish_text(meaning));
    }
    text
}

fn fish_value(value: Value) -> String {
    match value {
        Value::None => String::new(),
        Value::OneOf(words) => format!(" -x -a '{}'", words.join(" ")),
        Value::Path => " -r -F".into(),
        Value::Text(_) => " -x".into(),
    }
}

fn fish_text(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\'', "\\'")
}
