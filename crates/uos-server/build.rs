//! Sees to it that a new build of the desktop makes a new server: what is embedded is no source that cargo would watch.

use std::{env, path::Path};

fn main() {
    // In the repository the desktop is built beside the crates; in a package it lies in the crate itself.
    let root = env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
    let own = Path::new(&root).join("ui-dist");
    let built = if own.is_dir() { own } else { Path::new(&root).join("../../ui/dist") };
    println!("cargo::rustc-env=UOS_UI_DIST={}", built.display());
    println!("cargo::rerun-if-changed={}", built.display());
    println!("cargo::rerun-if-changed=ui-dist");
    println!("cargo::rerun-if-changed=../../migrations");
}
