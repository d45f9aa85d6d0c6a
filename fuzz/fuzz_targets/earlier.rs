//! What a step finds of an earlier run, a table and the image that it is of: it saves time, or is as if it were not there.
//!
//! The first byte is what is written and whether the table's digest is made right, the next four are its length.
#![no_main]

use std::sync::LazyLock;

use fuzz::step::Step;
use libfuzzer_sys::fuzz_target;

struct Known {
    step: Step,
    /// What is written without anything that is known.
    images: Vec<Vec<u8>>,
}

static KNOWN: LazyLock<Known> = LazyLock::new(|| {
    let name = format!("bootwright-fuzz-{}.earlier", std::process::id());
    let step = Step::new(&std::env::temp_dir().join(name));
    let images = (0..step.n_ways()).map(|way| step.run(way, None).0).collect();
    Known { step, images }
});

fuzz_target!(|bytes: &[u8]| {
    let Some((head, rest)) = bytes.split_first_chunk::<5>() else { return };
    let [way, length @ ..] = *head;
    let (way, is_sealed) = (usize::from(way >> 1) % KNOWN.step.n_ways(), way & 1 == 1);
    let (table, image) = rest.split_at(rest.len().min(u32::from_le_bytes(length) as usize));
    let mut table = table.to_vec();
    if is_sealed {
        fuzz::seal_table(&mut table);
    }
    let (made, _) = KNOWN.step.run(way, Some((&table, image)));
    // A table that is said to be right can say anything.
    assert!(is_sealed || made == KNOWN.images[way], "a damaged table changes nothing");
});
