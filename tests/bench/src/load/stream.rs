//! The bytes of a connection, through TLS or not. Nothing here blocks.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, TcpStream};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};

/// A socket, which does not block.
#[derive(Debug)]
pub(super) struct Stream {
    socket: TcpStream,
    tls: Option<Box<ClientConnection>>,
}

impl Stream {
    pub(super) fn plain(socket: TcpStream) -> Self {
        Self { socket, tls: None }
    }

    pub(super) fn secure(
        socket: TcpStream,
        server: IpAddr,
        config: &Arc<ClientConfig>,
    ) -> Result<Self> {
        let tls = ClientConnection::new(Arc::clone(config), ServerName::from(server))?;
        Ok(Self { socket, tls: Some(Box::new(tls)) })
    }

    pub(super) fn socket(&self) -> &TcpStream {
        &self.socket
    }

    /// Reads the bytes that have arrived; `None` if none have.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> Result<Option<usize>> {
        let Some(tls) = &mut self.tls else { return received(self.socket.read(buffer)) };
        if received(tls.read_tls(&mut self.socket))?.is_none() {
            return Ok(None);
        }
        tls.process_new_packets().context("TLS")?;
        push(tls, &mut self.socket)?;
        received(tls.reader().read(buffer))
    }

    /// Writes all bytes; through TLS, those that come before the end of the handshake are kept until
    /// then.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let Some(tls) = &mut self.tls else {
            return self.socket.write_all(bytes).context("cannot write");
        };
        tls.writer().write_all(bytes)?;
        push(tls, &mut self.socket)
    }
}

/// Writes what TLS has for the server. A socket takes far more than the pings in flight, so this
/// never blocks.
fn push(tls: &mut ClientConnection, socket: &mut TcpStream) -> Result<()> {
    while tls.wants_write() {
        tls.write_tls(socket).context("cannot write")?;
    }
    Ok(())
}

fn received(read: io::Result<usize>) -> Result<Option<usize>> {
    match read {
        Ok(0) => bail!("the server closed the connection"),
        Ok(length) => Ok(Some(length)),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error).context("cannot read"),
    }
}
