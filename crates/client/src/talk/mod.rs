//! Lines from stdin to a server, and frames from the server to stdout.
//!
//! `input` reads the lines, `conversation` sends them and takes the frames, `awaited` counts the
//! replies that are due, `screen` shows the frames. One connection is made, and it is not made
//! again: `end` says what its end means.

mod awaited;
mod conversation;
mod end;
mod input;
mod screen;

use std::fs::File;
use std::io::{self, BufReader};
use std::os::fd::AsFd;
use std::pin::{Pin, pin};
use std::time::Duration;

use program::stop::Stop;
use proto::path;
use tokio::select;
use tokio::time::sleep;

use crate::net::url::ServerUrl;
use crate::net::{self, Endpoint};
use conversation::{Conversation, Patience};
use end::{End, written};
use screen::Screen;

/// How long somebody who has left the terminal waits for the last replies.
const LAST_REPLIES: Duration = Duration::from_secs(1);

/// How long a slow reader of stdout is waited for after the stop.
const LAST_LINES: Duration = Duration::from_millis(200);

/// Which server is talked to.
#[derive(Clone, Debug)]
pub struct Options {
    /// The server.
    pub endpoint: Endpoint,
    /// How long the server may be silent (`PONG_TIMEOUT`).
    pub patience: Duration,
}

/// Sends each line of stdin to the server, and prints each frame that comes. Ends when told to,
/// when nobody reads stdout any more, or when the input came to its end and each line has its
/// reply.
///
/// At a terminal there is a prompt, and the last replies are not waited for long.
///
/// # Errors
/// Why there is no connection (any more), why the input or stdout cannot be used, or how many
/// replies are missing.
pub async fn run(options: Options, mut stop: Stop) -> Result<(), String> {
    let Options { endpoint, patience } = options;
    let url = &endpoint.url;
    endpoint.warn_if_unchecked();
    let (screen, mut writer) =
        Screen::open(prompt(url)).map_err(|error| format!("cannot write to stdout: {error}"))?;
    let is_at_terminal = screen.has_prompt();
    let over = async {
        select! {
            () = stop.wait() => End::Stopped,
            error = writer.failed() => End::Unwritable(error),
        }
    };
    let (screen, end, missing) = talk(&endpoint, patience, screen, pin!(over)).await?;
    let stdout = screen.close().await;
    let complete = match end {
        End::Unwritable(_) => Ok(()),
        _ => select! {
            result = stdout.complete(writer) => written(result),
            () = async { stop.wait().await; sleep(LAST_LINES).await } => Ok(()),
        },
    };
    end.verdict(url, patience, if is_at_terminal { 0 } else { missing }).and(complete)
}

fn prompt(url: &ServerUrl) -> &'static str {
    match url.path() {
        path::TOTAL => "Number: ",
        _ => "> ",
    }
}

/// Connects, and talks until that comes to its end or it is `over`. Returns the number of replies
/// that did not come as well.
async fn talk(
    endpoint: &Endpoint,
    patience: Duration,
    screen: Screen,
    mut over: Pin<&mut impl Future<Output = End>>,
) -> Result<(Screen, End, u64), String> {
    let connected = select! {
        biased;
        end = &mut over => {
            screen.leave_line().await;
            return Ok((screen, end, 0));
        }
        connected = net::connect(endpoint) => connected,
    };
    let socket =
        connected.map_err(|cause| format!("cannot connect to {}: {cause}", endpoint.url))?;
    let lines = stdin()
        .and_then(|stdin| input::lines(BufReader::new(stdin)))
        .map_err(|error| format!("cannot read the input: {error}"))?;
    let last = if screen.has_prompt() { patience.min(LAST_REPLIES) } else { patience };
    let mut conversation = Conversation::new(socket, screen);
    let end = select! {
        biased;
        end = over => end,
        end = conversation.run(lines, Patience { busy: patience, last }) => end,
    };
    let (screen, missing) = conversation.part(&end).await;
    Ok((screen, end, missing))
}

/// Stdin itself, without the buffer of [`io::stdin`], which is of no use to another thread.
fn stdin() -> io::Result<File> {
    io::stdin().as_fd().try_clone_to_owned().map(File::from)
}
