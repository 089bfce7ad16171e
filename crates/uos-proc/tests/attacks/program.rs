//! The program that attacks: a crate of its own that knows nothing of this one, linked statically, so that it runs in
//! a root without any library.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

/// Where it is: what `UOS_ATTACK_PROGRAM` names, where there is no cargo, or where it is built, once for this test binary.
/// Cargo does that in a target folder of its own because the flags differ; the second time there is nothing left to do.
pub(crate) static PROGRAM: LazyLock<PathBuf> =
    LazyLock::new(|| env::var_os("UOS_ATTACK_PROGRAM").map_or_else(build, PathBuf::from));

fn build() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../uos-attack/Cargo.toml");
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("attack");
    let status = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["build", "--quiet", "--manifest-path"])
        .arg(manifest)
        .arg("--target-dir")
        .arg(&target)
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env_remove("CARGO_BUILD_TARGET")
        .env("RUSTFLAGS", "-C target-feature=+crt-static")
        .status()
        .expect("cargo can be run");
    assert!(status.success(), "the attacking program could not be built");
    target.join("debug/uos-attack")
}
