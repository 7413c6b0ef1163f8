//! Records each ping in `LOG_FILE`, then answers it; listens on `LISTEN`.

use std::borrow::Cow;
use std::env;
use std::fs::File;
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use chrono::Local;
use fastwebsockets::upgrade::{UpgradeFut, upgrade};
use fastwebsockets::{FragmentCollector, Frame, OpCode, Payload};
use http_body_util::Empty;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::net::{TcpListener, TcpStream};

type Log = Arc<Mutex<File>>;

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
    let log: Log = Arc::new(Mutex::new(File::options().create(true).append(true).open(path)?));
    let listener = TcpListener::bind(address).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        let log = Arc::clone(&log);
        tokio::spawn(async move {
            if let Err(error) = serve(stream, log).await {
                eprintln!("connection refused: {error:#}");
            }
        });
    }
}

async fn serve(stream: TcpStream, log: Log) -> Result<()> {
    stream.set_nodelay(true)?;
    let service = service_fn(move |request| {
        let log = Arc::clone(&log);
        async move { answer(request, log) }
    });
    http1::Builder::new().serve_connection(TokioIo::new(stream), service).with_upgrades().await?;
    Ok(())
}

fn answer(mut request: Request<Incoming>, log: Log) -> Result<Response<Empty<Bytes>>> {
    let (response, upgraded) = upgrade(&mut request)?;
    tokio::spawn(async move {
        if let Err(error) = talk(upgraded, &log).await {
            eprintln!("connection lost: {error:#}");
        }
    });
    Ok(response)
}

async fn talk(upgraded: UpgradeFut, log: &Mutex<File>) -> Result<()> {
    let mut socket = FragmentCollector::new(upgraded.await?);
    loop {
        let frame = socket.read_frame().await?;
        match frame.opcode {
            OpCode::Close => return Ok(()),
            OpCode::Text => {
                record(&frame.payload, log)?;
                socket.write_frame(Frame::text(Payload::Borrowed(b"Pong!"))).await?;
            }
            _ => {}
        }
    }
}

fn record(text: &[u8], log: &Mutex<File>) -> Result<()> {
    let Ping { client_name, message } = serde_json::from_slice(text)?;
    let time = Local::now().format("%d-%m-%Y %H:%M:%S");
    let line = format!("[{time}] Recieved from client (\"{client_name}\"): {message}\n");
    log.lock().unwrap_or_else(PoisonError::into_inner).write_all(line.as_bytes())?;
    Ok(())
}
