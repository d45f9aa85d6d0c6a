//! The disks of EVE-OS, which must be what `sgdisk` makes of them.

use mkimg::disk::{
    Disk, Guid, Hybrid, Identity, Partition, PartitionSize, Protective, Reader, Size, Table, gpt_type,
    resolve,
};
use mkimg::{HashSink, MemorySink, Sink};

use crate::support::{Contents, MIB, bytes, fixed, gpt, partition};

const ROOT_TYPE: &str = "5dfbf5f4-2848-4bac-aa5e-0d9a20b745a6";
const CONFIG_TYPE: &str = "13307e62-cd9c-4920-8f9b-91b45828b798";
const PERSIST_TYPE: &str = "5f24425a-2dfa-11e8-a270-7b663faccc2c";
/// Priority 2, no tries, successful: of the root that starts first.
const FIRST: u64 = 0x0102 << 48;

fn eve(last: &str) -> Guid {
    Guid::parse(&format!("ad6871ee-31f9-4cf3-9e09-6f7a25c{last}")).unwrap()
}

fn part(number: u32, name: &str, kind: &str, attributes: u64, size: PartitionSize) -> Partition {
    let kind = gpt_type(kind).or_else(|| Guid::parse(kind)).unwrap();
    let identity = Identity::Gpt { kind, guid: eve(&format!("3005{number}")), attributes };
    Partition { number: Some(number), identity, ..partition(name, size) }
}

fn with_hybrid(hybrid: Vec<Hybrid>, size: Size, partitions: Vec<Partition>) -> Disk {
    let table = Table::Gpt { guid: eve("30050"), hybrid, protective: Protective::Last };
    Disk { table, size, partitions, ..gpt() }
}

const BOOT: Hybrid = Hybrid { partition: 1, kind: 0x0c, is_bootable: true };

/// All partitions of a live image at the commit of its documentation, on a disk of 1600 MiB.
fn live() -> Disk {
    with_hybrid(
        vec![BOOT],
        Size::Fixed(1600 * MIB),
        vec![
            part(1, "EFI System", "esp", 1 << 2, fixed(36)),
            part(2, "IMGA", ROOT_TYPE, FIRST, fixed(512)),
            part(3, "IMGB", ROOT_TYPE, 0, fixed(512)),
            part(4, "CONFIG", CONFIG_TYPE, 0, fixed(1)),
            part(9, "P3", PERSIST_TYPE, 0, PartitionSize::Grow),
        ],
    )
}

/// Keeps what is at the start and at the end.
struct Ends {
    start: MemorySink,
    end: Vec<u8>,
    end_from: u64,
}

impl Sink for Ends {
    fn data(&mut self, offset: u64, bytes: &[u8]) -> std::io::Result<()> {
        if offset < MIB {
            return self.start.data(offset, bytes);
        }
        let at = usize::try_from(offset - self.end_from).unwrap();
        self.end[at..at + bytes.len()].copy_from_slice(bytes);
        Ok(())
    }

    fn zeros(&mut self, _: u64, _: u64) -> std::io::Result<()> {
        Ok(())
    }
}

fn sha256(bytes: &[u8]) -> String {
    let mut hash = HashSink::default();
    hash.data(0, bytes).unwrap();
    hash.finish().0
}

/// The digests are of what EVE's `make-raw` writes with `sgdisk` 1.0.9: of both tables, with the old one that it puts
/// together by hand.
#[test]
fn a_live_disk_is_what_sgdisk_makes_to_the_byte() {
    let plan = resolve(live()).unwrap();
    let copy = 33 * 512;
    let size = plan.map().size();
    let mut ends = Ends { start: MemorySink::default(), end: vec![0; copy], end_from: size - copy as u64 };
    plan.write(&[], &[], &[], &mut ends).unwrap();
    let mut start = ends.start.into_bytes();
    start.resize(34 * 512, 0);
    assert_eq!(sha256(&start), "df37d5d4ca48feadb041cf4e9a24bc9aeb530138d5785ed828a210c09c165480");
    assert_eq!(sha256(&ends.end), "8672a4e261f52c561528e9046fdf91bd4e255cae971f0cb0adca515329de7df2");
}

#[test]
fn a_live_disk_is_drawn() {
    let expected = "
┌─────────┬─────────┬───────────┬───┬────────────┬─────────┐
│   first │    last │      size │ # │ area       │ content │
├─────────┼─────────┼───────────┼───┼────────────┼─────────┤
│       0 │       0 │ 512 bytes │   │ MBR        │ table   │
│       1 │      33 │  16.5 KiB │   │ GPT        │ table   │
│      34 │    2047 │  1007 KiB │   │ (free)     │         │
│    2048 │   75775 │    36 MiB │ 1 │ EFI System │         │
│   75776 │ 1124351 │   512 MiB │ 2 │ IMGA       │         │
│ 1124352 │ 2172927 │   512 MiB │ 3 │ IMGB       │         │
│ 2172928 │ 2174975 │     1 MiB │ 4 │ CONFIG     │         │
│ 2174976 │ 3276766 │ 538.0 MiB │ 9 │ P3         │         │
│ 3276767 │ 3276799 │  16.5 KiB │   │ GPT, copy  │ table   │
└─────────┴─────────┴───────────┴───┴────────────┴─────────┘
";
    assert_eq!(format!("\n{}", resolve(live()).unwrap().map().draw()), expected);
}

/// The image that is shipped: four partitions in another order than their numbers, and ten mebibytes more.
#[test]
fn a_shipped_image_is_its_parts_and_ten_mebibytes() {
    let disk = with_hybrid(
        vec![BOOT],
        Size::Fit { slack: 10 * MIB, round: MIB },
        vec![
            part(1, "EFI System", "esp", 1 << 2, fixed(2048)),
            part(7, "EFI System", "esp", 0, fixed(2048)),
            part(4, "CONFIG", CONFIG_TYPE, 0, fixed(5)),
            part(2, "IMGA", ROOT_TYPE, FIRST, fixed(10 << 10)).with(3000),
        ],
    );
    let map = resolve(disk).unwrap();
    let map = map.map();
    assert_eq!(map.size(), (2048 + 2048 + 5 + (10 << 10) + 10) * MIB);
    let firsts: Vec<(u32, u64)> =
        map.partitions.iter().map(|placed| (placed.number, placed.first * 512 / MIB)).collect();
    assert_eq!(firsts, [(1, 1), (7, 2049), (4, 4097), (2, 4102)]);
}

#[test]
fn an_installer_has_windows_partitions_in_its_hybrid_table() {
    let windows = |partition| Hybrid { partition, kind: 0x07, is_bootable: false };
    let disk = with_hybrid(
        vec![BOOT, windows(4), windows(5)],
        Size::Fit { slack: 10 * MIB, round: MIB },
        vec![
            part(1, "EFI System", "esp", 1 << 2, fixed(4)),
            part(4, "CONFIG", "microsoft-basic", 0, fixed(1)),
            part(6, "INSTALLER", ROOT_TYPE, FIRST, fixed(8)).with(8 * MIB),
            part(5, "INVENTORY", "microsoft-basic", 0, fixed(4)),
        ],
    );
    let reader = Reader::open(bytes(&disk)).unwrap();
    let records = reader.mbr().records;
    let told: Vec<(bool, u8, u32, u64)> =
        records.iter().map(|record| (record.is_bootable, record.kind, record.first, record.end())).collect();
    let mib = 2048;
    assert_eq!(
        told,
        [
            (true, 0x0c, mib, 5 * u64::from(mib)),
            (false, 0x07, 5 * mib, 6 * u64::from(mib)),
            (false, 0x07, 14 * mib, 18 * u64::from(mib)),
            (false, 0xee, 1, 2048),
        ]
    );
    assert_eq!(reader.entries()[3].1.attributes, 0x0102_0000_0000_0000);
}
