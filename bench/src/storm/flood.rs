//! What a refusal costs: clients that obey no `Retry-After` ask as fast as they can, as those of the field do, and an upper proxy asks among them.

use std::{
    cell::RefCell,
    io,
    net::{Ipv4Addr, SocketAddr},
    rc::Rc,
    time::{Duration, Instant},
};

use protocol::{digest::Md5, info::SOURCES, sources::Question};
use tokio::net::TcpStream;

use super::{
    report::{quantiles, thousands},
    server::Server,
};
use crate::{
    histogram::Histogram,
    http::{Request, connect},
};

/// How often the upper proxy asks.
const UPPER_EVERY: Duration = Duration::from_millis(20);

/// What was seen.
pub(crate) struct Flood {
    pub(crate) clients: usize,
    answers: Histogram,
    refusals: Histogram,
    /// Of the upper proxy.
    upper: Histogram,
    upper_refused: u64,
    took: Duration,
    /// Processor time of the origin.
    cpu: Duration,
}

struct Seen {
    answers: Histogram,
    refusals: Histogram,
    upper: Histogram,
    upper_refused: u64,
}

/// So many clients for so long, each asking again as soon as it has its answer.
pub(crate) async fn flood(server: &Server, clients: usize, duration: Duration) -> anyhow::Result<Flood> {
    let seen = Rc::new(RefCell::new(Seen {
        answers: Histogram::new(),
        refusals: Histogram::new(),
        upper: Histogram::new(),
        upper_refused: 0,
    }));
    let (before, begun) = (server.state().await?, Instant::now());
    let until = begun + duration;
    let mut tasks = vec![tokio::task::spawn_local(upper(server.address, until, seen.clone()))];
    for client in 0..clients {
        tasks.push(tokio::task::spawn_local(impatient(server.address, client, until, seen.clone())));
    }
    for task in tasks {
        task.await??;
    }
    let (took, after) = (begun.elapsed(), server.state().await?);
    let Seen { answers, refusals, upper, upper_refused } =
        Rc::into_inner(seen).expect("all who had it have ended").into_inner();
    Ok(Flood { clients, answers, refusals, upper, upper_refused, took, cpu: after.cpu.since(before.cpu).total() })
}

/// Asks on one connection, and never waits.
async fn impatient(origin: SocketAddr, number: usize, until: Instant, seen: Rc<RefCell<Seen>>) -> io::Result<()> {
    let from = Ipv4Addr::new(127, 2, (number / 250) as u8, (number % 250) as u8 + 2);
    let name = format!("impatient-{number}");
    let mut stream = connect(from, origin).await?;
    while Instant::now() < until {
        let (status, took, next) = ask(stream, &name).await?;
        stream = next;
        let mut seen = seen.borrow_mut();
        match status {
            503 => seen.refusals.record(took),
            _ => seen.answers.record(took),
        }
    }
    Ok(())
}

async fn upper(origin: SocketAddr, until: Instant, seen: Rc<RefCell<Seen>>) -> io::Result<()> {
    let mut stream = connect(Ipv4Addr::new(127, 1, 0, 1), origin).await?;
    while Instant::now() < until {
        let (status, took, next) = ask(stream, "upper-0").await?;
        stream = next;
        note_upper(&mut seen.borrow_mut(), status, took);
        tokio::time::sleep(UPPER_EVERY).await;
    }
    Ok(())
}

fn note_upper(seen: &mut Seen, status: u16, took: Duration) {
    seen.upper.record(took);
    seen.upper_refused += u64::from(status == 503);
}

async fn ask(stream: TcpStream, name: &str) -> io::Result<(u16, Duration, TcpStream)> {
    let question = Question { digests: (0..10).map(|number| Md5([number; 16])).collect(), ..Question::default() };
    let body = serde_json::to_vec(&question).unwrap_or_default();
    let request = Request { method: "POST", target: SOURCES, node: name, body: Some(&body), closes: false };
    let sent = Instant::now();
    let (reply, stream) = request.send(stream).await?.whole().await?;
    Ok((reply.status, sent.elapsed(), stream))
}

/// The table of some floods; the first has so few clients that nobody is refused.
pub(crate) fn to_text(floods: &[Flood]) -> String {
    let mut text = "| clients | answers/s | refusals/s | answers: half / 99 % / all within | refusals: half / 99 % / all within | an upper proxy: half / 99 % / all within | it was refused | processor time of an answer | of a refusal |\n| --: | --: | --: | --- | --- | --- | --: | --: | --: |\n".to_owned();
    let each = |cpu: Duration, count: u64| cpu.as_secs_f64() * 1e6 / count.max(1) as f64;
    let of_answer = floods.first().map_or(0.0, |first| each(first.cpu, first.answers.count() + first.upper.count()));
    for flood in floods {
        let seconds = flood.took.as_secs_f64();
        let rate = |histogram: &Histogram| thousands((histogram.count() as f64 / seconds) as u64);
        let of_answers = of_answer * (flood.answers.count() + flood.upper.count()) as f64;
        let refused = flood.refusals.count();
        let rest = (flood.cpu.as_secs_f64() * 1e6 - of_answers).max(0.0) / refused.max(1) as f64;
        let of_refusal = if refused == 0 { "".to_owned() } else { format!("{rest:.0} \u{b5}s") };
        text.push_str(&format!(
            "| {} | {} | {} | {} | {} | {} | {} | {of_answer:.0} \u{b5}s | {of_refusal} |\n",
            flood.clients,
            rate(&flood.answers),
            rate(&flood.refusals),
            quantiles(&flood.answers),
            quantiles(&flood.refusals),
            quantiles(&flood.upper),
            flood.upper_refused,
        ));
    }
    text
}
