//! Imports and exports as their users see them: over a cache in this process, with a directory or a scripted web server upstream.

mod bundles;
mod helpers;
mod shares;
