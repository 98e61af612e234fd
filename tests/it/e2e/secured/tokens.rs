//! A token endpoint as an identity provider has one: client credentials in, a token out. The tokens are signed by nobody, which
//! is what Kafka takes for tests.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use cohortd::clock::wall_clock;

/// Answers until the test process ends.
pub(super) struct Endpoint {
    pub(super) url: String,
    given: Arc<AtomicUsize>,
}

impl Endpoint {
    /// Gives the client `cohortd` with the secret `right` tokens of a user that are good for so many seconds.
    pub(super) fn giving(user: &'static str, seconds: i64) -> Self {
        Self::start(move |is_known| match is_known {
            true => {
                ("200 OK", format!("{{\"access_token\": \"{}\", \"token_type\": \"Bearer\"}}", token(user, seconds)))
            }
            false => ("401 Unauthorized", "{\"error\": \"invalid_client\"}".to_owned()),
        })
    }

    pub(super) fn overloaded() -> Self {
        Self::start(|_| ("503 Service Unavailable", "{\"error\": \"later\"}".to_owned()))
    }

    /// `reply` gives status and body, by whether the client is known.
    fn start(reply: impl Fn(bool) -> (&'static str, String) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/token", listener.local_addr().unwrap());
        let given = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&given);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // Whoever hangs up halfway asks again.
                if answer(stream, &reply).is_ok_and(|is_given| is_given) {
                    count.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        Self { url, given }
    }

    pub(super) fn given(&self) -> usize {
        self.given.load(Ordering::Relaxed)
    }
}

fn answer(mut stream: TcpStream, reply: impl Fn(bool) -> (&'static str, String)) -> std::io::Result<bool> {
    let mut request = BufReader::new(stream.try_clone()?);
    let (mut line, mut length, mut is_known) = (String::new(), 0, false);
    let expected = format!("basic {}", BASE64_STANDARD.encode("cohortd:right"));
    while request.read_line(&mut line)? > 2 {
        if let Some((name, value)) = line.trim_end().split_once(": ") {
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.parse().unwrap_or(0),
                "authorization" => is_known = value.replacen("Basic", "basic", 1) == expected,
                _ => {}
            }
        }
        line.clear();
    }
    let mut form = vec![0; length];
    request.read_exact(&mut form)?;
    let is_known = is_known && String::from_utf8_lossy(&form).contains("grant_type=client_credentials");
    let (status, body) = reply(is_known);
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all((head + &body).as_bytes())?;
    Ok(is_known)
}

fn token(user: &str, seconds: i64) -> String {
    let now = wall_clock().0 / 1_000;
    let claims = format!("{{\"sub\": \"{user}\", \"iat\": {}, \"exp\": {}}}", now - 120, now + seconds);
    let [head, claims] = ["{\"alg\": \"none\"}", &claims].map(|part| BASE64_URL_SAFE_NO_PAD.encode(part));
    format!("{head}.{claims}.")
}
