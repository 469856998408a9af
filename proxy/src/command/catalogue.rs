//! `outpost-proxy catalogue`: carries what one proxy knows of an upstream's names to another. A line of JSON for each file, and one before them that says what
//! it is.

use std::{
    fs::File as OpenFile,
    io::{self, BufRead, BufReader, BufWriter, Read, Write},
};

use anyhow::{Context, anyhow};
use clap::{Arg, ArgMatches, Command};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    Subcommand,
    client::{self, Client, target},
    output,
    table::counted,
};
use crate::{
    admin::catalogue::{FILES_MAX, File, Learnt, List, Part},
    failure::Failure,
};

/// The entry in the registry.
pub(super) const CATALOGUE: Subcommand = Subcommand { define, run };

/// Bytes of a line: a path of 8 KiB, and what is beside it.
const LINE_BYTES_MAX: u64 = 16 << 10;

/// Of the form.
const VERSION: u32 = 1;

/// The first line.
#[derive(Serialize, Deserialize)]
struct Heading {
    outpost_catalogue: u32,
    upstream: String,
}

fn define() -> Command {
    let command = Command::new("catalogue")
        .about("Carries what is known of an upstream's files, their digests and lengths, to another proxy: without their contents")
        .arg(
            Arg::new("what")
                .value_name("export|import")
                .value_parser(["export", "import"])
                .required(true)
                .help("Write what this proxy knows, or take in what another one knew"),
        )
        .arg(Arg::new("file").value_name("FILE").required(true).help("A file on this machine, or - for standard output or input"))
        .arg(Arg::new("upstream").long("upstream").value_name("NAME").help(
            "Of which upstream; needed to export, and to import where it has another name there",
        ));
    client::arguments(command)
}

fn run(matches: &ArgMatches) -> Result<(), Failure> {
    let client = Client::of(matches)?;
    let of = |name: &str| matches.get_one::<String>(name).map(String::as_str);
    let (file, upstream) = (of("file").unwrap_or("-"), of("upstream"));
    if of("what") == Some("export") {
        let upstream = upstream.ok_or_else(|| anyhow!("say of which upstream, with --upstream NAME"))?;
        export(&client, upstream, file)
    } else {
        import(&client, upstream, file, client::wants_json(matches))
    }
}

fn export(client: &Client, upstream: &str, file: &str) -> Result<(), Failure> {
    let mut part = Some(0);
    let mut out: Option<Box<dyn Write>> = None;
    while let Some(number) = part {
        let query = [("upstream", upstream), ("part", &*number.to_string())];
        let told: Part = client.get(&target("/v1/catalogue", &query))?.json()?;
        // Not before the proxy has shown that there is something to write.
        let out = match &mut out {
            Some(out) => out,
            None => out.insert(begin(file, upstream)?),
        };
        for file in &told.files {
            line(out, file)?;
        }
        part = told.next;
    }
    let flushed = out.map_or(Ok(()), |mut out| out.flush());
    Ok(flushed.with_context(|| format!("cannot write {file}"))?)
}

fn begin(file: &str, upstream: &str) -> Result<Box<dyn Write>, Failure> {
    let mut out: Box<dyn Write> = match file {
        "-" => Box::new(BufWriter::new(io::stdout())),
        path => Box::new(BufWriter::new(OpenFile::create(path).with_context(|| format!("cannot write {path}"))?)),
    };
    line(&mut out, &Heading { outpost_catalogue: VERSION, upstream: upstream.into() })?;
    Ok(out)
}

fn line(out: &mut Box<dyn Write>, value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string(value).context("a line cannot be written")?;
    match writeln!(out, "{text}") {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(Failure::NobodyReads),
        written => Ok(written.context("the catalogue cannot be written")?),
    }
}

fn import(client: &Client, upstream: Option<&str>, file: &str, wants_json: bool) -> Result<(), Failure> {
    let input: Box<dyn Read> = match file {
        "-" => Box::new(io::stdin()),
        path => Box::new(OpenFile::open(path).with_context(|| format!("cannot read {path}"))?),
    };
    let mut lines = Lines { input: BufReader::new(input), number: 0 };
    let heading: Heading = lines.next()?.ok_or_else(|| anyhow!("{file} is empty"))?;
    if heading.outpost_catalogue != VERSION {
        return Err(anyhow!("{file} is of another form ({}) than this version reads", heading.outpost_catalogue).into());
    }
    let target = target("/v1/catalogue", &[("upstream", upstream.unwrap_or(&heading.upstream))]);
    let mut all = Learnt::default();
    loop {
        let mut files: Vec<File> = Vec::new();
        while files.len() < FILES_MAX
            && let Some(file) = lines.next()?
        {
            files.push(file);
        }
        if files.is_empty() {
            break;
        }
        let told: Learnt = client.post(&target, &List { files })?.json()?;
        all.learnt += told.learnt;
        all.known += told.known;
    }
    output::print(&if wants_json {
        format!("{:#}\n", json!(all))
    } else {
        format!("{} learnt, {} known already\n", counted(all.learnt, "name"), all.known)
    })
}

/// One value of each line, whoever wrote them.
struct Lines<R> {
    input: BufReader<R>,
    number: u64,
}

impl<R: Read> Lines<R> {
    fn next<T: serde::de::DeserializeOwned>(&mut self) -> Result<Option<T>, Failure> {
        let mut text = Vec::new();
        let read = (&mut self.input).take(LINE_BYTES_MAX).read_until(b'\n', &mut text);
        if read.context("the catalogue cannot be read")? == 0 {
            return Ok(None);
        }
        self.number += 1;
        let number = self.number;
        if text.last() != Some(&b'\n') {
            return Err(anyhow!("line {number} does not end, or is longer than {LINE_BYTES_MAX} bytes: the file was cut, or is no catalogue").into());
        }
        Ok(Some(serde_json::from_slice(&text).with_context(|| format!("line {number} is not of a catalogue"))?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &[u8]) -> Result<Vec<File>, Failure> {
        let mut lines = Lines { input: BufReader::new(text), number: 0 };
        std::iter::from_fn(|| lines.next().transpose()).collect()
    }

    #[test]
    fn lines_are_read_and_what_is_none_is_told_with_its_number() {
        let good = b"{\"path\":\"/a\",\"size\":1,\"md5\":\"0cc175b9c0f1b6a831c399e269772661\"}\n".as_slice();
        assert_eq!(read(&good.repeat(3)).unwrap().len(), 3);
        let long = [b"{\"path\":\"".as_slice(), &vec![b'a'; 20 << 10], b"\"}\n"].concat();
        for (text, said) in [
            ([good, b"{}\n"].concat(), "line 2 is not"),
            ([good, &good[..20]].concat(), "line 2 does not end"),
            (long, "line 1 does not end"),
            (b"\0\xff\n".to_vec(), "line 1 is not"),
        ] {
            let Err(Failure::Run(error)) = read(&text) else { panic!("it is read") };
            assert!(format!("{error:#}").contains(said), "{error:#}");
        }
    }
}
