//! Compiles the contract: messages and service by the usual generators, the call table by `build/table.rs`.

#[path = "build/table.rs"]
mod table;

use std::{env, error::Error, fs, path::PathBuf};

use prost::Message;

const FILES: [&str; 2] = ["uos/v1/kernel.proto", "uos/v1/calls.proto"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    println!("cargo:rerun-if-changed=build");
    let out = PathBuf::from(env::var("OUT_DIR")?);

    let mut compiler = protox::Compiler::new(["proto"])?;
    compiler.include_imports(true).include_source_info(true).open_files(FILES)?;
    // The typed descriptor set has no place for custom options and drops them without a word; the encoded one keeps
    // them. So the table is read from the encoded bytes, and the generators, which need no options, get the typed set.
    let encoded = compiler.encode_file_descriptor_set();
    let typed = compiler.file_descriptor_set();

    fs::write(out.join("descriptor.bin"), &encoded)?;
    let pool = prost_reflect::DescriptorPool::decode(encoded.as_slice())?;
    fs::write(out.join("table.rs"), table::generate(&pool)?)?;

    let mut messages = prost_build::Config::new();
    messages.bytes(["."]);
    for path in table::boxed(&pool)? {
        messages.boxed(path);
    }
    let client = env::var_os("CARGO_FEATURE_CLIENT").is_some();
    let server = env::var_os("CARGO_FEATURE_SERVER").is_some();
    tonic_prost_build::configure()
        .build_client(client)
        .build_server(server)
        .build_transport(false)
        .compile_fds_with_config(typed, messages)?;
    // An empty set would mean that nothing was compiled at all.
    assert!(!prost_reflect::prost_types::FileDescriptorSet::decode(encoded.as_slice())?.file.is_empty());
    Ok(())
}
