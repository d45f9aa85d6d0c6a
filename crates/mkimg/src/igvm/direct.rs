//! Guests that start without firmware: the memory that their kernel finds, and the state that its processor is in.
//!
//! What Linux finds is what its 64-bit boot protocol asks for (Documentation/arch/x86/boot.rst); every other kernel finds the
//! same. Below 1 MiB nothing but tables of ours is loaded:
//!
//! | from | what |
//! | --- | --- |
//! | `0x1000` | the stack, 28 KiB |
//! | `0x8000` | segments |
//! | `0x9000` | `struct boot_params` |
//! | `0xa000` | page tables, which map 4 GiB to themselves |
//! | `0x10000` | the command line |

use super::kernel::{self, Flat};
use super::memory::{Memory, Pages};
use super::state::{self, CODE_SELECTOR, DATA_SELECTOR, Long};
use super::{BuildError, PAGE, ram};
use crate::bytes::{put_u16, put_u32, put_u64};

/// A kernel and what it starts with.
#[derive(Clone, Copy, Debug)]
pub struct Direct<'a> {
    /// An ELF file, a packed kernel of Linux, or bytes for a fixed address.
    pub kernel: &'a [u8],
    /// Where it lies, if it does not say it.
    pub flat: Option<Flat>,
    /// An archive that it starts from.
    pub initrd: Option<&'a [u8]>,
    /// What it is told.
    pub cmdline: &'a str,
    /// How many bytes of memory the guest has.
    pub memory: u64,
}

const STACK: u64 = 0x1000;
const GDT: u64 = 0x8000;
const BOOT_PARAMS: u64 = 0x9000;
const PAGE_TABLES: u64 = 0xa000;
const CMDLINE: u64 = 0x1_0000;
/// From here on a PC has no memory until 1 MiB.
const LOW_END: u64 = 0xa_0000;
const HIGH: u64 = 0x10_0000;

/// Returns the memory of a guest, and the state of its processor.
pub(super) fn load<'a>(direct: &Direct<'a>) -> Result<(Pages<'a>, Vec<u8>), BuildError> {
    let kernel = kernel::read(direct.kernel, direct.flat)?;
    let (size, most) = (direct.cmdline.len(), kernel.longest_cmdline.min((LOW_END - CMDLINE) as usize - 1));
    if size > most {
        return Err(BuildError::CommandLine { size, most });
    }
    let mut memory = Memory::new(direct.memory);
    memory.take("the devices of a PC", LOW_END, HIGH - LOW_END)?;
    memory.take("the stack", STACK, GDT - STACK)?;
    memory.put_own("the table of segments", GDT, &gdt())?;
    memory.put_own("the page tables", PAGE_TABLES, &page_tables())?;
    memory.put_own("the command line", CMDLINE, &[direct.cmdline.as_bytes(), &[0]].concat())?;
    memory.take("the table of what the kernel is told", BOOT_PARAMS, PAGE)?;
    for segment in &kernel.segments {
        memory.take("the kernel", segment.address, segment.needs).map_err(|error| match error {
            BuildError::Overlap { other: "the kernel", at, .. } => {
                BuildError::Elf(format!("two of its segments have {at:#x}"))
            }
            error => error,
        })?;
        memory.put(segment.address, segment.bytes, segment.size);
    }

    let mut initrd_at = 0;
    if let Some(initrd) = direct.initrd {
        // As high as possible, where a kernel that unpacks itself does not come by.
        let end = memory.end().min(kernel.initrd_end);
        let size = initrd.len() as u64;
        let behind = kernel.segments.iter().map(|segment| segment.address + segment.needs).max();
        let behind = behind.unwrap_or_default().max(HIGH);
        let start = end.checked_sub(size).map(|start| start - start % PAGE);
        let Some(start) = start.filter(|start| *start >= behind) else {
            return Err(BuildError::NoRoom { size, free: end.saturating_sub(behind) });
        };
        memory.take("the initramfs", start, size)?;
        memory.put(start, initrd, size);
        initrd_at = start;
    }

    let below = memory.end();
    let mut told = vec![0; PAGE as usize];
    match kernel.header {
        Some(header) => told[0x1f1..0x1f1 + header.len()].copy_from_slice(header),
        // What a boot loader would take from the header of a packed kernel.
        None => {
            put_u16(&mut told, 0x1fe, 0xaa55);
            told[0x202..0x206].copy_from_slice(b"HdrS");
            put_u16(&mut told, 0x206, 0x20c);
            told[0x211] = 1;
            put_u32(&mut told, 0x230, 2 << 20);
            put_u32(&mut told, 0x238, kernel.longest_cmdline as u32);
        }
    }
    // A boot loader without a number of its own.
    told[0x210] = 0xff;
    put_u32(&mut told, 0x218, initrd_at as u32);
    put_u32(&mut told, 0x21c, direct.initrd.map_or(0, |initrd| initrd.len() as u32));
    put_u32(&mut told, 0x228, CMDLINE as u32);
    let above = ram(direct.memory).into_iter().skip(1);
    let usable = [(0, LOW_END), (HIGH, below - HIGH)].into_iter().chain(above);
    for (number, (start, size)) in usable.enumerate() {
        let at = 0x2d0 + number * 20;
        put_u64(&mut told, at, start);
        put_u64(&mut told, at + 8, size);
        put_u32(&mut told, at + 16, 1);
        told[0x1e8] = number as u8 + 1;
    }
    let mut pages = memory.into_pages();
    pages.insert(BOOT_PARAMS, Some(told.into()));
    let state = state::native_long(&Long {
        entry: kernel.entry,
        boot_params: BOOT_PARAMS,
        stack: GDT,
        page_tables: PAGE_TABLES,
        gdt: (GDT, gdt().len() as u16),
    });
    Ok((pages, state))
}

/// Returns the segments: code of 64 bits and data, both of all memory, where the boot protocol wants them.
fn gdt() -> Vec<u8> {
    let mut table = vec![0; usize::from(DATA_SELECTOR) + 8];
    put_u64(&mut table, CODE_SELECTOR.into(), 0x00af_9b00_0000_ffff);
    put_u64(&mut table, DATA_SELECTOR.into(), 0x00cf_9300_0000_ffff);
    table
}

/// Returns page tables that map the first 4 GiB to themselves, in pages of 2 MiB: one of the fourth level, one of the third,
/// four of the second (AMD64 Architecture Programmer's Manual, volume 2, "Long-Mode Page Translation").
fn page_tables() -> Vec<u8> {
    const PRESENT_WRITABLE: u64 = 0x3;
    const LARGE: u64 = 0x80;
    let page = PAGE as usize;
    let mut tables = vec![0; 6 * page];
    put_u64(&mut tables, 0, (PAGE_TABLES + PAGE) | PRESENT_WRITABLE);
    for number in 0..4 {
        put_u64(
            &mut tables,
            page + number * 8,
            (PAGE_TABLES + (2 + number as u64) * PAGE) | PRESENT_WRITABLE,
        );
    }
    for number in 0..4 * 512 {
        put_u64(&mut tables, 2 * page + number * 8, (number as u64) << 21 | PRESENT_WRITABLE | LARGE);
    }
    tables
}
