//! Asks one source what it has of a content, and who else wants it.

use protocol::pieces::{Bitmap, HAVE, HAVE_BYTES_MAX, Have};

use super::asker::{Asker, Missed};
use crate::{
    decide::source::Source,
    net::{client::Ask, json},
};

impl Asker {
    /// What it says; of as many pieces as there are.
    pub(super) async fn question(&self, source: &Source) -> Result<Have, Missed> {
        let target = format!("{HAVE}{}?piece={}", self.md5, self.layout.piece_size());
        let answer = self.send(Ask::get(&source.url, &target)).await?;
        let mut have: Have = json::read_within(answer, HAVE_BYTES_MAX).await?.map_err(Missed::of)?;
        let count = self.layout.count();
        have.have = match have.size {
            // It does not know the content yet.
            None => Bitmap::new(count),
            Some(size) if size == self.layout.size() => {
                have.have.of_len(count).ok_or_else(|| Missed::senseless("it has pieces that there are not"))?
            }
            Some(_) => return Err(Missed::senseless("its content has another size")),
        };
        // What is not told of all pieces is not told.
        have.coming = have.coming.of_len(count).unwrap_or_else(|| Bitmap::new(count));
        Ok(have)
    }
}
