//! A small repository, and what servers say of it.

use std::fs;
use std::path::Path;

use gix_hash::ObjectId;
use gix_object::Kind;

use crate::repository::{FILE, LINK, PROGRAM, Repository, TREE, entry, pack, sealed, type_number};

/// Returns the name of the sample's commit.
pub fn sample_commit() -> String {
    sample().1.to_string()
}

/// Returns a repository with a branch, a tag and one of everything, and its commit.
fn sample() -> (Repository, ObjectId) {
    let mut repository = Repository::default();
    let blob = repository.blob(b"some text, and some more of some text\n");
    let inner = repository.tree(&[(FILE, b"file", blob), (PROGRAM, b"run", blob)]);
    let link = repository.blob(b"sub/file");
    let tree = repository.tree(&[(FILE, b"file", blob), (LINK, b"link", link), (TREE, b"sub", inner)]);
    let commit = repository.commit(tree, &[]);
    let tag = repository.tag(commit);
    repository.set("refs/heads/main", commit);
    repository.set("refs/tags/v1", tag);
    (repository, commit)
}

/// Returns the objects of the sample as a pack, and two that are made of others, without its checksum.
pub fn sample_pack() -> Vec<u8> {
    let (repository, _) = sample();
    let objects = repository.objects.values();
    let mut entries: Vec<Vec<u8>> =
        objects.map(|(kind, data)| entry(type_number(*kind), data.len() as u64, &[], data)).collect();
    let text = b"text that others begin with";
    let (base, whole) = (Repository::default().blob(text), entry(3, text.len() as u64, &[], text));
    // How long the one and the other are, then: copy the first nine bytes (gitformat-pack(5), "Deltified representation").
    let delta = [text.len() as u8, 9, 0x90, 9];
    let before = [whole.len() as u8];
    entries.push(whole);
    entries.push(entry(6, delta.len() as u64, &before, &delta));
    let delta = [text.len() as u8, 12, 0x90, 12];
    entries.push(entry(7, delta.len() as u64, base.as_slice(), &delta));
    let mut pack = pack(&entries);
    pack.truncate(pack.len() - 20);
    pack
}

/// Writes a repository to `place`: what `HEAD`, `packed-refs`, `config` and `.gitmodules` say and what else the tree of its
/// commit has, parted by bytes of 255. Returns the name of the commit.
///
/// # Panics
///
/// If there is no room.
pub fn write_directory(bytes: &[u8], place: &Path) -> String {
    let mut parts = bytes.splitn(5, |byte| *byte == 0xff);
    let mut part = || parts.next().unwrap_or_default();
    let mut repository = Repository::default();
    let files = [("HEAD", part()), ("packed-refs", part()), ("config", part())];
    let modules = repository.blob(part());
    let start = [FILE.as_bytes(), b" .gitmodules\0", modules.as_slice()].concat();
    let tree = repository.object(Kind::Tree, &[&start, part()].concat());
    let commit = repository.commit(tree, &[]);
    repository.write(place);
    for (name, bytes) in files {
        fs::write(place.join(name), bytes).expect("there is room");
    }
    commit.to_string()
}

/// Returns what [`write_directory`] reads: a tree with a file and a submodule.
pub fn sample_directory() -> Vec<u8> {
    let tree = [&b"100644 file\0"[..], &[7; 20], b"160000 sub\0", &[8; 20]].concat();
    let head = format!("{} refs/heads/main\n", sample_commit());
    let parts: [&[u8]; 5] = [
        b"ref: refs/heads/main\n",
        head.as_bytes(),
        b"[core]\n\trepositoryformatversion = 0\n\tbare = true\n",
        b"[submodule \"a\"]\n\tpath = sub\n\turl = ../other\n",
        &tree,
    ];
    parts.join(&0xff)
}

/// Returns what a server says that is asked for a commit and has a pack for it, whose checksum is made right.
pub fn with_pack(pack: &[u8]) -> Vec<u8> {
    [greeting(), objects(pack)].concat()
}

/// Returns the answers of the same server over HTTP.
pub fn with_pack_over_http(pack: &[u8]) -> Vec<Vec<u8>> {
    let answer = |kind: &str, body: &[u8]| {
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/x-git-upload-pack-{kind}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        [head.as_bytes(), body].concat()
    };
    let service = [framed(b"# service=git-upload-pack\n"), b"0000".to_vec()].concat();
    vec![answer("advertisement", &[service, greeting()].concat()), answer("result", &objects(pack))]
}

fn greeting() -> Vec<u8> {
    let lines = ["version 2\n", "agent=fuzz\n", "ls-refs\n", "fetch=shallow\n"];
    let mut said: Vec<u8> = lines.into_iter().flat_map(|line| framed(line.as_bytes())).collect();
    said.extend(b"0000");
    said
}

fn objects(pack: &[u8]) -> Vec<u8> {
    let mut said = framed(b"packfile\n");
    said.extend(in_pieces(pack));
    said
}

fn in_pieces(pack: &[u8]) -> Vec<u8> {
    let sealed = sealed(pack.to_vec());
    let mut said: Vec<u8> =
        sealed.chunks(1000).flat_map(|piece| framed(&[b"\x01", piece].concat())).collect();
    said.extend(b"0000");
    said
}

/// Returns what a server of the first version of the protocol says: all references, then a pack.
pub fn with_references(pack: &[u8]) -> Vec<u8> {
    let (repository, commit) = sample();
    let mut said = framed(format!("{commit} HEAD\0shallow side-band-64k ofs-delta agent=fuzz\n").as_bytes());
    for (name, id) in &repository.references {
        said.extend(framed(format!("{id} {name}\n").as_bytes()));
    }
    said.extend(b"0000");
    said.extend(framed(format!("shallow {commit}\n").as_bytes()));
    said.extend(b"0000");
    said.extend(framed(b"NAK\n"));
    said.extend(in_pieces(pack));
    said
}

fn framed(bytes: &[u8]) -> Vec<u8> {
    [format!("{:04x}", bytes.len() + 4).as_bytes(), bytes].concat()
}
