//! Clients that are slow, or mean harm.

use super::*;

/// Slow and hostile clients, as many as this process may have sockets for.
const HOSTILE: usize = 10_000;
/// Sockets and files that everything else in the process needs.
const FILES_BESIDES: usize = 1_500;

/// What a hostile client sends before it says no more, or goes on a byte at a time.
const SLOW: [&[u8]; 6] = [
    b"",
    b"GET /health/live HTTP/1.1\r\nHost: x\r\nX-Slow: ",
    b"\x16\x03\x01\x02\x00\x01\x00",
    // It asks for much and reads nothing of it.
    b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\nGET /metrics HTTP/1.1\r\nHost: x\r\n\r\n",
    b"POST /rules HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nx",
    b"GET /health/ready HTTP/1.1\r\nHost: x\r\n\r\n",
];

#[test]
fn slow_and_hostile_connections_fail_no_probe() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).unwrap();
    let files = maximum.map_or(usize::MAX, |files| usize::try_from(files).unwrap());
    let clients = HOSTILE.min(files.saturating_sub(FILES_BESIDES));
    let fixture = fixture();
    fixture.health.lane(0).partitions(2, []);
    // Megabytes, which stay in the buffers of a client that does not read them.
    let cohorts: Vec<String> = (0..10_000).map(|number| format!("cohort_number_{number}")).collect();
    drop(fixture.shown.cohorts(cohorts.iter().map(String::as_str)));
    let text = fixture.shown.encode().unwrap();
    assert!(text.len() > 1 << 20, "{}", text.len());
    let (over, opened, busy) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
    let attackers = 2;
    std::thread::scope(|scope| {
        for attacker in 0..attackers {
            let (over, opened, busy, address) = (&over, &opened, &busy, fixture.metrics);
            scope.spawn(move || {
                let mut held: Vec<TcpStream> = Vec::new();
                for number in (attacker..).step_by(attackers) {
                    if over.load(Ordering::Acquire) {
                        break;
                    }
                    // Once all are there, the oldest goes and another one comes.
                    if held.len() >= clients / attackers {
                        busy.fetch_add(1, Ordering::AcqRel);
                        let place = number / attackers % held.len();
                        drop(held.swap_remove(place));
                    }
                    let Ok(stream) = TcpStream::connect(address) else { continue };
                    stream.set_nonblocking(true).unwrap();
                    (&stream).write_all(SLOW[number / attackers % SLOW.len()]).ok();
                    // One that was closed meanwhile does not take it.
                    if let Some(other) = held.get(number % held.len().max(1)) {
                        (&*other).write_all(b"x").ok();
                    }
                    held.push(stream);
                    // A client that takes a tenth of a second to send its probe is still in time.
                    std::thread::sleep(Duration::from_micros(300));
                    opened.fetch_add(1, Ordering::AcqRel);
                }
            });
        }
        let probes = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let mut probes = 0;
            // While they come, once all are there, and while they come and go.
            while opened.load(Ordering::Acquire) < clients || busy.load(Ordering::Acquire) < clients / 4 {
                for path in ["/health/live", "/health/ready"] {
                    assert_eq!(ask(fixture.metrics, "GET", path), (200, "{\"status\":\"ok\"}\n".to_owned()));
                    probes += 1;
                }
            }
            probes
        }));
        over.store(true, Ordering::Release);
        let probes = probes.unwrap();
        println!(
            "{probes} probes answered among {clients} hostile clients, {} connections",
            opened.load(Ordering::Acquire)
        );
        assert!(probes > 10);
    });
}
