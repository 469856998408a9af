//! The formats that request traces come in, told by a file's name or by what the caller says. Pure: bytes in, a trace out.

use std::io::BufRead;

use anyhow::{Context as _, bail};

use super::trace::{Builder, Changed, Trace};

/// How requests are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// `time,key,size` a line, the size in bytes; a header is skipped.
    Csv,
    /// `object,size_KB` a line: the JEDI model.
    Jedi,
    /// `time object size_bytes` a line: AdaptSize and others.
    Adaptsize,
    /// A header, then `version,time,op,size,lbn`: CloudPhysics as libCacheSim writes it.
    Cloudphysics,
    /// Four bytes big-endian an object, without sizes: cache2k.
    Cache2k,
    /// `start count ignored request` a line, each a run of pages: ARC.
    Arc,
}

impl Format {
    /// The format that a file's name tells.
    pub(crate) fn of(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        let plain = name.trim_end_matches(".xz").trim_end_matches(".zst");
        let table = [
            ("jedi", Self::Jedi),
            ("adaptsize", Self::Adaptsize),
            ("cloudphysics", Self::Cloudphysics),
            ("cache2k", Self::Cache2k),
            ("arc_", Self::Arc),
        ];
        let by_start = table.iter().find(|(start, _)| plain.starts_with(start)).map(|(_, format)| *format);
        let by_end = [(".lis", Self::Arc), (".csv", Self::Csv), (".tr", Self::Adaptsize)];
        by_start.or_else(|| by_end.iter().find(|(end, _)| plain.ends_with(end)).map(|(_, format)| *format))
    }

    /// Reads all of a trace.
    pub(crate) fn read(self, mut input: impl BufRead, changed: Changed) -> anyhow::Result<Trace> {
        let mut builder = Builder::new(changed);
        match self {
            Self::Cache2k => read_numbers(input, &mut builder)?,
            _ => {
                let (mut line, mut number) = (String::new(), 0);
                while input.read_line(&mut line).context("cannot read the trace")? > 0 {
                    number += 1;
                    let text = line.trim();
                    if !text.is_empty() && self.read_line(text, &mut builder).is_none() {
                        // Whoever exports a table writes its columns' names above it.
                        let is_header = number == 1 && text.chars().any(|letter| letter.is_ascii_alphabetic());
                        if !is_header {
                            bail!("line {number} is not of the format {self:?}: '{text:.60}'");
                        }
                    }
                    line.clear();
                }
            }
        }
        let trace = builder.done();
        if trace.requests.is_empty() {
            bail!("there is no request in it");
        }
        Ok(trace)
    }

    fn read_line(self, line: &str, builder: &mut Builder<Box<[u8]>>) -> Option<()> {
        let has_blanks = matches!(self, Self::Adaptsize | Self::Arc);
        let is_between = |letter: char| if has_blanks { letter.is_ascii_whitespace() } else { letter == ',' };
        let mut fields = line.split(is_between).map(str::trim).filter(|field| !field.is_empty());
        let (key, size) = match self {
            Self::Csv | Self::Adaptsize => (fields.nth(1)?, fields.next()?.parse().ok()?),
            Self::Jedi => (fields.next()?, fields.next()?.parse::<u64>().ok()?.checked_mul(1000)?),
            Self::Cloudphysics => {
                let size = fields.nth(3)?.parse().ok()?;
                (fields.next()?, size)
            }
            Self::Arc => return read_run(fields, builder),
            Self::Cache2k => return None,
        };
        builder.ask(key.as_bytes().into(), size);
        Some(())
    }
}

/// A run of pages, each an object of size one.
fn read_run<'a>(mut fields: impl Iterator<Item = &'a str>, builder: &mut Builder<Box<[u8]>>) -> Option<()> {
    let (start, count): (u64, u64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    for page in start..start.checked_add(count)? {
        builder.ask(page.to_be_bytes().as_slice().into(), 1);
    }
    Some(())
}

fn read_numbers(mut input: impl BufRead, builder: &mut Builder<Box<[u8]>>) -> anyhow::Result<()> {
    let mut bytes = Vec::new();
    input.read_to_end(&mut bytes).context("cannot read the trace")?;
    let (numbers, rest) = bytes.as_chunks::<4>();
    if !rest.is_empty() {
        bail!("its length is no multiple of four bytes");
    }
    numbers.iter().for_each(|number| builder.ask(number.as_slice().into(), 1));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(format: Format, text: &str) -> (Vec<u32>, Vec<u64>) {
        let trace = format.read(text.as_bytes(), Changed::Same).expect("it is of the format");
        (trace.requests, trace.sizes)
    }

    #[test]
    fn each_format_is_understood() {
        let cases = [
            (Format::Csv, "time,key,size\n1,/a b,5\n2,/a c,6\n", vec![0, 1], vec![5, 6]),
            (Format::Csv, "1,a,5\r\n2,b,7\r\n3,a,5\r\n", vec![0, 1, 0], vec![5, 7]),
            (Format::Jedi, "9,2\n8,1\n9,2\n", vec![0, 1, 0], vec![2000, 1000]),
            (Format::Adaptsize, "1 0 68\n2 1 7454\n", vec![0, 1], vec![68, 7454]),
            (
                Format::Cloudphysics,
                "version,time,op,size,lbn\n1,5,2a,512,42\n1,5,2a,512,43\n",
                vec![0, 1],
                vec![512, 512],
            ),
            (Format::Arc, "7 2 0 0\n8 1 0 1\n", vec![0, 1, 1], vec![1, 1]),
            (Format::Cache2k, "aaaabbbbaaaa", vec![0, 1, 0], vec![1, 1]),
        ];
        for (format, text, requests, sizes) in cases {
            assert_eq!(read(format, text), (requests, sizes), "{format:?}");
        }
    }

    #[test]
    fn what_is_of_no_format_is_said_with_its_line() {
        let error = Format::Jedi.read(&b"1,2\nx\n"[..], Changed::Same).expect_err("the second line is wrong");
        assert!(error.to_string().starts_with("line 2 "), "{error}");
        assert!(Format::Cache2k.read(&b"abc"[..], Changed::Same).is_err());
        assert!(Format::Csv.read(&b""[..], Changed::Same).is_err());
        assert!(Format::Arc.read(&b"18446744073709551615 2 0 0\n"[..], Changed::Same).is_err());
    }

    #[test]
    fn a_name_tells_the_format() {
        let cases = [
            ("jedi_download_d1.csv.xz", Some(Format::Jedi)),
            ("adaptsize_request.trace.xz", Some(Format::Adaptsize)),
            ("cloudphysics.csv.xz", Some(Format::Cloudphysics)),
            ("cache2k_web07.trace.xz", Some(Format::Cache2k)),
            ("arc_OLTP.lis.zst", Some(Format::Arc)),
            ("P1.lis", Some(Format::Arc)),
            ("requests.csv", Some(Format::Csv)),
            ("requests.bin", None),
        ];
        for (name, format) in cases {
            assert_eq!(Format::of(name), format, "{name}");
        }
    }
}
