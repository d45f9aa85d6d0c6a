//! Sandboxes from inside and outside.

fn main() {
    sandbox::init::run_if_requested();
}
