//! squashfs images from anywhere: walked and read, or refused.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mkimg::squashfs::{Digests, Reader};

fuzz_target!(|bytes: &[u8]| {
    let Ok(reader) = Reader::open(bytes.to_vec()) else { return };
    let _ = reader.walk(&mut |visit| {
        let _ = reader.xattrs(visit.inode);
        if let Ok(mut file) = reader.file(visit.inode) {
            let mut buffer = vec![0; usize::try_from(file.size()).unwrap_or(usize::MAX).min(1 << 16)];
            let _ = file.read_exact_at(0, &mut buffer);
            let _ = file.read_exact_at(file.size() - buffer.len() as u64, &mut buffer);
        }
        Ok(())
    });
    let _ = reader.resolve(b"/etc/conf");
    // Without digests: a few bytes can say that a file has terabytes of zeros.
    let _ = reader.dump(Digests::LeftOut, &mut std::io::sink());
});
