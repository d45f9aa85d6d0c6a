//! What is larger than a record can say.

use mkimg::CountingSink;
use mkimg::iso::{Builder, Content, ROOT, Reader, View};
use mkimg::{Sink, SparseFile};

use crate::support::{mode, noise, options, scratch, tool};

/// Six gigabytes of nothing, with something at the start, around 4 GiB and at the end.
const SIZE: u64 = 6 << 30;

fn fill(offset: u64, buffer: &mut [u8]) {
    buffer.fill(0);
    for place in [0, (1 << 32) - 2048, 1 << 32, SIZE - 1] {
        if let Some(byte) =
            place.checked_sub(offset).and_then(|at| buffer.get_mut(usize::try_from(at).unwrap()))
        {
            *byte = place.to_le_bytes()[3] | 1;
        }
    }
}

#[test]
fn a_file_of_several_extents() {
    let mut builder = Builder::new(options()).unwrap();
    let directory = builder.directory(ROOT, b"large", mode(0o755)).unwrap();
    let name = "a name that needs fields in every record ".repeat(6);
    builder.file(directory, name.as_bytes(), mode(0o644), SIZE).unwrap();
    builder.file(directory, b"small", mode(0o644), 4).unwrap();
    let image = builder.seal().unwrap();
    assert!(image.size() > SIZE);

    let scratch = scratch();
    let path = scratch.path().join("image.iso");
    let file = std::fs::File::create_new(&path).unwrap();
    let mut sink = SparseFile::new(&file);
    let mut contents = |_, offset: u64, buffer: &mut [u8]| {
        fill(offset, buffer);
        Ok(())
    };
    image.write(&mut contents, &mut sink).unwrap();
    sink.finish().unwrap();

    let reader = Reader::open(std::fs::File::open(&path).unwrap()).unwrap();
    reader.check().unwrap();
    let mut found = Vec::new();
    reader
        .walk(View::RockRidge, &mut |visit| {
            if let Content::File(extents) = &visit.entry.content {
                found.push((visit.entry.name.clone(), extents.clone()));
            }
            Ok(())
        })
        .unwrap();
    let (_, extents) = found.iter().find(|(found, _)| found == name.as_bytes()).unwrap();
    assert_eq!(
        extents.iter().map(|extent| u64::from(extent.size)).collect::<Vec<_>>(),
        [0xffff_f800, SIZE - 0xffff_f800]
    );
    for offset in [0, (1 << 32) - 3000, SIZE - 4000] {
        let (mut is, mut should) = (vec![0; 4000], vec![0; 4000]);
        reader.read_data(extents, offset, &mut is).unwrap();
        fill(offset, &mut should);
        assert!(is == should, "{offset}");
    }
    if let Some((code, text)) = tool("isoinfo", &["-l", "-R", "-i", path.to_str().unwrap()]) {
        assert_eq!(code, 0, "{text}");
        assert!(text.contains(name.trim_end()), "{text}");
    }
}

#[test]
fn many_directories_and_names() {
    let mut builder = Builder::new(options()).unwrap();
    for index in 0..3000 {
        let name = format!("a directory with a long name and the number {index}");
        let directory = builder.directory(ROOT, name.as_bytes(), mode(0o755)).unwrap();
        let target = noise(3000, index + 1).iter().map(|byte| byte % 26 + b'a').collect::<Vec<u8>>();
        builder.symlink(directory, b"link", mode(0o777), &target).unwrap();
    }
    let image = builder.seal().unwrap();
    let mut sink = mkimg::MemorySink::default();
    image.write(&mut |_, _, _| Ok(()), &mut sink).unwrap();
    let reader = Reader::open(sink.into_bytes()).unwrap();
    reader.check().unwrap();
    let mut n_links = 0;
    reader
        .walk(View::RockRidge, &mut |visit| {
            n_links +=
                usize::from(matches!(&visit.entry.content, Content::Symlink(target) if target.len() == 3000));
            Ok(())
        })
        .unwrap();
    assert_eq!(n_links, 3000);
}

#[test]
fn every_byte_comes_once() {
    let mut builder = Builder::new(options()).unwrap();
    builder.file(ROOT, b"file", mode(0o644), 3_000_001).unwrap();
    let image = builder.seal().unwrap();
    let mut asked = 0;
    let mut sink = CountingSink::default();
    let mut contents = |_, offset: u64, buffer: &mut [u8]| {
        assert_eq!(offset, asked);
        asked += buffer.len() as u64;
        buffer.fill(1);
        Ok(())
    };
    image.write(&mut contents, &mut sink).unwrap();
    sink.zeros(image.size(), 0).unwrap();
    assert_eq!((asked, sink.data + sink.zeros), (3_000_001, image.size()));
}
