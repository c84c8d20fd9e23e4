//! Rows of http_faults.md that cannot be played yet, each with what it waits for.

pub const LATER: [(u32, &str); 0] = [];

/// Rows that are played, but not the whole of what they say.
pub const IN_PART: [(u32, &str); 4] = [
    (93, "a key of 2^20 bits"),
    (83, "1 GiB: 160 MiB, slower than the origin by a write that takes 10 ms"),
    (115, "a mark on the node: its free bytes are in the metrics"),
    (88, "a server that really speaks RC4; its hello is played"),
];
