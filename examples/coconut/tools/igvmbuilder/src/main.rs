//! Makes an IGVM file of the parts: each at a place of its own, and the state of a processor behind them.
#![allow(clippy::print_stderr, reason = "this is how a program tells what is wrong with its command line")]

use std::process::ExitCode;
use std::{env, fs};

const PAGE: usize = 4096;

/// What the command line says.
#[derive(Default)]
struct Options {
    output: String,
    policy: Option<u64>,
    /// Files with the address at which they are loaded.
    parts: Vec<(u64, String)>,
    platforms: Vec<u8>,
    target: String,
    comport: u8,
    no_vtom: bool,
}

fn main() -> ExitCode {
    let made = options().and_then(|options| {
        let image = image(&options)?;
        fs::write(&options.output, image).map_err(|error| format!("{}: {error}", options.output))
    });
    match made {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("igvmbuilder: {error}");
            ExitCode::FAILURE
        }
    }
}

fn options() -> Result<Options, String> {
    let mut options = Options::default();
    let mut words = env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
        match word.as_str() {
            "--sort" | "--verbose" => {}
            "--output" => options.output = value()?,
            "--policy" => {
                let text = value()?;
                let digits = text.strip_prefix("0x").ok_or("--policy is hexadecimal")?;
                options.policy = Some(u64::from_str_radix(digits, 16).map_err(|error| error.to_string())?);
            }
            "--bldr" | "--stage2" => options.parts.push((0x10_0000, value()?)),
            "--tdx-stage1" => options.parts.push((0xffff_0000, value()?)),
            "--kernel" => options.parts.push((0x80_0000, value()?)),
            "--filesystem" => options.parts.push((0x4000_0000, value()?)),
            "--firmware" => options.parts.push((0xff00_0000, value()?)),
            "--comport" => options.comport = value()?.parse().map_err(|_| "--comport is a number")?,
            "--no-vtom" => options.no_vtom = true,
            "--native" => options.platforms.push(0),
            "--vsm" => options.platforms.push(1),
            "--snp" => options.platforms.push(2),
            "--tdp" => options.platforms.push(3),
            "qemu" | "hyper-v" | "vanadium" => options.target = word,
            _ => return Err(format!("unknown option {word}")),
        }
    }
    if options.policy.is_some() != options.platforms.contains(&2) {
        return Err("--policy goes with --snp".to_owned());
    }
    options.parts.sort();
    Ok(options)
}

fn image(options: &Options) -> Result<Vec<u8>, String> {
    let (mut headers, mut data) = (Vec::new(), Vec::new());
    let mask = (1_u32 << options.platforms.len()) - 1;
    for (idx, platform) in options.platforms.iter().enumerate() {
        let boundary = if matches!(platform, 2 | 3) && !options.no_vtom { 1_u64 << 46 } else { 0 };
        let mut header = (1_u32 << idx).to_le_bytes().to_vec();
        header.extend([0, *platform, 1, 0]);
        header.extend(boundary.to_le_bytes());
        put(&mut headers, 0x1, &header);
    }
    let snp = options.platforms.iter().position(|platform| *platform == 2);
    let snp = snp.map_or(0, |idx| 1_u32 << idx);
    if let Some(policy) = options.policy {
        let mut header = policy.to_le_bytes().to_vec();
        header.extend(snp.to_le_bytes());
        header.extend([0; 4]);
        put(&mut headers, 0x101, &header);
    }
    let mut pages = Vec::new();
    for (gpa, path) in &options.parts {
        let bytes = fs::read(path).map_err(|error| format!("{path}: {error}"))?;
        for (idx, page) in bytes.chunks(PAGE).enumerate() {
            pages.push((gpa + (idx * PAGE) as u64, page.to_vec()));
        }
    }
    // What is not said elsewhere reaches the image, too.
    let told = format!("{} {}", options.target, options.comport);
    pages.push((0x9000, told.into_bytes()));
    let mut vmsa = vec![0; PAGE];
    vmsa[0x158] = 0x31;
    let n_headers = pages.len() + usize::from(snp != 0);
    let start = 24 + headers.len() + n_headers * 32;
    for (gpa, page) in pages {
        let mut header = gpa.to_le_bytes().to_vec();
        header.extend(mask.to_le_bytes());
        header.extend(((start + data.len()) as u32).to_le_bytes());
        header.extend([0; 8]);
        put(&mut headers, 0x302, &header);
        data.extend(&page);
        data.resize(data.len().next_multiple_of(PAGE), 0);
    }
    if snp != 0 {
        let mut header = 0xffff_ffff_f000_u64.to_le_bytes().to_vec();
        header.extend(snp.to_le_bytes());
        header.extend(((start + data.len()) as u32).to_le_bytes());
        header.extend([0; 4]);
        put(&mut headers, 0x304, &header);
        data.extend(vmsa);
    }
    let mut file = b"IGVM".to_vec();
    for number in [1, 24, headers.len() as u32, (24 + headers.len() + data.len()) as u32, 0] {
        file.extend(number.to_le_bytes());
    }
    file.extend(headers);
    let checksum = crc32(&file);
    file[20..24].copy_from_slice(&checksum.to_le_bytes());
    file.extend(data);
    Ok(file)
}

fn put(headers: &mut Vec<u8>, kind: u32, content: &[u8]) {
    headers.extend(kind.to_le_bytes());
    headers.extend((content.len() as u32).to_le_bytes());
    headers.extend(content);
    headers.resize(headers.len().next_multiple_of(8), 0);
}

fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = !0_u32;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
        }
    }
    !crc
}
