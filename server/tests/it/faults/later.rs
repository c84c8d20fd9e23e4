//! Rows of http_faults.md that cannot be played yet, each with what it waits for.

pub const LATER: [(u32, &str); 15] = [
    (36, "4 GiB through a dev build takes minutes: for the long form"),
    (82, "a campaign of its own: 200 slow origins beside another account"),
    (83, "needs a store that can be made slow"),
    (94, "HTTP/2 is not spoken"),
    (100, "needs a network whose packets can be dropped by size"),
    (107, "nothing is ever decoded: row 106 refuses it"),
    (108, "nothing is ever decoded: row 106 refuses it"),
    (115, "needs a disk that can be made full"),
    (116, "needs a disk that can be made to fail"),
    (117, "object stores do not exist yet"),
    (118, "object stores do not exist yet"),
    (119, "object stores do not exist yet"),
    (120, "kill.rs kills at random moments; a kill between the two commits needs a hook"),
    (121, "stopping.rs has it"),
    (124, "needs a memory limit around the process"),
];

/// Rows that are played, but not the whole of what they say.
pub const IN_PART: [(u32, &str); 3] = [
    (81, "a restart before the deadline"),
    (93, "a key of 2^20 bits"),
    (88, "a server that really speaks RC4; its hello is played"),
];
