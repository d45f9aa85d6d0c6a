//! Downloads from servers that behave, and from such that do not.

#![allow(clippy::disallowed_methods, reason = "that nothing takes long is shown by the clock only")]
#![allow(clippy::unwrap_used, reason = "what a helper of a test cannot have, the test cannot do without")]

#[path = "fetch/faults.rs"]
mod faults;
#[path = "fetch/server.rs"]
mod server;
#[path = "fetch/world.rs"]
mod world;

use std::fs;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use cas::{Digest, LocalStore};
use local::fetch::{Download, FetchError, Fetcher, Options, Proxies};
use server::{Seen, Server, Step, good, head, part_head, status, whole, whole_head};
use world::{SIZE, World, asked, check_good, content, download, half, text};

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
        assert!(start.elapsed() < Duration::from_secs(2), "{path}: {:?}", start.elapsed());
        if path == "/stops" {
            assert_eq!(fs::metadata(world.part(&body)).unwrap().len(), SIZE as u64 / 2);
        }
    }
}

#[test]
fn old_parts_are_swept_unless_somebody_has_them() {
    let world = World::new();
    let (old, busy, new) = (world.part(b"old"), world.part(b"busy"), world.part(b"new"));
    fs::create_dir_all(old.parent().unwrap()).unwrap();
    for part in [&old, &busy, &new] {
        fs::write(part, "half").unwrap();
    }
    let a_week_ago = SystemTime::now() - Duration::from_secs(7 * 86400);
    let locked = lock(&busy);
    for file in [fs::File::options().append(true).open(&old).unwrap(), locked.try_clone().unwrap()] {
        file.set_modified(a_week_ago - Duration::from_secs(1)).unwrap();
    }
    let swept = local::fetch::sweep_parts(old.parent().unwrap(), a_week_ago).unwrap();
    assert_eq!((swept.n_parts, swept.bytes), (1, 4));
    assert_eq!((old.exists(), busy.exists(), new.exists()), (false, true, true));
    drop(locked);
    let swept = local::fetch::sweep_parts(old.parent().unwrap(), SystemTime::now()).unwrap();
    assert_eq!(swept.n_parts, 2);
    let nowhere = local::fetch::sweep_parts(&old, SystemTime::now());
    assert_eq!(nowhere.unwrap().n_parts, 0);
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
    let world = World::impatient();
    let server = Server::start(|seen| good(seen, &content(0)));
    let body = content(0);
    let fetcher = world.fetcher();
    let _other = lock(&world.part(&body));
    let digest = fetcher.fetch(&download(&body, &[server.url("/file")]), &world.store, &|_| ()).unwrap();
    world.store.verify(&digest).unwrap();
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
