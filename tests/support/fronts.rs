//! What stands before a web server in tests: TLS that it does not speak itself, or a proxy that tunnels lead through.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::io::{BufRead, BufReader, Read, Result, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};

/// Takes connections over TLS and passes requests on in the clear.
pub(crate) struct TlsFront {
    /// `https://127.0.0.1:port`
    pub(crate) address: String,
    closed: Arc<AtomicBool>,
}

/// Whose certificate the front wants to see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Clients {
    Anybody,
    /// Only those that the authority has signed for.
    Certified,
}

impl TlsFront {
    /// Answers until the end of the test process, with the certificates of a folder: `server.pem`, `server.key`, `ca.pem`.
    /// `behind`: `host:port` of the web server.
    pub(crate) fn start(folder: &Path, clients: Clients, behind: &str) -> Self {
        let chain = vec![CertificateDer::from_pem_file(folder.join("server.pem")).unwrap()];
        let key = PrivateKeyDer::from_pem_file(folder.join("server.key")).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(folder.join("ca.pem")).unwrap()).unwrap();
        let provider = Arc::new(ring::default_provider());
        let builder =
            ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions().unwrap();
        let builder = match clients {
            Clients::Anybody => builder.with_no_client_auth(),
            Clients::Certified => {
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
                builder.with_client_cert_verifier(verifier)
            }
        };
        let config = Arc::new(builder.with_single_cert(chain, key).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("https://{}", listener.local_addr().unwrap());
        let closed = Arc::new(AtomicBool::new(false));
        let front = Self { address, closed: Arc::clone(&closed) };
        let behind = behind.to_owned();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if closed.load(Ordering::SeqCst) {
                    continue;
                }
                let (config, behind) = (Arc::clone(&config), behind.clone());
                // A client that hangs up in the middle is its own business.
                thread::spawn(move || pass_on(stream, config, &behind).ok());
            }
        });
        front
    }

    /// From now on every connection is closed without a word, or as before.
    pub(crate) fn close(&self, closed: bool) {
        self.closed.store(closed, Ordering::SeqCst);
    }
}

fn pass_on(stream: TcpStream, config: Arc<ServerConfig>, behind: &str) -> Result<()> {
    let raw = stream.try_clone()?;
    let mut client = StreamOwned::new(ServerConnection::new(config).unwrap(), stream);
    let passed = one_request(&mut client, behind);
    client.conn.send_close_notify();
    client.flush().ok();
    // What the client still sends is read: otherwise the system drops what it was sent last, such as an alert.
    raw.shutdown(Shutdown::Write).ok();
    std::io::copy(&mut (&raw), &mut std::io::sink()).ok();
    passed
}

fn one_request(client: &mut StreamOwned<ServerConnection, TcpStream>, behind: &str) -> Result<()> {
    let request = {
        let mut input = BufReader::new(&mut *client);
        let (head, length) = head(&mut input)?;
        let mut request = head.replacen("\r\n", "\r\nconnection: close\r\n", 1).into_bytes();
        let start = request.len();
        request.resize(start + length, 0);
        input.read_exact(&mut request[start..])?;
        request
    };
    let mut server = TcpStream::connect(behind)?;
    server.write_all(&request)?;
    let mut answer = Vec::new();
    server.read_to_end(&mut answer)?;
    client.write_all(&answer)?;
    client.flush()
}

/// Opens tunnels (CONNECT), and records their targets and credentials.
pub(crate) struct TunnelProxy {
    /// `127.0.0.1:port`
    pub(crate) address: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl TunnelProxy {
    /// Opens tunnels until the end of the test process.
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let proxy = Self { address, asked: Arc::clone(&asked) };
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let asked = Arc::clone(&asked);
                thread::spawn(move || tunnel(&stream, &asked).ok());
            }
        });
        proxy
    }

    /// The heads of all requests so far.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

fn tunnel(client: &TcpStream, asked: &Mutex<Vec<String>>) -> Result<()> {
    let (head, _) = head(&mut BufReader::new(client))?;
    let target = head.split(' ').nth(1).unwrap_or_default().to_owned();
    let is_tunnel = head.starts_with("CONNECT ");
    asked.lock().unwrap().push(head);
    if !is_tunnel {
        return (&mut &*client).write_all(b"HTTP/1.1 405 No\r\ncontent-length: 0\r\n\r\n");
    }
    let server = TcpStream::connect(target)?;
    (&mut &*client).write_all(b"HTTP/1.1 200 Open\r\n\r\n")?;
    let (mut from, mut to) = (client.try_clone()?, server.try_clone()?);
    thread::spawn(move || {
        std::io::copy(&mut from, &mut to).ok();
        to.shutdown(Shutdown::Write).ok();
    });
    std::io::copy(&mut (&server), &mut (&*client))?;
    client.shutdown(Shutdown::Both)
}

/// A request's head, its end included, and the length of what follows it.
fn head(input: &mut impl BufRead) -> Result<(String, usize)> {
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if input.read_line(&mut line)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
        head.push_str(&line);
        if line.trim().is_empty() {
            return Ok((head, length));
        }
    }
}
