//! Random disks, which have to come back as they were declared, or be refused.

use mkimg::MemorySink;
use mkimg::disk::{Blob, Disk, Identity, Partition, PartitionSize, Reader, Size, gpt_type, resolve};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use crate::support::{MIB, gpt, guid, noise, write};

fn size() -> impl Strategy<Value = PartitionSize> {
    prop_oneof![
        6 => (1..3_000_000u64).prop_map(PartitionSize::Fixed),
        2 => Just(PartitionSize::Min),
        1 => Just(PartitionSize::Grow),
        1 => any::<u64>().prop_map(PartitionSize::Fixed),
    ]
}

/// What is declared of one partition, but for its GUID.
type Declaration = (Option<u32>, String, PartitionSize, Option<u64>, Option<u64>, u64, Option<u64>);

fn partition() -> impl Strategy<Value = Declaration> {
    let number =
        prop_oneof![6 => Just(None), 1 => (1..=128u32).prop_map(Some), 1 => any::<u32>().prop_map(Some)];
    let at = prop_oneof![8 => Just(None), 2 => (34..20_000u64).prop_map(|lba| Some(lba * 512)), 1 => option::of(any::<u64>())];
    let align = prop_oneof![6 => Just(None), 2 => (0..14u32).prop_map(|log| Some(512 << log)), 1 => option::of(any::<u64>())];
    (number, "[ -~äß€😀]{0,18}", size(), at, align, any::<u64>(), option::of(1..600_000u64))
}

fn disk() -> impl Strategy<Value = Disk> {
    let size = prop_oneof![
        2 => (8..24u64).prop_map(|mebibytes| Size::Fixed(mebibytes * MIB)),
        3 => (0..2 * MIB, 0..12u32).prop_map(|(slack, log)| Size::Fit { slack, round: 512 << log }),
        1 => any::<u64>().prop_map(Size::Fixed),
        1 => any::<(u64, u64)>().prop_map(|(slack, round)| Size::Fit { slack, round }),
    ];
    let blob =
        (17_000..60_000u64, 0..40_000u64).prop_map(|(at, size)| Blob { name: "blob".to_owned(), at, size });
    let sector_size = prop_oneof![4 => Just(512), 1 => Just(4096)];
    let first_lba = prop_oneof![3 => Just(0), 1 => 0..5000u64, 1 => any::<u64>()];
    (size, vec(partition(), 0..8), vec(blob, 0..2), sector_size, first_lba).prop_map(
        |(size, declarations, blobs, sector_size, first_lba)| {
            let partitions =
                (1..).zip(declarations).map(|(idx, (number, name, size, at, align, attributes, content))| {
                    let identity =
                        Identity::Gpt { kind: gpt_type("linux").unwrap(), guid: guid(idx), attributes };
                    let content = content.map(|size| (size, "`file`".to_owned()));
                    Partition { number, name, identity, size, at, align, content }
                });
            Disk { size, partitions: partitions.collect(), blobs, sector_size, first_lba, ..gpt() }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn disks_come_back_or_are_refused(disk in disk()) {
        match resolve(disk.clone()) {
            Err(problems) => {
                prop_assert!(!problems.problems.is_empty());
                let widest = problems.drawing.lines().map(|line| line.chars().count()).max().unwrap_or(0);
                prop_assert!(widest <= 100, "{}", problems.drawing);
            }
            // What is larger is right, but not for a test's memory.
            Ok(plan) if plan.map().size() > 64 * MIB => {}
            Ok(plan) => {
                let mut sink = MemorySink::default();
                write(&plan, &disk, &mut sink);
                let bytes = sink.into_bytes();
                let reader = Reader::open(bytes.clone()).unwrap();
                reader.dump().unwrap();
                prop_assert_eq!(reader.entries().len(), disk.partitions.len());
                let mut seed = 1;
                for (partition, placed) in disk.partitions.iter().zip(&plan.map().partitions) {
                    let found = reader.entries().iter().find(|(number, _)| *number == placed.number);
                    let entry = &found.unwrap().1;
                    let Identity::Gpt { kind, guid, attributes } = partition.identity else { unreachable!() };
                    prop_assert_eq!((entry.kind, entry.guid, entry.attributes), (kind, guid, attributes));
                    prop_assert_eq!((entry.first, entry.last), (placed.first, placed.last()));
                    prop_assert_eq!(&entry.name, &partition.name);
                    if let Some((size, _)) = &partition.content {
                        let (size, start) = (*size as usize, (entry.first * disk.sector_size) as usize);
                        let end = ((entry.last + 1) * disk.sector_size) as usize;
                        prop_assert_eq!(&bytes[start..start + size], &noise(size, seed)[..]);
                        prop_assert!(bytes[start + size..end].iter().all(|byte| *byte == 0));
                        seed += 1;
                    }
                }
            }
        }
    }
}
