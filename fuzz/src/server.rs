//! A server on this machine that says what it was told to, whatever it is asked.

use std::io::{Write as _, copy, sink};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use local::fetch::{Fetcher, Options, Proxies};

/// How many addresses it has: a port cannot be used again for a minute with the same one.
const N_ADDRESSES: u8 = 16;

/// The server. It runs as long as the process does.
pub struct Server {
    addresses: Vec<SocketAddr>,
    answers: Arc<Mutex<Answers>>,
}

#[derive(Default)]
struct Answers {
    all: Vec<Vec<u8>>,
    n_given: usize,
}

impl Server {
    /// Starts it.
    ///
    /// # Panics
    ///
    /// If this machine has no loopback device.
    pub fn start() -> Server {
        let answers: Arc<Mutex<Answers>> = Arc::default();
        let listen = |number: u8| {
            let listener = TcpListener::bind((Ipv4Addr::new(127, 0, 0, number), 0)).expect("there is a port");
            let address = listener.local_addr().expect("it is bound");
            let answers = Arc::clone(&answers);
            thread::spawn(move || {
                for stream in listener.incoming().flatten() {
                    let answer = answers.lock().unwrap_or_else(PoisonError::into_inner).next();
                    thread::spawn(move || talk(stream, &answer));
                }
            });
            address
        };
        Server { addresses: (1..=N_ADDRESSES).map(listen).collect(), answers }
    }

    /// Returns where it is: all of these.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Returns fetchers that keep what is unfinished in `parts` and take it for their proxy: one for each address. Wherever
    /// an answer leads them, they ask here.
    ///
    /// # Panics
    ///
    /// If there is no room.
    pub fn fetchers(&self, parts: &Path) -> Vec<Fetcher> {
        let fetcher = |address: &SocketAddr| {
            let proxy = Some(format!("http://{address}"));
            let options = Options {
                proxies: Proxies { http: proxy.clone(), https: proxy, none: String::new() },
                n_attempts: NonZeroUsize::MIN,
                backoff: Duration::ZERO,
                patience: Duration::from_secs(5),
                ..Options::new(parts.to_owned())
            };
            Fetcher::new(options, Arc::default()).expect("there is room")
        };
        self.addresses.iter().map(fetcher).collect()
    }

    /// Has each further connection get the next of these answers, and all behind them the last.
    pub fn say(&self, answers: Vec<Vec<u8>>) {
        *self.answers.lock().unwrap_or_else(PoisonError::into_inner) = Answers { all: answers, n_given: 0 };
    }
}

/// Parts answers at two bytes of 255.
pub fn parted(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut answers = vec![Vec::new()];
    for byte in bytes {
        let last = answers.last_mut().expect("there is one");
        last.push(*byte);
        if last.ends_with(b"\xff\xff") {
            last.truncate(last.len() - 2);
            answers.push(Vec::new());
        }
    }
    answers
}

impl Answers {
    fn next(&mut self) -> Vec<u8> {
        let answer = self.all.get(self.n_given).or(self.all.last()).cloned();
        self.n_given += 1;
        answer.unwrap_or_default()
    }
}

/// Says `answer`, and listens until the other side has enough: it should hear it all.
fn talk(mut stream: TcpStream, answer: &[u8]) {
    if stream.write_all(answer).and_then(|()| stream.shutdown(Shutdown::Write)).is_ok() {
        let _over = copy(&mut stream, &mut sink());
    }
}
