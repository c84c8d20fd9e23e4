//! Rows 107 and 108: what a decoder could be made to do. Haulage has none and asks for no coding, so
//! the rule to show is that of row 106: a body that is announced as coded is refused by its head,
//! whatever is in it, and none of it is read, stored or unpacked.

use std::sync::atomic::Ordering;

use super::origin::{FaultOrigin, Speech, Step, send};
use super::rows::{On, always, head};
use super::{Bed, settled, submit, trap};

/// Rows that are tests of this file.
pub const NUMBERS: [u32; 2] = [107, 108];

/// The head of a gzip member (RFC 1952 §2.3), and a block of it that is cut short.
const CUT: &[u8] = b"\x1f\x8b\x08\0\0\0\0\0\0\xff\xed\xc1\x01\x01";

#[tokio::test(flavor = "multi_thread")]
async fn rows_107_and_108_nothing_that_is_announced_as_coded_is_ever_unpacked() {
    let (trap, _) = trap().await;
    let bed = Bed::start(On::Patient, trap, None);
    for coding in ["gzip", "x-gzip", "GZIP", "deflate", "br", "zstd", "compress", "gzip, identity"]
    {
        let coded = |length: usize| {
            head(&format!(
                "Content-Type: video/mp4\r\nContent-Encoding: {coding}\r\nContent-Length: {length}\r\n"
            ))
        };
        let cut = vec![coded(CUT.len() + 1_000), send(CUT)];
        // A thousand to one would make 8 GiB of the body that is announced.
        let bomb = vec![coded(8 << 20), send(CUT), Step::Forever(vec![0; 64 * 1024])];
        for (number, steps) in [(107, cut), (108, bomb)] {
            let origin = FaultOrigin::start(Speech::Http, always(steps)).await;
            let job = submit(&bed.client(), &format!("http://{}/v.mp4", origin.at), None).await;
            let info = settled(&bed.client(), &job).await.unwrap();
            assert_eq!(info["Status"], "DOWNLOAD_FAIL", "row {number}, {coding}: {info}");
            assert_eq!(info["ErrorCode"], "URLInvalidError.Protocol", "row {number}, {coding}");
            assert_eq!(origin.asked(), 1, "row {number}, {coding}: it would be the same again");
        }
    }
    assert_eq!(bed.largest_staged.load(Ordering::Relaxed), 0, "something was read");
    assert!(bed.objects().is_empty() && bed.staged().is_empty());
}
