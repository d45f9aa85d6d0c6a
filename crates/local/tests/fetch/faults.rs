//! Servers that lie, break, stall, lead astray or are not there.

use std::io::Write as _;
use std::net::TcpListener;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use cas::Digest;
use local::fetch::{Download, FetchError, Options};

use crate::server::{Seen, Server, Step, good, head, part_head, status, whole, whole_head};
use crate::world::{SIZE, World, asked, check_bad, check_good, content, download, half, text};

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
fn who_stalls_is_asked_again() {
    let world = World::impatient();
    check_good(&world, |seen| half(seen, Step::Hang), &["0", "150000?"]);
    let silent = |seen: &Seen| if seen.before == 0 { vec![Step::Hang] } else { good(seen, &content(0)) };
    check_good(&world, silent, &["0", "0"]);
}

#[test]
fn a_trickle_is_a_stall() {
    let trickle = |_: &Seen| {
        let mut steps = vec![whole_head(&content(0), &[])];
        for _ in 0..100 {
            steps.extend([Step::Send(vec![0]), Step::Wait(Duration::from_millis(40))]);
        }
        steps
    };
    let world = World::impatient();
    let server = Server::start(trickle);
    let options = Options { n_attempts: NonZeroUsize::MIN, ..world.options() };
    let wanted = download(&content(0), &[server.url("/file")]);
    let error = world.fetcher_with(options).fetch(&wanted, &world.store, &|_| ()).unwrap_err();
    let FetchError::Stalled { waited, .. } = error else { panic!("{error}") };
    assert!(waited < Duration::from_secs(2), "{waited:?}");
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
fn who_cannot_show_who_it_is_gets_no_request() {
    let world = World::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let n_connections = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&n_connections);
    thread::spawn(move || {
        for stream in listener.incoming() {
            counter.fetch_add(1, Ordering::Relaxed);
            let mut stream = stream.unwrap();
            stream.write_all(b"220 mail.example ESMTP\r\n").unwrap();
            let _ = std::io::copy(&mut stream, &mut std::io::sink());
        }
    });
    let error = world.fetch(&content(0), &[format!("https://127.0.0.1:{port}/file")]).unwrap_err();
    assert!(matches!(error, FetchError::Untrusted { .. }), "{error:?}");
    assert_eq!(n_connections.load(Ordering::Relaxed), 1);
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
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
    for (idx, result) in results.into_iter().enumerate() {
        let error = result.unwrap_err();
        assert!(matches!(error, FetchError::Unreachable { .. }), "{error:?}");
        let place = format!("could not connect to download `http://127.0.0.1:{port}/{idx}`");
        assert_eq!(error.to_string(), place);
        assert!(std::error::Error::source(&error).unwrap().to_string().contains("refused"));
    }
}
