//! Trees, packs and objects that nobody means well with.

use std::fs;
use std::io::{self, BufWriter, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;

use gix_hash::ObjectId;
use gix_object::Kind;

use crate::repository::{FILE, LINK, MODULE, Repository, TREE, entry, pack, sealed};
use crate::upload::Service;
use crate::world::{World, text};

/// Checks how a commit with this tree is refused.
#[track_caller]
fn check_tree(world: &World, build: impl FnOnce(&mut Repository) -> ObjectId, expected: &str) {
    let mut repository = Repository::default();
    let tree = build(&mut repository);
    let commit = repository.commit(tree, &[]);
    let directory = tempfile::tempdir_in(world.directory.path()).unwrap();
    repository.write(directory.path());
    let address = world.address(&directory.path().display().to_string());
    let error = world.checkout(&address, commit, "main").unwrap_err();
    assert_eq!(text(&error).replace(&commit.to_string(), "COMMIT"), expected);
    assert_eq!(world.scratch(), Vec::<String>::new());
}

#[test]
fn names_that_lead_elsewhere() {
    let world = World::new();
    let names: [&[u8]; 12] = [
        b".",
        b"..",
        b"",
        b"a/b",
        b"/etc",
        b"../x",
        b".git",
        b".GIT",
        b".Git",
        b"\xff",
        b"a\xc0\xaf",
        &[b'x'; 256],
    ];
    for name in names {
        for (mode, at_top) in [(FILE, true), (LINK, true), (TREE, false), (MODULE, true)] {
            let escaped = name.escape_ascii().to_string();
            let reason = match std::str::from_utf8(name) {
                Ok(_) => "it has a name that no file may have",
                Err(_) => "its name is not UTF-8",
            };
            let path = if at_top { escaped } else { format!("sub/{escaped}") };
            check_tree(
                &world,
                |repository| {
                    let blob = repository.blob(b"target");
                    let inner = repository.tree(&[(FILE, b"file", blob)]);
                    let target = if mode == TREE { inner } else { blob };
                    let tree = repository.tree(&[(mode, name, target)]);
                    if at_top { tree } else { repository.tree(&[(TREE, b"sub", tree)]) }
                },
                &format!("`{path}` of commit COMMIT cannot be used: {reason}"),
            );
        }
    }
}

#[test]
fn links_that_no_file_system_takes() {
    let world = World::new();
    for target in [&b""[..], b"a\0b", b"\xff", &[b'x'; 4096]] {
        check_tree(
            &world,
            |repository| {
                let blob = repository.blob(target);
                repository.tree(&[(LINK, b"link", blob)])
            },
            "`link` of commit COMMIT cannot be used: it is a link to what cannot be the name of a file",
        );
    }
}

#[test]
fn the_same_name_twice() {
    let world = World::new();
    check_tree(
        &world,
        |repository| {
            let blob = repository.blob(b"/etc");
            let inner = repository.tree(&[(FILE, b"passwd", blob)]);
            repository.tree(&[(LINK, b"a", blob), (TREE, b"a", inner)])
        },
        "`a` of commit COMMIT cannot be used: its directory has two entries of that name",
    );
}

#[test]
fn trees_that_are_larger_than_they_look() {
    let world = World::new();
    check_tree(
        &world,
        |repository| {
            let mut tree = repository.tree(&[]);
            for _ in 0..20 {
                tree = repository.tree(&[(TREE, b"a", tree), (TREE, b"b", tree), (TREE, b"c", tree)]);
            }
            tree
        },
        "`a/a/a/a/a/b` of commit COMMIT cannot be used: with it the tree has too many entries",
    );
    check_tree(
        &world,
        |repository| {
            let mut tree = repository.tree(&[]);
            for _ in 0..300 {
                tree = repository.tree(&[(TREE, b"a", tree)]);
            }
            tree
        },
        &format!("`{}` of commit COMMIT cannot be used: its directories lie too deep", ["a"; 257].join("/")),
    );
    // What fits in one place and not in another.
    let name = "n".repeat(250);
    check_tree(
        &world,
        |repository| {
            let mut chain = repository.tree(&[]);
            for _ in 0..5 {
                chain = repository.tree(&[(TREE, name.as_bytes(), chain)]);
            }
            let mut longer = chain;
            for _ in 0..5 {
                longer = repository.tree(&[(TREE, name.as_bytes(), longer)]);
            }
            repository.tree(&[(TREE, b"a", chain), (TREE, b"b", longer)])
        },
        &format!(
            "`b/{}` of commit COMMIT cannot be used: its directories lie too deep",
            [&*name; 5].join("/")
        ),
    );
}

#[test]
fn objects_that_are_others_than_they_should_be() {
    let world = World::new();
    let check = |build: &dyn Fn(&mut Repository) -> ObjectId, expected: &str| {
        let mut repository = Repository::default();
        let commit = build(&mut repository);
        let directory = tempfile::tempdir_in(world.directory.path()).unwrap();
        repository.write(directory.path());
        let address = world.address(&directory.path().display().to_string());
        let error = world.checkout(&address, commit, "main").unwrap_err();
        let found = text(&error);
        assert!(found.contains(expected), "{found}");
    };
    check(
        &|repository| {
            let blob = repository.blob(b"x");
            repository.commit(blob, &[])
        },
        "is a blob instead of a tree",
    );
    check(
        &|repository| {
            let tree = repository.tree(&[]);
            let tree = repository.tree(&[(FILE, b"file", tree)]);
            repository.commit(tree, &[])
        },
        "is a tree instead of a blob",
    );
    check(&|repository| repository.object(Kind::Commit, b"nothing"), "makes no sense");
    check(
        &|repository| {
            let tree = repository.object(Kind::Tree, b"100644 file\0short");
            repository.commit(tree, &[])
        },
        "makes no sense",
    );
    check(
        &|repository| {
            let missing = repository.blob(b"missing");
            let tree = repository.tree(&[(FILE, b"file", missing)]);
            let commit = repository.commit(tree, &[]);
            repository.objects.remove(&missing);
            commit
        },
        "is missing",
    );
}

/// Checks that a commit is refused whose server sends this instead of a pack, and that nothing is left.
#[track_caller]
fn check_pack(world: &World, spoil: fn(Vec<u8>) -> Vec<u8>) {
    let (repository, commit) = Repository::with_file(b"content");
    let address = world.serve(Service { spoil, ..Service::new(&repository) });
    let address = world.address(&address);
    let error = world.checkout(&address, commit, "main").unwrap_err();
    let found = text(&error);
    let is_told = ["cannot be used", "ended after", "does not have commit"];
    assert!(is_told.iter().any(|text| found.contains(text)), "{found}");
    assert_eq!(world.scratch(), Vec::<String>::new());
    let left = fs::read_dir(world.directory.path()).unwrap().count();
    // The store and the directory of parts.
    assert_eq!(left, 2);
}

fn body(pack: &[u8]) -> &[u8] {
    &pack[..pack.len() - 20]
}

#[test]
fn packs_that_are_none() {
    let world = World::new();
    check_pack(&world, |_| Vec::new());
    check_pack(&world, |pack| pack[..pack.len() / 2].to_vec());
    check_pack(&world, |pack| pack[..pack.len() - 1].to_vec());
    check_pack(&world, |pack| body(&pack).to_vec());
    check_pack(&world, |pack| [body(&pack), &[0; 20]].concat());
    check_pack(&world, |pack| [b"KCAP", &pack[4..]].concat());
    // A version that there is not.
    check_pack(&world, |pack| sealed([&pack[..4], &99_u32.to_be_bytes(), &body(&pack)[8..]].concat()));
    check_pack(&world, |_| b"<html>not found</html>".to_vec());
    // More and fewer objects than there are, and more than there can be.
    check_pack(&world, |pack| with_count(&pack, 0));
    check_pack(&world, |pack| with_count(&pack, 2));
    check_pack(&world, |pack| with_count(&pack, 4));
    check_pack(&world, |pack| with_count(&pack, 1000));
    check_pack(&world, |pack| with_count(&pack, u32::MAX));
}

fn with_count(pack: &[u8], n_objects: u32) -> Vec<u8> {
    sealed([&pack[..8], &n_objects.to_be_bytes(), &body(pack)[12..]].concat())
}

#[test]
fn packs_with_objects_that_are_none() {
    let world = World::new();
    const BLOB: u8 = 3;
    // Of a size that no memory holds, with less and more in it than it says, of a type that there is not.
    check_pack(&world, |_| pack(&[entry(BLOB, 1 << 50, &[], b"small")]));
    check_pack(&world, |_| pack(&[entry(BLOB, u64::MAX >> 4, &[], b"small")]));
    check_pack(&world, |_| pack(&[entry(BLOB, 100, &[], b"small")]));
    check_pack(&world, |_| pack(&[entry(BLOB, 1, &[], b"small")]));
    check_pack(&world, |_| pack(&[entry(0, 5, &[], b"small")]));
    check_pack(&world, |_| pack(&[entry(5, 5, &[], b"small")]));
    // The size goes on without end.
    check_pack(&world, |_| pack(&[vec![0xff; 100]]));
    // Differences from nothing, from itself, from what comes later, of which the result is too large.
    const OFFSET: u8 = 6;
    const REFERENCE: u8 = 7;
    check_pack(&world, |_| pack(&[entry(OFFSET, 4, &[0x7f], b"\x05\x05\x05small")]));
    check_pack(&world, |_| pack(&[entry(OFFSET, 4, &[0], b"\x05\x05\x05small")]));
    check_pack(&world, |_| pack(&[entry(OFFSET, 4, &[0xff; 30], b"\x05\x05\x05small")]));
    check_pack(&world, |_| pack(&[entry(REFERENCE, 4, &[1; 20], b"\x05\x05\x05small")]));
    check_pack(&world, |_| {
        let base = entry(BLOB, 5, &[], b"small");
        let delta = b"\x05\xff\xff\xff\xff\x7f\x91\x00\x05";
        let size = base.len() as u8;
        pack(&[base, entry(OFFSET, delta.len() as u64, &[size], delta)])
    });
    check_pack(&world, |_| {
        let base = entry(BLOB, 5, &[], b"small");
        // It copies from behind the end.
        let delta = b"\x05\x05\x91\x70\x05";
        let size = base.len() as u8;
        pack(&[base, entry(OFFSET, delta.len() as u64, &[size], delta)])
    });
}

#[test]
fn another_commit_than_was_asked_for() {
    let world = World::new();
    check_pack(&world, |_| {
        let (other, _) = Repository::with_file(b"another");
        other.pack(&other.objects.keys().copied().collect())
    });
}

/// Checks how a server is refused that has `say` say something, and then listens.
fn check_said(say: fn(&mut TcpStream) -> io::Result<()>, expected: &str) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            thread::spawn(move || {
                say(&mut stream)?;
                stream.shutdown(Shutdown::Write)?;
                io::copy(&mut stream, &mut io::sink())
            });
        }
    });
    let (world, (_, commit)) = (World::new(), Repository::with_file(b"x"));
    let address = world.address(&format!("git://127.0.0.1:{port}/x.git"));
    let error = world.checkout(&address, commit, "main").unwrap_err();
    assert!(text(&error).ends_with(expected), "{}", text(&error));
}

#[test]
fn a_server_that_has_nothing_to_say_is_not_asked_forever() {
    let expected = "Failed to negotiate objects with the server: what was asked for did not come";
    check_said(|stream| stream.write_all(b"000012f0"), expected);
}

#[test]
fn a_server_that_says_what_only_later_versions_have() {
    // The library has an assertion here, for its own tests; `Cargo.toml` leaves it out.
    check_said(|stream| stream.write_all(b"00000001"), "ended after 8 bytes, before it was whole");
}

#[test]
fn a_server_that_does_not_come_to_an_end_is_not_listened_to() {
    let endless = |stream: &mut TcpStream| {
        let mut stream = BufWriter::new(stream);
        for number in 1_u64.. {
            let capabilities = if number == 1 { "\0agent=test" } else { "" };
            let line = format!("{number:040x} refs/heads/{number:020}{capabilities}\n");
            write!(stream, "{:04x}{line}", line.len() + 4)?;
        }
        Ok(())
    };
    check_said(endless, "sent cannot be used: it goes on for more than 64 MiB without an object");
}

#[test]
fn packs_with_any_byte_changed_are_refused_or_the_same() {
    // With the checksum made right again, so that what is in it is looked at.
    let (repository, commit) = Repository::with_file(b"some content that is a little longer");
    let good = repository.pack(&repository.objects.keys().copied().collect());
    let world = World::new();
    let address = world.address(&world.serve(Service::new(&repository)));
    let expected = world.checkout(&address, commit, "main").unwrap();
    for position in 0..good.len() - 20 {
        let mut bytes = good[..good.len() - 20].to_vec();
        bytes[position] ^= 1 << (position % 8);
        let bytes = sealed(bytes);
        let served = Service::new(&repository);
        let server = crate::server::Server::start(move |seen| {
            if seen.method == "GET" {
                return served.answer(seen, "/x.git");
            }
            let framed: Vec<u8> = bytes
                .chunks(1000)
                .flat_map(|chunk| crate::upload::framed(&[b"\x01", chunk].concat()))
                .collect();
            let body = [crate::upload::line("packfile\n"), framed, b"0000".to_vec()].concat();
            crate::upload::reply("result", &body)
        });
        let address = world.address(&server.url("/x.git"));
        if let Ok(found) = world.checkout(&address, commit, "main") {
            assert_eq!(found, expected, "byte {position}");
        }
    }
}
