//! What `git upload-pack` says, in versions 0 and 2 of the protocol, over HTTP and as a daemon.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use gix_hash::ObjectId;

use crate::repository::Repository;
use crate::server::{Seen, Step, head, status};

/// A repository and how it is served.
#[derive(Clone)]
pub(crate) struct Service {
    pub(crate) repository: Repository,
    pub(crate) version: u8,
    pub(crate) policy: Policy,
    /// Makes what is sent worse.
    pub(crate) spoil: fn(Vec<u8>) -> Vec<u8>,
}

/// Which commits are given away.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Policy {
    /// All that there are.
    Any,
    /// What a reference stands for.
    Tips,
}

impl Service {
    pub(crate) fn new(repository: &Repository) -> Service {
        Service { repository: repository.clone(), version: 2, policy: Policy::Any, spoil: |pack| pack }
    }

    /// Answers a request for the repository at `base` as a good server does.
    pub(crate) fn answer(&self, seen: &Seen, base: &str) -> Vec<Step> {
        let Some(rest) = seen.target.strip_prefix(base) else { return status(404, &[]) };
        match (&*seen.method, rest) {
            ("GET", "/info/refs?service=git-upload-pack") => {
                let mut bytes = line("# service=git-upload-pack\n");
                bytes.extend_from_slice(b"0000");
                bytes.extend(self.greeting());
                reply("advertisement", &bytes)
            }
            ("POST", "/git-upload-pack") => {
                let wants_type = Some("application/x-git-upload-pack-request");
                assert_eq!(seen.header("content-type"), wants_type, "{seen:?}");
                reply("result", &self.respond(&seen.body))
            }
            _ => status(404, &[]),
        }
    }

    fn greeting(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        if self.version == 2 {
            for text in
                ["version 2\n", "agent=test\n", "ls-refs\n", "fetch=shallow\n", "object-format=sha1\n"]
            {
                bytes.extend(line(text));
            }
        } else {
            let mut capabilities =
                "\0multi_ack_detailed shallow side-band-64k ofs-delta no-progress agent=test".to_owned();
            for (name, id) in self.listing() {
                bytes.extend(line(&format!("{id} {name}{}\n", std::mem::take(&mut capabilities))));
                if self.repository.peeled(id) != id {
                    bytes.extend(line(&format!("{} {name}^{{}}\n", self.repository.peeled(id))));
                }
            }
        }
        [bytes, b"0000".to_vec()].concat()
    }

    /// The references, `HEAD` among them.
    fn listing(&self) -> Vec<(String, ObjectId)> {
        let references = &self.repository.references;
        let head = references.get("refs/heads/main").map(|id| ("HEAD".to_owned(), *id));
        head.into_iter().chain(references.iter().map(|(name, id)| (name.clone(), *id))).collect()
    }

    fn respond(&self, request: &[u8]) -> Vec<u8> {
        let lines = lines(request);
        let has = |text: &str| lines.iter().any(|line| line == text);
        if has("command=ls-refs") {
            let prefixes: Vec<_> = lines.iter().filter_map(|line| line.strip_prefix("ref-prefix ")).collect();
            let mut bytes = Vec::new();
            for (name, id) in self.listing() {
                if !prefixes.iter().any(|prefix| name.starts_with(prefix)) {
                    continue;
                }
                let peeled = self.repository.peeled(id);
                let peeled = if peeled == id { String::new() } else { format!(" peeled:{peeled}") };
                bytes.extend(line(&format!("{id} {name}{peeled}\n")));
            }
            return [bytes, b"0000".to_vec()].concat();
        }
        let is_shallow = lines.iter().any(|line| line == "deepen 1");
        let mut wanted = BTreeSet::new();
        let mut edge = Vec::new();
        for want in lines.iter().filter_map(|line| line.strip_prefix("want ")) {
            let id = ObjectId::from_hex(&want.as_bytes()[..40]).unwrap();
            let is_tip = self.repository.references.values().any(|tip| *tip == id);
            if !self.repository.objects.contains_key(&id) || (self.policy == Policy::Tips && !is_tip) {
                return line(&format!("ERR upload-pack: not our ref {id}\n"));
            }
            self.repository.closure(id, !is_shallow, &mut wanted);
            edge.push(self.repository.peeled(id));
        }
        let shallow: Vec<u8> = edge.iter().flat_map(|id| line(&format!("shallow {id}\n"))).collect();
        let mut bytes = Vec::new();
        if self.version == 2 {
            if is_shallow {
                bytes.extend([line("shallow-info\n"), shallow, b"0001".to_vec()].concat());
            }
            bytes.extend(line("packfile\n"));
        } else {
            if is_shallow {
                bytes.extend([shallow, b"0000".to_vec()].concat());
            }
            bytes.extend(line("NAK\n"));
        }
        bytes.extend(framed(b"\x02counting\n"));
        for chunk in (self.spoil)(self.repository.pack(&wanted)).chunks(1000) {
            bytes.extend(framed(&[b"\x01", chunk].concat()));
        }
        [bytes, b"0000".to_vec()].concat()
    }

    /// Serves it as `git daemon` does, on a port of its own, until the process ends. Returns the port.
    pub(crate) fn daemon(self) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let service = Arc::new(self);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let service = Arc::clone(&service);
                thread::spawn(move || service.talk(&stream.unwrap()));
            }
        });
        port
    }

    fn talk(&self, mut stream: &TcpStream) -> Option<()> {
        let first = packet(stream)??;
        let first = String::from_utf8(first).unwrap();
        assert!(first.starts_with("git-upload-pack /x.git\0host="), "{first:?}");
        stream.write_all(&self.greeting()).ok()?;
        loop {
            // In version 0 a flush is followed by `done`.
            let mut request = Vec::new();
            let mut n_lines = 0;
            loop {
                match packet(stream)? {
                    Some(bytes) => {
                        let is_done = bytes == b"done\n" || bytes == b"done";
                        request.extend(framed(&bytes));
                        n_lines += 1;
                        if is_done && self.version == 0 {
                            break;
                        }
                    }
                    None if n_lines == 0 => return None,
                    None if self.version == 2 => break,
                    None => {}
                }
            }
            stream.write_all(&self.respond(&request)).ok()?;
            if self.version == 0 {
                return None;
            }
        }
    }
}

/// Reads a packet; the inner `None` is a flush, a delimiter is passed over.
fn packet(mut stream: &TcpStream) -> Option<Option<Vec<u8>>> {
    loop {
        let mut length = [0; 4];
        stream.read_exact(&mut length).ok()?;
        let length = usize::from_str_radix(std::str::from_utf8(&length).unwrap(), 16).unwrap();
        match length {
            0 => return Some(None),
            1 => {}
            _ => {
                let mut bytes = vec![0; length - 4];
                stream.read_exact(&mut bytes).ok()?;
                return Some(Some(bytes));
            }
        }
    }
}

pub(crate) fn reply(kind: &str, body: &[u8]) -> Vec<Step> {
    let lines = [
        format!("Content-Type: application/x-git-upload-pack-{kind}"),
        format!("Content-Length: {}", body.len()),
    ];
    vec![head(200, &lines), Step::Send(body.to_vec())]
}

pub(crate) fn framed(bytes: &[u8]) -> Vec<u8> {
    [format!("{:04x}", bytes.len() + 4).as_bytes(), bytes].concat()
}

pub(crate) fn line(text: &str) -> Vec<u8> {
    framed(text.as_bytes())
}

/// The lines of a request, without what separates them.
fn lines(mut request: &[u8]) -> Vec<String> {
    let mut lines = Vec::new();
    while request.len() >= 4 {
        let length = usize::from_str_radix(std::str::from_utf8(&request[..4]).unwrap(), 16).unwrap();
        if length >= 4 {
            lines.push(String::from_utf8(request[4..length].to_vec()).unwrap().trim_end().to_owned());
        }
        request = &request[length.max(4)..];
    }
    lines
}
