//! Folders of cases, each with what is expected of it, compared whole. `UPDATE=1 cargo test` writes it anew: read the
//! difference before you commit it.
#![allow(dead_code)] // no test needs all of it

use std::fs;
use std::path::{Path, PathBuf};

/// A file or folder under `tests/`.
pub fn under_tests(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name)
}

/// The folders below a folder of tests, in the order of their numbers.
pub fn cases(of: &str) -> Vec<PathBuf> {
    let all = fs::read_dir(under_tests(of)).unwrap().map(|e| e.unwrap().path());
    let mut cases: Vec<_> = all.filter(|p| p.is_dir()).collect();
    cases.sort();
    assert!(!cases.is_empty());
    cases
}

/// Must be as in the file under `tests/`, or is written there where `UPDATE` is set.
pub fn same(file: &str, now: &str) {
    let difference = differs(&under_tests(file), now);
    assert!(difference.is_none(), "{}", difference.unwrap_or_default());
}

/// Compares with the file, or writes it where `UPDATE` is set. Says what differs.
pub fn differs(file: &Path, now: &str) -> Option<String> {
    if std::env::var_os("UPDATE").is_some() {
        fs::write(file, now).unwrap();
    }
    let expected = fs::read_to_string(file).unwrap_or_default();
    let same = now.lines().zip(expected.lines()).take_while(|(said, wanted)| said == wanted).count();
    (expected != now)
        .then(|| format!("not as in {}:{}; UPDATE=1 writes it anew. It is now:\n{now}\n", file.display(), same + 1))
}
