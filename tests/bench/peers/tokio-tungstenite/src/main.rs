//! Records each ping in `LOG_FILE`, then answers it; listens on `LISTEN`.

use std::borrow::Cow;
use std::env;
use std::fs::File;
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use chrono::Local;
use futures_util::{SinkExt, StreamExt};
use serde::Deserialize;
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::accept_async;
use tokio_tungstenite::tungstenite::Message;

#[derive(Deserialize)]
struct Ping<'a> {
    #[serde(borrow)]
    client_name: Cow<'a, str>,
    #[serde(borrow)]
    message: Cow<'a, str>,
}

#[tokio::main]
async fn main() -> Result<()> {
    let path = env::var("LOG_FILE").context("LOG_FILE is not set")?;
    let address = env::var("LISTEN").context("LISTEN is not set")?;
    let log = Arc::new(Mutex::new(File::options().create(true).append(true).open(path)?));
    let listener = TcpListener::bind(address).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        let log = Arc::clone(&log);
        tokio::spawn(async move {
            if let Err(error) = serve(stream, &log).await {
                eprintln!("connection lost: {error:#}");
            }
        });
    }
}

async fn serve(stream: TcpStream, log: &Mutex<File>) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut socket = accept_async(stream).await?;
    while let Some(message) = socket.next().await {
        if let Message::Text(text) = message? {
            record(&text, log)?;
            socket.send(Message::text("Pong!")).await?;
        }
    }
    Ok(())
}

fn record(text: &str, log: &Mutex<File>) -> Result<()> {
    let Ping { client_name, message } = serde_json::from_str(text)?;
    let time = Local::now().format("%d-%m-%Y %H:%M:%S");
    let line = format!("[{time}] Recieved from client (\"{client_name}\"): {message}\n");
    log.lock().unwrap_or_else(PoisonError::into_inner).write_all(line.as_bytes())?;
    Ok(())
}
