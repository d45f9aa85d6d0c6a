//! EROFS images from anywhere: walked and read, or refused.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mkimg::erofs::{Content, Digests, Reader};

fuzz_target!(|bytes: &[u8]| {
    let Ok(reader) = Reader::open(bytes.to_vec()) else { return };
    let _ = reader.walk(&mut |visit| {
        let _ = reader.xattrs(visit.inode);
        // A few bytes can say that a file has terabytes of zeros.
        if matches!(visit.inode.content, Content::File) && visit.inode.size < 1 << 24 {
            let _ = reader.contents(visit.inode, &mut |_| Ok(()));
        }
        Ok(())
    });
    let _ = reader.resolve(b"/etc/conf");
    let _ = reader.dump(Digests::LeftOut, &mut std::io::sink());
});
