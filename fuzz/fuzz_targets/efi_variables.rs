//! Volumes of a firmware's variables.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mkimg::disk::Guid;
use mkimg::efi_variables::{Store, Variable};

fuzz_target!(|bytes: &[u8]| {
    let Ok(mut store) = Store::parse(bytes) else { return };
    let name = "a name that no other has".to_owned();
    let variable = Variable { vendor: Guid::NIL, name, attributes: 3, data: vec![1] };
    let before = store.variables().len();
    if store.add(variable).is_ok() {
        let after = Store::parse(&store.into_bytes()).expect("what was made can be read");
        assert_eq!(after.variables().len(), before + 1);
    }
});
