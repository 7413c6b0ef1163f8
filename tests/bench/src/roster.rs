//! The programs that are measured: how each is built or found, and started.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::build;
use crate::process::Process;
use crate::settings::{Name, Settings};
use crate::stop::Stop;

/// The folder of this workspace.
const HERE: &str = env!("CARGO_MANIFEST_DIR");

/// The lock file of this workspace, which has the versions of the Rust peers.
const LOCK: &str = include_str!("../Cargo.lock");

/// The folders in which Debian's packages put Go sources and Node modules.
const GO_PATH: &str = "/usr/share/gocode";
const NODE_PATH: &str = "/usr/share/nodejs";

/// How to start a program. It listens on `LISTEN`, an address and port, and appends to `LOG_FILE`.
#[derive(Clone, Debug)]
pub(crate) struct Recipe {
    pub(crate) name: &'static str,
    /// Version of the program, or of its WebSocket library.
    pub(crate) version: String,
    arguments: Vec<OsString>,
    variables: Vec<(&'static str, OsString)>,
}

impl Recipe {
    fn new<T: Into<OsString>>(
        name: &'static str,
        version: impl Into<String>,
        arguments: impl IntoIterator<Item = T>,
    ) -> Self {
        let arguments = arguments.into_iter().map(Into::into).collect();
        Self { name, version: version.into(), arguments, variables: Vec::new() }
    }

    fn with(mut self, variable: &'static str, value: impl Into<OsString>) -> Self {
        self.variables.push((variable, value.into()));
        self
    }

    /// The command, without the caller's settings in its environment.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.arguments[0]);
        let kept = ["HOME", "PATH", "TZ"].into_iter();
        command
            .args(&self.arguments[1..])
            .env_clear()
            .envs(kept.filter_map(|name| Some((name, env::var_os(name)?))))
            .envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }
}

/// The bare TCP echo.
pub(crate) fn floor(stop: &Stop) -> Result<Recipe> {
    let binary = build::package(Path::new(HERE), "floor", stop)?;
    Ok(Recipe::new("floor (TCP echo)", "", [binary]))
}

/// The project's server with one worker, unless told otherwise.
pub(crate) fn server(given: Option<&Path>, stop: &Stop) -> Result<Recipe> {
    let root = Path::new(HERE).join("../..");
    let recipe = match given {
        Some(path) => {
            let given = path.display().to_string();
            let path = path.canonicalize().with_context(|| {
                format!("--server is {given}, which cannot be found; give it the path of a binary")
            })?;
            Recipe::new("server", given, [path])
        }
        None => {
            let binary = build::package(&root, "server", stop)?;
            let mut git = Command::new("git");
            git.args(["describe", "--always", "--dirty"]).current_dir(&root);
            Recipe::new("server", output(&mut git).unwrap_or_default(), [binary])
        }
    };
    Ok(recipe.with("WORKERS", "1"))
}

/// The programs that are compared with the server, and why others are not.
#[derive(Debug, Default)]
pub(crate) struct Peers {
    pub(crate) found: Vec<Recipe>,
    /// Why each of the other programs is left out, in a sentence.
    pub(crate) left_out: Vec<String>,
}

/// A peer, or how to install it.
type Found = Result<Recipe, String>;

/// Builds or finds a peer.
type Find = fn(&Stop) -> Result<Found>;

/// Builds and finds the peers that are to be compared.
pub(crate) fn peers(settings: &Settings, stop: &Stop) -> Result<Peers> {
    let all: [(Name, Find); 5] = [
        (Name::TokioTungstenite, tokio_tungstenite),
        (Name::Fastwebsockets, fastwebsockets),
        (Name::Gorilla, gorilla),
        (Name::Ws, ws),
        (Name::Websockets, websockets),
    ];
    let mut peers = Peers::default();
    for (name, find) in all.into_iter().filter(|&(name, _)| settings.includes(name)) {
        match find(stop)? {
            Ok(recipe) => peers.found.push(recipe),
            Err(remedy) if settings.names(name) => bail!("{remedy}"),
            Err(remedy) => peers.left_out.push(remedy),
        }
    }
    Ok(peers)
}

fn tokio_tungstenite(stop: &Stop) -> Result<Found> {
    rust("tokio-tungstenite", "peer-tokio-tungstenite", stop)
}

fn fastwebsockets(stop: &Stop) -> Result<Found> {
    rust("fastwebsockets", "peer-fastwebsockets", stop)
}

/// A peer in this workspace, named after the library that it is written with.
fn rust(library: &'static str, package: &str, stop: &Stop) -> Result<Found> {
    let binary = build::package(Path::new(HERE), package, stop)?;
    Ok(Ok(Recipe::new(library, locked(LOCK, library).unwrap_or_default(), [binary])))
}

fn gorilla(stop: &Stop) -> Result<Found> {
    let remedy =
        "gorilla (Go) is left out: install golang-go and golang-github-gorilla-websocket-dev.";
    let Some(go) = output(Command::new("go").arg("version")) else { return Ok(Err(remedy.into())) };
    if !Path::new(GO_PATH).join("src/github.com/gorilla/websocket").is_dir() {
        return Ok(Err(remedy.into()));
    }
    let binary = env::current_exe()?.with_file_name("peer-gorilla");
    let mut build = Command::new("go");
    build
        .args(["build", "-o"])
        .arg(&binary)
        .arg("main.go")
        .env("GO111MODULE", "off")
        .env("GOPATH", GO_PATH)
        .current_dir(source("gorilla"));
    let status = Process::start(&mut build)?.wait(stop)?;
    if !status.success() {
        bail!("go could not build peers/gorilla/main.go ({status})");
    }
    let package = "golang-github-gorilla-websocket-dev";
    let mut query = Command::new("dpkg-query");
    query.args(["--show", "--showformat=${Version}", package]);
    let go = go.split(' ').nth(2).unwrap_or_default().to_owned();
    let version = format!("{} on {go}", output(&mut query).unwrap_or_default());
    Ok(Ok(Recipe::new("gorilla", version, [binary])))
}

fn ws(_: &Stop) -> Result<Found> {
    let remedy = "ws (Node.js) is left out: install nodejs and node-ws.";
    let script = "require('ws/package.json').version + ' on Node.js ' + process.version";
    let mut paths = vec![PathBuf::from(NODE_PATH)];
    paths.extend(env::var_os("NODE_PATH").iter().flat_map(env::split_paths));
    let paths = env::join_paths(paths)?;
    let mut query = Command::new("node");
    query.args(["--print", script]).env("NODE_PATH", &paths);
    let Some(version) = output(&mut query) else { return Ok(Err(remedy.into())) };
    let arguments = ["node".into(), source("ws").join("main.js").into_os_string()];
    Ok(Ok(Recipe::new("ws", version, arguments).with("NODE_PATH", paths)))
}

fn websockets(_: &Stop) -> Result<Found> {
    let script = "import platform, websockets, websockets.asyncio.server; \
        print(websockets.__version__, 'on Python', platform.python_version())";
    for python in pythons() {
        if let Some(version) = output(Command::new(&python).args(["-c", script])) {
            let arguments = [python, source("websockets").join("main.py").into_os_string()];
            return Ok(Ok(Recipe::new("websockets", version, arguments)));
        }
    }
    Ok(Err("websockets (Python) is left out: run .ci/setup, or name a Python with websockets 13 or newer in PYTHON.".into()))
}

/// Where Python with its package may be, as for the project's tests.
fn pythons() -> impl Iterator<Item = OsString> {
    let home = || Some(PathBuf::from(env::var_os("HOME")?).join(".cache"));
    let cache = env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or_else(home);
    let own = cache.map(|cache| cache.join("websockets-tests/venv/bin/python").into_os_string());
    env::var_os("PYTHON").into_iter().chain(own).chain(["python3".into()])
}

fn source(peer: &str) -> PathBuf {
    Path::new(HERE).join("peers").join(peer)
}

/// The output of a short command; `None` if it cannot be run or fails.
fn output(command: &mut Command) -> Option<String> {
    let output = command.stderr(Stdio::null()).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    output.status.success().then_some(text)
}

/// The version of a package in a lock file.
fn locked<'a>(lock: &'a str, package: &str) -> Option<&'a str> {
    let name = format!("name = \"{package}\"");
    let mut lines = lock.lines().skip_while(|&line| line != name).skip(1);
    lines.next()?.strip_prefix("version = \"")?.strip_suffix('"')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_in_the_lock_file() {
        let lock = "[[package]]\nname = \"ab\"\nversion = \"1.0.0\"\n\n[[package]]\nname = \"a\"\nversion = \"2.1.0\"\n";
        assert_eq!(locked(lock, "a"), Some("2.1.0"));
        assert_eq!(locked(lock, "b"), None);
        assert!(locked(LOCK, "tokio-tungstenite").is_some());
        assert!(locked(LOCK, "fastwebsockets").is_some());
    }

    #[test]
    fn a_program_knows_no_setting_but_its_own() {
        let recipe = Recipe::new("x", "", ["env"]).with("WORKERS", "1");
        let variables = output(&mut recipe.command()).unwrap();
        assert!(variables.lines().any(|line| line == "WORKERS=1"));
        assert!(!variables.contains("CARGO"), "{variables}");
    }
}
