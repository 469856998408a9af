//! How fast bytes leave for clients: so many per second for all together, and so many for each. The kernel does the waiting (`SO_MAX_PACING_RATE`), so
//! that files still leave by `sendfile`; what is decided here is each connection's share.
//!
//! Every connection with a transfer has an equal part of the whole, and every client an equal part of its own for each of its connections. What a
//! connection does not use, because its client is slower, others do not get. A connection counts until nothing of it is left in the kernel. Where
//! no rate is set, all of it is one look at a flag for each large body.

use std::{
    collections::HashMap,
    net::IpAddr,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use parking_lot::Mutex;
use protocol::rate::Rates;

/// The shares of more connections than this are reckoned anew less often than with each of their transfers.
const AT_ONCE_MAX: usize = 64;
/// How often then.
const SETTLE_EVERY: Duration = Duration::from_millis(20);
/// The time of day is looked at again after this at the latest.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// What is left of a connection in the kernel counts for so long at most: a client that takes nothing any more must not lessen the others' shares.
const LEFT_MAX: Duration = Duration::from_secs(60);
/// No connection is made slower than that, in bytes per second: beyond so many of them the sum is more than was set, and not all of them time out.
const SHARE_MIN: u64 = 4 << 10;

/// What may leave.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ShareOptions {
    /// For all clients together.
    pub total: Rates,
    /// For each client, in bytes per second; 0: no limit.
    pub per_client: u64,
}

/// Of all connections of a server.
#[derive(Debug)]
pub(crate) struct Shares {
    is_on: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    options: ShareOptions,
    /// Bytes per second in force, and when that is looked at again.
    total: Option<u64>,
    look_at: Instant,
    settled: Instant,
    /// By the number of the connection. There are never more than connections.
    sending: HashMap<u64, Sending>,
    /// How many of them each client has.
    clients: HashMap<IpAddr, u64>,
}

/// A connection with transfers, or with bytes in the kernel.
#[derive(Debug)]
struct Sending {
    socket: OwnedFd,
    client: IpAddr,
    transfers: usize,
    /// When the last of them ended, if none is on.
    ended: Option<Instant>,
    share: Option<u64>,
}

/// A transfer that has a share as long as this lives.
#[derive(Debug)]
pub(crate) struct Share {
    shares: Arc<Shares>,
    connection: u64,
}

/// The part of one connection, of which there are so many, and so many of its client; bytes per second.
fn part(total: Option<u64>, per_client: u64, connections: u64, of_client: u64) -> Option<u64> {
    let of_all = total.map(|total| total / connections.max(1));
    let of_own = (per_client > 0).then(|| per_client / of_client.max(1));
    of_all.into_iter().chain(of_own).min().map(|part| part.max(SHARE_MIN))
}

impl ShareOptions {
    fn is_limited(&self) -> bool {
        self.per_client > 0 || self.total.is_limited()
    }
}

impl Shares {
    pub(crate) fn new(options: ShareOptions) -> Arc<Self> {
        let now = Instant::now();
        let is_on = AtomicBool::new(options.is_limited());
        let (sending, clients) = (HashMap::new(), HashMap::new());
        let state = State { options, total: None, look_at: now, settled: now, sending, clients };
        Arc::new(Self { is_on, state: Mutex::new(state) })
    }

    /// From now on these hold, for what is on its way too.
    pub(crate) fn replace(&self, options: ShareOptions) {
        let now = Instant::now();
        self.is_on.store(options.is_limited(), Ordering::Relaxed);
        let mut state = self.state.lock();
        state.options = options;
        state.look_at = now;
        state.settle(now, SystemTime::now());
    }

    /// Whether any rate is set.
    pub(crate) fn is_on(&self) -> bool {
        self.is_on.load(Ordering::Relaxed)
    }

    /// A transfer begins on a connection. A socket that cannot be held is not paced.
    pub(crate) fn begin(self: &Arc<Self>, connection: u64, client: IpAddr, socket: BorrowedFd<'_>) -> Option<Share> {
        if !self.is_on() {
            return None;
        }
        let mut state = self.state.lock();
        match state.sending.get_mut(&connection) {
            Some(sending) => (sending.transfers, sending.ended) = (sending.transfers + 1, None),
            None => {
                let socket = socket.try_clone_to_owned().ok()?;
                let client = client.to_canonical();
                state.sending.insert(connection, Sending { socket, client, transfers: 1, ended: None, share: None });
                *state.clients.entry(client).or_default() += 1;
            }
        }
        state.settle_soon();
        Some(Share { shares: self.clone(), connection })
    }

    /// To be called from time to time: who has taken everything counts no more, and rates change with the time of day.
    pub(crate) fn sweep(&self) {
        // What was paced when the last rate went still is let go.
        let mut state = self.state.lock();
        if self.is_on() || !state.sending.is_empty() {
            state.settle(Instant::now(), SystemTime::now());
        }
    }

    /// Connections that have a share, and the bytes per second in force for all.
    pub(crate) fn figures(&self) -> (u64, u64) {
        let state = self.state.lock();
        (state.sending.len() as u64, state.total.unwrap_or(0))
    }
}

impl State {
    fn settle_soon(&mut self) {
        let now = Instant::now();
        if self.sending.len() <= AT_ONCE_MAX || now.saturating_duration_since(self.settled) >= SETTLE_EVERY {
            self.settle(now, SystemTime::now());
        }
    }

    /// Gives everybody their part.
    fn settle(&mut self, now: Instant, wall: SystemTime) {
        self.settled = now;
        if now >= self.look_at {
            let (rate, until) = self.options.total.at(wall);
            self.total = rate.map(std::num::NonZeroU64::get);
            let change = until.and_then(|until| until.duration_since(wall).ok()).unwrap_or(LOOK_EVERY);
            self.look_at = now + change.min(LOOK_EVERY);
        }
        self.let_go();
        let Self { options, total, sending, clients, .. } = self;
        let connections = sending.len() as u64;
        for sending in sending.values_mut() {
            let of_client = clients.get(&sending.client).copied().unwrap_or(1);
            let share = part(*total, options.per_client, connections, of_client);
            // A kernel that does not take it sends as fast as it can.
            if sending.share != share && os::tcp::limit_pace(sending.socket.as_fd(), share).is_ok() {
                sending.share = share;
            }
        }
    }

    /// Those without transfers whose last bytes have left.
    fn let_go(&mut self) {
        let clients = &mut self.clients;
        self.sending.retain(|_, sending| {
            let socket = sending.socket.as_fd();
            let is_left = || sending.ended.is_none_or(|ended| ended.elapsed() < LEFT_MAX);
            if sending.transfers > 0 || is_left() && os::tcp::unsent(socket).is_ok_and(|bytes| bytes > 0) {
                return true;
            }
            // What comes next is small, or begins with a share of its own. Whoever has closed it does not mind.
            let _ = os::tcp::limit_pace(socket, None);
            if let Some(count) = clients.get_mut(&sending.client) {
                *count -= 1;
                if *count == 0 {
                    clients.remove(&sending.client);
                }
            }
            false
        });
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut state = self.shares.state.lock();
        if let Some(sending) = state.sending.get_mut(&self.connection) {
            sending.transfers -= 1;
            sending.ended = (sending.transfers == 0).then(Instant::now);
        }
        state.settle_soon();
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        net::{TcpListener, TcpStream},
    };

    use protocol::{rate::Rule, schedule::Zone};

    use super::*;

    #[test]
    fn parts_are_equal_and_the_smaller_limit_holds() {
        for (total, per_client, connections, of_client, expected) in [
            (None, 0, 3, 1, None),
            (Some(90_000), 0, 3, 1, Some(30_000)),
            (Some(90_000), 20_000, 3, 1, Some(20_000)),
            (Some(90_000), 20_000, 3, 2, Some(10_000)),
            (Some(90_000), 200_000, 3, 2, Some(30_000)),
            (None, 20_000, 9, 1, Some(20_000)),
            (Some(1), 1, 9, 9, Some(SHARE_MIN)),
            (Some(90_000), 20_000, 0, 0, Some(20_000)),
        ] {
            let found = part(total, per_client, connections, of_client);
            assert_eq!(found, expected, "{total:?} {per_client} {connections} {of_client}");
        }
    }

    /// Both ends.
    fn connection() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let far = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (listener.accept().unwrap().0, far)
    }

    fn pace(socket: &TcpStream) -> Option<u64> {
        os::tcp::pace(socket.as_fd()).unwrap()
    }

    fn options(total: u64, per_client: u64) -> ShareOptions {
        ShareOptions { total: Rates { otherwise: total, rules: Vec::new() }, per_client }
    }

    #[test]
    fn who_comes_and_goes_changes_the_shares_of_the_others() {
        let shares = Shares::new(options(1_000_000, 400_000));
        let (one, other): (IpAddr, IpAddr) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        let ((first, _a), (second, _b), (third, _c)) = (connection(), connection(), connection());
        let of_first = shares.begin(1, one, first.as_fd()).unwrap();
        assert_eq!(pace(&first), Some(400_000));
        let _of_second = shares.begin(2, one, second.as_fd()).unwrap();
        assert_eq!((pace(&first), pace(&second)), (Some(200_000), Some(200_000)));
        let of_third = shares.begin(3, other, third.as_fd()).unwrap();
        assert_eq!((pace(&first), pace(&third)), (Some(200_000), Some(333_333)));
        // Two streams of one connection are one connection.
        let again = shares.begin(3, other, third.as_fd()).unwrap();
        drop(of_third);
        assert_eq!(pace(&third), Some(333_333));
        drop(again);
        assert_eq!((pace(&second), pace(&third)), (Some(200_000), None));
        drop(of_first);
        assert_eq!(pace(&second), Some(400_000));
        assert_eq!(shares.figures(), (1, 1_000_000));
    }

    #[test]
    fn a_connection_counts_until_its_last_byte_has_left() {
        let shares = Shares::new(options(1_000_000, 0));
        let ((mut first, mut far), (second, _b)) = (connection(), connection());
        let client = "192.0.2.1".parse().unwrap();
        let of_first = shares.begin(1, client, first.as_fd()).unwrap();
        first.set_nonblocking(true).unwrap();
        let mut sent = 0;
        while let Ok(len) = first.write(&[7; 1 << 16]) {
            sent += len;
        }
        drop(of_first);
        let _of_second = shares.begin(2, client, second.as_fd()).unwrap();
        assert_eq!(pace(&second), Some(500_000), "nobody reads what is left of the first");
        // Faster than that, for the test.
        shares.replace(options(1 << 40, 0));
        far.read_exact(&mut vec![0; sent]).unwrap();
        shares.sweep();
        assert_eq!(pace(&second), Some(1 << 40));
        assert_eq!(pace(&first), None);
    }

    #[test]
    fn a_connection_that_its_client_cuts_counts_no_more() {
        let shares = Shares::new(options(1_000_000, 0));
        let ((mut first, far), (second, _b)) = (connection(), connection());
        let client = "192.0.2.1".parse().unwrap();
        let of_first = shares.begin(1, client, first.as_fd()).unwrap();
        let _of_second = shares.begin(2, client, second.as_fd()).unwrap();
        first.set_nonblocking(true).unwrap();
        while first.write(&[7; 1 << 16]).is_ok() {}
        drop(far);
        // Until the reset has come.
        first.set_nonblocking(false).unwrap();
        assert!(first.read(&mut [0]).is_err());
        drop(of_first);
        shares.sweep();
        assert_eq!(pace(&second), Some(1_000_000));
    }

    #[test]
    fn rates_are_taken_back_and_change_with_the_time_of_day() {
        let (shares, (socket, _far)) = (Shares::new(ShareOptions::default()), connection());
        let client = "192.0.2.1".parse().unwrap();
        assert!(shares.begin(1, client, socket.as_fd()).is_none(), "no rate, no share");
        shares.replace(options(50_000, 0));
        let _share = shares.begin(1, client, socket.as_fd()).unwrap();
        assert_eq!(pace(&socket), Some(50_000));
        let rule = Rule::parse("01:00-02:00", 20_000, &Zone::named("UTC").unwrap()).unwrap();
        let total = Rates { otherwise: 50_000, rules: vec![rule] };
        shares.replace(ShareOptions { total, per_client: 0 });
        let hour = Duration::from_secs(3600);
        let mut state = shares.state.lock();
        for (hours, expected) in [(0, 50_000), (1, 20_000), (2, 50_000)] {
            let now = state.look_at;
            state.settle(now, SystemTime::UNIX_EPOCH + hours * hour);
            assert_eq!(pace(&socket), Some(expected), "after {hours} hours");
        }
        drop(state);
        shares.replace(ShareOptions::default());
        assert_eq!(pace(&socket), None);
    }
}
