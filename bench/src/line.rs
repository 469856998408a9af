//! A thin line: a relay that lets bytes through at a rate, each direction by itself, and counts them. Whoever connects through it is seen at the other
//! end under his own address, for by that an origin tells in which domain a machine is.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    rc::Rc,
    time::Instant,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::{JoinHandle, JoinSet},
};

use crate::{http::connect, origin::pace::Bucket};

/// Bytes that are let through at once: all connections together take turns by so much.
const PIECE: usize = 16 << 10;

/// Connections at once; one more is closed unanswered.
const CONNECTIONS_MAX: usize = 4_096;

/// A line that carries. Dropped, it cuts every connection.
pub(crate) struct Line {
    pub(crate) address: SocketAddr,
    lanes: Rc<Lanes>,
    relaying: JoinHandle<()>,
}

/// Both directions, seen from the far end where the server is.
struct Lanes {
    server: SocketAddr,
    down: Lane,
    up: Lane,
    began: Instant,
    /// Bytes that came down, for each who asked for them.
    down_to: RefCell<BTreeMap<IpAddr, u64>>,
}

/// One direction.
struct Lane {
    bucket: RefCell<Bucket>,
    carried: watch::Sender<u64>,
}

impl Line {
    /// Listens at `address` for what goes to `server`, at `rate` bytes a second in each direction. Within a `LocalSet`.
    pub(crate) async fn start(address: SocketAddr, server: SocketAddr, rate: Option<u64>) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let lane = || Lane { bucket: RefCell::new(Bucket::new(rate)), carried: watch::Sender::default() };
        let (down, up, began) = (lane(), lane(), Instant::now());
        let lanes = Rc::new(Lanes { server, down, up, began, down_to: RefCell::default() });
        let relaying = tokio::task::spawn_local(relay(listener, lanes.clone()));
        Ok(Self { address, lanes, relaying })
    }

    /// Bytes that came down so far, from the server.
    pub(crate) fn down(&self) -> u64 {
        *self.lanes.down.carried.borrow()
    }

    /// Bytes that went up so far.
    pub(crate) fn up(&self) -> u64 {
        *self.lanes.up.carried.borrow()
    }

    /// Bytes that came down to an address so far.
    pub(crate) fn down_to(&self, address: IpAddr) -> u64 {
        self.lanes.down_to.borrow().get(&address).copied().unwrap_or(0)
    }

    /// Waits until so many bytes have come down.
    pub(crate) async fn has_brought(&self, bytes: u64) {
        // The sender lives as long as this does.
        let _ = self.lanes.down.carried.subscribe().wait_for(|carried| *carried >= bytes).await;
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.relaying.abort();
    }
}

/// Until it is aborted, and all its connections with it.
async fn relay(listener: TcpListener, lanes: Rc<Lanes>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((near, from)) if connections.len() < CONNECTIONS_MAX => {
                    // How a connection ends is seen by those at its ends.
                    let lanes = lanes.clone();
                    connections.spawn_local(async move { drop(lanes.carry(near, from.ip()).await) });
                }
                _ => tokio::task::yield_now().await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

impl Lanes {
    async fn carry(&self, near: TcpStream, from: IpAddr) -> io::Result<()> {
        near.set_nodelay(true)?;
        let to = from;
        let from = if let IpAddr::V4(from) = from { from } else { Ipv4Addr::LOCALHOST };
        let (near_read, near_write) = near.into_split();
        let (far_read, far_write) = connect(from, self.server).await?.into_split();
        let (up, down) = (
            self.let_through(&self.up, near_read, far_write, |_| {}),
            self.let_through(&self.down, far_read, near_write, |len| {
                *self.down_to.borrow_mut().entry(to).or_default() += len;
            }),
        );
        tokio::try_join!(up, down).map(drop)
    }

    /// Until one end closes. Dropped, it cuts.
    async fn let_through(
        &self,
        lane: &Lane,
        mut from: OwnedReadHalf,
        mut to: OwnedWriteHalf,
        count: impl Fn(u64),
    ) -> io::Result<()> {
        let mut buffer = vec![0; PIECE];
        loop {
            let len = from.read(&mut buffer).await?;
            if len == 0 {
                return to.shutdown().await;
            }
            let wait = lane.bucket.borrow_mut().take(self.began.elapsed(), len as u64);
            if !wait.is_zero() {
                tokio::time::sleep(wait).await;
            }
            count(len as u64);
            lane.carried.send_modify(|carried| *carried += len as u64);
            to.write_all(&buffer[..len]).await?;
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::{runtime::Builder, task::LocalSet};

    use super::*;

    const OWN: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 9);

    fn run<T>(test: impl Future<Output = T>) -> T {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        LocalSet::new().block_on(&runtime, test)
    }

    /// A line to a server that answers as many bytes as the number that it reads, and closes.
    async fn line_to_a_server(rate: Option<u64>) -> (Line, JoinHandle<IpAddr>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = listener.local_addr().unwrap();
        let seen = tokio::task::spawn_local(async move {
            let (mut stream, from) = listener.accept().await.unwrap();
            let len = stream.read_u32().await.unwrap();
            stream.write_all(&vec![7; len as usize]).await.unwrap();
            from.ip()
        });
        (Line::start("127.0.0.1:0".parse().unwrap(), server, rate).await.unwrap(), seen)
    }

    #[test]
    fn both_directions_are_counted_and_who_asks_keeps_his_address() {
        run(async {
            let (line, seen) = line_to_a_server(None).await;
            let mut stream = connect(OWN, line.address).await.unwrap();
            stream.write_u32(100_000).await.unwrap();
            let mut body = Vec::new();
            stream.read_to_end(&mut body).await.unwrap();
            assert_eq!((body.len(), line.up(), line.down()), (100_000, 4, 100_000));
            assert_eq!((seen.await.unwrap(), line.down_to(OWN.into())), (IpAddr::from(OWN), 100_000));
            assert_eq!(line.down_to(Ipv4Addr::LOCALHOST.into()), 0);
        });
    }

    #[test]
    fn one_can_wait_for_what_it_has_brought() {
        run(async {
            let (line, _seen) = line_to_a_server(Some(50_000_000)).await;
            let mut stream = connect(OWN, line.address).await.unwrap();
            stream.write_u32(1_000_000).await.unwrap();
            let reading = tokio::task::spawn_local(async move {
                let mut body = Vec::new();
                stream.read_to_end(&mut body).await.unwrap();
                body.len()
            });
            line.has_brought(500_000).await;
            assert!((500_000..=1_000_000).contains(&line.down()));
            assert_eq!(reading.await.unwrap(), 1_000_000);
        });
    }

    #[test]
    fn dropped_it_cuts() {
        run(async {
            let (line, _seen) = line_to_a_server(Some(100_000)).await;
            let mut stream = connect(OWN, line.address).await.unwrap();
            stream.write_u32(1_000_000).await.unwrap();
            line.has_brought(1).await;
            drop(line);
            let mut body = Vec::new();
            let ended = stream.read_to_end(&mut body).await;
            assert!(ended.is_err() || body.len() < 1_000_000);
        });
    }
}
