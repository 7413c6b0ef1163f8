//! The blocks of a README that can be run.

/// A block that is marked with `run`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Block {
    /// Commands of a shell, with what they print.
    Console(Vec<Command>),
    /// A program in Python.
    Python(String),
}

/// A command of a shell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Command {
    pub(crate) text: String,
    /// The lines below the command, which it has to print.
    pub(crate) prints: Vec<String>,
}

/// The blocks of a file, in their order.
pub(crate) fn blocks(markdown: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut lines = markdown.lines();
    while let Some(line) = lines.next() {
        let Some(fence) = line.strip_prefix("```") else { continue };
        let body: Vec<_> = lines.by_ref().take_while(|line| *line != "```").collect();
        match fence {
            "console run" => blocks.push(Block::Console(commands(&body))),
            "python run" => blocks.push(Block::Python(body.join("\n"))),
            _ => {}
        }
    }
    blocks
}

fn commands(lines: &[&str]) -> Vec<Command> {
    let mut commands: Vec<Command> = Vec::new();
    for line in lines {
        match line.strip_prefix("$ ") {
            Some(text) => commands.push(Command { text: text.into(), prints: Vec::new() }),
            None => {
                let command = commands.last_mut().expect("a block begins with a command");
                command.prints.push((*line).into());
            }
        }
    }
    commands
}

#[test]
fn marked_blocks_are_found_with_their_commands_and_what_these_print() {
    let markdown = "text\n```console\n$ no\n```\n```console run\n$ one\n1\n2\n$ two\n```\n\
        ```python run\nprint(1)\nprint(2)\n```\n";
    let command = |text: &str, prints: &[&str]| Command {
        text: text.into(),
        prints: prints.iter().map(ToString::to_string).collect(),
    };
    let console = Block::Console(vec![command("one", &["1", "2"]), command("two", &[])]);
    assert_eq!(blocks(markdown), [console, Block::Python("print(1)\nprint(2)".into())]);
}
