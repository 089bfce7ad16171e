//! Builds process 1 of sandboxes: a static program without any library, carried inside this one.

use std::env;
use std::path::PathBuf;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=init/main.rs");
    println!("cargo::rustc-check-cfg=cfg(has_init)");
    let get = |name: &str| env::var(name).unwrap_or_default();
    let knows = ["x86_64", "aarch64"].contains(&get("CARGO_CFG_TARGET_ARCH").as_str());
    if get("CARGO_CFG_TARGET_OS") != "linux" || !knows {
        return;
    }
    let out = PathBuf::from(get("OUT_DIR")).join("uos-init");
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
    for arg in
        ["-nostartfiles", "-nostdlib", "-static", "-no-pie", "-Wl,--build-id=none", "-Wl,-z,noexecstack"]
    {
        rustc.arg("-C").arg(format!("link-arg={arg}"));
    }
    let linker = get("RUSTC_LINKER");
    if !linker.is_empty() {
        rustc.arg("-C").arg(format!("linker={linker}"));
    }
    match rustc.arg("-o").arg(&out).arg("init/main.rs").status() {
        Ok(status) if status.success() => println!("cargo::rustc-cfg=has_init"),
        // Without it everything else works; a spawner says that this is missing.
        _ => println!(
            "cargo::warning=the init of sandboxes could not be built: programs will be their process 1"
        ),
    }
}
