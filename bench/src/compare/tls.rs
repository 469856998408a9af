//! Hits over TLS 1.3: a closed loop of clients that decrypt. What that costs them is not looked at, only what the server used.

use std::{
    io::{self, Read, Write},
    net::TcpStream,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore,
    pki_types::{CertificateDer, ServerName},
    version::TLS13,
};

use super::{
    contestant::Contestant,
    field::{Field, SERVER_NAME},
    hits,
    samples::Sample,
};
use crate::{
    exchange::connect,
    poll::{Interest, Poll},
    response::{Head, parse},
    server_cpu::between,
    target::Targets,
};

/// How often the clock is looked at when nothing happens.
const LOOK_UP: Duration = Duration::from_millis(20);

/// One client on its connection.
struct Client {
    socket: TcpStream,
    session: ClientConnection,
    /// The part of a head that came without its end.
    partial: Vec<u8>,
    /// Bytes of the body that are still to come, once the head has.
    left: Option<u64>,
    answers: u64,
    waits_for: Interest,
}

/// One run.
pub(crate) fn run(
    field: &mut Field,
    contestant: Contestant,
    (size, clients): (u64, u32),
    duration: Duration,
) -> anyhow::Result<Sample> {
    let place = field.place(contestant, size)?;
    let address = place.tls.context("it was started without TLS: this version or build does not have it")?;
    let target = hits::target(&place, size);
    hits::prime(field, contestant, &place, &target)?;
    let config = Arc::new(config(field.certificate())?);
    let mut request = Vec::new();
    Targets::new(&[format!("http://{SERVER_NAME}{target}")], &[])?.write_request(0, &mut request);
    let poll = Poll::new()?;
    let mut all = Vec::new();
    for number in 0..clients as usize {
        let session = ClientConnection::new(config.clone(), ServerName::try_from(SERVER_NAME)?)?;
        let mut client = Client::new(connect(&address)?, session);
        client.session.writer().write_all(&request)?;
        poll.add(&client.socket, number, Interest::Read)?;
        client.turn(&request)?;
        all.push(client);
    }
    let mut run = Run { poll, clients: all, request };
    run.until(Instant::now() + duration / 4)?;
    let (before, answers) = (place.server().sample()?, run.answers());
    let began = Instant::now();
    run.until(began + duration)?;
    let cpu = between(before, place.server().sample()?).context("its processes were named")?;
    let answered = (run.answers() - answers) as f64;
    if answered == 0.0 {
        bail!("no request was answered");
    }
    let seconds = began.elapsed().as_secs_f64();
    Ok(vec![("cpu", cpu.total().as_secs_f64() * 1e6 / answered), ("rate", answered / seconds)])
}

struct Run {
    poll: Poll,
    clients: Vec<Client>,
    request: Vec<u8>,
}

impl Run {
    fn until(&mut self, deadline: Instant) -> anyhow::Result<()> {
        let mut ready = Vec::new();
        while Instant::now() < deadline {
            self.poll.wait(Some(LOOK_UP), &mut ready)?;
            for number in &ready {
                let client = &mut self.clients[*number];
                client.turn(&self.request)?;
                let wanted = if client.session.wants_write() { Interest::Write } else { Interest::Read };
                if wanted != client.waits_for {
                    client.waits_for = wanted;
                    self.poll.change(&client.socket, *number, wanted)?;
                }
            }
        }
        Ok(())
    }

    fn answers(&self) -> u64 {
        self.clients.iter().map(|client| client.answers).sum()
    }
}

impl Client {
    fn new(socket: TcpStream, session: ClientConnection) -> Self {
        Self { socket, session, partial: Vec::new(), left: None, answers: 0, waits_for: Interest::Read }
    }

    /// Sends and receives what goes without waiting.
    fn turn(&mut self, request: &[u8]) -> anyhow::Result<()> {
        self.flush()?;
        match self.session.read_tls(&mut self.socket) {
            Ok(0) => bail!("the server closed the connection"),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        self.session.process_new_packets()?;
        let mut plain = [0; 16 << 10];
        loop {
            match self.session.reader().read(&mut plain) {
                Ok(0) => bail!("the server ended the session"),
                Ok(count) => self.take(&plain[..count], request)?,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.into()),
            }
        }
        self.flush()
    }

    fn flush(&mut self) -> anyhow::Result<()> {
        while self.session.wants_write() {
            match self.session.write_tls(&mut self.socket) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Bytes of an answer; after its last the next request is written.
    fn take(&mut self, bytes: &[u8], request: &[u8]) -> anyhow::Result<()> {
        let left = match self.left {
            Some(left) => left.checked_sub(bytes.len() as u64),
            None => {
                self.partial.extend_from_slice(bytes);
                let Some(head) = parse(&self.partial)? else { return Ok(()) };
                let left = begun(&head, self.partial.len())?;
                self.partial.clear();
                left
            }
        };
        match left.context("the server sent more than its Content-Length")? {
            0 => {
                self.left = None;
                self.answers += 1;
                self.session.writer().write_all(request)?;
            }
            left => self.left = Some(left),
        }
        Ok(())
    }
}

/// What is to come after the first `received` bytes of an answer; `None`: too much came.
fn begun(head: &Head, received: usize) -> anyhow::Result<Option<u64>> {
    if head.status != 200 || !head.reusable {
        bail!("it answered {} and keeps the connection: {}", head.status, head.reusable);
    }
    Ok(head.length.checked_sub((received - head.size) as u64))
}

fn config(certificate: &CertificateDer<'static>) -> anyhow::Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone())?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(&[&TLS13])?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}
