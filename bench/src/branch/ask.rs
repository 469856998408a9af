//! What is asked of the programs of a branch, beside what they ask one another.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use protocol::{
    digest::{Digests, DigestsHasher, Md5},
    event_stream::Reader,
    info::OBJECTS,
};
use serde_json::Value;

use crate::http::{Incoming, Request, connect};

/// Who asks, among programs that write that down.
const NODE: &str = "bench";
/// The longest that an answer may take, where it is not a file.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// JSON; an error for any status but 200.
pub(crate) async fn get(server: SocketAddr, target: &str) -> io::Result<Value> {
    json(Ipv4Addr::LOCALHOST, server, Request { method: "GET", target, node: NODE, body: None, closes: true }).await
}

/// Likewise, from one's own address and under one's own name.
pub(crate) async fn post(
    (from, node): (Ipv4Addr, &str),
    server: SocketAddr,
    target: &str,
    body: &Value,
) -> io::Result<Value> {
    let body = body.to_string();
    let request = Request { method: "POST", target, node, body: Some(body.as_bytes()), closes: true };
    json(from, server, request).await
}

async fn json(from: Ipv4Addr, server: SocketAddr, request: Request<'_>) -> io::Result<Value> {
    let asked = async { request.send(connect(from, server).await?).await?.whole().await };
    let (reply, _) = tokio::time::timeout(ANSWER_MAX, asked).await??;
    if !(200..300).contains(&reply.status) {
        let text = String::from_utf8_lossy(&reply.body).into_owned();
        return Err(io::Error::other(format!("status {}: {text}", reply.status)));
    }
    Ok(serde_json::from_slice(&reply.body).unwrap_or_default())
}

async fn open(server: SocketAddr, target: &str) -> io::Result<Incoming> {
    let request = Request { method: "GET", target, node: NODE, body: None, closes: true };
    let incoming = request.send(connect(Ipv4Addr::LOCALHOST, server).await?).await?;
    if incoming.status == 200 { Ok(incoming) } else { Err(io::Error::other(format!("status {}", incoming.status))) }
}

/// Has an agent bring something, and waits until it is there; answers its digest as the agent tells it.
pub(crate) async fn fetch(agent: SocketAddr, what: &str) -> io::Result<Md5> {
    let mut incoming = open(agent, &format!("/v1/fetch?what={what}")).await?;
    let mut reader = Reader::default();
    let mut end = None;
    while let Some(bytes) = incoming.next().await? {
        let mut hear = |name: &str, data: &str| match name {
            "ready" => {
                let md5 = serde_json::from_str::<Value>(data).ok().and_then(|said| said["md5"].as_str()?.parse().ok());
                end = Some(md5.ok_or_else(|| io::Error::other("it is ready without a digest")));
            }
            "failed" => end = Some(Err(io::Error::other(data.to_owned()))),
            _ => {}
        };
        let taken = reader.take(&bytes, |event| hear(&event.name, &event.data));
        if let Some(end) = end.take() {
            return end;
        }
        taken.map_err(io::Error::other)?;
    }
    Err(io::ErrorKind::UnexpectedEof.into())
}

/// Reads a content as a program of the agent's machine does, and answers what it is.
pub(crate) async fn digests(agent: SocketAddr, md5: &Md5) -> io::Result<Digests> {
    let mut incoming = open(agent, &format!("{OBJECTS}{md5}")).await?;
    let mut hasher = DigestsHasher::default();
    while let Some(bytes) = incoming.next().await? {
        hasher.update(&bytes);
    }
    Ok(hasher.finish())
}
