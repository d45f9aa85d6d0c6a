//! Contents lie layer by layer: an edit in an upper layer moves nothing that is from below.

use std::fs;

use super::Build;

/// Returns bytes that no compressor makes smaller.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..length).map(|_| next()).collect()
}

/// Returns where `bytes` begin in an image.
fn position(image: &[u8], bytes: &[u8]) -> usize {
    image.windows(64).position(|window| *window == bytes[..64]).unwrap()
}

#[test]
fn an_edit_in_an_upper_layer_moves_nothing_below() {
    let build = Build::new();
    let below = noise(1, 200_000);
    fs::create_dir_all(build.path().join("in/base/usr")).unwrap();
    fs::write(build.path().join("in/base/usr/zzz"), &below).unwrap();
    build.run(r#"{"kind":"layer","output":"in/base.tar","epoch":7,"trees":["in/base"]}"#).unwrap();
    // Its name is before the other one's, and it grows from a part of a block to several.
    let edited = [noise(2, 500), noise(3, 70_000)];
    for (number, bytes) in edited.iter().enumerate() {
        let tree = format!("in/tree{number}");
        fs::create_dir_all(build.path().join(&tree).join("usr")).unwrap();
        fs::write(build.path().join(&tree).join("usr/aaa"), bytes).unwrap();
        let layer = format!(r#"{{"kind":"layer","output":"{tree}.tar","epoch":7,"trees":["{tree}"]}}"#);
        build.run(&layer).unwrap();
    }
    let uuid = r#""uuid":"00112233-4455-6677-8899-aabbccddeeff""#;
    for more in [
        r#""kind":"squashfs","compression":"zstd""#.to_owned(),
        format!(r#""kind":"erofs",{uuid}"#),
        format!(r#""kind":"ext4","size":16777216,{uuid},"hash_seed":"ffeeddccbbaa99887766554433221100""#),
        r#""kind":"fat","size":16777216,"volume_id":1"#.to_owned(),
        r#""kind":"iso","volume_id":"VOLUME""#.to_owned(),
    ] {
        let image = |number: usize| {
            let layers = format!(r#""layers":["in/base.tar","in/tree{number}.tar"]"#);
            build.run(&format!(r#"{{{more},"output":"out/image","epoch":9,{layers}}}"#)).unwrap();
            fs::read(build.path().join("out/image")).unwrap()
        };
        let images = [image(0), image(1)];
        let places = images.each_ref().map(|image| position(image, &below));
        assert_eq!(places[0], places[1], "{more}");
        for (image, bytes) in images.iter().zip(&edited) {
            assert!(position(image, bytes) > places[0], "{more}");
        }
    }
}
