//! Several connections for one fill, where somebody waits for bytes far ahead. A fetch is one stream from the first byte to the last for as long as
//! nobody does. Then the first segment that is wished for is asked for [aside](Fetch::aside); once the upstream has shown that it gives ranges of
//! just these bytes, the stream is ended and the rest comes [in segments](Fetch::carry), over at most [`LINES_MAX`] connections, in the order that
//! [`demand`] says. What a line has claimed no other asks for: each byte crosses the line once, but for those that were on their way on the
//! stream when it was ended.

use std::{
    pin::pin,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use protocol::span::Span;
use store::{Demand, Fill, FillError};

use super::{
    demand::{self, Order, Segment},
    task::Fetch,
};
use crate::{
    status::add,
    upstream::{
        body::Body,
        error::AskError,
        reply::{Head, Wanted},
    },
};

/// Connections of one fill.
const LINES_MAX: usize = 2;
/// A wish that is not far enough is looked at again after this: the line may have become slower.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// How a stream of bytes ended, or several did.
pub(super) enum End {
    Complete,
    Broken(AskError),
    Refused(FillError),
    Stopping,
}

/// One connection and what comes over it.
pub(super) struct Line {
    segment: Segment,
    body: Body,
}

/// What the lines of a fill have to agree on. Locked for moments.
struct Board {
    len: u64,
    /// The upstream does not give the end of a file before it has all of it.
    withholds: bool,
    began: Instant,
    before: u64,
    state: Mutex<State>,
}

struct State {
    order: Order,
    claimed: [Option<Span>; LINES_MAX],
}

impl Board {
    fn claim(&self, line: usize, segment: Segment) {
        self.state.lock().claimed[line] = Some(segment.span);
    }

    fn release(&self, line: usize) {
        self.state.lock().claimed[line] = None;
    }

    /// What a line is to ask for next.
    fn next(&self, line: usize, fill: &Fill) -> Option<Segment> {
        let demand = demand(fill, self.len, self.withholds);
        let rate = demand::rate(fill.taken().saturating_sub(self.before), self.began.elapsed());
        let mut state = self.state.lock();
        let claimed: Vec<_> = state.claimed.iter().flatten().copied().collect();
        let segment = state.order.next(&demand, &claimed, self.len, rate)?;
        state.claimed[line] = Some(segment.span);
        Some(segment)
    }
}

fn demand(fill: &Fill, len: u64, withholds: bool) -> Demand {
    let demand = fill.demand();
    if withholds { demand::without_tail(demand, len) } else { demand }
}

impl Line {
    /// What still comes of a stream that is ended at `position`, if anything.
    pub(super) fn rest(mut body: Body, position: u64) -> Option<Self> {
        let span = Span::new(position, position + body.stop());
        (!span.is_empty()).then_some(Self { segment: Segment { span, is_wish: false }, body })
    }
}

impl Fetch {
    /// Beside a stream: waits until somebody waits for bytes that it is far from bringing, and asks for them. Dropping the future is asking no
    /// more.
    pub(super) async fn aside(&self, fill: &Fill, head: &Head, len: u64) -> Result<Line, AskError> {
        let (began, before) = (Instant::now(), fill.taken());
        let (mut looked, mut at_look) = (began, before);
        loop {
            fill.wished().await;
            let taken = fill.taken();
            let on_average = demand::rate(taken - before, began.elapsed());
            let rate = if looked.elapsed() < LOOK_EVERY {
                on_average
            } else {
                on_average.min(demand::rate(taken - at_look, looked.elapsed()))
            };
            let demand = demand(fill, len, self.question.upstream.withholds());
            if let Some(segment) = demand::first(&demand, len, rate) {
                let body = self.ask_for(head, segment).await?;
                return Ok(Line { segment, body });
            }
            (looked, at_look) = (Instant::now(), taken);
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn ask_for(&self, head: &Head, segment: Segment) -> Result<Body, AskError> {
        let wanted = Wanted::Span(segment.span);
        let asked = self.unless_closing(self.question.upstream.bytes(&self.question, head, wanted)).await;
        self.shared.report(&self.question.upstream, &asked);
        asked
    }

    /// Brings all that is missing in segments; `first` are lines that are open already. A line that breaks ends, and the others go on with what it
    /// had claimed; the last one's error is the end. `opened` is called when the upstream gives bytes.
    pub(super) async fn carry(
        &self,
        fill: &Fill,
        head: &Head,
        len: u64,
        first: [Option<Line>; LINES_MAX],
        opened: &(dyn Fn() + Sync),
    ) -> End {
        let state = State { order: Order::default(), claimed: [None; LINES_MAX] };
        let withholds = self.question.upstream.withholds();
        let board = Board { len, withholds, began: Instant::now(), before: fill.taken(), state: Mutex::new(state) };
        for (number, line) in first.iter().enumerate() {
            if let Some(line) = line {
                board.claim(number, line.segment);
            }
        }
        let [one, other] = first;
        let lines = async {
            tokio::try_join!(
                self.line(fill, head, &board, 0, one, opened),
                self.line(fill, head, &board, 1, other, opened)
            )
        };
        match lines.await {
            Err(end) => end,
            Ok(_) if fill.position() == len => End::Complete,
            Ok((one, other)) => End::Broken(other.or(one).unwrap_or_else(AskError::cut)),
        }
    }

    /// One line: segment after segment, until none is left or it breaks. An error is the end of all.
    async fn line(
        &self,
        fill: &Fill,
        head: &Head,
        board: &Board,
        number: usize,
        mut open: Option<Line>,
        opened: &(dyn Fn() + Sync),
    ) -> Result<Option<AskError>, End> {
        loop {
            let asked = match open.take() {
                Some(line) => Ok(line),
                None => match board.next(number, fill) {
                    Some(segment) => self.ask_for(head, segment).await.map(|body| Line { segment, body }),
                    None => return Ok(None),
                },
            };
            let broken = match asked {
                Ok(line) => {
                    opened();
                    self.bring(fill, line).await?
                }
                Err(_) if self.owner.flight.stop.is_cancelled() => return Err(End::Stopping),
                Err(error) => Some(error),
            };
            board.release(number);
            if broken.is_some() {
                return Ok(broken);
            }
        }
    }

    /// Moves the bytes of one segment.
    async fn bring(&self, fill: &Fill, line: Line) -> Result<Option<AskError>, End> {
        let Line { segment: Segment { span, is_wish }, mut body } = line;
        let mut closing = pin!(self.owner.flight.stop.cancelled());
        let mut position = span.start;
        while position < span.end {
            let piece = tokio::select! {
                biased;
                () = &mut closing => return Err(End::Stopping),
                piece = body.next() => piece,
            };
            let mut piece = match piece {
                Ok(Some(piece)) => piece,
                Ok(None) => return Ok(Some(AskError::cut())),
                Err(error) => {
                    add(&self.shared.counters.upstream_errors, 1);
                    return Ok(Some(error));
                }
            };
            self.count(&body, piece.len());
            piece.truncate(usize::try_from(span.end - position).unwrap_or(usize::MAX));
            let len = piece.len() as u64;
            if is_wish {
                add(&self.shared.counters.upstream_bytes_ahead, len);
            }
            fill.push_at(position, piece).await.map_err(End::Refused)?;
            position += len;
        }
        Ok(None)
    }

    /// Counts what came from a directory; what comes over HTTP is counted where it is read.
    pub(super) fn count(&self, body: &Body, bytes: usize) {
        add(&self.owner.flight.crossed, bytes as u64);
        if let Body::File(_) = body {
            add(&self.shared.counters.upstream_bytes, bytes as u64);
        }
    }
}
