//! Which pieces of a content are here now, and who else asks for it. Begins no fill.

use http::StatusCode;
use protocol::{
    digest::Md5,
    pieces::{Bitmap, Have, Layout, NotAList, PEER_FIELD, peer_port, piece_size},
    problem::Kind,
    target::Target,
};
use serve::{handler::Answer, request::Fields, response::Response};

use crate::{
    context::RequestContext,
    failure::Failure,
    shared::Shared,
    status::add,
    swarm::tracker::{Asker, Told},
};

pub(super) fn answer(
    context: &RequestContext<'_>,
    target: &Target,
    md5: Md5,
    fields: Fields<'_>,
) -> Result<Answer, Failure> {
    let piece = target.query_value("piece").map(|text| size(&text)).transpose()?;
    let port = fields.first(PEER_FIELD).map(port).transpose()?;
    let shared = context.shared;
    let here = here(shared, &md5, piece)?;
    let asker = Asker { address: context.asked.client.address.ip().to_canonical(), port };
    let Told { peers, askers, next_in } = shared.swarm.ask(&md5, asker);
    add(&shared.counters.have, 1);
    let next_in = u64::try_from(next_in.as_millis()).unwrap_or(u64::MAX);
    let have = Have { peers, askers, next_in, ..here };
    let mut response = Response::json(StatusCode::OK, serde_json::to_vec(&have).unwrap_or_default());
    response.fields.push("Cache-Control", "no-store");
    Ok(Answer::Now(response))
}

fn size(text: &[u8]) -> Result<u64, Failure> {
    let number = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
    // Whatever the size of the content.
    number.filter(|piece| Layout::new(0, *piece).is_some()).ok_or_else(|| {
        refused("the query names no size of pieces: it is ?piece=BYTES, a power of two, and at least 65536")
    })
}

fn port(field: &[u8]) -> Result<u16, Failure> {
    peer_port(field)
        .ok_or_else(|| refused("the field Outpost-Peer is the port at which the asker shares, from 1 to 65535"))
}

fn refused(detail: impl Into<String>) -> Failure {
    Failure::new(Kind::BadRequest, detail)
}

fn layout(size: u64, piece: u64) -> Result<Layout, Failure> {
    Layout::new(size, piece).ok_or_else(|| refused(NotAList::Layout { size, piece_size: piece }.to_string()))
}

/// What is here of a content, in pieces of a size, or as its list has them. Its end as well, which is given to who knows what it must be: see
/// [`protocol::pieces::PIECE_FIELD`].
fn here(shared: &Shared, md5: &Md5, piece: Option<u64>) -> Result<Have, Failure> {
    if let Some(info) = shared.store.peek(md5) {
        let layout = layout(info.size, piece.unwrap_or_else(|| piece_size(info.size)))?;
        return Ok(Have { size: Some(info.size), have: Bitmap::full(layout.count()), ..Have::default() });
    }
    let flight = shared.flights.of_content(md5);
    let arriving =
        flight.as_ref().and_then(|flight| flight.reader.get()).and_then(|reader| Some((reader, reader.len()?)));
    let Some((reader, size)) = arriving else {
        return Ok(Have { filling: flight.is_some(), ..Have::default() });
    };
    let layout = layout(size, piece.unwrap_or_else(|| piece_size(size)))?;
    let filling = !reader.is_sealed() && reader.failure().is_none();
    Ok(Have { size: Some(size), have: layout.within(&reader.written()), filling, ..Have::default() })
}
