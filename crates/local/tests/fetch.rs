//! Downloads from servers that behave, and from such that do not.

#![allow(clippy::disallowed_methods, reason = "that nothing takes long is shown by the clock only")]
#![allow(clippy::unwrap_used, reason = "what a helper of a test cannot have, the test cannot do without")]

#[path = "fetch/server.rs"]
mod server;

use std::fs;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use cas::{Digest, LocalStore, Store as _};
use local::fetch::{Download, FetchError, Fetcher, Options, Proxies};
use server::{Seen, Server, Step, good, head, part_head, status, whole, whole_head};
use tempfile::TempDir;

const SIZE: usize = 300_000;

/// Bytes that have a digest of their own for each `kind`.
fn content(kind: u8) -> Vec<u8> {
    (0..SIZE as u32).map(|idx| (idx.wrapping_mul(2_654_435_761) >> 24) as u8 ^ kind).collect()
}

struct World {
    directory: TempDir,
    store: LocalStore,
    cancel: Arc<AtomicBool>,
}

impl World {
    fn new() -> World {
        let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let store = LocalStore::open(&directory.path().join("store")).unwrap();
        World { directory, store, cancel: Arc::new(AtomicBool::new(false)) }
    }

    fn options(&self) -> Options {
        Options {
            n_attempts: NonZeroUsize::new(3).unwrap(),
            backoff: Duration::from_millis(2),
            patience: Duration::from_millis(400),
            ..Options::new(self.directory.path().join("parts"))
        }
    }

    fn fetcher(&self) -> Fetcher {
        self.fetcher_with(self.options())
    }

    fn fetcher_with(&self, options: Options) -> Fetcher {
        Fetcher::new(options, Arc::clone(&self.cancel)).unwrap()
    }

    fn fetch(&self, body: &[u8], urls: &[String]) -> Result<Digest, FetchError> {
        self.fetcher().fetch(&download(body, urls), &self.store, &|_| ())
    }

    fn part(&self, body: &[u8]) -> PathBuf {
        self.directory.path().join("parts").join(format!("{}.part", Digest::of(body).hex()))
    }

    /// Takes a blob and its part away again; making another world would take longer than most tests.
    fn forget(&self, digest: &Digest) {
        let (shard, rest) = (&digest.hex()[..2], &digest.hex()[2..]);
        let _ = fs::remove_file(self.store.root().join("blobs").join(shard).join(rest));
        let _ = fs::remove_file(self.directory.path().join(format!("parts/{}.part", digest.hex())));
        assert!(!self.store.contains(digest).unwrap());
    }

    /// What is in the directory of parts.
    fn parts(&self) -> Vec<String> {
        let entries = fs::read_dir(self.directory.path().join("parts")).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

fn download(body: &[u8], urls: &[String]) -> Download {
    let digest = Digest::of(body);
    Download { urls: urls.to_vec(), sha256: *digest.hash(), size: Some(digest.size()) }
}

/// Checks that `content(0)` arrives from a server that answers so, and what each request asked for:
/// `offset`, and `?` if only of the same version.
#[track_caller]
fn check_good(world: &World, answer: impl Fn(&Seen) -> Vec<Step> + Send + Sync + 'static, expected: &[&str]) {
    let server = Server::start(answer);
    let body = content(0);
    let digest = world.fetch(&body, &[server.url("/file")]).unwrap();
    assert_eq!(world.store.read(&digest).unwrap(), body);
    assert_eq!(world.parts(), Vec::<String>::new());
    assert_eq!(asked(&server), expected);
    world.forget(&digest);
}

fn asked(server: &Server) -> Vec<String> {
    let text = |seen: &Seen| {
        let only_same = if seen.header("if-range").is_some() { "?" } else { "" };
        format!("{}{only_same}", seen.offset())
    };
    server.seen().iter().map(text).collect()
}

/// Checks how a download of `content(0)` fails, and that nothing is in the store.
#[track_caller]
fn check_bad(world: &World, answer: impl Fn(&Seen) -> Vec<Step> + Send + Sync + 'static, expected: &str) {
    let server = Server::start(answer);
    let body = content(0);
    let error = world.fetch(&body, &[server.url("/file")]).unwrap_err();
    assert_eq!(text(&error, &server), expected);
    assert!(!world.store.contains(&Digest::of(&body)).unwrap());
    assert!(!world.store.contains(&Digest::of(&content(1))).unwrap());
    world.forget(&Digest::of(&body));
}

/// The error with its causes, and `HOST` for the server.
fn text(error: &FetchError, server: &Server) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text.replace(server.url("").trim_start_matches("http://"), "HOST")
}

fn half(seen: &Seen, then: Step) -> Vec<Step> {
    let body = content(0);
    match seen.before {
        0 => vec![whole_head(&body, &["ETag: \"1\""]), Step::Send(body[..SIZE / 2].to_vec()), then],
        _ => good(seen, &body),
    }
}

#[test]
fn many_files_share_connections() {
    let world = World::new();
    let server = Server::start(|seen| {
        let body = content(seen.target.trim_start_matches('/').parse().unwrap());
        whole(&body, &[])
    });
    let downloads: Vec<Download> =
        (0..40_u8).map(|kind| download(&content(kind), &[server.url(&format!("/{kind}"))])).collect();
    let last = Mutex::new(Vec::new());
    let results = world.fetcher().fetch_all(&downloads, &world.store, &|progress| {
        last.lock().unwrap().push((progress.n_received, progress.n_total));
    });
    for (download, result) in downloads.iter().zip(results) {
        let digest = result.unwrap();
        assert_eq!(digest, Digest::from_parts(download.sha256, SIZE as u64));
        world.store.verify(&digest).unwrap();
    }
    let n_connections = server.n_connections();
    assert!(n_connections <= 8, "{n_connections} connections");
    let whole = (SIZE as u64, Some(SIZE as u64));
    assert_eq!(last.lock().unwrap().iter().filter(|progress| **progress == whole).count(), 40);
    // What is here is not downloaded again.
    assert!(world.fetcher().fetch_all(&downloads, &world.store, &|_| ()).iter().all(Result::is_ok));
    assert_eq!(server.seen().len(), 40);
    let seen = &server.seen()[0];
    assert_eq!(seen.header("user-agent"), Some(concat!("bootwright/", env!("CARGO_PKG_VERSION"))));
    assert_eq!(seen.header("accept-encoding"), Some("identity"));
}

#[test]
fn goes_on_where_it_stopped() {
    let world = World::new();
    check_good(&world, |seen| half(seen, Step::Reset), &["0", "150000?"]);
    check_good(&world, |seen| half(seen, Step::Close), &["0", "150000?"]);
    check_good(&world, |seen| half(seen, Step::Hang), &["0", "150000?"]);
    // A server that ends each answer after 100 kB gets on, so that it is not given up.
    let stingy = |seen: &Seen| {
        let body = content(0);
        let offset = seen.offset();
        let end = (offset + 70_000).min(SIZE);
        let head = if offset == 0 { whole_head(&body, &[]) } else { part_head(&body, offset) };
        vec![head, Step::Send(body[offset..end].to_vec()), Step::Close]
    };
    check_good(&world, stingy, &["0", "70000", "140000", "210000", "280000"]);
}

#[test]
fn starts_anew_when_the_server_does_not_go_on() {
    let world = World::new();
    let body = content(0);
    // It has another version now, or does not know about parts.
    let refuses = |seen: &Seen| match seen.before {
        0 => half(seen, Step::Reset),
        _ => whole(&content(0), &["ETag: \"2\""]),
    };
    check_good(&world, refuses, &["0", "150000?"]);
    let none = |seen: &Seen| match seen.before {
        0 => half(seen, Step::Reset),
        1 => status(416, &["Content-Range: bytes */5"]),
        _ => good(seen, &content(0)),
    };
    check_good(&world, none, &["0", "150000?", "0"]);
    let other_part = move |seen: &Seen| match seen.before {
        0 => half(seen, Step::Reset),
        1 => vec![part_head(&body, 100_000), Step::Send(body[100_000..].to_vec())],
        _ => good(seen, &content(0)),
    };
    check_good(&world, other_part, &["0", "150000?", "0"]);
    // The rest is of another version, which the server did not say.
    let mixed = |seen: &Seen| match seen.before {
        0 => half(seen, Step::Reset),
        1 => good(seen, &content(1)),
        _ => good(seen, &content(0)),
    };
    check_good(&world, mixed, &["0", "150000?", "0"]);
}

#[test]
fn a_part_of_an_earlier_process_is_used_if_it_fits() {
    let body = content(0);
    let longer = [&body[..], b"more"].concat();
    let world = World::new();
    for (part, expected) in [
        (&body[..1000], &["1000"][..]),
        (&body[..], &[]),
        (&content(1)[..1000], &["1000", "0"]),
        (&content(1)[..], &["0"]),
        (&longer[..], &["0"]),
        (b"", &["0"]),
    ] {
        let server = Server::start(|seen| good(seen, &content(0)));
        let fetcher = world.fetcher();
        fs::write(world.part(&body), part).unwrap();
        let digest = fetcher.fetch(&download(&body, &[server.url("/file")]), &world.store, &|_| ()).unwrap();
        world.store.verify(&digest).unwrap();
        assert_eq!(asked(&server), expected, "{} bytes", part.len());
        world.forget(&digest);
    }
}

#[test]
fn what_arrived_is_kept_for_the_next_time() {
    let world = World::new();
    let body = content(0);
    let server = Server::start(|seen| match seen.before {
        0 => half(seen, Step::Reset),
        1..=2 => vec![Step::Close],
        _ => good(seen, &content(0)),
    });
    let urls = [server.url("/file")];
    world.fetch(&body, &urls).unwrap_err();
    assert_eq!(fs::read(world.part(&body)).unwrap(), body[..SIZE / 2]);
    world.fetch(&body, &urls).unwrap();
    assert_eq!(asked(&server), ["0", "150000?", "150000?", "150000"]);
}

#[test]
fn failures_that_may_pass_are_tried_again() {
    let world = World::new();
    check_good(
        &world,
        |seen| if seen.before < 2 { status(500, &[]) } else { good(seen, &content(0)) },
        &["0", "0", "0"],
    );
    let busy = |seen: &Seen| match seen.before {
        0 => status(503, &["Retry-After: 0"]),
        1 => status(429, &[]),
        _ => good(seen, &content(0)),
    };
    check_good(&world, busy, &["0", "0", "0"]);
    check_good(
        &world,
        |seen| if seen.before < 2 { vec![Step::Reset] } else { good(seen, &content(0)) },
        &["0", "0", "0"],
    );
    check_good(
        &world,
        |seen| if seen.before < 1 { vec![Step::Hang] } else { good(seen, &content(0)) },
        &["0", "0"],
    );
    check_bad(&world, |_| status(500, &[]), "the server answered to `http://HOST/file` with status 500");
    check_bad(&world, |_| status(403, &[]), "the server answered to `http://HOST/file` with status 403");
    check_bad(&world, |_| status(206, &[]), "the server answered to `http://HOST/file` with status 206");
}

#[test]
fn lengths_are_not_believed() {
    let world = World::new();
    let send = |length: usize, body: Vec<u8>| {
        move |_: &Seen| {
            vec![head(200, &[format!("Content-Length: {length}")]), Step::Send(body.clone()), Step::Close]
        }
    };
    let longer = || [content(0), vec![7; 1000]].concat();
    check_bad(&world, send(SIZE - 1, content(0)), "`http://HOST/file` has 299999 bytes instead of 300000");
    check_bad(&world, send(SIZE + 1, longer()), "`http://HOST/file` has 300001 bytes instead of 300000");
    check_bad(
        &world,
        send(1 << 50, longer()),
        "`http://HOST/file` has 1125899906842624 bytes instead of 300000",
    );
    check_bad(
        &world,
        send(SIZE, content(0)[..1000].to_vec()),
        "`http://HOST/file` ended after 1000 bytes, before it was whole",
    );
    // More than it told of: that is left in the connection, which is not used again.
    check_good(&world, send(SIZE, longer()), &["0"]);
    // Without a length, only the end of the connection says that it was all.
    let untold = |body: Vec<u8>| move |_: &Seen| vec![head(200, &[]), Step::Send(body.clone()), Step::Close];
    check_good(&world, untold(content(0)), &["0"]);
    check_bad(
        &world,
        untold(content(0)[..1000].to_vec()),
        "`http://HOST/file` ended after 1000 bytes, before it was whole",
    );
    let endless = Server::start(|_| {
        let mut steps = vec![head(200, &[])];
        steps.extend((0..1000).map(|_| Step::Send(vec![0; 1 << 20])));
        steps
    });
    let error = world.fetch(&content(0), &[endless.url("/file")]).unwrap_err();
    let FetchError::WrongSize { expected: 300_000, found, .. } = error else { panic!("{error}") };
    assert!(found < 600_000, "{found} bytes were taken");
}

#[test]
fn other_content_is_refused_and_had_elsewhere() {
    let world = World::new();
    let expected = format!(
        "`http://HOST/file` has SHA-256 {} instead of {}",
        Digest::of(&content(1)).hex(),
        Digest::of(&content(0)).hex()
    );
    check_bad(&world, |seen| good(seen, &content(1)), &expected);

    let server = Server::start(|seen| good(seen, &content(u8::from(seen.target == "/altered"))));
    let body = content(0);
    let digest = world.fetch(&body, &[server.url("/altered"), server.url("/file")]).unwrap();
    world.store.verify(&digest).unwrap();
    assert_eq!(asked(&server), ["0", "0"]);
}

#[test]
fn one_place_goes_on_where_another_stopped() {
    let world = World::new();
    let server = Server::start(|seen| {
        let body = content(0);
        match &*seen.target {
            "/breaks" if seen.before == 0 => half(seen, Step::Close),
            "/breaks" => status(404, &[]),
            _ => good(seen, &body),
        }
    });
    world.fetch(&content(0), &[server.url("/breaks"), server.url("/file")]).unwrap();
    assert_eq!(server.seen().last().unwrap().offset(), SIZE / 2);
}

#[test]
fn what_one_place_lacks_another_has() {
    let world = World::new();
    let server = Server::start(|seen| match &*seen.target {
        "/snapshot" => good(seen, &content(0)),
        "/altered" => good(seen, &content(1)),
        "/removed" => status(410, &[]),
        _ => status(404, &[]),
    });
    let body = content(0);
    world.fetch(&body, &[server.url("/gone"), server.url("/removed"), server.url("/snapshot")]).unwrap();

    let other = content(2);
    let error = world.fetch(&other, &[server.url("/gone"), server.url("/removed")]).unwrap_err();
    assert_eq!(text(&error, &server), "`http://HOST/gone` does not exist");
    let error = world.fetch(&other, &[server.url("/gone"), server.url("/altered")]).unwrap_err();
    let expected = format!(
        "none of 2 places has it\n  `http://HOST/gone` does not exist\n  `http://HOST/altered` has SHA-256 {} instead of {}",
        Digest::of(&content(1)).hex(),
        Digest::of(&other).hex()
    );
    assert_eq!(text(&error, &server), expected);
    assert!(matches!(error.main(), FetchError::Mismatch { .. }));
    assert_eq!(text(&world.fetch(&other, &[]).unwrap_err(), &server), "no address is known that has it");
    assert_eq!(world.parts(), Vec::<String>::new());
}

#[test]
fn redirects_are_followed_with_care() {
    let to = |location: &str| status(302, &[&format!("Location: {location}")]);
    let answer = move |seen: &Seen| match &*seen.target {
        "/a/file" => to("../b?x=1"),
        "/b?x=1" => to("/c"),
        "/c" => good(seen, &content(0)),
        "/loop" => to("loop"),
        "/local" => to("file:///etc/passwd"),
        "/nowhere" => status(302, &[]),
        "/hidden" => to("ftp://user:secret@127.0.0.1/x"),
        _ => status(404, &[]),
    };
    let server = Server::start(answer);
    let world = World::new();
    world.fetch(&content(0), &[server.url("/a/file")]).unwrap();
    for (path, expected) in [
        ("/loop", "`http://HOST/loop` redirects to `http://HOST/loop`, which is one redirect too many"),
        ("/local", "`http://HOST/local` redirects to `file:///etc/passwd`, which is no place to go to"),
        ("/nowhere", "`http://HOST/nowhere` redirects to ``, which is no place to go to"),
        (
            "/hidden",
            "`http://HOST/hidden` redirects to `ftp://user:***@127.0.0.1/x`, which is no place to go to",
        ),
    ] {
        let error = world.fetch(&content(1), &[server.url(path)]).unwrap_err();
        assert_eq!(text(&error, &server), expected);
    }
    assert_eq!(server.seen().iter().filter(|seen| seen.target == "/loop").count(), 6);
}

#[test]
fn a_trickle_is_a_stall() {
    let trickle = |_: &Seen| {
        let mut steps = vec![whole_head(&content(0), &[])];
        for _ in 0..40 {
            steps.extend([Step::Send(vec![0]), Step::Wait(Duration::from_millis(40))]);
        }
        steps
    };
    let world = World::new();
    let server = Server::start(trickle);
    let options = Options { n_attempts: NonZeroUsize::MIN, ..world.options() };
    let wanted = download(&content(0), &[server.url("/file")]);
    let error = world.fetcher_with(options).fetch(&wanted, &world.store, &|_| ()).unwrap_err();
    let FetchError::Stalled { waited, .. } = error else { panic!("{error}") };
    assert!(waited < Duration::from_millis(800), "{waited:?}");
}

#[test]
fn what_is_no_http_fails() {
    let world = World::new();
    let server = Server::start(|_| vec![Step::Send(b"220 mail.example ESMTP\r\n\r\n".to_vec()), Step::Close]);
    let error = world.fetch(&content(0), &[server.url("/file")]).unwrap_err();
    assert!(matches!(error, FetchError::Network { .. }), "{error:?}");
    for url in ["ftp://127.0.0.1/x", "file", "", "http://", "http:///x", "http://a b/"] {
        let error = world.fetch(&content(0), &[url.to_owned()]).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("`{url}` is no address with `http://`, `https://` or `file://`")
        );
    }
}

#[test]
fn encodings_and_chunks() {
    let world = World::new();
    // A server that calls an archive an encoding must not get it unpacked.
    check_good(&world, |_| whole(&content(0), &["Content-Encoding: gzip"]), &["0"]);
    let chunked = |_: &Seen| {
        let mut steps = vec![head(200, &["Transfer-Encoding: chunked".to_owned()])];
        for chunk in content(0).chunks(10_000) {
            let framed = [format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat();
            steps.push(Step::Send(framed));
        }
        steps.push(Step::Send(b"0\r\n\r\n".to_vec()));
        steps
    };
    check_good(&world, chunked, &["0"]);
}

#[test]
fn texts_have_a_limit() {
    let server = Server::start(|seen| match &*seen.target {
        "/told" => whole(&[1; 101], &[]),
        "/untold" => vec![head(200, &[]), Step::Send(vec![1; 101]), Step::Close],
        "/breaks" if seen.before == 0 => {
            vec![whole_head(&[1; 100], &[]), Step::Send(vec![1; 50]), Step::Reset]
        }
        "/missing" => status(404, &[]),
        _ => whole(&[1; 100], &[]),
    });
    let world = World::new();
    let fetcher = world.fetcher();
    for path in ["/good", "/breaks"] {
        assert_eq!(fetcher.get(&server.url(path), 100).unwrap(), [1; 100]);
    }
    for (path, expected) in [
        ("/told", "`http://HOST/told` has more than 100 bytes"),
        ("/untold", "`http://HOST/untold` has more than 100 bytes"),
        ("/missing", "`http://HOST/missing` does not exist"),
    ] {
        assert_eq!(text(&fetcher.get(&server.url(path), 100).unwrap_err(), &server), expected);
    }
}

#[test]
fn cancelling_ends_whatever_it_does() {
    let body = content(0);
    // Waiting for an answer, for the rest of it, for the next attempt, for somebody else.
    let slow = Server::start(|seen| match &*seen.target {
        "/silent" => vec![Step::Hang],
        "/stops" => {
            vec![whole_head(&content(0), &[]), Step::Send(content(0)[..SIZE / 2].to_vec()), Step::Hang]
        }
        _ => status(503, &["Retry-After: 20"]),
    });
    for path in ["/silent", "/stops", "/busy", "/elsewhere"] {
        let world = World::new();
        let options = Options { patience: Duration::from_secs(20), ..world.options() };
        let fetcher = world.fetcher_with(options);
        let _other = (path == "/elsewhere").then(|| lock(&world.part(&body)));
        let start = Instant::now();
        thread::scope(|scope| {
            scope.spawn(|| {
                thread::sleep(Duration::from_millis(100));
                world.cancel.store(true, Ordering::Relaxed);
            });
            let wanted = [download(&body, &[slow.url(path)]), download(&content(1), &[slow.url(path)])];
            for result in fetcher.fetch_all(&wanted, &world.store, &|_| ()) {
                assert!(matches!(result, Err(FetchError::Cancelled)), "{path}: {result:?}");
            }
        });
        assert!(start.elapsed() < Duration::from_millis(400), "{path}: {:?}", start.elapsed());
        if path == "/stops" {
            assert_eq!(fs::metadata(world.part(&body)).unwrap().len(), SIZE as u64 / 2);
        }
    }
}

fn lock(part: &PathBuf) -> fs::File {
    let file = fs::File::create(part).unwrap();
    rustix::fs::flock(&file, rustix::fs::FlockOperation::LockExclusive).unwrap();
    file
}

#[test]
fn several_at_once_download_each_file_once() {
    let world = World::new();
    let server = Server::start(|seen| {
        let body = content(seen.target.trim_start_matches('/').parse().unwrap());
        let (first, rest) = body.split_at(SIZE / 2);
        vec![
            whole_head(&body, &[]),
            Step::Send(first.to_vec()),
            Step::Wait(Duration::from_millis(30)),
            Step::Send(rest.to_vec()),
        ]
    });
    let downloads: Vec<Download> =
        (0..12_u8).map(|kind| download(&content(kind), &[server.url(&format!("/{kind}"))])).collect();
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                // As another process would have it: a lease and locks of its own.
                let store = LocalStore::open(&world.directory.path().join("store")).unwrap();
                for result in world.fetcher().fetch_all(&downloads, &store, &|_| ()) {
                    store.verify(&result.unwrap()).unwrap();
                }
            });
        }
    });
    assert_eq!(server.seen().len(), 12);
    assert_eq!(world.parts(), Vec::<String>::new());
}

#[test]
fn nobody_waits_for_somebody_who_hangs() {
    let world = World::new();
    let server = Server::start(|seen| good(seen, &content(0)));
    let body = content(0);
    let fetcher = world.fetcher();
    let _other = lock(&world.part(&body));
    let digest = fetcher.fetch(&download(&body, &[server.url("/file")]), &world.store, &|_| ()).unwrap();
    world.store.verify(&digest).unwrap();
}

#[test]
fn an_unreachable_host_is_given_up_once() {
    let world = World::new();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let options = Options {
        backoff: Duration::from_millis(60),
        n_parallel: NonZeroUsize::new(2).unwrap(),
        ..world.options()
    };
    let downloads: Vec<Download> =
        (0..50_u8).map(|kind| download(&[kind; 10], &[format!("http://127.0.0.1:{port}/{kind}")])).collect();
    let start = Instant::now();
    let results = world.fetcher_with(options).fetch_all(&downloads, &world.store, &|_| ());
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    for (idx, result) in results.into_iter().enumerate() {
        let error = result.unwrap_err();
        assert!(matches!(error, FetchError::Unreachable { .. }), "{error:?}");
        let place = format!("could not connect to download `http://127.0.0.1:{port}/{idx}`");
        assert_eq!(error.to_string(), place);
        assert!(std::error::Error::source(&error).unwrap().to_string().contains("refused"));
    }
}

#[test]
fn files_of_this_machine() {
    let world = World::new();
    let body = content(0);
    let path = world.directory.path().join("a file");
    fs::write(&path, &body).unwrap();
    let url = format!("file://{}", path.display()).replace(' ', "%20");
    assert_eq!(world.fetch(&body, std::slice::from_ref(&url)).unwrap(), Digest::of(&body));
    assert_eq!(fs::read(&path).unwrap(), body);
    assert_eq!(world.fetcher().get(&url, 1 << 20).unwrap(), body);
    assert_eq!(world.fetcher().pin(&url, &world.store, &|_| ()).unwrap(), Digest::of(&body));
    let error = world.fetch(&content(1), std::slice::from_ref(&url)).unwrap_err();
    assert!(matches!(error, FetchError::Mismatch { .. }), "{error:?}");
    let error = world.fetch(&content(1), &[format!("{url}.gone")]).unwrap_err();
    assert!(matches!(error, FetchError::NotFound { .. }), "{error:?}");
    let directory = format!("file://{}", world.directory.path().display());
    let error = world.fetch(&content(1), &[directory]).unwrap_err();
    assert!(matches!(error, FetchError::Unreadable { .. }), "{error:?}");
}

#[test]
fn unknown_content_must_be_known_to_be_whole() {
    let server = Server::start(|seen| match &*seen.target {
        "/untold" => vec![head(200, &[]), Step::Send(content(0)), Step::Close],
        "/same" => half(seen, Step::Reset),
        // Without a version nobody knows whether the rest is of the same file.
        "/anonymous" if seen.before == 0 => {
            vec![whole_head(&content(0), &[]), Step::Send(content(1)[..1000].to_vec()), Step::Reset]
        }
        "/weak" if seen.before == 0 => {
            vec![
                whole_head(&content(0), &["ETag: W/\"1\""]),
                Step::Send(content(1)[..1000].to_vec()),
                Step::Reset,
            ]
        }
        _ => good(seen, &content(0)),
    });
    let world = World::new();
    let fetcher = world.fetcher();
    for (path, offset) in [("/good", 0), ("/same", SIZE / 2), ("/anonymous", 0), ("/weak", 0)] {
        let digest = fetcher.pin(&server.url(path), &world.store, &|_| ()).unwrap();
        assert_eq!(digest, Digest::of(&content(0)), "{path}");
        assert_eq!(server.seen().last().unwrap().offset(), offset, "{path}");
    }
    let error = fetcher.pin(&server.url("/untold"), &world.store, &|_| ()).unwrap_err();
    assert!(matches!(error, FetchError::UnknownLength { .. }), "{error:?}");
    assert_eq!(world.parts(), Vec::<String>::new());

    // With its SHA-256 the size need not be known.
    let wanted = Download { size: None, ..download(&content(0), &[server.url("/untold")]) };
    assert_eq!(fetcher.fetch(&wanted, &World::new().store, &|_| ()).unwrap(), Digest::of(&content(0)));
}

#[test]
fn a_proxy_gets_whole_addresses() {
    let proxy = Server::start(|seen| match &*seen.method {
        "GET" => good(seen, &content(0)),
        _ => status(403, &[]),
    });
    let world = World::new();
    let address = proxy.url("").replace("http://", "http://me:s%40cret@");
    let proxies =
        Proxies { http: Some(address.clone()), https: Some(address), none: "direct.invalid".to_owned() };
    let options = Options { proxies, n_attempts: NonZeroUsize::MIN, ..world.options() };
    let fetcher = world.fetcher_with(options);
    for path in ["a", "b"] {
        let body = fetcher.get(&format!("http://archive.invalid/{path}?q"), 1 << 20).unwrap();
        assert_eq!(body, content(0));
    }
    let error = fetcher.get("https://secure.invalid/c", 1 << 20).unwrap_err();
    assert!(matches!(error, FetchError::Unreachable { .. }), "{error:?}");
    let error = fetcher.get("http://direct.invalid/d", 1 << 20).unwrap_err();
    assert!(matches!(error, FetchError::Unreachable { .. }), "{error:?}");
    let seen: Vec<String> =
        proxy.seen().iter().map(|seen| format!("{} {}", seen.method, seen.target)).collect();
    assert_eq!(
        seen,
        ["GET http://archive.invalid/a?q", "GET http://archive.invalid/b?q", "CONNECT secure.invalid:443"]
    );
    // `me:s@cret`
    for seen in proxy.seen() {
        assert_eq!(seen.header("proxy-authorization"), Some("Basic bWU6c0BjcmV0"), "{seen:?}");
    }
    assert_eq!(proxy.seen()[0].header("host"), Some("archive.invalid"));
    assert_eq!(proxy.n_connections(), 2);
    let bad = Proxies { http: Some("socks5://me:secret@127.0.0.1:1".to_owned()), ..Proxies::default() };
    let error = Fetcher::new(Options { proxies: bad, ..world.options() }, Arc::default()).err().unwrap();
    assert!(!error.to_string().contains("secret"), "{error}");
}
