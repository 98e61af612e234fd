//! `health`: checks the daemon on this machine, for supervisors that run commands and images without other programs.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

use super::arguments::{self, Probe};
use super::output::{self, Stopped};
use crate::app::Failure;
use crate::settings::Loaded;

/// Timeout of connecting, sending and reading, each. Below the time that supervisors usually allow.
const TIME_MAX: Duration = Duration::from_secs(3);
/// Bytes of an answer that are read; a list of all waits is far shorter.
const ANSWER_MAX: u64 = 64 << 10;

/// Prints the answer.
///
/// # Errors
/// Anything but 200, no answer included.
pub(super) fn run(loaded: &Loaded, asked: &arguments::Health) -> Result<(), Stopped> {
    let listens = loaded.settings.metrics.listen;
    if listens.port() == 0 {
        let problem = "port 0 is a free one, and only the daemon's log says which; name a port";
        return Err(Failure::Configuration(loaded.refusal("metrics.listen", problem).to_string()).into());
    }
    let (address, path) = (reachable(listens), path(asked.probe));
    let answer = ask(address, path)
        .map_err(|error| Failure::Running(format!("http://{address}{path}: no answer ({error}); is the daemon up?")))?;
    let (is_ok, body) = verdict(&answer)
        .ok_or_else(|| Failure::Running(format!("http://{address}{path}: the answer is not from cohortd")))?;
    if !is_ok {
        return Err(Failure::Running(body.trim_end().to_owned()).into());
    }
    let mut out = output::results();
    out.write_all(body.as_bytes())?;
    out.flush()?;
    Ok(())
}

fn path(probe: Probe) -> &'static str {
    match probe {
        Probe::Live => "/health/live",
        Probe::Ready => "/health/ready",
    }
}

/// A wildcard address is reached on the loopback.
fn reachable(listens: SocketAddr) -> SocketAddr {
    let ip = match listens.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, listens.port())
}

/// Without an HTTP client, which would follow proxies and redirects.
fn ask(address: SocketAddr, path: &str) -> io::Result<String> {
    let mut connection = TcpStream::connect_timeout(&address, TIME_MAX)?;
    connection.set_read_timeout(Some(TIME_MAX))?;
    connection.set_write_timeout(Some(TIME_MAX))?;
    write!(connection, "GET {path} HTTP/1.0\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    connection.take(ANSWER_MAX).read_to_string(&mut answer)?;
    Ok(answer)
}

/// Whether the status is 200, and the body. `None`: this is not an HTTP answer.
fn verdict(answer: &str) -> Option<(bool, &str)> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let mut words = head.split_ascii_whitespace();
    words.next().filter(|version| version.starts_with("HTTP/"))?;
    Some((words.next()? == "200", body))
}

#[cfg(test)]
mod tests {
    use super::{reachable, verdict};

    #[test]
    fn a_daemon_that_listens_everywhere_is_asked_on_the_loopback() {
        let shown = |listens: &str| reachable(listens.parse().unwrap()).to_string();
        assert_eq!(shown("0.0.0.0:9464"), "127.0.0.1:9464");
        assert_eq!(shown("[::]:9464"), "[::1]:9464");
        assert_eq!(shown("10.1.2.3:9464"), "10.1.2.3:9464");
    }

    #[test]
    fn only_200_is_good_health() {
        assert_eq!(verdict("HTTP/1.0 200 OK\r\na: b\r\n\r\n{}\n"), Some((true, "{}\n")));
        assert_eq!(verdict("HTTP/1.1 503 Service Unavailable\r\n\r\nno"), Some((false, "no")));
        assert_eq!(verdict("SSH-2.0-OpenSSH\r\n\r\n"), None);
        assert_eq!(verdict(""), None);
    }
}
