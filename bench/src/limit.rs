//! `limit`: the least a server can do, as the machine's limit for `load`: one receive, and one send of an answer made
//! beforehand (or a head and `sendfile`). It reads no request: whatever ends with an empty line is one. Not for anything else.

use std::{
    fs::File,
    io::{self, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    os::fd::AsFd,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use os::send::{send, sendfile};

use crate::{
    poll::{Interest, Poll},
    target,
};

/// Sent by one `sendfile` at most: smaller turns cost measurably more.
const SENDFILE_MAX: u64 = 2 << 20;

/// Bytes of a request at most.
const REQUEST_MAX: usize = 16 << 10;

/// Options of `limit`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Where to listen; port 0 takes a free one. The address is printed.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Bytes of the body.
    #[arg(long, default_value_t = 1024)]
    size: u64,
    /// How the body leaves.
    #[arg(long, value_enum, default_value_t = Way::Send)]
    way: Way,
    /// Processor to pin the loop to.
    #[arg(long, value_name = "CPU")]
    cpu: Option<usize>,
    /// Stop after this time; otherwise it runs until it is ended.
    #[arg(long, value_parser = target::duration)]
    duration: Option<Duration>,
}

/// How the body leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Way {
    /// Head and body in one send from memory.
    Send,
    /// The head with MSG_MORE, then sendfile from a file in the page cache.
    Sendfile,
}

/// The answer to everything.
pub(crate) enum Answer {
    Memory(Vec<u8>),
    File { head: Vec<u8>, file: File, size: u64 },
}

/// A connection and how much of the answer is still to be sent.
struct Connection {
    socket: TcpStream,
    sent: u64,
    sending: bool,
}

/// Serves until the time is over.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    if let Some(cpu) = options.cpu {
        os::process::pin_thread(cpu).with_context(|| format!("cannot pin to processor {cpu}"))?;
    }
    let answer = Answer::new(options.way, options.size)?;
    // Who can connect is answered at once: a large file takes a while to make.
    let listener = TcpListener::bind(options.listen).with_context(|| format!("cannot listen on {}", options.listen))?;
    println!("http://{}/ pid {}", listener.local_addr()?, std::process::id());
    io::stdout().flush()?;
    serve(&listener, &answer, options.duration.map(|duration| Instant::now() + duration))?;
    let cpu = os::process::own_cpu_time();
    println!("{:.2} s user, {:.2} s system", cpu.user.as_secs_f64(), cpu.system.as_secs_f64());
    Ok(())
}

impl Way {
    /// As on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Send => "send",
            Self::Sendfile => "sendfile",
        }
    }
}

impl Answer {
    pub(crate) fn new(way: Way, size: u64) -> anyhow::Result<Self> {
        let head =
            format!("HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: {size}\r\n\r\n");
        let mut head = head.into_bytes();
        match way {
            Way::Send => {
                let body = usize::try_from(size).context("the body does not fit in memory")?;
                head.resize(head.len() + body, b'x');
                Ok(Self::Memory(head))
            }
            Way::Sendfile => {
                let file = tempfile::tempfile().context("cannot make a temporary file")?;
                fill(&file, size).context("cannot fill the temporary file")?;
                Ok(Self::File { head, file, size })
            }
        }
    }

    fn len(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::File { head, size, .. } => head.len() as u64 + size,
        }
    }

    /// One call that sends from `from` on.
    fn send(&self, socket: &TcpStream, from: u64) -> io::Result<usize> {
        match self {
            Self::Memory(bytes) => send(socket.as_fd(), &bytes[from as usize..], false),
            Self::File { head, size, .. } if from < head.len() as u64 => {
                send(socket.as_fd(), &head[from as usize..], *size > 0)
            }
            Self::File { head, file, size } => {
                let offset = from - head.len() as u64;
                sendfile(socket.as_fd(), file.as_fd(), offset, (size - offset).min(SENDFILE_MAX) as usize)
            }
        }
    }
}

/// Writes `size` bytes in large pieces: the page cache keeps what is written together in larger folios, and these are cheaper to send.
fn fill(mut file: &File, size: u64) -> io::Result<()> {
    let piece = vec![b'x'; SENDFILE_MAX.min(size) as usize];
    let mut left = size;
    while left > 0 {
        let len = left.min(SENDFILE_MAX);
        file.write_all(&piece[..len as usize])?;
        left -= len;
    }
    file.sync_all()
}

/// The loop, until `deadline`: number 0 is the listener, the others are connections.
pub(crate) fn serve(listener: &TcpListener, answer: &Answer, deadline: Option<Instant>) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let poll = Poll::new()?;
    poll.add(listener, 0, Interest::Read)?;
    let mut connections: Vec<Option<Connection>> = vec![None];
    let mut request = vec![0; REQUEST_MAX];
    let mut ready = Vec::new();
    loop {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        if left.is_some_and(|left| left.is_zero()) {
            return Ok(());
        }
        poll.wait(left, &mut ready)?;
        for number in &ready {
            if *number == 0 {
                accept(listener, &poll, &mut connections)?;
                continue;
            }
            // An error of a connection, its end among them, ends that connection.
            let alive = connections[*number].as_mut().map(|it| it.turn(answer, &mut request, &poll, *number));
            if matches!(alive, Some(Err(_))) {
                connections[*number] = None;
            }
        }
    }
}

fn accept(listener: &TcpListener, poll: &Poll, connections: &mut Vec<Option<Connection>>) -> io::Result<()> {
    loop {
        let socket = match listener.accept() {
            Ok((socket, _)) => socket,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        };
        socket.set_nonblocking(true)?;
        socket.set_nodelay(true)?;
        let number = match connections.iter().skip(1).position(Option::is_none) {
            Some(free) => free + 1,
            None => {
                connections.push(None);
                connections.len() - 1
            }
        };
        poll.add(&socket, number, Interest::Read)?;
        connections[number] = Some(Connection { socket, sent: 0, sending: false });
    }
}

impl Connection {
    /// Receives a request or goes on sending. An error ends the connection.
    fn turn(&mut self, answer: &Answer, request: &mut [u8], poll: &Poll, number: usize) -> io::Result<()> {
        let was_sending = self.sending;
        if !self.sending {
            match self.socket.read(request) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) if request[..count].ends_with(b"\r\n\r\n") => (self.sent, self.sending) = (0, true),
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        while self.sending {
            match answer.send(&self.socket, self.sent) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => self.sent += count as u64,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
            self.sending = self.sent < answer.len();
        }
        match (was_sending, self.sending) {
            (false, true) => poll.change(&self.socket, number, Interest::Write),
            (true, false) => poll.change(&self.socket, number, Interest::Read),
            _ => Ok(()),
        }
    }
}
