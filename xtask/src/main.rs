//! `cargo xtask`: commands for developers and administrators. `cargo xtask help` lists them.

#[cfg(target_os = "linux")]
mod asan_runtime;
#[cfg(target_os = "linux")]
mod bench;
mod commands;
mod fuzz;
mod installation;
mod package;
mod packages;
mod platforms;
mod privileges;
#[cfg(target_os = "linux")]
mod sanitizer;
mod template;

use std::process::ExitCode;

use clap::Parser;

use self::commands::Command;

const EXAMPLES: &str = "\
Examples:
  cargo xtask run                       try the module at http://localhost:8080/
  cargo xtask run --port 9000 --tls     on another port, and with TLS too
  cargo xtask cluster --kill            on three servers with a Redis, of which one loses it
  cargo xtask test                      run all tests
  cargo xtask new-plugin my-chat        write a plugin to start from, in ./my-chat
  cargo xtask install --activate        install into this machine's Apache
  cargo xtask restart                   and have it load the module";

/// Builds, runs, tests and installs mod_websocket, and creates plugins for it.
#[derive(Parser)]
#[command(bin_name = "cargo xtask", after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

fn main() -> ExitCode {
    match Cli::parse().command.execute() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn these_command_lines_are_accepted_and_those_rejected() {
        for (line, understood) in [
            ("run", true),
            ("run --port 9000 --mpm worker --tls", true),
            ("run --tls --tls-port 9443", true),
            ("run --port 70000", false),
            ("run --mpm threads", false),
            ("run --tls-port 9443", false),
            ("cluster --port 9001 --mpm worker --kill", true),
            ("cluster --kill 5", true),
            ("cluster --kill soon", false),
            (
                "test --mpm event --mpm prefork -- --release -p mod_websocket",
                true,
            ),
            ("test --release", false),
            #[cfg(target_os = "linux")]
            ("test --asan --mpm event", true),
            ("autobahn --mpm worker --tls --driver blocking", true),
            ("autobahn --cases 1.*,12.1.1", true),
            ("autobahn --driver threads", false),
            ("fuzz decoder handshake --seconds 600", true),
            ("fuzz --seconds -1", false),
            ("new-plugin my-chat --path ../plugins/chat", true),
            ("new-plugin my-chat --registry --json", true),
            ("new-plugin", false),
            ("new-plugin My_Chat", false),
            ("docs --build", true),
            ("docs --port 9000", true),
            ("docs --build --port 9000", false),
            ("install -a", true),
            ("install --destdir pkg", true),
            ("install -a --destdir pkg", false),
            ("install --force", true),
            ("uninstall", true),
            ("uninstall --force", true),
            ("doctor", true),
            (
                "doctor wss://www.example.com/echo --origin https://a.example --timeout 3",
                true,
            ),
            ("doctor www.example.com/echo", false),
            ("doctor --remote", false),
            ("package deb rpm tar --revision 2 --out made", true),
            ("package deb --built target/debug", true),
            ("package deb --revision 0", false),
            ("package", false),
            ("package zip", false),
            ("platforms", true),
            ("platforms windows-x64 linux-arm64", true),
            ("platforms windows", false),
            ("start", true),
            ("stop", true),
            ("restart", true),
            ("debug", true),
            ("debug lldb", true),
            ("setup", true),
            #[cfg(target_os = "linux")]
            (
                "bench --tls --shapes 16x32x1,2x1048576x2 --rounds 3 --seconds 0.5",
                true,
            ),
            #[cfg(target_os = "linux")]
            ("bench --idle 1000 --against other/mod_websocket.so", true),
            #[cfg(target_os = "linux")]
            ("soak --cycles 1000 --restarts 6 --tls --mpm worker", true),
            ("soak --cycles many", false),
            ("bench --shapes 16x32", false),
            ("bench --idle 1000 --shapes 16x32x1", false),
            ("bench --plugin echo.so", false),
            ("", false),
            ("walk", false),
        ] {
            let words = ["cargo xtask"].into_iter().chain(line.split_whitespace());
            assert_eq!(Cli::try_parse_from(words).is_ok(), understood, "{line}");
        }
    }

    /// The programs of the documentation's commands, beside Cargo.
    const PROGRAMS: [&str; 11] = [
        "apachectl",
        "apt",
        "cc",
        "cd",
        "cp",
        "curl",
        "dnf",
        "docker",
        "mod_websocket-doctor",
        "mv",
        "tar",
    ];

    #[test]
    fn the_commands_in_the_documentation_exist() {
        let workspace = xtask::workspace::Workspace::find().unwrap();
        let mut count = 0;
        for page in xtask::book::pages(workspace.root()).unwrap() {
            let blocks = page.blocks().into_iter();
            for block in blocks.filter(|block| block.language == "sh") {
                let code = block.code.replace("\\\n", " ");
                for command in code.lines().flat_map(|line| line.split(" && ")) {
                    let command = command.split(" # ").next().unwrap_or_default();
                    count += 1;
                    let place = format!("{}:{}: {command}", page.path.display(), block.line);
                    assert!(exists(command), "{place}");
                }
            }
        }
        assert!(count > 20, "{count} commands");
    }

    fn exists(command: &str) -> bool {
        let words: Vec<_> = command
            .split_whitespace()
            .skip_while(|word| word.contains('='))
            .collect();
        match *words {
            ["cargo", "xtask", ..] => {
                let rest = words[2..].iter().copied();
                Cli::try_parse_from(["cargo xtask"].into_iter().chain(rest)).is_ok()
            }
            ["cargo", subcommand, ..] => {
                ["bench", "build", "deny", "doc", "install", "test"].contains(&subcommand)
            }
            [program, ..] => PROGRAMS.contains(&program),
            [] => true,
        }
    }
}
