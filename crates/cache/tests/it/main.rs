//! The cache between a scripted upstream and a real listener: what clients get, and what the upstream is asked.

mod caching;
mod catalogue;
mod client;
mod delivery;
mod directories;
mod endpoints;
mod failures;
mod following;
mod imports;
mod links;
mod methods;
mod modes;
mod origin;
mod origins;
mod outposts;
mod pieces;
mod preload;
mod proxy;
mod requesters;
mod site;
mod strangers;
mod web;
mod webdav;
