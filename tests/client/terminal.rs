//! A terminal, and somebody who types at it.

use std::fs::File;
use std::io::{Read, Write};
use std::num::NonZero;
use std::process::{Command, ExitStatus};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};
use std::{fs, thread};

use rustix::fs::{Mode, OFlags, open};
use rustix::process::Signal;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};
use vt100::{Color, Parser};

use crate::DEADLINE;
use crate::client::{KillOnDrop, SOON};

const ROWS: NonZero<u16> = NonZero::new(50).unwrap();
const COLUMNS: NonZero<u16> = NonZero::new(300).unwrap();

/// The key that ends the input.
pub(crate) const CTRL_D: &str = "\u{4}";

/// The key that interrupts.
pub(crate) const CTRL_C: &str = "\u{3}";

/// A program that runs at a terminal of its own; it is killed when dropped.
pub(crate) struct Terminal {
    keyboard: File,
    screen: Arc<(Mutex<Screen>, Condvar)>,
    child: KillOnDrop,
}

/// The client as the leader of a session: only there does a key such as Ctrl-C send its signal.
pub(crate) fn leader(args: &[&str]) -> Command {
    let mut command = Command::new("setsid");
    command.args(["--ctty", env!("CARGO_BIN_EXE_client")]).args(args);
    command.env_clear().env("PATH", "/usr/bin:/bin");
    command
}

impl Terminal {
    /// Runs the client with these arguments.
    pub(crate) fn start(args: &[&str]) -> Self {
        Self::run(leader(args), |_| {})
    }

    /// Runs a command. What `redirect` leaves alone is the terminal.
    pub(crate) fn run(mut command: Command, redirect: impl FnOnce(&mut Command)) -> Self {
        let keyboard = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&keyboard).unwrap();
        unlockpt(&keyboard).unwrap();
        let size =
            Winsize { ws_row: ROWS.get(), ws_col: COLUMNS.get(), ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&keyboard, size).unwrap();
        let name = ptsname(&keyboard, Vec::new()).unwrap();
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let terminal = open(name, flags, Mode::empty()).unwrap();
        command.stdout(terminal.try_clone().unwrap()).stderr(terminal.try_clone().unwrap());
        command.stdin(terminal);
        redirect(&mut command);
        let child = KillOnDrop(command.spawn().unwrap());
        let keyboard = File::from(keyboard);
        let screen = Arc::new((Mutex::new(Screen::new()), Condvar::new()));
        watch(keyboard.try_clone().unwrap(), Arc::clone(&screen));
        Self { keyboard, screen, child }
    }

    /// Types keys.
    pub(crate) fn keys(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    pub(crate) fn signal(&self, signal: Signal) {
        self.child.signal(signal);
    }

    /// Waits until the screen shows just these lines, with the cursor behind the last.
    #[track_caller]
    pub(crate) fn shows(&self, lines: &[&str]) {
        self.wait_until(&format!("the screen shows {lines:?}"), |screen| screen.lines() == lines);
    }

    /// Waits until the lines on the screen are as this function wants them.
    #[track_caller]
    pub(crate) fn shows_lines(&self, are_right: impl Fn(&[String]) -> bool) {
        self.wait_until("the screen is right", |screen| are_right(&screen.lines()));
    }

    #[track_caller]
    fn wait_until(&self, what: &str, is_so: impl Fn(&Screen) -> bool) {
        let (screen, changed) = &*self.screen;
        let waits = |screen: &mut Screen| !is_so(screen);
        let screen = screen.lock().unwrap();
        let (screen, result) = changed.wait_timeout_while(screen, DEADLINE, waits).unwrap();
        assert!(!result.timed_out(), "not in time: {what}; it shows {:?}", screen.lines());
    }

    /// Signals the program when the terminal, which nobody reads, has no more room for what `fill`
    /// makes the program print. Checks that the program ends soon, with this exit status.
    #[track_caller]
    pub(crate) fn ends_unread(&mut self, fill: impl FnOnce(), signal: Signal, status: i32) {
        // Holds up the thread that reads.
        let _screen = self.screen.0.lock().unwrap();
        fill();
        let written = format!("/proc/{}/io", self.child.0.id());
        let mut last = (String::new(), Instant::now());
        while last.1.elapsed() < Duration::from_millis(300) {
            let now = fs::read_to_string(&written).unwrap();
            if now != last.0 {
                last = (now, Instant::now());
            }
            thread::sleep(Duration::from_millis(10));
        }
        self.child.signal(signal);
        let begun = Instant::now();
        let ended = loop {
            match self.child.0.try_wait().unwrap() {
                Some(ended) => break ended,
                None => assert!(begun.elapsed() < SOON, "it does not end"),
            }
            thread::sleep(Duration::from_millis(10));
        };
        assert_eq!(ended.code(), Some(status));
    }

    /// The color of the first letter of a line.
    pub(crate) fn color(&self, line: usize) -> Color {
        let screen = self.screen.0.lock().unwrap();
        let row = u16::try_from(line).unwrap();
        screen.terminal.screen().cell(row, 0).map_or(Color::Default, vt100::Cell::fgcolor)
    }

    /// The lines that the screen shows now.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.screen.0.lock().unwrap().lines()
    }

    /// Whether the terminal itself shows the keys that are typed.
    pub(crate) fn echoes(&self) -> bool {
        tcgetattr(&self.keyboard).unwrap().local_modes.contains(LocalModes::ECHO)
    }

    /// Waits for the end of the program.
    #[track_caller]
    pub(crate) fn wait(&mut self) -> ExitStatus {
        // The terminal ends when no process has it open any more.
        self.wait_until("the program ends", |screen| screen.is_over);
        self.child.0.wait().unwrap()
    }

    /// Checks that the program ends by itself soon, with this exit status.
    #[track_caller]
    pub(crate) fn ends_with(&mut self, status: i32) {
        let start = Instant::now();
        assert_eq!(self.wait().code(), Some(status));
        assert!(start.elapsed() < SOON, "it took {:?}", start.elapsed());
    }
}

fn watch(mut terminal: File, seen: Arc<(Mutex<Screen>, Condvar)>) {
    thread::spawn(move || {
        let (screen, changed) = &*seen;
        let mut block = [0; 4096];
        // A terminal that no process has open any more cannot be read.
        while let Ok(read @ 1..) = terminal.read(&mut block) {
            let mut screen = screen.lock().unwrap();
            screen.terminal.process(&block[..read]);
            changed.notify_all();
        }
        screen.lock().unwrap().is_over = true;
        changed.notify_all();
    });
}

/// The output of a program on its terminal, with the echo of the terminal.
struct Screen {
    terminal: Parser,
    is_over: bool,
}

impl Screen {
    fn new() -> Self {
        Self { terminal: Parser::new(ROWS, COLUMNS, 0), is_over: false }
    }

    /// The lines up to the one with the cursor, and that up to the cursor; blanks at the end of the
    /// others cannot be seen.
    fn lines(&self) -> Vec<String> {
        let screen = self.terminal.screen();
        let (row, column) = screen.cursor_position();
        let mut lines: Vec<_> = screen.rows(0, COLUMNS.get()).take(usize::from(row) + 1).collect();
        if let Some(last) = lines.last_mut() {
            *last = format!("{last:column$}", column = usize::from(column));
        }
        lines
    }
}
