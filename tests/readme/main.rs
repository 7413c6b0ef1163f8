//! The commands of the READMEs, run as they stand there.
//!
//! A block that begins with "```console run" has commands, each behind `$ `, and below each what
//! it prints: numbers may differ, and `...` stands for anything. A block that begins with
//! "```python run" is a program that has to end with status 0. The blocks of a file run one after
//! the other in one folder, in a network of their own, so that the ports which they name are free.

// The lints know tests by their attribute only, not the functions that they share.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

#[path = "../programs.rs"]
mod programs;
#[path = "../python.rs"]
mod python;

mod blocks;
mod expected;
mod session;

use std::fs;
use std::path::{Path, PathBuf};

use blocks::blocks;
use session::run;

fn root() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    root.canonicalize().expect("the root of the project")
}

/// All READMEs below a folder, those of other projects and of the build left out.
fn readmes(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            found.extend(readmes(&path));
        } else if name == "README.md" {
            found.push(path);
        }
    }
    found.sort();
    found
}

#[test]
#[ignore = "needs root, Python, websocat"]
fn every_command_that_is_marked_prints_what_stands_below_it() {
    let mut wrong = Vec::new();
    let mut commands = 0;
    for readme in readmes(&root()) {
        let text = fs::read_to_string(&readme).unwrap();
        let blocks = blocks(&text);
        if blocks.is_empty() {
            continue;
        }
        for (command, outcome) in run(&blocks) {
            commands += 1;
            if let Some(fault) = outcome.fault(&command) {
                wrong.push(format!("{}: {fault}", readme.display()));
            }
        }
    }
    assert!(commands >= 8, "only {commands} commands are marked");
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn the_readme_is_short() {
    let lines = fs::read_to_string(root().join("README.md")).unwrap().lines().count();
    assert!(lines <= 200, "{lines} lines");
}

#[test]
fn every_link_between_the_files_leads_somewhere() {
    let changelog = root().join("CHANGELOG.md");
    for file in readmes(&root()).into_iter().chain([changelog]) {
        let text = fs::read_to_string(&file).unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            if link.contains("://") {
                continue;
            }
            let target =
                if path.is_empty() { file.clone() } else { file.parent().unwrap().join(path) };
            assert!(target.exists(), "{}: {link}", file.display());
            if !anchor.is_empty() {
                let target = if target.is_dir() { target.join("README.md") } else { target };
                let text = fs::read_to_string(&target).unwrap();
                assert!(
                    headings(&text).any(|heading| heading == anchor),
                    "{}: {link}",
                    file.display()
                );
            }
        }
    }
}

/// The headings of a file, as GitHub makes anchors of them.
fn headings(text: &str) -> impl Iterator<Item = String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    headings.map(|line| {
        let title = line.trim_start_matches('#').trim().to_lowercase();
        title
            .chars()
            .filter(|c| c.is_alphanumeric() || " -".contains(*c))
            .collect::<String>()
            .replace(' ', "-")
    })
}
