//! Brings the digests of a content's pieces: from whoever is nearest, and where their root is known from anybody.

use protocol::{
    digest::Sha256,
    pieces::{PIECES, PIECES_BYTES_MAX, Pieces},
};

use super::asker::{Asker, Missed};
use crate::{
    decide::source::{Rank, Source},
    net::{client::Ask, json},
};

/// Sources that are asked for one list.
const ASKED_MAX: usize = 8;

impl Asker {
    /// The list of the first of these that gives a right one: servers, behind them the origins
    /// that we know, and where a root tells a right one from a wrong one neighbours.
    pub(super) async fn list(&self, sources: &[Source], root: Option<Sha256>) -> Option<Pieces> {
        let servers = sources.iter().filter(|source| source.rank != Rank::Peer);
        let peers = sources.iter().filter(|source| source.rank == Rank::Peer && root.is_some());
        for source in servers.chain(&self.origins).chain(peers).take(ASKED_MAX) {
            match self.ask_for_list(source).await {
                Ok(list) if self.is_ours(&list) && root.is_none_or(|root| list.root() == root) => return Some(list),
                Ok(_) => tracing::warn!(
                    source = source.name,
                    "a list of pieces is not that of the file, and is not used; another source is asked"
                ),
                Err(missed) => tracing::debug!(source = source.name, said = missed.said, "no list of pieces"),
            }
        }
        None
    }

    async fn ask_for_list(&self, source: &Source) -> Result<Pieces, Missed> {
        let target = self.target(source, PIECES);
        let answer = self.send(Ask::get(&source.url, &target)).await?;
        json::read_within(answer, PIECES_BYTES_MAX).await?.map_err(Missed::of)
    }

    /// Of this content, cut as we cut it.
    fn is_ours(&self, list: &Pieces) -> bool {
        list.md5() == self.md5 && list.layout() == self.layout
    }
}
