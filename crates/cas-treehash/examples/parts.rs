//! Hashes a file in parts as a multipart upload does, and says what the service would be told.
//!
//! Run it with `cargo run --release -p cas-treehash --example parts [FILE [MIB]]`. Without a file it makes one.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::fs::File;
use std::io::Write as _;

use cas_treehash::parallel::{self, Threads};
use cas_treehash::{Kernel, LEAF_SIZE, combine, read};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let file = match arguments.next() {
        Some(path) => File::open(path)?,
        None => some_file()?,
    };
    let mib: u64 = arguments.next().map_or(Ok(16), |text| text.parse())?;
    if !mib.is_power_of_two() {
        return Err(format!("parts of {mib} MiB do not combine; take a power of two").into());
    }

    let size = file.metadata()?.len();
    let part_size = mib * LEAF_SIZE;
    let starts = (0..size.div_ceil(part_size)).map(|index| index * part_size);
    let parts: Vec<_> = starts.map(|start| start..size.min(start + part_size)).collect();

    println!("kernel {}, {size} bytes", Kernel::detect().name());
    let payloads = parallel::payloads(&file, &parts, Threads::available())?;
    for (part, payload) in parts.iter().zip(&payloads) {
        println!("bytes {}-{}  sha256 {}  tree hash {}", part.start, part.end - 1, payload.sha256, payload.tree_hash);
    }
    let whole = combine(payloads.iter().map(|part| (part.size, part.tree_hash)))?;
    println!("whole  tree hash {whole}");

    // Not needed for an upload: it is what combining saves.
    assert_eq!(whole, read::tree_hash_at(&file, 0..size)?);
    Ok(())
}

/// Forty and a half MiB without a name.
fn some_file() -> Result<File, Box<dyn Error>> {
    let mut file = tempfile::tempfile()?;
    for mib in 0..=40 {
        file.write_all(&vec![mib; if mib < 40 { 1 << 20 } else { 1 << 19 }])?;
    }
    Ok(file)
}
