//! A scripted upstream at the other end of a pipe, and a clock that stands still but for timers: what comes when is exact.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::Empty;
use hyper::{Request, client::conn::http1};
use hyper_util::rt::TokioIo;
use protocol::rate::Rates;
use tokio::io::{AsyncWriteExt, DuplexStream, duplex};

use super::*;
use crate::{
    fetch::urgency::Class,
    options::line::LineOptions,
    upstream::{
        body::{Body, HttpPieces},
        error::AskError,
    },
};

/// Bytes per second: 10 Mbit/s.
const RATE: u64 = 1_250_000;
/// What a connection holds unread.
const PIPE: usize = 32 << 10;
const SECOND: Duration = Duration::from_secs(1);

impl Wire for DuplexStream {
    fn socket(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}

fn line(rate: u64) -> Arc<Line> {
    let rates = Rates { otherwise: rate, rules: Vec::new() };
    Arc::new(Line::new(LineOptions { rates, ..LineOptions::default() }))
}

/// A connection to an upstream that never stops sending.
fn endless(line: &Arc<Line>) -> Metered<DuplexStream> {
    let (near, mut far) = duplex(PIPE);
    tokio::spawn(async move { while far.write_all(&[7; 4096]).await.is_ok() {} });
    Metered::new(near, line, false)
}

/// Reads until a moment; answers when how many bytes came.
async fn read_until(connection: &mut Metered<DuplexStream>, end: Instant) -> Vec<(Instant, u64)> {
    let (mut buffer, mut came) = (vec![0; 64 << 10], Vec::new());
    while let Ok(Ok(len)) = tokio::time::timeout_at(end, connection.read(&mut buffer)).await {
        came.push((Instant::now(), len as u64));
    }
    came
}

fn bytes(came: &[(Instant, u64)]) -> u64 {
    came.iter().map(|(_, len)| len).sum()
}

/// Within any two seconds as many bytes as there should be, but for 5 percent.
fn assert_held(came: &[(Instant, u64)], rate: u64) {
    let (begin, end) = (came[0].0, came[came.len() - 1].0);
    assert!(end - begin > 2 * SECOND, "{:?}", end - begin);
    for (first, (from, _)) in came.iter().enumerate().filter(|(_, (from, _))| *from + 2 * SECOND <= end) {
        let within = came[first..].iter().take_while(|(at, _)| *at < *from + 2 * SECOND);
        let bytes: u64 = within.map(|(_, len)| len).sum();
        let off = bytes.abs_diff(2 * rate);
        assert!(off <= rate / 10, "{bytes} bytes in the 2 s from {:?} on", *from - begin);
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_holds_the_rate() {
    for rate in [RATE / 10, RATE, 100 * RATE] {
        let mut connection = endless(&line(rate));
        let came = read_until(&mut connection, Instant::now() + 6 * SECOND).await;
        assert_held(&came, rate);
    }
}

#[tokio::test(start_paused = true)]
async fn many_connections_share_it_evenly() {
    let line = line(RATE);
    let end = Instant::now() + 6 * SECOND;
    let reads: Vec<_> = (0..8)
        .map(|_| {
            let mut connection = endless(&line);
            tokio::spawn(async move { read_until(&mut connection, end).await })
        })
        .collect();
    let mut all = Vec::new();
    for read in reads {
        let came = read.await.unwrap();
        assert!(bytes(&came).abs_diff(6 * RATE / 8) < 6 * RATE / 80, "{}", bytes(&came));
        all.extend(came);
    }
    all.sort_by_key(|(at, _)| *at);
    assert_held(&all, RATE);
    assert_eq!(line.status().bytes, bytes(&all));
    assert!(line.status().held > 30 * SECOND, "{:?}", line.status());
    assert_eq!(line.status().demand_waiting, 0, "who has gone does not stand before others");
}

#[tokio::test(start_paused = true)]
async fn what_nobody_waits_for_yields_and_goes_on_when_the_line_is_free() {
    let line = line(RATE);
    let begin = Instant::now();
    let mut preload = endless(&line);
    let read = tokio::spawn(async move {
        let _carried = preload.meter.carry(&Arc::new(Urgency::new(Class::Preload)));
        read_until(&mut preload, begin + 40 * SECOND).await
    });
    let mut demand = endless(&line);
    let of_clients = read_until(&mut demand, begin + 35 * SECOND).await;
    drop(demand);
    let preloaded = read.await.unwrap();
    let within = |from: u32, to: u32| {
        let came = preloaded.iter().filter(|(at, _)| *at >= begin + from * SECOND && *at < begin + to * SECOND);
        came.map(|(_, len)| len).sum::<u64>()
    };
    assert_held(&of_clients, RATE);
    // A turn each ten seconds, and what was here before it was the clients' turn.
    assert!(within(1, 35) <= 4 * RATE / 100 && within(1, 35) > 0, "{}", within(1, 35));
    assert!(within(36, 38).abs_diff(2 * RATE) <= RATE / 10, "{}", within(36, 38));
    let gaps = preloaded.windows(2).map(|pair| pair[1].0 - pair[0].0).max().unwrap();
    assert!(gaps < 11 * SECOND, "{gaps:?}");
}

#[tokio::test(start_paused = true)]
async fn who_is_joined_by_a_client_goes_on_at_once() {
    let line = line(RATE);
    let end = Instant::now() + 8 * SECOND;
    let mut demand = endless(&line);
    tokio::spawn(async move { read_until(&mut demand, end).await });
    let (mut preload, urgency) = (endless(&line), Arc::new(Urgency::new(Class::Preload)));
    let carried = preload.meter.carry(&urgency);
    let before = read_until(&mut preload, Instant::now() + 4 * SECOND).await;
    urgency.raise(Class::Demand);
    let after = read_until(&mut preload, end).await;
    drop(carried);
    assert!(bytes(&before) < RATE / 20, "{}", bytes(&before));
    assert!(bytes(&after).abs_diff(2 * RATE) <= RATE / 5, "{}", bytes(&after));
}

#[tokio::test(start_paused = true)]
async fn a_changed_rate_holds_for_what_is_on_its_way() {
    let line = line(RATE);
    let mut connection = endless(&line);
    read_until(&mut connection, Instant::now() + SECOND).await;
    for rate in [RATE / 5, RATE * 5, 0, RATE] {
        line.set_options(LineOptions { rates: Rates { otherwise: rate, rules: Vec::new() }, ..LineOptions::default() });
        if rate == 0 {
            // Time stands still where nobody waits.
            let begin = Instant::now();
            connection.read_exact(&mut vec![0; 16 << 20]).await.unwrap();
            assert_eq!(Instant::now(), begin);
            continue;
        }
        let came = read_until(&mut connection, Instant::now() + 5 * SECOND).await;
        assert_held(&came, rate);
    }
}

/// The head of an answer over a connection, and its body.
async fn ask(connection: Metered<DuplexStream>, class: Class, timeout: Duration) -> HttpPieces {
    let meter = connection.meter.clone();
    let (mut sender, driving) = http1::handshake(TokioIo::new(connection)).await.unwrap();
    tokio::spawn(driving);
    let request = Request::get("/").header("host", "upstream").body(Empty::<Bytes>::new()).unwrap();
    let answer = sender.send_request(request).await.unwrap();
    let carried = meter.carry(&Arc::new(Urgency::new(class)));
    HttpPieces::new(answer.into_body(), 0, timeout, Arc::default(), Some(carried), None)
}

/// Says a head and then so many bytes; stays silent behind them.
fn scripted(line: &Arc<Line>, len: usize, bytes: usize) -> Metered<DuplexStream> {
    let (near, mut far) = duplex(PIPE);
    tokio::spawn(async move {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {len}\r\n\r\n");
        far.read_exact(&mut [0; 4]).await.unwrap();
        let mut said = far.write_all(head.as_bytes()).await;
        for _ in 0..bytes / 1024 {
            said = said.and(far.write_all(&[7; 1024]).await);
        }
        std::future::pending::<()>().await;
    });
    Metered::new(near, line, false)
}

#[tokio::test(start_paused = true)]
async fn a_turn_that_is_waited_for_is_no_silence_and_silence_is_one() {
    let line = line(RATE);
    let mut demand = endless(&line);
    let end = Instant::now() + 60 * SECOND;
    tokio::spawn(async move { read_until(&mut demand, end).await });
    let mut body = Body::Http(ask(scripted(&line, 1 << 20, 128 << 10), Class::Preload, 3 * SECOND).await);
    let mut came = 0;
    let error = loop {
        match body.next().await {
            Ok(piece) => came += piece.expect("it is not over").len(),
            Err(error) => break error,
        }
    };
    // 128 KiB by turns of 12,500 bytes, ten seconds between them.
    assert_eq!(came, 128 << 10);
    assert!(matches!(error, AskError::TimedOut(_)), "{error}");
    assert!(end - Instant::now() < 55 * SECOND);
}
