//! A server that does what it is told, also what no server should do.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// The second word of the first line.
    pub(crate) target: String,
    /// The first word of the first line.
    pub(crate) method: String,
    /// Names in lower case, and values.
    pub(crate) headers: Vec<(String, String)>,
    /// What came along.
    #[allow(dead_code, reason = "only the tests of git look at it")]
    pub(crate) body: Vec<u8>,
    /// How many requests for this target came before.
    pub(crate) before: usize,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// The first byte that is wanted.
    pub(crate) fn offset(&self) -> usize {
        self.header("range").map_or(0, |range| {
            range.strip_prefix("bytes=").unwrap().strip_suffix('-').unwrap().parse().unwrap()
        })
    }
}

/// What the server does, step by step. After the last step it waits for the next request.
pub(crate) enum Step {
    Send(Vec<u8>),
    Wait(Duration),
    /// Ends the connection as if the machine had died.
    Reset,
    Close,
    /// Does nothing until the client has gone.
    Hang,
}

pub(crate) struct Server {
    port: u16,
    seen: Arc<Mutex<Vec<Seen>>>,
    n_connections: Arc<AtomicUsize>,
}

impl Server {
    pub(crate) fn start(answer: impl Fn(&Seen) -> Vec<Step> + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let n_connections = Arc::new(AtomicUsize::new(0));
        let server = Server { port, seen: Arc::clone(&seen), n_connections: Arc::clone(&n_connections) };
        let answer = Arc::new(answer);
        thread::spawn(move || {
            for stream in listener.incoming() {
                n_connections.fetch_add(1, Ordering::Relaxed);
                let (answer, seen) = (Arc::clone(&answer), Arc::clone(&seen));
                thread::spawn(move || serve(&stream.unwrap(), &*answer, &seen));
            }
        });
        server
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub(crate) fn n_connections(&self) -> usize {
        self.n_connections.load(Ordering::Relaxed)
    }
}

fn serve(stream: &TcpStream, answer: &dyn Fn(&Seen) -> Vec<Step>, all: &Mutex<Vec<Seen>>) {
    let mut input = BufReader::new(stream);
    loop {
        let Some(first) = line(&mut input) else { return };
        let mut headers = Vec::new();
        loop {
            let Some(line) = line(&mut input) else { return };
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(':').unwrap();
            headers.push((name.to_lowercase(), value.trim().to_owned()));
        }
        let length = headers.iter().find(|(name, _)| name == "content-length");
        let mut body = vec![0; length.map_or(0, |(_, value)| value.parse().unwrap())];
        if input.read_exact(&mut body).is_err() {
            return;
        }
        let mut words = first.split(' ').map(str::to_owned);
        let (method, target) = (words.next().unwrap(), words.next().unwrap());
        let seen = {
            let mut all = all.lock().unwrap();
            let before = all.iter().filter(|seen| seen.target == target).count();
            let seen = Seen { target, method, headers, body, before };
            all.push(seen.clone());
            seen
        };
        for step in answer(&seen) {
            match step {
                Step::Send(bytes) => {
                    if (&*stream).write_all(&bytes).is_err() {
                        return;
                    }
                }
                Step::Wait(duration) => thread::sleep(duration),
                Step::Reset => {
                    // What was sent shall arrive first.
                    thread::sleep(Duration::from_millis(30));
                    rustix::net::sockopt::set_socket_linger(stream, Some(Duration::ZERO)).unwrap();
                    return;
                }
                Step::Close => return,
                Step::Hang => {
                    let _ = line(&mut input);
                    return;
                }
            }
        }
    }
}

fn line(input: &mut BufReader<&TcpStream>) -> Option<String> {
    let mut line = String::new();
    let is_whole = input.read_line(&mut line).is_ok() && line.ends_with('\n');
    is_whole.then(|| line.trim_end().to_owned())
}

/// The head of an answer with these lines.
pub(crate) fn head(status: u16, lines: &[String]) -> Step {
    let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
    Step::Send(format!("HTTP/1.1 {status} Whatever\r\n{lines}\r\n").into_bytes())
}

/// An empty answer.
pub(crate) fn status(status: u16, lines: &[&str]) -> Vec<Step> {
    let mut lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
    lines.push("Content-Length: 9".to_owned());
    vec![head(status, &lines), Step::Send(b"no luck.\n".to_vec())]
}

/// What a good server answers.
pub(crate) fn good(seen: &Seen, body: &[u8]) -> Vec<Step> {
    let offset = seen.offset();
    if offset == 0 {
        return whole(body, &[]);
    }
    vec![part_head(body, offset), Step::Send(body[offset..].to_vec())]
}

pub(crate) fn whole(body: &[u8], lines: &[&str]) -> Vec<Step> {
    vec![whole_head(body, lines), Step::Send(body.to_vec())]
}

pub(crate) fn whole_head(body: &[u8], lines: &[&str]) -> Step {
    let mut lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
    lines.push(format!("Content-Length: {}", body.len()));
    head(200, &lines)
}

pub(crate) fn part_head(body: &[u8], offset: usize) -> Step {
    let (last, size) = (body.len() - 1, body.len());
    let lines = [
        format!("Content-Range: bytes {offset}-{last}/{size}"),
        format!("Content-Length: {}", size - offset),
    ];
    head(206, &lines)
}
