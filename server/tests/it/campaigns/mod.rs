//! Campaigns on real processes: each looks for a broken promise with many repetitions, a short slice
//! of them on every change and as many as wanted in its long form (`docs/testing.md`).

mod bloat;
mod check;
mod failover;
mod history;
mod kill;
mod load;
mod model;
mod pause;
mod power;
mod restore;
mod sync_points;
mod tenants;
