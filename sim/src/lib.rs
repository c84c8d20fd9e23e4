//! Whole clusters of Haulage in one thread: 1 to 4 nodes of the product's own code over models of
//! the store, the objects, the origins, the network and the time, under every fault that a seed can
//! think of. Equal seeds give equal runs, to the last event; a seed that finds something is its own
//! report.
//!
//! [`run`] is one seed's story, [`swarm`] says what a seed is made of, [`witness`] and [`client`]
//! hold what they see against the invariants of `docs/testing.md`, [`plants`] are bugs to find.
//! What is the product's and what is a model is in `README.md`.

pub mod chance;
pub mod client;
pub mod fair;
pub mod life;
pub mod link;
pub mod node;
pub mod objects;
pub mod origin;
pub mod plants;
pub mod run;
pub mod swarm;
pub mod trace;
mod verbs;
pub mod witness;
pub mod world;

pub use plants::Plant;
pub use run::{Options, Outcome, run};
