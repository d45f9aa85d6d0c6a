//! Servers that are not there, do not want to, lead elsewhere, stop or break.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use gix_hash::ObjectId;
use local::fetch::git::{Checkout, GitError};
use local::fetch::{FetchError, Fetcher, Options, Proxies};

use crate::repository::Repository;
use crate::server::{Seen, Server, Step, head, status};
use crate::upload::{Service, line, reply};
use crate::world::{World, text};

fn repository() -> (Repository, ObjectId) {
    Repository::with_file(b"content")
}

/// Checks how a checkout from a server ends that answers so, and how many requests it took.
#[track_caller]
fn check(
    answer: impl Fn(&Seen, &Service) -> Vec<Step> + Send + Sync + 'static,
    n_requests: usize,
    expected: &str,
) {
    let world = World::new();
    let (repository, commit) = repository();
    let service = Service::new(&repository);
    let server = Server::start(move |seen| answer(seen, &service));
    let address = world.address(&server.url("/x.git"));
    let found = match world.checkout(&address, commit, "main") {
        Ok(_) => "fine".to_owned(),
        Err(error) => text(&error).replace(server.url("").trim_start_matches("http://"), "HOST"),
    };
    assert_eq!(found, expected);
    assert_eq!(server.seen().len(), n_requests, "{:?}", server.seen());
}

#[test]
fn answers_that_are_none() {
    check(
        |_, _| status(404, &[]),
        1,
        "there is no git repository at `http://HOST/x.git`: the server has nothing there",
    );
    check(|_, _| status(401, &[]), 1, "the server does not show `http://HOST/x.git` to everybody");
    check(|_, _| status(403, &[]), 1, "the server does not show `http://HOST/x.git` to everybody");
    check(
        |_, _| {
            vec![head(200, &["Content-Type: text/html; charset=utf-8".into(), "Content-Length: 0".into()])]
        },
        1,
        "there is no git repository at `http://HOST/x.git`: the server sent text/html, not what git sends",
    );
    // What may be better the next time is asked for again.
    let refused =
        "the server answered to `http://HOST/x.git/info/refs?service=git-upload-pack` with status 500";
    check(|_, _| status(500, &[]), 3, refused);
    check(
        |seen, service| match (&*seen.method, seen.before) {
            ("GET", 0) | ("POST", 0) => status(503, &[]),
            _ => service.answer(seen, "/x.git"),
        },
        5,
        "fine",
    );
}

#[test]
fn refusals_are_told_in_the_words_of_the_server() {
    check(
        |_, _| reply("advertisement", &line("ERR we are closed\n")),
        2,
        "the server of `http://HOST/x.git` refused: we are closed",
    );
    let (repository, commit) = repository();
    let mut service = Service::new(&repository);
    service.repository.objects.clear();
    let world = World::new();
    // All that it has is shown, and still the commit is not there.
    service.repository.references.clear();
    let address = world.address(&world.serve(service));
    let error = world.checkout(&address, commit, "main").unwrap_err();
    assert!(matches!(error, GitError::CommitGone { now: None, .. }), "{}", text(&error));
}

#[test]
fn redirects_are_followed_once_for_all() {
    let world = World::new();
    let (repository, commit) = repository();
    let service = Service::new(&repository);
    let server = Server::start(move |seen| match seen.target.strip_prefix("/old.git") {
        Some(rest) if seen.method == "GET" => status(301, &[&format!("Location: /new.git{rest}")]),
        Some(_) => status(500, &[]),
        None => service.answer(seen, "/new.git"),
    });
    world.checkout(&world.address(&server.url("/old.git")), commit, "main").unwrap();
    let targets: Vec<String> = server.seen().iter().map(|seen| seen.target.clone()).collect();
    assert_eq!(targets.last().map(String::as_str), Some("/new.git/git-upload-pack"), "{targets:?}");

    for (location, expected) in [
        ("/elsewhere", "where the repository cannot be told from its parts"),
        ("file:///etc/passwd", "which is no place to go to"),
        ("/x.git/info/refs?service=git-upload-pack", "which is one redirect too many"),
    ] {
        let service = Service::new(&repository);
        let server = Server::start(move |seen| match &*seen.target {
            "/elsewhere" => {
                let seen = Seen { target: "/x.git/info/refs?service=git-upload-pack".into(), ..seen.clone() };
                service.answer(&seen, "/x.git")
            }
            _ => status(302, &[&format!("Location: {location}")]),
        });
        let error = world.checkout(&world.address(&server.url("/x.git")), commit, "main").unwrap_err();
        assert!(text(&error).ends_with(expected), "{}", text(&error));
    }
}

#[test]
fn a_password_is_not_sent_for_everybody_to_read() {
    let world = World::new();
    let (repository, commit) = repository();
    let service = Service::new(&repository);
    let server = Server::start(move |seen| service.answer(seen, "/x.git"));
    let address = server.url("/x.git").replacen("http://", "http://user:secret@", 1);
    let error = world.checkout(&world.address(&address), commit, "main").unwrap_err();
    assert!(matches!(error, GitError::Unsupported { .. }), "{}", text(&error));
    assert!(!text(&error).contains("secret") && server.seen().is_empty(), "{}", text(&error));
}

#[test]
fn connections_that_break_are_made_again() {
    // The answer to the first request for the pack ends in the middle, in each way.
    for end in [|| Step::Reset, || Step::Close] {
        check(
            move |seen, service| {
                let mut steps = service.answer(seen, "/x.git");
                if seen.method == "POST" && seen.before == 0 {
                    if let Some(Step::Send(body)) = steps.last_mut() {
                        body.truncate(100);
                    }
                    steps.push(end());
                }
                steps
            },
            4,
            "fine",
        );
    }
    let world = World::new();
    let (_, commit) = repository();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    for url in [format!("http://127.0.0.1:{port}/x.git"), format!("git://127.0.0.1:{port}/x.git")] {
        let error = world.checkout(&world.address(&url), commit, "main").unwrap_err();
        assert!(matches!(error, GitError::Fetch(FetchError::Unreachable { .. })), "{}", text(&error));
    }
}

#[test]
fn servers_that_say_nothing_are_given_up() {
    let mut world = World::new();
    world.patience = Duration::from_millis(300);
    let (_, commit) = repository();
    let silent = Server::start(|_| vec![Step::Hang]);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    for url in [silent.url("/x.git"), format!("git://127.0.0.1:{port}/x.git")] {
        let error = world.checkout(&world.address(&url), commit, "main").unwrap_err();
        assert!(matches!(error, GitError::Fetch(FetchError::Stalled { .. })), "{}", text(&error));
    }
}

#[test]
fn whoever_wants_to_stop_need_not_wait() {
    let (repository, commit) = repository();
    let service = Service::new(&repository);
    let slow = Server::start(move |seen| match &*seen.method {
        "POST" => {
            let Some(Step::Send(mut body)) = service.answer(seen, "/x.git").pop() else { return Vec::new() };
            let length = format!("Content-Length: {}", body.len());
            body.truncate(200);
            let kind = "Content-Type: application/x-git-upload-pack-result".to_owned();
            vec![head(200, &[kind, length]), Step::Send(body), Step::Hang]
        }
        _ => service.answer(seen, "/x.git"),
    });
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    for url in [slow.url("/x.git"), format!("git://127.0.0.1:{port}/x.git")] {
        let world = World::new();
        let start = Instant::now();
        thread::scope(|scope| {
            scope.spawn(|| {
                thread::sleep(Duration::from_millis(200));
                world.cancel.store(true, Ordering::Relaxed);
            });
            let error = world.checkout(&world.address(&url), commit, "main").unwrap_err();
            assert!(matches!(error, GitError::Fetch(FetchError::Cancelled)), "{}", text(&error));
        });
        assert!(start.elapsed() < world.patience / 2, "{:?}", start.elapsed());
        assert_eq!(world.scratch(), Vec::<String>::new());
    }
}

#[test]
fn a_server_may_take_its_time_if_it_says_so() {
    // Far less than a download has to bring comes while it counts.
    let mut world = World::new();
    world.patience = Duration::from_secs(2);
    let (repository, commit) = repository();
    let service = Service::new(&repository);
    let server = Server::start(move |seen| {
        let mut steps = service.answer(seen, "/x.git");
        if seen.method == "POST"
            && let Some(Step::Send(body)) = steps.pop()
        {
            for byte in &body[..8] {
                steps.push(Step::Send(vec![*byte]));
                steps.push(Step::Wait(Duration::from_millis(400)));
            }
            steps.push(Step::Send(body[8..].to_vec()));
        }
        steps
    });
    world.checkout(&world.address(&server.url("/x.git")), commit, "main").unwrap();
}

#[test]
fn nothing_is_asked_for_when_that_is_forbidden() {
    let world = World::new();
    let (repository, commit) = repository();
    let server = Server::start(|_| status(500, &[]));
    repository.write(&world.directory.path().join("x.git"));
    let commit = commit.to_string().parse().unwrap();
    let check = |address: &str| {
        let address = world.address(address);
        let wanted = Checkout { address: &address, commit, rev: "main", submodules: true, offline: true };
        world.fetcher().checkout(&wanted, &world.store, &|_| ())
    };
    let error = check(&server.url("/x.git")).unwrap_err();
    assert!(matches!(error, GitError::Offline { .. }), "{}", text(&error));
    check("./x.git").unwrap();
    assert_eq!(server.seen().len(), 0);
}

#[test]
fn proxies_are_used_for_all_of_it() {
    let (repository, commit) = repository();
    let service = Service::new(&repository);
    let proxy = Server::start(move |seen| match seen.target.strip_prefix("http://git.invalid") {
        Some(target) => service.answer(&Seen { target: target.to_owned(), ..seen.clone() }, "/x.git"),
        None => status(400, &[]),
    });
    let world = World::new();
    let address = proxy.url("").replace("http://", "http://me:s%40cret@");
    let proxies = Proxies { http: Some(address), https: None, none: String::new() };
    let options = Options { proxies, ..world.options() };
    let fetcher = Fetcher::new(options, Arc::clone(&world.cancel)).unwrap();
    let address = world.address("http://git.invalid/x.git");
    let commit = commit.to_string().parse().unwrap();
    let wanted = Checkout { address: &address, commit, rev: "main", submodules: false, offline: false };
    fetcher.checkout(&wanted, &world.store, &|_| ()).unwrap();
    for seen in proxy.seen() {
        assert_eq!(seen.header("proxy-authorization"), Some("Basic bWU6c0BjcmV0"), "{seen:?}");
        assert_eq!(seen.header("host"), Some("git.invalid"));
        assert_eq!(seen.header("git-protocol"), Some("version=2"));
    }
    assert_eq!(proxy.seen().len(), 2);
}

#[test]
fn progress_is_told() {
    let (repository, commit) = repository();
    let world = World::new();
    let address = world.address(&world.serve(Service::new(&repository)));
    let last = std::sync::Mutex::new(0);
    let commit = commit.to_string().parse().unwrap();
    let wanted = Checkout { address: &address, commit, rev: "main", submodules: false, offline: false };
    let on_progress = |progress: local::fetch::Progress<'_>| {
        assert_eq!(progress.url, address.to_string());
        let mut last = last.lock().unwrap();
        assert!(progress.n_received >= *last);
        *last = progress.n_received;
    };
    world.fetcher().checkout(&wanted, &world.store, &on_progress).unwrap();
    assert!(*last.lock().unwrap() > 100);
}
