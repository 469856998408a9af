//! What is said to clients: [`content`] chooses the status where the content is known, [`pages`] are directories as pages, [`said`] what is told
//! to all who wait, [`pieces`] bodies that are made on the way.

pub(crate) mod content;
pub(crate) mod pages;
pub(crate) mod pieces;
pub(crate) mod said;
