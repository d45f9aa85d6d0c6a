//! Archives with a disk from anywhere, with the checksum of the header made right: unpacked or refused.
#![no_main]

use std::io::Write as _;

use libfuzzer_sys::fuzz_target;
use mkimg::spec::Compression;
use mkimg::vdisk::gcp::unpack;
use mkimg::{Compressor, CountingSink};

fuzz_target!(|bytes: &[u8]| {
    let _ = unpack(bytes, &mut CountingSink::default());
    let Ok(mut gzip) = Compressor::with_threads(Compression::Gzip, Vec::new(), 1) else { return };
    if gzip.write_all(&fuzz::with_tar_checksums(bytes)).is_ok()
        && let Ok(archive) = gzip.finish()
    {
        let _ = unpack(&archive[..], &mut CountingSink::default());
    }
});
