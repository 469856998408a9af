//! What a listener counts.

use std::sync::atomic::AtomicU64;

/// Totals since the start unless said. Written by the reactor threads with relaxed ordering.
#[derive(Debug, Default)]
pub struct Counters {
    /// Connections accepted.
    pub accepted: AtomicU64,
    /// Connections open now.
    pub connections: AtomicU64,
    /// Requests answered.
    pub requests: AtomicU64,
    /// Answers by class: 1xx (always 0), 2xx, 3xx, 4xx, 5xx.
    pub by_class: [AtomicU64; 5],
    /// Bytes sent, heads included; over TLS those inside the records.
    pub bytes_sent: AtomicU64,
    /// Bodies being sent now.
    pub transfers: AtomicU64,
    /// Bodies that ended short: the client left, or the source failed.
    pub aborted: AtomicU64,
    /// Requests refused as malformed.
    pub malformed: AtomicU64,
    /// Connections refused at the limit.
    pub refused: AtomicU64,
    /// Connections refused because their client has as many as one may have.
    pub refused_client: AtomicU64,
    /// Requests refused because their client may not ask.
    pub refused_access: AtomicU64,
    /// Connections ended because their client took its answer, or sent its request's body, too slowly.
    pub too_slow: AtomicU64,
    /// TLS handshakes that agreed on keys anew.
    pub handshakes_full: AtomicU64,
    /// TLS handshakes that took up an earlier session.
    pub handshakes_resumed: AtomicU64,
    /// TLS handshakes that came to nothing.
    pub handshakes_failed: AtomicU64,
    /// Connections on which HTTP/2 is spoken, or was.
    pub http2_connections: AtomicU64,
    /// Those that were ended for too many frames of a kind, or by a mistake of the client.
    pub http2_faults: AtomicU64,
    /// Streams of HTTP/2 that were reset because their client took nothing.
    pub http2_stalled: AtomicU64,
    /// Times a body's pages were not in memory and were read first.
    pub cold_reads: AtomicU64,
}
