//! The `DevTools` protocol: JSON messages over two pipes, each ended by a zero byte.
//!
//! With pipes there is no port to find, and Chromium ends with the test, however the test ends.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

/// How long Chromium may take for an answer; a busy machine takes its time to start it.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long Chromium may take to end.
const END: Duration = Duration::from_secs(5);

/// Chromium reads from descriptor 3 and writes to 4.
const RUN: &str = r#"
    for program in ${CHROMIUM:-chromium chromium-browser google-chrome}; do
        command -v "$program" >/dev/null && exec "$program" "$@" 3<&0 4>&1 </dev/null >/dev/null
    done
    echo "no Chromium on PATH: run .ci/setup, or set CHROMIUM" >&2
"#;

const FLAGS: [&str; 9] = [
    "--headless=new",
    "--no-sandbox",
    "--remote-debugging-pipe",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-component-update",
    "--disable-background-networking",
    "--no-first-run",
    "--hide-scrollbars",
];

/// A running Chromium, with a profile of its own.
#[derive(Debug)]
pub(crate) struct Chromium {
    child: Child,
    commands: Option<ChildStdin>,
    messages: Receiver<Value>,
    events: Vec<Value>,
    calls: u64,
    profile: TempDir,
}

impl Chromium {
    /// Starts the program `CHROMIUM`, or an installed Chromium, for a user who trusts these
    /// authorities.
    #[track_caller]
    pub(crate) fn start(further: &[&str], authorities: &[&Path]) -> Self {
        let profile = tempfile::tempdir().expect("a temporary folder");
        authorities.iter().for_each(|authority| trust(profile.path(), authority));
        let complaints = File::create(profile.path().join("stderr")).expect("a file");
        let mut child = Command::new("sh")
            .args(["-c", RUN, "chromium"])
            .args(FLAGS)
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .args(further)
            .arg("about:blank")
            .env("HOME", profile.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(complaints)
            .spawn()
            .expect("a shell");
        let commands = child.stdin.take();
        let messages = read(child.stdout.take().expect("stdout is a pipe"));
        Self { child, commands, messages, events: Vec::new(), calls: 0, profile }
    }

    /// Calls a method and returns its result.
    pub(crate) fn call(
        &mut self,
        session: Option<&str>,
        method: &str,
        params: Value,
    ) -> Result<Value, String> {
        self.calls += 1;
        let mut message = json!({"id": self.calls, "method": method});
        message["params"] = params;
        if let Some(session) = session {
            message["sessionId"] = session.into();
        }
        let sent =
            self.commands.as_mut().expect("it runs").write_all(format!("{message}\0").as_bytes());
        sent.map_err(|error| self.failure(method, &error.to_string()))?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let received = self.messages.recv_timeout(left);
            let mut message = received.map_err(|error| self.failure(method, &error.to_string()))?;
            if message["id"] != self.calls {
                self.events.push(message);
            } else if let Some(error) = message.get("error") {
                return Err(format!("{method}: {error}"));
            } else {
                return Ok(message["result"].take());
            }
        }
    }

    /// The events so far, oldest first.
    pub(crate) fn events(&mut self) -> &[Value] {
        self.events.extend(self.messages.try_iter());
        &self.events
    }

    fn failure(&self, method: &str, error: &str) -> String {
        let said = fs::read_to_string(self.profile.path().join("stderr")).unwrap_or_default();
        format!("{method}: {error}; Chromium says: {said}")
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        // Chromium ends at the end of its input.
        self.commands = None;
        let deadline = Instant::now() + END;
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(5));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read(pipe: ChildStdout) -> Receiver<Value> {
    let (sender, messages) = channel();
    thread::spawn(move || {
        for message in BufReader::new(pipe).split(0).map_while(Result::ok) {
            let message = serde_json::from_slice(&message).expect("JSON");
            if sender.send(message).is_err() {
                return;
            }
        }
    });
    messages
}

/// Adds an authority to the store that Chromium reads on Linux, as its users do.
fn trust(home: &Path, authority: &Path) {
    let store = home.join(".pki/nssdb");
    fs::create_dir_all(&store).expect("a folder");
    let store = format!("sql:{}", store.display());
    let authority = authority.display().to_string();
    for args in [
        &["-N", "--empty-password"][..],
        &["-A", "-t", "C,,", "-n", "websockets", "-i", &authority],
    ] {
        let output = Command::new("certutil").args(["-d", &store]).args(args).output();
        let output = output.expect("certutil is there; .ci/setup installs it");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}
