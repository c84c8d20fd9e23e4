//! Running and stopping: named tasks, the two stages of a stop, and the page on which a node is
//! put together.

pub mod backup;
pub mod database;
pub mod first_key;
pub mod members;
pub mod recovery;
pub mod serve;
pub mod stop;
pub mod storage;
pub mod tasks;
pub mod timekeeping;
