//! Asks the admin listener of a running origin: one request, one connection, one answer that is read to its end.

use std::{
    io::{Read, Write},
    net::{TcpStream, ToSocketAddrs},
    path::PathBuf,
    time::Duration,
};

use clap::{Arg, ArgAction, ArgMatches, Command};
use config::flags::config_of_it;
use protocol::{plain::plain, problem::Problem};
use serde::de::DeserializeOwned;

use super::{Failure, USUAL_FILE, read};
use crate::arguments;

/// For a connection to come about, and for each piece of an answer.
const TIMEOUT: Duration = Duration::from_secs(35);
/// Bytes of an answer.
const ANSWER_BYTES_MAX: u64 = 64 << 20;

/// An origin that can be asked.
pub(super) struct Client {
    address: String,
    said_by: String,
}

/// Adds what every command has that asks an origin.
pub(super) fn arguments(command: Command) -> Command {
    command
        .arg(
            Arg::new("json")
                .long("json")
                .action(ArgAction::SetTrue)
                .help("Prints JSON, for scripts, in place of a table"),
        )
        .next_help_heading("Which origin")
        .arg(Arg::new("admin").long("admin").value_name("HOST:PORT").help(
            "Where its admin listener is [default: as the environment (OUTPOST__ADMIN) and the configuration say]",
        ))
        .arg(config_of_it(USUAL_FILE))
}

impl Client {
    /// As the command line says.
    pub(super) fn of(matches: &ArgMatches) -> Result<Self, Failure> {
        if let Some(address) = matches.get_one::<String>("admin") {
            let address = address.trim_start_matches("http://").trim_end_matches('/').to_owned();
            return Ok(Self { address, said_by: "as --admin says".into() });
        }
        let file = read(matches.get_one::<PathBuf>("config"))?;
        let said_by =
            file.as_ref().map_or("as OUTPOST__ADMIN says".into(), |file| format!("as {} says", file.path.display()));
        let loaded = config::origin::only(&arguments::sources(file, Vec::new()), &["admin"])?;
        match loaded.settings.admin {
            Some(mut address) => {
                // Who listens everywhere is met on this machine.
                if address.ip().is_unspecified() {
                    address.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
                }
                Ok(Self { address: address.to_string(), said_by })
            }
            None => Err(Failure::Unavailable(
                "nobody says where the origin's admin listener is: give it one with admin = \"127.0.0.1:8091\" in its configuration, and name it with --admin or --config".into(),
            )),
        }
    }

    /// What is there, as what it should be.
    pub(super) fn get<T: DeserializeOwned>(&self, target: &str) -> Result<(T, String), Failure> {
        self.ask("GET", target, "")
    }

    /// With a JSON body.
    pub(super) fn post<T: DeserializeOwned>(&self, target: &str, body: &str) -> Result<(T, String), Failure> {
        self.ask("POST", target, body)
    }

    /// What has no answer but that it is done.
    pub(super) fn delete(&self, target: &str) -> Result<(), Failure> {
        self.exchange("DELETE", target, "").map(drop)
    }

    fn ask<T: DeserializeOwned>(&self, method: &str, target: &str, body: &str) -> Result<(T, String), Failure> {
        let text = self.exchange(method, target, body)?;
        let value = serde_json::from_str(&text).map_err(|_| self.foreign())?;
        Ok((value, text))
    }

    /// The body of a success.
    fn exchange(&self, method: &str, target: &str, body: &str) -> Result<String, Failure> {
        let answer = self.talk(method, target, body).map_err(|error| {
            let Self { address, said_by } = self;
            Failure::Unavailable(format!(
                "no origin answers at {address} ({said_by}): {error}; start it, or say where it is with --admin HOST:PORT or --config FILE"
            ))
        })?;
        let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(|| self.foreign())?;
        let status: u16 = head.get(9..12).and_then(|status| status.parse().ok()).ok_or_else(|| self.foreign())?;
        if (200..300).contains(&status) {
            return Ok(body.to_owned());
        }
        let problem: Problem = serde_json::from_str(body).map_err(|_| self.foreign())?;
        let detail = plain(&problem.detail);
        Err(match status {
            403 => Failure::NotAllowed(detail),
            404 => Failure::NotFound(detail),
            _ => Failure::Run(detail),
        })
    }

    fn talk(&self, method: &str, target: &str, body: &str) -> std::io::Result<String> {
        let found = self.address.to_socket_addrs()?.next();
        let address = found.ok_or_else(|| std::io::Error::other("the name has no address"))?;
        let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_write_timeout(Some(TIMEOUT))?;
        let head = format!(
            "{method} {target} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
            self.address,
            body.len()
        );
        stream.write_all((head + body).as_bytes())?;
        let mut answer = String::new();
        match stream.take(ANSWER_BYTES_MAX).read_to_string(&mut answer)? {
            // It fell while it was asked.
            0 => Err(std::io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(answer),
        }
    }

    fn foreign(&self) -> Failure {
        Failure::Unavailable(format!(
            "what answers at {} is not the admin listener of an origin of this version; its address is in the origin's start lines",
            self.address
        ))
    }
}
