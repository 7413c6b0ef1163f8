//! `client why`: its diagnosis of failures, and of changes by intermediaries.

mod answers;
mod connected;
mod middles;
mod ways;

use serde_json::Value;

use crate::client::command;
use crate::records::checked;

/// The output of a run.
struct Told {
    status: Option<i32>,
    verdict: Value,
}

/// A run with `--json`, whose output is as documented.
#[track_caller]
fn why(url: &str, args: &[&str]) -> Told {
    why_with(url, args, &[])
}

#[track_caller]
fn why_with(url: &str, args: &[&str], variables: &[(&str, &str)]) -> Told {
    let mut command = command(&[("SSL_CERT_FILE", "/dev/null")]);
    command.envs(variables.iter().copied()).args(["why", url, "--json"]).args(args);
    let output = command.output().unwrap();
    let mut objects = checked(&output.stdout);
    let verdict = objects.pop().unwrap();
    assert!(objects.iter().all(|object| object["type"] == "connection"), "{objects:?}");
    let status = output.status.code();
    let ok = &verdict["ok"];
    match status {
        Some(0) => assert_eq!(ok, true, "{verdict}"),
        Some(1) => assert_eq!(ok, false, "{verdict}"),
        _ => assert_eq!((status, ok), (Some(3), &Value::Null), "{verdict}"),
    }
    Told { status, verdict }
}

/// Checks the exit status of a run, and what it prints for a person.
#[track_caller]
fn assert_shown(url: &str, args: &[&str], status: i32, parts: &[&str]) {
    let output =
        command(&[("SSL_CERT_FILE", "/dev/null")]).args(["why", url]).args(args).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(status), "{text}");
    for part in parts {
        assert!(text.contains(part), "{part:?} in\n{text}");
    }
}

impl Told {
    /// The rows of the table that fit.
    fn rows(&self) -> Vec<u64> {
        let fits = self.verdict["fits"].as_array().unwrap();
        fits.iter().map(|fit| fit["row"].as_u64().unwrap()).collect()
    }

    #[track_caller]
    fn text(&self, name: &str) -> &str {
        self.verdict[name].as_str().unwrap_or_else(|| panic!("{name} in {}", self.verdict))
    }

    /// A diagnosis of this row alone, with these words in the change.
    #[track_caller]
    fn is_diagnosis(&self, row: u64, change: &str) {
        assert_eq!((self.status, self.rows()), (Some(1), vec![row]), "{}", self.verdict);
        assert!(self.text("change").contains(change), "{}", self.verdict);
    }
}
