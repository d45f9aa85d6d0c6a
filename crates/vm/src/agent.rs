//! QEMU's guest agent: files into a running guest, and commands that it runs.
//!
//! The agent (`qemu-ga`) answers lines of JSON on a port of the guest, as the "QEMU Guest Agent Protocol Reference" says.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};

/// How many bytes of a file are sent at once, at most and at least: a guest says nothing before it took all of them.
const LONGEST_PIECE: usize = 48 * 1024;
const SHORTEST_PIECE: usize = 4 * 1024;
/// How many bytes are given to the system at once.
const LONGEST_WRITE: usize = 4 * 1024;
/// How long nothing may come of an answer, or go of a question, once the agent is known to be there.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a question and its answer may take, however much of them comes and goes.
const EXCHANGE: Duration = Duration::from_secs(300);
/// How often is looked whether it is still wanted.
const TICK: Duration = Duration::from_millis(100);
/// How long a command in the guest may take.
const COMMAND: Duration = Duration::from_secs(60);
/// How long it is not asked for at most whether it ended.
const LONGEST_PAUSE: Duration = Duration::from_millis(64);
/// Longer than this no answer is that we ask for.
const LONGEST: usize = 16 << 20;

/// Why an agent did not do it.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// It does not run yet or any more, or there is none in the guest.
    #[error("the guest's agent does not answer")]
    Silent,
    /// Nobody wants it any more.
    #[error("interrupted")]
    Cancelled,
    /// It refused.
    #[error("the guest's agent could not {doing}: {reason}")]
    Refused {
        /// What it was asked to do.
        doing: String,
        /// What it said.
        reason: String,
    },
    /// It said something else than it should.
    #[error("the guest's agent answered something odd when it was to {doing}")]
    Odd {
        /// What it was asked to do.
        doing: String,
    },
    /// The machine has ended.
    #[error("the machine was not there any more to {doing}")]
    Gone {
        /// What its agent was asked to do.
        doing: String,
        /// What the system said.
        source: io::Error,
    },
}

/// A guest's agent. It is known to answer after [`Agent::sync`].
#[derive(Debug)]
pub struct Agent {
    stream: UnixStream,
    /// Becomes true when nobody wants anything of it any more.
    cancel: Arc<AtomicBool>,
    /// What came and is no whole line.
    heard: Vec<u8>,
    n_asked: u64,
    /// How long it may be silent.
    patience: Duration,
    /// How many bytes of a file it gets at once.
    piece: usize,
}

/// How long the other side is waited for.
struct Wait {
    /// How long nothing may come or go.
    silence: Duration,
    /// When that was last.
    last: Instant,
    /// When it must be over.
    deadline: Instant,
}

impl Wait {
    fn new(silence: Duration, most: Duration) -> Wait {
        Wait { silence, last: now(), deadline: deadline(most) }
    }

    /// Returns how long the next bytes are waited for before this is asked again.
    fn left(&self, cancel: &AtomicBool) -> Result<Duration, AgentError> {
        if cancel.load(Ordering::Relaxed) {
            return Err(AgentError::Cancelled);
        }
        let end = self.deadline.min(self.last + self.silence);
        left(end).map(|left| left.min(TICK)).ok_or(AgentError::Silent)
    }
}

/// A command in the guest that ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Its exit code; that of a shell for one that a signal ended.
    pub code: i64,
    /// What it printed, on both streams.
    pub printed: String,
}

#[derive(Deserialize)]
struct Message {
    #[serde(rename = "return")]
    answer: Option<Value>,
    error: Option<Refusal>,
}

#[derive(Deserialize)]
struct Refusal {
    #[serde(default)]
    desc: String,
}

impl Agent {
    /// Returns the agent at the other end of `stream`, whether it runs yet or not. Whatever it is asked for ends soon after
    /// `cancel` is set, with [`AgentError::Cancelled`].
    pub fn new(stream: UnixStream, cancel: Arc<AtomicBool>) -> Agent {
        let (patience, piece) = (PATIENCE, SHORTEST_PIECE);
        Agent { stream, cancel, heard: Vec::new(), n_asked: 0, patience, piece }
    }

    /// Waits until the agent answers, at most so long. Whatever was said before is forgotten.
    pub fn sync(&mut self, patience: Duration) -> Result<(), AgentError> {
        const DOING: &str = "say that it is there";
        self.n_asked += 1;
        let id = self.n_asked;
        let question = json!({ "execute": "guest-sync-delimited", "arguments": { "id": id } });
        // The byte, which is in no text, ends what somebody may have begun to say.
        let bytes = [&[0xff][..], format!("{question}\n").as_bytes()].concat();
        let mut wait = Wait::new(patience, patience);
        self.write(DOING, &bytes, &mut wait)?;
        loop {
            let line = self.line(DOING, &mut wait)?;
            let start = line.iter().rposition(|byte| *byte == 0xff).map_or(0, |at| at + 1);
            let answer = serde_json::from_slice::<Message>(&line[start..]).ok().and_then(|said| said.answer);
            if answer == Some(json!(id)) {
                return Ok(());
            }
        }
    }

    /// Makes a file of the guest have these bytes, this mode and this owner. What had it open keeps the one before; others
    /// see either.
    pub fn push(
        &mut self,
        path: &str,
        bytes: &[u8],
        mode: u32,
        (uid, gid): (u32, u32),
    ) -> Result<(), AgentError> {
        let doing = format!("write `{path}`");
        // A program that runs cannot be written to, and a directory of it need not be there.
        let new = format!("{path}.bootwright-new");
        let made = self.shell("mkdir -p \"$(dirname \"$1\")\"", &[path])?;
        succeeded(&doing, made)?;
        let handle = self.ask(&doing, "guest-file-open", json!({ "path": new, "mode": "w" }))?;
        let mut rest = bytes;
        while !rest.is_empty() {
            let (piece, others) = rest.split_at(rest.len().min(self.piece));
            let arguments = json!({ "handle": handle, "buf-b64": STANDARD.encode(piece) });
            let start = now();
            let written = self.ask(&doing, "guest-file-write", arguments)?;
            if written.get("count").and_then(Value::as_u64) != Some(piece.len() as u64) {
                return Err(AgentError::Odd { doing });
            }
            // Twice as much takes less than a quarter of what it may, unless the guest becomes slower.
            let is_quick = start.elapsed() < self.patience / 8;
            self.piece = if is_quick { self.piece * 2 } else { self.piece / 2 };
            self.piece = self.piece.clamp(SHORTEST_PIECE, LONGEST_PIECE);
            rest = others;
        }
        self.ask(&doing, "guest-file-close", json!({ "handle": handle }))?;
        let script = "chown \"$3\" \"$1\" && chmod \"$4\" \"$1\" && mv -f \"$1\" \"$2\"";
        let moved = self.shell(script, &[&new, path, &format!("{uid}:{gid}"), &format!("{mode:o}")])?;
        succeeded(&doing, moved)
    }

    /// Has a shell of the guest run `script`, and waits for its end.
    pub fn shell(&mut self, script: &str, arguments: &[&str]) -> Result<Ended, AgentError> {
        let doing = format!("run `{script}`");
        let arguments: Vec<&str> = ["-c", script, "sh"].iter().chain(arguments).copied().collect();
        let question = json!({ "path": "/bin/sh", "arg": arguments, "capture-output": true });
        let started = self.ask(&doing, "guest-exec", question)?;
        let Some(pid) = started.get("pid").and_then(Value::as_i64) else {
            return Err(AgentError::Odd { doing });
        };
        let deadline = deadline(COMMAND);
        // Most commands take a moment only.
        let mut pause = Duration::from_millis(1);
        loop {
            let status = self.ask(&doing, "guest-exec-status", json!({ "pid": pid }))?;
            if status.get("exited").and_then(Value::as_bool) == Some(true) {
                let number = |key: &str| status.get(key).and_then(Value::as_i64);
                let code = number("exitcode").or(number("signal").map(|signal| signal.saturating_add(128)));
                let code = code.unwrap_or(-1);
                let text = |key: &str| {
                    let bytes =
                        status.get(key).and_then(Value::as_str).and_then(|text| STANDARD.decode(text).ok());
                    String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned()
                };
                return Ok(Ended { code, printed: text("out-data") + &text("err-data") });
            }
            if is_over(deadline) {
                let reason = format!("it did not end within {} s", COMMAND.as_secs());
                return Err(AgentError::Refused { doing, reason });
            }
            std::thread::sleep(pause);
            pause = LONGEST_PAUSE.min(pause * 2);
        }
    }

    fn ask(&mut self, doing: &str, command: &str, arguments: Value) -> Result<Value, AgentError> {
        let question = json!({ "execute": command, "arguments": arguments });
        let mut wait = Wait::new(self.patience, EXCHANGE);
        self.write(doing, format!("{question}\n").as_bytes(), &mut wait)?;
        let line = self.line(doing, &mut wait)?;
        match serde_json::from_slice(&line) {
            Ok(Message { answer: Some(answer), .. }) => Ok(answer),
            Ok(Message { error: Some(refusal), .. }) => {
                Err(AgentError::Refused { doing: doing.to_owned(), reason: refusal.desc })
            }
            _ => Err(AgentError::Odd { doing: doing.to_owned() }),
        }
    }

    fn write(&mut self, doing: &str, bytes: &[u8], wait: &mut Wait) -> Result<(), AgentError> {
        let mut rest = bytes;
        while !rest.is_empty() {
            // A guest that does not run the agent takes nothing; then QEMU's side is full at some time.
            let left = wait.left(&self.cancel)?;
            // The system waits so long for each buffer that it fills, and a long write fills several.
            let piece = &rest[..rest.len().min(LONGEST_WRITE)];
            let written = self.stream.set_write_timeout(Some(left)).and_then(|()| self.stream.write(piece));
            match written {
                Ok(0) => return Err(failed(doing, io::Error::from(io::ErrorKind::WriteZero))),
                Ok(n_bytes) => {
                    rest = &rest[n_bytes..];
                    wait.last = now();
                }
                Err(error) if is_to_wait(&error) => {}
                Err(error) => return Err(failed(doing, error)),
            }
        }
        Ok(())
    }

    /// Returns the next line that is not empty.
    fn line(&mut self, doing: &str, wait: &mut Wait) -> Result<Vec<u8>, AgentError> {
        let mut searched = 0;
        loop {
            if let Some(end) = self.heard[searched..].iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.heard.drain(..=searched + end).collect();
                if line.len() > 1 {
                    return Ok(line);
                }
                searched = 0;
                continue;
            }
            searched = self.heard.len();
            let left = wait.left(&self.cancel)?;
            let mut buffer = [0; 4096];
            let read = self.stream.set_read_timeout(Some(left)).and_then(|()| self.stream.read(&mut buffer));
            match read {
                Ok(0) => return Err(failed(doing, io::Error::from(io::ErrorKind::UnexpectedEof))),
                Ok(n_bytes) => {
                    self.heard.extend_from_slice(&buffer[..n_bytes]);
                    wait.last = now();
                }
                Err(error) if is_to_wait(&error) => {}
                Err(error) => return Err(failed(doing, error)),
            }
            if self.heard.len() > LONGEST {
                return Err(AgentError::Odd { doing: doing.to_owned() });
            }
        }
    }
}

fn failed(doing: &str, source: io::Error) -> AgentError {
    AgentError::Gone { doing: doing.to_owned(), source }
}

/// Returns whether nothing came or went for a while, which says nothing of what will.
fn is_to_wait(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted)
}

fn succeeded(doing: &str, ended: Ended) -> Result<(), AgentError> {
    match ended.code {
        0 => Ok(()),
        _ => Err(AgentError::Refused { doing: doing.to_owned(), reason: ended.printed.trim().to_owned() }),
    }
}

#[allow(clippy::disallowed_methods, reason = "it measures how long a guest takes")]
fn now() -> Instant {
    Instant::now()
}

#[allow(clippy::disallowed_methods, reason = "it waits")]
fn deadline(patience: Duration) -> Instant {
    Instant::now() + patience
}

#[allow(clippy::disallowed_methods, reason = "it waits")]
fn left(deadline: Instant) -> Option<Duration> {
    deadline.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
}

fn is_over(deadline: Instant) -> bool {
    left(deadline).is_none()
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader};
    use std::thread;

    use super::*;

    /// Answers each question with the next of these lines, and returns what was asked.
    fn guest(answers: &'static [&'static str]) -> (Agent, thread::JoinHandle<Vec<String>>) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let guest = thread::spawn(move || {
            let mut questions = BufReader::new(theirs.try_clone().unwrap()).split(b'\n').map(Result::unwrap);
            let mut theirs = theirs;
            let mut asked = Vec::new();
            for answer in answers {
                let Some(question) = questions.next() else { break };
                asked.push(String::from_utf8_lossy(&question).into_owned());
                let answer = answer.chars().map(|c| c as u8).collect::<Vec<_>>();
                theirs.write_all(&answer).unwrap();
            }
            asked
        });
        (Agent::new(ours, Arc::default()), guest)
    }

    #[test]
    fn what_was_said_before_is_not_taken_for_an_answer() {
        let answers = &["{\"return\":{}}\n{\"ret\u{ff}{\"return\":7}\n\u{ff}{\"return\":1}\n"];
        let (mut agent, guest) = guest(answers);
        agent.sync(Duration::from_secs(60)).unwrap();
        drop(agent);
        let asked = guest.join().unwrap();
        assert!(asked[0].ends_with("\"execute\":\"guest-sync-delimited\"}"), "{asked:?}");
    }

    #[test]
    fn a_refusal_says_what_was_refused() {
        let refused = "{\"error\":{\"class\":\"GenericError\",\"desc\":\"guest-exec is disabled\"}}\n";
        let (mut agent, guest) = guest(Box::leak(Box::new([refused])));
        let error = agent.push("/usr/bin/tool", b"x", 0o755, (0, 0)).unwrap_err();
        assert!(error.to_string().ends_with("guest-exec is disabled"), "{error}");
        drop(agent);
        guest.join().unwrap();
    }

    #[test]
    fn the_end_of_a_command_is_what_the_guest_says() {
        for (said, code) in [
            ("\"exitcode\":3", 3),
            ("\"signal\":9", 137),
            ("\"signal\":9223372036854775807", i64::MAX),
            ("\"exitcode\":\"x\"", -1),
        ] {
            let status = format!("{{\"return\":{{\"exited\":true,{said}}}}}\n");
            let answers =
                Box::leak(Box::new(["{\"return\":{\"pid\":1}}\n", Box::leak(status.into_boxed_str())]));
            let (mut agent, guest) = guest(answers);
            assert_eq!(agent.shell("true", &[]).unwrap().code, code, "{said}");
            drop(agent);
            guest.join().unwrap();
        }
    }

    #[test]
    fn odd_answers_are_no_answers() {
        for odd in ["{}\n", "[]\n", "{\"return\":{}}\n", "\u{0}\n"] {
            let (mut agent, guest) = guest(Box::leak(Box::new([odd])));
            assert!(matches!(agent.shell("true", &[]), Err(AgentError::Odd { .. })), "{odd}");
            drop(agent);
            guest.join().unwrap();
        }
        let (mut agent, guest) = guest(&[]);
        guest.join().unwrap();
        assert!(matches!(agent.shell("true", &[]), Err(AgentError::Gone { .. })));
    }

    #[test]
    fn nobody_waits_for_ever() {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        assert!(matches!(
            Agent::new(ours, Arc::default()).sync(Duration::from_millis(1)),
            Err(AgentError::Silent)
        ));
    }

    #[test]
    fn who_gives_up_does_not_wait() {
        let status = "{\"return\":{\"exited\":false}}\n";
        for answers in [&[][..], &["{\"return\":{\"pid\":1}}\n", status, status, status, status, status]] {
            let (ours, theirs) = UnixStream::pair().unwrap();
            let cancel = Arc::new(AtomicBool::new(false));
            let mut agent = Agent::new(ours, Arc::clone(&cancel));
            let asking = thread::spawn(move || agent.shell("sleep 1000", &[]));
            let mut questions = BufReader::new(&theirs).split(b'\n');
            for answer in answers {
                questions.next().unwrap().unwrap();
                (&theirs).write_all(answer.as_bytes()).unwrap();
            }
            cancel.store(true, Ordering::Relaxed);
            assert!(matches!(asking.join().unwrap(), Err(AgentError::Cancelled)));
        }
    }

    #[test]
    fn a_guest_that_listens_slowly_is_not_waited_for() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let guest = thread::spawn(move || {
            while theirs.read(&mut [0; 4096]).is_ok_and(|n_bytes| n_bytes > 0) {
                thread::sleep(Duration::from_millis(1));
            }
        });
        let mut agent = Agent::new(ours, Arc::default());
        let mut wait = Wait::new(PATIENCE, Duration::from_millis(200));
        let written = agent.write("listen", &vec![0; 64 << 20], &mut wait);
        assert!(matches!(written, Err(AgentError::Silent)), "{written:?}");
        drop(agent);
        guest.join().unwrap();
    }

    /// A guest that says each of these bytes after such a pause.
    fn dripping(said: &'static str, pause: Duration) -> (Agent, thread::JoinHandle<()>) {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let guest = thread::spawn(move || {
            for byte in said.bytes() {
                thread::sleep(pause);
                // Nobody listens any more.
                if theirs.write_all(&[byte]).is_err() {
                    return;
                }
            }
        });
        (Agent::new(ours, Arc::default()), guest)
    }

    #[test]
    fn a_guest_that_talks_slowly_is_heard_as_long_as_it_talks() {
        let said = "{\"return\":{\"pid\":1}}\n";
        let (mut agent, guest) = dripping(said, Duration::from_millis(50));
        agent.patience = Duration::from_millis(600);
        assert_eq!(agent.ask("talk", "guest-exec", json!({})).unwrap(), json!({ "pid": 1 }));
        guest.join().unwrap();

        let (mut agent, guest) = dripping(said, Duration::from_millis(50));
        let mut wait = Wait::new(PATIENCE, Duration::from_millis(200));
        let line = agent.line("talk", &mut wait);
        assert!(matches!(line, Err(AgentError::Silent)), "{line:?}");
        drop(agent);
        guest.join().unwrap();
    }

    #[test]
    fn a_guest_that_is_slow_gets_little_at_once() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let guest = thread::spawn(move || {
            let questions = BufReader::new(theirs.try_clone().unwrap()).split(b'\n').map(Result::unwrap);
            let mut written = Vec::new();
            for question in questions {
                // All of the file at once would take more than a second.
                thread::sleep(Duration::from_micros(20 * question.len() as u64));
                let asked: Value = serde_json::from_slice(&question).unwrap();
                let answer = match asked["execute"].as_str().unwrap() {
                    "guest-exec" => json!({ "pid": 1 }),
                    "guest-exec-status" => json!({ "exited": true, "exitcode": 0 }),
                    "guest-file-write" => {
                        let piece = STANDARD.decode(asked["arguments"]["buf-b64"].as_str().unwrap()).unwrap();
                        written.extend_from_slice(&piece);
                        json!({ "count": piece.len() })
                    }
                    _ => json!(1),
                };
                theirs.write_all(format!("{}\n", json!({ "return": answer })).as_bytes()).unwrap();
            }
            written
        });
        let file: Vec<u8> = (0..LONGEST_PIECE).map(|at| (at / 7) as u8).collect();
        let mut agent = Agent::new(ours, Arc::default());
        agent.patience = Duration::from_millis(800);
        agent.push("/usr/bin/tool", &file, 0o755, (0, 0)).unwrap();
        drop(agent);
        assert!(guest.join().unwrap() == file);
    }
}
