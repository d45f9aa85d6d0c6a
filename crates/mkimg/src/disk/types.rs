//! Types of partitions that have a name.

use super::guid::Guid;

/// The types of a GUID partition table by our names: those of the Discoverable Partitions Specification without
/// spaces, and what others agree on.
pub const GPT_TYPES: [(&str, &str); 25] = [
    ("esp", "c12a7328-f81f-11d2-ba4b-00a0c93ec93b"),
    ("xbootldr", "bc13c2ff-59e6-4262-a352-b275fd6f7172"),
    ("bios-boot", "21686148-6449-6e6f-744e-656564454649"),
    ("prep", "9e1a2d38-c612-4316-aa26-8b49521e5a8b"),
    ("linux", "0fc63daf-8483-4772-8e79-3d69d8477de4"),
    ("linux-root-amd64", "4f68bce3-e8cd-4db1-96e7-fbcaf984b709"),
    ("linux-root-arm64", "b921b045-1df0-41c3-af44-4c6f280d3fae"),
    ("linux-root-riscv64", "72ec70a6-cf74-40e6-bd49-4bda08e8f224"),
    ("linux-root-amd64-verity", "2c7357ed-ebd2-46d9-aec1-23d437ec2bf5"),
    ("linux-root-arm64-verity", "df3300ce-d69f-4c92-978c-9bfb0f38d820"),
    ("linux-root-riscv64-verity", "b6ed5582-440b-4209-b8da-5ff7c419ea3d"),
    ("linux-usr-amd64", "8484680c-9521-48c6-9c11-b0720656f69e"),
    ("linux-usr-arm64", "b0e01050-ee5f-4390-949a-9101b17104e9"),
    ("linux-usr-riscv64", "beaec34b-8442-439b-a40b-984381ed097d"),
    ("linux-home", "933ac7e1-2eb4-4f13-b844-0e14e2aef915"),
    ("linux-srv", "3b8f8425-20e0-4f3b-907f-1a25a76f98e8"),
    ("linux-var", "4d21b016-b534-45c2-a9fb-5c16e091fd2d"),
    ("linux-tmp", "7ec6f557-3bc5-4aca-b293-16ef5df639d1"),
    ("linux-swap", "0657fd6d-a4ab-43c4-84e5-0933c84b4f4f"),
    ("linux-lvm", "e6d6d379-f507-44c2-a23c-238f2a3df928"),
    ("linux-raid", "a19d880f-05fc-4d3b-a006-743f0f84911e"),
    ("microsoft-basic", "ebd0a0a2-b9e5-4433-87c0-68b6b72699c7"),
    ("microsoft-reserved", "e3c9e316-0b5c-4db8-817d-f92df00215ae"),
    ("chromeos-kernel", "fe3a2a5d-4f32-41a7-b725-accc3285a309"),
    ("chromeos-root", "3cb8e202-3b7e-47dd-8a3c-7ff2a13cfcec"),
];

/// The types of an old table by our names.
pub const MBR_TYPES: [(&str, u8); 7] = [
    ("fat12", 0x01),
    ("fat16", 0x0e),
    ("fat32", 0x0c),
    ("ntfs", 0x07),
    ("linux-swap", 0x82),
    ("linux", 0x83),
    ("esp", 0xef),
];

/// Returns the type of a GUID partition table that has this name.
pub fn gpt_type(name: &str) -> Option<Guid> {
    GPT_TYPES.iter().find(|(known, _)| *known == name).and_then(|(_, guid)| Guid::parse(guid))
}

/// Returns the type of an old table that has this name, or is written so: `0x0c`.
pub fn mbr_type(text: &str) -> Option<u8> {
    let named = MBR_TYPES.iter().find(|(known, _)| *known == text).map(|(_, number)| *number);
    let digits = text
        .strip_prefix("0x")
        .filter(|digits| digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
    named.or_else(|| u8::from_str_radix(digits?, 16).ok().filter(|number| *number != 0))
}

/// Returns our name of a type.
pub fn gpt_name(guid: Guid) -> Option<&'static str> {
    let text = guid.to_string();
    GPT_TYPES.iter().find(|(_, known)| *known == text).map(|(name, _)| *name)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_and_types_are_unique() {
        let names: BTreeSet<&str> = GPT_TYPES.iter().map(|(name, _)| *name).collect();
        let guids: BTreeSet<Guid> = GPT_TYPES.iter().map(|(name, _)| gpt_type(name).unwrap()).collect();
        assert_eq!((names.len(), guids.len()), (GPT_TYPES.len(), GPT_TYPES.len()));
        assert_eq!(gpt_name(gpt_type("bios-boot").unwrap()), Some("bios-boot"));
    }

    #[test]
    fn old_types() {
        let found = ["fat32", "0x0c", "0xEE", "0x00", "0x1", "12", "0x+1"].map(mbr_type);
        assert_eq!(found, [Some(12), Some(12), Some(0xee), None, None, None, None]);
    }
}
