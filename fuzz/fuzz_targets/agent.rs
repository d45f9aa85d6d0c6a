//! What a guest's agent answers, to every question that we have.
#![no_main]

use std::io::Write as _;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use vm::agent::Agent;

/// Each may be a command that has not ended, which is asked for again a little later.
const MOST_ANSWERS: usize = 6;

fuzz_target!(|bytes: &[u8]| {
    let lines = bytes.split_inclusive(|byte| *byte == b'\n').take(MOST_ANSWERS);
    let answers = lines.collect::<Vec<_>>().concat();
    let talk = |ask: &dyn Fn(&mut Agent)| {
        let (ours, mut guest) = UnixStream::pair().expect("there are sockets");
        // Longer ones than fit would wait for us.
        guest.write_all(&answers[..answers.len().min(64 << 10)]).expect("there is room");
        guest.shutdown(Shutdown::Write).expect("it is open");
        ask(&mut Agent::new(ours, Arc::default()));
    };
    talk(&|agent| drop(agent.sync(Duration::from_secs(1))));
    talk(&|agent| drop(agent.shell("true", &[])));
    talk(&|agent| drop(agent.push("/a", b"x", 0o644, (0, 0))));
});
