//! Where a content is to be had by who asks, or when: the rule, without sockets, clock or database. What is known comes as arguments; who acts on what
//! it says is `control::sources`.
//!
//! | who asks | `staging` | ready |
//! | --- | --- | --- |
//! | an unconstrained proxy of the tree | | always |
//! | a constrained one | on | as soon as a proxy above it, or before it in its domain, holds it, or none above it is alive |
//! | everybody else | on | as soon as a peer or a proxy of its home holds it, or such a proxy fetches it, or was told to and may (those above hold it, or none is), or none is alive |
//! | anybody | off | always |
//! | anybody whose tier has a blackout | | only if a peer or a proxy of its own domain holds it, and only there: that costs the line nothing |
//! | anybody, for a digest that no file here has | | only if somebody around holds it, and only there: nobody else could fetch it |
//!
//! A proxy of the tree that has never reported may hold anything: it counts as one that can fetch it, so that nobody waits for what cannot be known.
//! Who asks and what is its home is [`scene`], who may give it and who is told to fetch it [`rule`], which peers [`peers`], when it may be asked
//! again [`wait`]; [`pending`] remembers for what somebody waits, and [`terms`] is what an administrator says of all this. [`desk`] puts it together;
//! [`view`] shows the tree to people.

mod desk;
mod peers;
mod pending;
mod rule;
mod scene;
mod terms;
mod view;
mod wait;

pub(crate) use self::{
    desk::{Answered, Desk, File, Who},
    pending::Pending,
    scene::near_to_far,
    terms::Terms,
    view::view,
};

#[cfg(test)]
mod tests;
