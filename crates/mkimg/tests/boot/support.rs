//! Keys that are known to everybody, and where tests write.

pub(crate) const KEY: &[u8] = include_bytes!("db.key");
pub(crate) const CERTIFICATE: &[u8] = include_bytes!("db.crt");

pub(crate) fn scratch() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}
