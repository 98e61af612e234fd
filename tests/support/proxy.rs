//! What stands between a client and a broker: it can cut, delay, hold back, and lose what one kind of request says or is
//! answered.
//!
//! It knows of Kafka's protocol only the frames: four bytes of length, then, in a request, the kind of request and the
//! number that its answer bears.

use std::collections::BTreeSet;
use std::io::{ErrorKind, Read, Result, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// How often a held-back connection looks whether it may go on.
const LOOKS_EVERY: Duration = Duration::from_millis(10);

/// Longer frames than any broker takes by default are no frames.
const FRAME_MAX: usize = 200 * 1024 * 1024;

pub(crate) struct Proxy {
    port: u16,
    state: Arc<State>,
}

struct State {
    /// The broker's own port.
    upstream: u16,
    delay_ms: AtomicU64,
    holds: AtomicBool,
    refuses: AtomicBool,
    loss: Mutex<Option<Loss>>,
    /// Both ends of every open connection.
    open: Mutex<Vec<(u64, TcpStream, TcpStream)>>,
}

/// What is lost of one kind of request, the connection with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lost {
    /// The broker carries out the request, and its answer is lost.
    Answer,
    /// The request is lost.
    Request,
    /// The client gets no answer; the broker gets the request this much later, when the client has long retried.
    Late(Duration),
}

struct Loss {
    /// Kafka's number of the kind of request.
    api: i16,
    lost: Lost,
    /// Times that it still happens.
    times: u32,
    happened: u32,
}

impl Proxy {
    /// Takes connections on a free port until the end of the test process; each goes on to a port of this machine.
    pub(crate) fn start(upstream: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("its address").port();
        let state = Arc::new(State {
            upstream,
            delay_ms: AtomicU64::new(0),
            holds: AtomicBool::new(false),
            refuses: AtomicBool::new(false),
            loss: Mutex::default(),
            open: Mutex::default(),
        });
        let accepting = Arc::clone(&state);
        thread::spawn(move || {
            for (number, client) in (0..).zip(listener.incoming().flatten()) {
                if !accepting.refuses.load(Ordering::Relaxed) {
                    let state = Arc::clone(&accepting);
                    // Whoever hangs up in the middle does so on purpose here.
                    thread::spawn(move || serve(number, client, &state).ok());
                }
            }
        });
        Self { port, state }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Ends every connection at once.
    pub(crate) fn cut(&self) {
        for (_, client, broker) in self.state.open().drain(..) {
            client.shutdown(Shutdown::Both).ok();
            broker.shutdown(Shutdown::Both).ok();
        }
    }

    /// New connections are closed at once, until `accept`.
    pub(crate) fn refuse(&self) {
        self.state.refuses.store(true, Ordering::Relaxed);
        self.cut();
    }

    pub(crate) fn accept(&self) {
        self.state.refuses.store(false, Ordering::Relaxed);
    }

    /// Each request and each answer takes this much longer; zero ends it.
    pub(crate) fn delay(&self, by: Duration) {
        self.state.delay_ms.store(u64::try_from(by.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Connections stay open and nothing passes, until `release`.
    pub(crate) fn hold(&self) {
        self.state.holds.store(true, Ordering::Relaxed);
    }

    pub(crate) fn release(&self) {
        self.state.holds.store(false, Ordering::Relaxed);
    }

    /// The next requests of this kind are lost, at most so many.
    pub(crate) fn lose(&self, api: i16, lost: Lost, times: u32) {
        *self.state.loss() = Some(Loss { api, lost, times, happened: 0 });
    }

    /// Loses nothing more; how often it happened.
    pub(crate) fn found(&self) -> u32 {
        self.state.loss().take().map_or(0, |loss| loss.happened)
    }

    /// How often it has happened by now.
    pub(crate) fn losses(&self) -> u32 {
        self.state.loss().as_ref().map_or(0, |loss| loss.happened)
    }
}

impl State {
    fn open(&self) -> MutexGuard<'_, Vec<(u64, TcpStream, TcpStream)>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn loss(&self) -> MutexGuard<'_, Option<Loss>> {
        self.loss.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Is a request of this kind to be lost now, and how?
    fn loses(&self, api: i16) -> Option<Lost> {
        let mut loss = self.loss();
        let loss = loss.as_mut().filter(|loss| loss.api == api && loss.times > 0)?;
        loss.times -= 1;
        loss.happened += 1;
        Some(loss.lost)
    }

    /// Waits as long as everything has to.
    fn pass(&self) {
        let delay = self.delay_ms.load(Ordering::Relaxed);
        if delay > 0 {
            thread::sleep(Duration::from_millis(delay));
        }
        while self.holds.load(Ordering::Relaxed) {
            thread::sleep(LOOKS_EVERY);
        }
    }
}

/// Serves one connection until either side ends it.
fn serve(number: u64, client: TcpStream, state: &Arc<State>) -> Result<()> {
    let broker = TcpStream::connect(("127.0.0.1", state.upstream))?;
    client.set_nodelay(true)?;
    broker.set_nodelay(true)?;
    state.open().push((number, client.try_clone()?, broker.try_clone()?));
    let lost: Arc<Mutex<BTreeSet<i32>>> = Arc::default();
    let (answers_from, answers_to) = (broker.try_clone()?, client.try_clone()?);
    let (answering, unheard) = (Arc::clone(state), Arc::clone(&lost));
    let down = thread::spawn(move || answers(answers_from, answers_to, &answering, &unheard).ok());
    requests(client, broker, state, &lost).ok();
    down.join().ok();
    state.open().retain(|(other, ..)| *other != number);
    Ok(())
}

/// Passes requests on.
fn requests(mut client: TcpStream, mut broker: TcpStream, state: &State, unheard: &Mutex<BTreeSet<i32>>) -> Result<()> {
    while let Some(frame) = frame(&mut client)? {
        state.pass();
        let [_, _, _, _, a, b, _, _, rest @ ..] = frame.as_slice() else { break };
        let Some(number) = rest.first_chunk() else { break };
        match state.loses(i16::from_be_bytes([*a, *b])) {
            None => broker.write_all(&frame)?,
            Some(Lost::Answer) => {
                unheard.lock().unwrap_or_else(PoisonError::into_inner).insert(i32::from_be_bytes(*number));
                broker.write_all(&frame)?;
            }
            Some(Lost::Request) => break,
            Some(Lost::Late(by)) => {
                // The answers' side ends with the client; the broker's stays open until it has received everything.
                client.shutdown(Shutdown::Both)?;
                thread::sleep(by);
                broker.write_all(&frame)?;
                thread::sleep(by);
                break;
            }
        }
    }
    client.shutdown(Shutdown::Both).ok();
    broker.shutdown(Shutdown::Both)
}

/// Passes answers on.
fn answers(mut broker: TcpStream, mut client: TcpStream, state: &State, unheard: &Mutex<BTreeSet<i32>>) -> Result<()> {
    while let Some(frame) = frame(&mut broker)? {
        state.pass();
        let Some(number) = frame.get(4..).and_then(|rest| rest.first_chunk()) else { break };
        if unheard.lock().unwrap_or_else(PoisonError::into_inner).remove(&i32::from_be_bytes(*number)) {
            break;
        }
        if client.write_all(&frame).is_err() {
            // The client hung up; what it asked for is on its way to the broker all the same.
            return Ok(());
        }
    }
    client.shutdown(Shutdown::Both).ok();
    broker.shutdown(Shutdown::Both)
}

/// One frame with its length; `None` at the end.
fn frame(stream: &mut TcpStream) -> Result<Option<Vec<u8>>> {
    let mut head = [0; 4];
    match stream.read_exact(&mut head) {
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
        read => read?,
    }
    let length = usize::try_from(u32::from_be_bytes(head)).unwrap_or(FRAME_MAX);
    if length >= FRAME_MAX {
        return Ok(None);
    }
    let mut frame = vec![0; 4 + length];
    frame[..4].copy_from_slice(&head);
    stream.read_exact(&mut frame[4..])?;
    Ok(Some(frame))
}
