//! Any bytes that can be arguments or environment arrive as they are.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

mod common;

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use common::{run, spec};
use proptest::prelude::*;
use uos_proc::Spec;

fn text(len: std::ops::Range<usize>) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(1u8..=255, len)
}

/// What the program wrote, split after each NUL.
fn records(spec: Spec) -> Vec<Vec<u8>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (exit, said, _) = runtime.block_on(run(spec));
    assert!(exit.cause.success());
    said.split_inclusive(|byte| *byte == 0).map(|record| record[..record.len() - 1].to_vec()).collect()
}

fn os(bytes: &[u8]) -> OsString {
    OsString::from_vec(bytes.to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arguments_arrive(words in prop::collection::vec(text(0..60), 1..20)) {
        let spec = spec("/usr/bin/printf").arg("%s\\0").args(words.iter().map(|word| os(word)));
        prop_assert_eq!(records(spec), words);
    }

    #[test]
    fn variables_arrive(variables in prop::collection::vec((text(1..20), text(0..60)), 0..20)) {
        let mut spec = spec("/usr/bin/env").arg("-0");
        let mut expected = Vec::new();
        for (mut name, value) in variables {
            name.iter_mut().filter(|byte| **byte == b'=').for_each(|byte| *byte = b'_');
            spec = spec.env(os(&name), os(&value));
            expected.push([name, b"=".to_vec(), value].concat());
        }
        prop_assert_eq!(records(spec), expected);
    }
}
