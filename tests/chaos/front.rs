//! A proxy before the schema registry: it forwards requests, or answers like a failing registry.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crate::registry::Registry;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mood {
    Well,
    /// Connections end without a word.
    Away,
    /// Answers with this status.
    Says(u16),
    /// Answers rightly, after seconds.
    Slow,
    /// Takes the connection and never answers.
    Hangs,
}

const SLOW: Duration = Duration::from_millis(2_500);
const HANGS: Duration = Duration::from_secs(60);

pub(super) struct Front {
    pub(super) address: String,
    mood: Arc<Mutex<Mood>>,
}

impl Front {
    /// Answers until the end of the test process.
    pub(super) fn of(registry: &Registry) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let behind = registry.address.trim_start_matches("http://").to_owned();
        let mood = Arc::new(Mutex::new(Mood::Well));
        let now = Arc::clone(&mood);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let mood = *now.lock().unwrap_or_else(PoisonError::into_inner);
                let behind = behind.clone();
                // A client that hangs up in the middle is its own business.
                thread::spawn(move || serve(client, &behind, mood).ok());
            }
        });
        Self { address, mood }
    }

    pub(super) fn set(&self, mood: Mood) {
        *self.mood.lock().unwrap_or_else(PoisonError::into_inner) = mood;
    }
}

fn serve(mut client: TcpStream, behind: &str, mood: Mood) -> std::io::Result<()> {
    match mood {
        Mood::Away => return client.shutdown(Shutdown::Both),
        Mood::Hangs => {
            thread::sleep(HANGS);
            return Ok(());
        }
        Mood::Slow => thread::sleep(SLOW),
        Mood::Well | Mood::Says(_) => {}
    }
    let request = request(&mut client)?;
    if let Mood::Says(status) = mood {
        let text = format!("{{\"error_code\": {status}, \"message\": \"chaos\"}}");
        return write!(
            client,
            "HTTP/1.1 {status} Trouble\r\ncontent-type: application/vnd.schemaregistry.v1+json\r\n\
             content-length: {}\r\nconnection: close\r\n\r\n{text}",
            text.len()
        );
    }
    let mut registry = TcpStream::connect(behind)?;
    registry.write_all(&request)?;
    std::io::copy(&mut registry, &mut client)?;
    client.shutdown(Shutdown::Both)
}

/// Head and body as they came.
fn request(client: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut input = BufReader::new(client.try_clone()?);
    let (mut request, mut length) = (Vec::new(), 0);
    loop {
        let mut line = String::new();
        input.read_line(&mut line)?;
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
        request.extend_from_slice(line.as_bytes());
        if line.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    input.read_exact(&mut body)?;
    request.extend(body);
    Ok(request)
}
