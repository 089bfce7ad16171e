//! Builds process 1 of sandboxes: a static program without any library, carried inside this one.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

fn main() {
    println!("cargo::rerun-if-changed=init/main.rs");
    println!("cargo::rustc-check-cfg=cfg(has_init)");
    let knows = ["x86_64", "aarch64"].contains(&get("CARGO_CFG_TARGET_ARCH").as_str());
    if get("CARGO_CFG_TARGET_OS") != "linux" || !knows {
        return;
    }
    let out = PathBuf::from(get("OUT_DIR")).join("uos-init");
    // The fewer parts it is mapped in, the sooner it begins. Not every linker knows how to leave it whole.
    let is_whole = rustc(&out).args(["-C", "link-arg=-Wl,--no-rosegment"]).stderr(Stdio::null()).status();
    if is_whole.is_ok_and(|status| status.success()) {
        println!("cargo::rustc-cfg=has_init");
        return;
    }
    match rustc(&out).status() {
        Ok(status) if status.success() => println!("cargo::rustc-cfg=has_init"),
        // Without it everything else works; a spawner says that this is missing.
        _ => println!(
            "cargo::warning=the init of sandboxes could not be built: programs will be their process 1"
        ),
    }
}

fn rustc(out: &Path) -> Command {
    let mut rustc = Command::new(get("RUSTC"));
    rustc.args([
        "--edition",
        "2024",
        "--crate-name",
        "uos_init",
        "--crate-type",
        "bin",
        "--target",
        &get("TARGET"),
    ]);
    rustc.args([
        "-C",
        "panic=abort",
        "-C",
        "opt-level=s",
        "-C",
        "relocation-model=static",
        "-C",
        "strip=symbols",
    ]);
    rustc.args(["-C", "target-feature=+crt-static", "-C", "overflow-checks=off"]);
    rustc.args(["-C", "force-unwind-tables=no"]);
    for arg in
        ["-nostartfiles", "-nostdlib", "-static", "-no-pie", "-Wl,--build-id=none", "-Wl,-z,noexecstack"]
    {
        rustc.arg("-C").arg(format!("link-arg={arg}"));
    }
    let linker = get("RUSTC_LINKER");
    if !linker.is_empty() {
        rustc.arg("-C").arg(format!("linker={linker}"));
    }
    rustc.arg("-o").arg(out).arg("init/main.rs");
    rustc
}

fn get(name: &str) -> String {
    env::var(name).unwrap_or_default()
}
