//! ext4 images from anywhere: walked, checked and read, or refused.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mkimg::ext4::Reader;

fuzz_target!(|bytes: &[u8]| {
    let Ok(reader) = Reader::open(bytes.to_vec()) else { return };
    let _ = reader.walk(&mut |visit| {
        let _ = reader.xattrs(visit.inode);
        if visit.inode.is_symlink() {
            let _ = reader.symlink_target(visit.inode);
        }
        if visit.inode.is_file()
            && let Ok(data) = reader.data(visit.inode)
        {
            let mut buffer = vec![0; usize::try_from(data.size()).unwrap_or(usize::MAX).min(1 << 16)];
            let _ = data.read_exact_at(0, &mut buffer);
            let _ = data.read_exact_at(data.size() - buffer.len() as u64, &mut buffer);
        }
        Ok(())
    });
    let _ = reader.check();
    let _ = reader.dump();
});
