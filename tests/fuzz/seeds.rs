//! The seed corpora, for tests on stable Rust.

use std::fs;
use std::path::Path;

/// Runs the check of a target on each of its seeds.
pub(crate) fn replay(target: &str, check: fn(&[u8])) {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fuzz/seeds");
    let mut count = 0;
    for seed in fs::read_dir(Path::new(root).join(target)).unwrap() {
        let path = seed.unwrap().path();
        // Cargo shows the path if the check fails.
        println!("{}", path.display());
        check(&fs::read(path).unwrap());
        count += 1;
    }
    assert!(count > 0, "{target} has no seeds");
}
