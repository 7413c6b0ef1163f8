//! The output of a process under test, read from a pipe.

use std::io::Read;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;

/// The bytes from a pipe. A thread reads them, so that the process never waits for the test.
#[derive(Debug)]
pub(super) struct Captured {
    /// Starts reading. Dropped before that, the pipe is closed.
    begin: Sender<()>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    bytes: Vec<u8>,
    is_begun: bool,
    is_complete: bool,
}

impl Captured {
    /// Takes over a pipe, if there is one, and reads nothing yet.
    pub(super) fn new(pipe: Option<impl Read + Send + 'static>) -> Self {
        let (begin, may_begin) = channel();
        let state = Arc::default();
        if let Some(pipe) = pipe {
            let state = Arc::clone(&state);
            thread::spawn(move || read(pipe, &may_begin, &state));
        }
        Self { begin, state }
    }

    /// Begins to read, if there is a pipe.
    pub(super) fn begin(&self) {
        let mut state = self.state.lock().unwrap();
        state.is_begun |= self.begin.send(()).is_ok();
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        self.state.lock().unwrap().bytes.clone()
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.state.lock().unwrap().bytes).into_owned()
    }

    /// Whether no more bytes will come, because the pipe was read to its end or is not read.
    pub(super) fn is_over(&self) -> bool {
        let state = self.state.lock().unwrap();
        state.is_complete || !state.is_begun
    }
}

fn read(mut pipe: impl Read, may_begin: &Receiver<()>, state: &Mutex<State>) {
    if may_begin.recv().is_err() {
        return;
    }
    let mut block = [0; 65536];
    while let Ok(read @ 1..) = pipe.read(&mut block) {
        state.lock().unwrap().bytes.extend_from_slice(&block[..read]);
    }
    state.lock().unwrap().is_complete = true;
}
