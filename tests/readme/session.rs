//! Runs the blocks of one README: one shell, one folder, one network, one server.

use std::fmt::Write;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command as Process;

use super::blocks::{Block, Command};
use super::expected::is_as_expected;
use super::programs;
use super::python::python;

/// Separators before the output of a command and before its status (ASCII record and unit
/// separator).
const BEGIN: char = '\u{1e}';
const END: char = '\u{1f}';

/// How long all commands of a file may take together, in seconds.
const PATIENCE: &str = "600";

/// A network with nothing but a loopback, and the server that the READMEs speak of.
const PREPARE: &str = "ip link set lo up
(target/release/server >server.out 2>&1 &)
until target/release/server healthcheck 2>/dev/null; do sleep 0.1; done
";

/// The result of a command.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    printed: String,
    status: Option<i32>,
}

impl Outcome {
    /// What is wrong with the outcome of this command, if anything is.
    pub(crate) fn fault(&self, command: &Command) -> Option<String> {
        let printed: Vec<_> = self.printed.lines().collect();
        let is_right = self.status == Some(0) && is_as_expected(&command.prints, &printed);
        (!is_right).then(|| {
            format!(
                "$ {}\nhas to print\n{}\nbut ended with {:?} and printed\n{}",
                command.text,
                command.prints.join("\n"),
                self.status,
                self.printed
            )
        })
    }
}

/// Runs blocks in their order; returns each command with its result.
pub(crate) fn run(blocks: &[Block]) -> Vec<(Command, Outcome)> {
    let dir = tempfile::tempdir().expect("a temporary folder");
    std::fs::create_dir(dir.path().join("target")).expect("a folder");
    symlink(programs::folder(), dir.path().join("target/release")).expect("a link");
    let commands: Vec<_> = blocks.iter().flat_map(commands).collect();
    let output = Process::new("timeout")
        .args([PATIENCE, "unshare", "--map-root-user", "--net", "--pid", "--fork", "--kill-child"])
        .args(["bash", "-c", &script(&commands)])
        .current_dir(dir.path())
        .env("PATH", path())
        .output()
        .expect("timeout and unshare are there");
    let output = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut parts = output.split(BEGIN).skip(1);
    commands.into_iter().map(|command| (command, outcome(parts.next()))).collect()
}

/// The commands of a block. A Python program is one command, which may print anything and has to end
/// with status 0.
fn commands(block: &Block) -> Vec<Command> {
    match block {
        Block::Console(commands) => commands.clone(),
        Block::Python(program) => vec![Command {
            text: format!("python3 - <<'PROGRAM'\n{program}\nPROGRAM"),
            prints: vec!["...".into()],
        }],
    }
}

fn script(commands: &[Command]) -> String {
    let mut script = PREPARE.to_owned();
    for Command { text, .. } in commands {
        // A group, so that variables and the working directory stay for the next command.
        let _ = write!(script, "printf '{BEGIN}'\n{{\n{text}\n}} 2>&1\nprintf '{END}%s' $?\n");
    }
    script
}

fn outcome(part: Option<&str>) -> Outcome {
    let (printed, status) = part.and_then(|part| part.split_once(END)).unwrap_or_default();
    Outcome { printed: printed.into(), status: status.trim().parse().ok() }
}

/// The programs under their short names, and the Python of the tests as `python3`.
fn path() -> String {
    let python = PathBuf::from(python("").get_program());
    let folders = [programs::folder(), python.parent().map(Into::into).unwrap_or_default()];
    let folders = folders.iter().map(|folder| folder.display().to_string());
    let path = std::env::var("PATH").unwrap_or_default();
    folders.chain([path]).collect::<Vec<_>>().join(":")
}
