//! Opens a trace's file, plain or compressed, and reads it in its format.

use std::{
    fs::File,
    io::{BufRead, BufReader},
    path::Path,
};

use anyhow::{Context as _, anyhow};

use super::{
    format::Format,
    trace::{Changed, Trace},
};

/// Reads the trace in a file; `format` where its name does not tell it.
pub(crate) fn read(path: &Path, format: Option<Format>, changed: Changed) -> anyhow::Result<Trace> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let format = format
        .or_else(|| Format::of(&name))
        .ok_or_else(|| anyhow!("the name of {} tells no format; give --format", path.display()))?;
    open(path).and_then(|input| format.read(input, changed)).with_context(|| format!("{}", path.display()))
}

fn open(path: &Path) -> anyhow::Result<Box<dyn BufRead>> {
    let file = BufReader::with_capacity(1 << 16, File::open(path).context("cannot open the trace")?);
    Ok(match path.extension().and_then(|end| end.to_str()) {
        Some("xz") => Box::new(BufReader::new(lzma_rust2::XzReader::new(file, true))),
        Some("zst") => {
            let decoder = ruzstd::decoding::StreamingDecoder::new(file).map_err(|error| anyhow!("{error}"))?;
            Box::new(BufReader::new(decoder))
        }
        _ => Box::new(file),
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// `1,a,5` and `2,b,7`, each on a line, compressed by `xz` and by `zstd`.
    const XZ: &[u8] = &[
        0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00, 0x00, 0x04, 0xe6, 0xd6, 0xb4, 0x46, 0x02, 0x00, 0x21, 0x01, 0x16, 0x00,
        0x00, 0x00, 0x74, 0x2f, 0xe5, 0xa3, 0x01, 0x00, 0x0b, 0x31, 0x2c, 0x61, 0x2c, 0x35, 0x0a, 0x32, 0x2c, 0x62,
        0x2c, 0x37, 0x0a, 0x00, 0xdc, 0x0a, 0x7a, 0xca, 0x5e, 0x0c, 0xb5, 0x89, 0x00, 0x01, 0x24, 0x0c, 0xa6, 0x18,
        0xd8, 0xd8, 0x1f, 0xb6, 0xf3, 0x7d, 0x01, 0x00, 0x00, 0x00, 0x00, 0x04, 0x59, 0x5a,
    ];
    const ZST: &[u8] = &[
        0x28, 0xb5, 0x2f, 0xfd, 0x24, 0x0c, 0x61, 0x00, 0x00, 0x31, 0x2c, 0x61, 0x2c, 0x35, 0x0a, 0x32, 0x2c, 0x62,
        0x2c, 0x37, 0x0a, 0xd2, 0xeb, 0xd1, 0xa4,
    ];

    #[test]
    fn compressed_or_not_it_is_the_same_trace() {
        let directory = tempfile::tempdir().expect("a directory");
        for (name, bytes) in [("a.csv", &b"1,a,5\n2,b,7\n"[..]), ("a.csv.xz", XZ), ("a.csv.zst", ZST)] {
            let path = directory.path().join(name);
            fs::write(&path, bytes).expect("it is written");
            let trace = read(&path, None, Changed::Same).expect("it is read");
            assert_eq!(trace.sizes, [5, 7], "{name}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("a.csv.xz");
        fs::write(&path, b"no xz").expect("it is written");
        let error = read(&path, None, Changed::Same).expect_err("it is not compressed");
        assert!(format!("{error:#}").contains("a.csv.xz"), "{error:#}");
        let error = read(Path::new("a.bin"), None, Changed::Same).expect_err("no format");
        assert!(error.to_string().contains("--format"), "{error}");
    }
}
