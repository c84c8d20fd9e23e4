//! One file over several connections: that its bytes are right and in order whatever the origin does,
//! and that origins which mind are left alone.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::several::{Ask, GATED, PIECE, Reply, SIZE, Several};
use super::*;
use crate::domain::source_headers::SourceHeaders;
use crate::fetch::spread::SEGMENT;

fn several(parallel_ranges: usize) -> FetchSettings {
    FetchSettings { parallel_ranges, max_bytes: 1 << 30, ..settings() }
}

/// Reads a file to its end; what came, and how it ended.
async fn read(fetcher: &Fetcher, origin: &Several) -> (Vec<u8>, Result<(), FetchError>) {
    read_with(fetcher, origin, &SourceHeaders::none()).await
}

async fn read_with(
    fetcher: &Fetcher,
    origin: &Several,
    headers: &SourceHeaders,
) -> (Vec<u8>, Result<(), FetchError>) {
    let url = origin.url();
    let source = fetcher.open(Wanted { headers, ..Wanted::whole(&url) }).await.unwrap();
    let mut spread = fetcher.spread(source, &url, headers);
    let mut bytes = Vec::new();
    let mut gated = true;
    loop {
        if gated && bytes.len() >= GATED {
            // The piece on the side comes first: which of two is faster is not what is tested.
            spread.settle().await;
            origin.seen.gate.add_permits(1);
            gated = false;
        }
        match spread.chunk().await {
            Ok(Some(piece)) => bytes.extend_from_slice(&piece),
            Ok(None) => return (bytes, Ok(())),
            Err(fault) => return (bytes, Err(fault)),
        }
    }
}

async fn whole_file(fetcher: &Fetcher, origin: &Several) {
    let (bytes, end) = read(fetcher, origin).await;
    assert_eq!(end, Ok(()));
    assert!(bytes == origin.seen.file, "{} bytes, others than the file has", bytes.len());
}

/// Where the pieces begin and end that a transfer without trouble asks for.
fn pieces() -> Vec<(usize, usize)> {
    let begins = (2..8).map(|n| n * PIECE);
    begins.map(|first| (first, (first + PIECE).min(SIZE) - 1)).collect()
}

#[tokio::test]
async fn a_large_file_comes_over_several_connections_and_in_order() {
    assert_eq!(PIECE as u64, SEGMENT);
    let origin = Several::start(|_| Reply::Part).await;
    whole_file(&fetcher(several(4)), &origin).await;
    let mut asked = origin.parts();
    asked.sort_unstable();
    assert_eq!(asked, pieces(), "each byte is asked for once");
    let parts = origin.seen.parts.lock().unwrap();
    assert!(parts.iter().all(|(_, _, condition)| condition == "\"v1\""), "{parts:?}");
    let most = origin.seen.most.load(Ordering::SeqCst);
    assert!((2..=4).contains(&most), "{most} connections at once");
}

#[tokio::test]
async fn one_connection_is_the_rule() {
    let origin = Several::start(|_| Reply::Part).await;
    whole_file(&fetcher(several(1)), &origin).await;
    // A place at the host is not taken from others, and the last one never.
    let polite = FetchSettings { per_host: 1, ..several(4) };
    whole_file(&fetcher(polite), &origin).await;
    let polite = FetchSettings { per_host: 2, ..several(4) };
    whole_file(&fetcher(polite), &origin).await;
    let large = FetchSettings { parallel_from: SIZE as u64 + 1, ..several(4) };
    whole_file(&fetcher(large), &origin).await;
    // So many transfers hold pieces in memory already.
    let busy = fetcher(several(4));
    let places = busy.inner().spreads.available_permits();
    let places = busy.inner().spreads.try_acquire_many(u32::try_from(places).unwrap());
    assert!(places.is_ok());
    whole_file(&busy, &origin).await;
    assert_eq!(origin.parts(), []);
    let weak = Several::tagged("W/\"v1\"", |_| Reply::Part).await;
    whole_file(&fetcher(several(4)), &weak).await;
    assert_eq!(weak.parts(), [], "without a strong validator no two answers are put together");
}

/// The first answer does not move, and the pieces come at once: they wait in memory.
#[tokio::test]
async fn no_more_pieces_wait_than_the_transfer_may_have_connections() {
    for most in [2, 3] {
        let origin = Several::start(|_| Reply::Part).await;
        let (fetcher, url) = (fetcher(several(most)), origin.url());
        let source = fetcher.open(Wanted::whole(&url)).await.unwrap();
        let mut spread = fetcher.spread(source, &url, &SourceHeaders::none());
        let mut came = 0;
        while came < GATED {
            came += spread.chunk().await.unwrap().unwrap().len();
            spread.settle().await;
        }
        assert_eq!(origin.parts().len(), most - 1, "beside the first answer");
    }
}

/// Nobody waits at a host, so a transfer may not sit on its further places.
#[tokio::test]
async fn others_get_the_places_that_pieces_give_back() {
    let origin = Several::start(|_| Reply::Part).await;
    let (url, headers) = (origin.url(), SourceHeaders::none());
    let fetcher = fetcher(FetchSettings { per_host: 3, ..several(4) });
    let source = fetcher.open(Wanted::whole(&url)).await.unwrap();
    let mut spread = fetcher.spread(source, &url, &headers);
    let mut bytes = spread.chunk().await.unwrap().unwrap().to_vec();
    spread.settle().await;
    origin.seen.gate.add_permits(1);
    while bytes.len() <= 3 * PIECE {
        bytes.extend_from_slice(&spread.chunk().await.unwrap().unwrap());
    }
    let second = fetcher.place(&url);
    assert!(second.is_some(), "the last place is left");
    spread.settle().await;
    let third = fetcher.place(&url);
    assert!(third.is_some(), "what a piece gave back is not taken again");
    while let Some(piece) = spread.chunk().await.unwrap() {
        bytes.extend_from_slice(&piece);
        assert!(fetcher.place(&url).is_none(), "the transfer keeps its own");
    }
    assert!(bytes == origin.seen.file);
}

/// Before the first answer is let go, whatever the piece on the side is costs nothing.
#[tokio::test]
async fn an_origin_that_mishandles_or_refuses_the_first_piece_is_left_alone_and_remembered() {
    for reply in [
        Reply::Whole,
        Reply::Lie,
        Reply::Short,
        Reply::Changed,
        Reply::Cut(1_000),
        Reply::Status("403 Forbidden"),
        Reply::Status("429 Too Many Requests"),
        Reply::Status("503 Busy"),
        Reply::Status("416 Range Not Satisfiable"),
        Reply::Status("302 Found"),
    ] {
        let origin = Several::start(move |_| reply).await;
        let fetcher = fetcher(several(4));
        whole_file(&fetcher, &origin).await;
        assert_eq!(origin.parts().len(), 1, "{reply:?}");
        whole_file(&fetcher, &origin).await;
        // One that has another version now has done nothing wrong.
        let again = usize::from(matches!(reply, Reply::Changed));
        assert_eq!(origin.parts().len(), 1 + again, "{reply:?}: remembered");
    }
}

#[tokio::test]
async fn a_piece_that_is_not_there_in_time_is_given_up() {
    let origin = Several::start(|_| Reply::Silence).await;
    origin.seen.gate.add_permits(1);
    let (url, headers) = (origin.url(), SourceHeaders::none());
    let fetcher = fetcher(several(4));
    let source = fetcher.open(Wanted::whole(&url)).await.unwrap();
    let mut spread = fetcher.spread(source, &url, &headers);
    let mut bytes = Vec::new();
    while let Some(piece) = spread.chunk().await.unwrap() {
        bytes.extend_from_slice(&piece);
    }
    assert!(bytes == origin.seen.file);
    assert_eq!(origin.parts().len(), 1);
}

#[tokio::test]
async fn an_origin_that_takes_two_connections_is_not_pressed() {
    let busy = |ask: Ask| if ask.live > 2 { Reply::Status("503 Busy") } else { Reply::Part };
    let origin = Several::start(busy).await;
    let fetcher = fetcher(several(4));
    whole_file(&fetcher, &origin).await;
    let first = origin.parts();
    let refused = first.len() - pieces().len();
    assert!(refused <= 3, "{first:?}");
    whole_file(&fetcher, &origin).await;
    let second = origin.parts().len() - first.len();
    assert!(refused == 0 || second < first.len(), "{second}: it is asked for less the next time");
}

#[tokio::test]
async fn what_was_cut_off_is_asked_for_again_and_nothing_else() {
    let cut = |ask: Ask| if ask.nth == 2 { Reply::Cut(1_000_000) } else { Reply::Part };
    let origin = Several::start(cut).await;
    whole_file(&fetcher(several(2)), &origin).await;
    let parts = origin.parts();
    let cut = parts[2];
    let (rest, _) = *parts.iter().find(|part| part.0 > cut.0 && part.1 == cut.1).unwrap();
    assert!(rest <= cut.0 + 1_000_000, "{parts:?}");
    let asked: usize = parts.iter().map(|(first, last)| last - first + 1).sum();
    assert!(asked < SIZE, "no more than the rest of one piece was asked for twice: {parts:?}");
}

#[tokio::test]
async fn a_piece_that_is_cut_off_again_and_again_ends_the_attempt() {
    let later = 3 * PIECE;
    let cut = move |ask: Ask| if ask.first < later { Reply::Part } else { Reply::Cut(1_000) };
    let origin = Several::start(cut).await;
    let (bytes, end) = read(&fetcher(several(2)), &origin).await;
    assert_eq!(end.unwrap_err().retry, Retry::Backoff);
    assert!(bytes.len() >= later && bytes == origin.seen.file[..bytes.len()]);
    let of_it = |(first, _): &&(usize, usize)| (later..later + PIECE).contains(first);
    assert_eq!(origin.parts().iter().filter(of_it).count(), 4, "once, and three times more");
}

#[tokio::test]
async fn a_refusal_in_the_middle_halves_the_connections_for_good() {
    for status in ["403 Forbidden", "429 Too Many Requests", "503 Busy"] {
        let asked = AtomicUsize::new(0);
        let once = move |ask: Ask| match ask.first == 4 * PIECE {
            true if asked.fetch_add(1, Ordering::SeqCst) == 0 => Reply::Status(status),
            _ => Reply::Part,
        };
        let origin = Several::start(once).await;
        let (fetcher, url) = (fetcher(several(4)), origin.url());
        let source = fetcher.open(Wanted::whole(&url)).await.unwrap();
        let mut spread = fetcher.spread(source, &url, &SourceHeaders::none());
        let mut bytes = spread.chunk().await.unwrap().unwrap().to_vec();
        spread.settle().await;
        origin.seen.gate.add_permits(1);
        assert_eq!(spread.most(), 4);
        while let Some(piece) = spread.chunk().await.unwrap() {
            bytes.extend_from_slice(&piece);
        }
        assert!(bytes == origin.seen.file, "{status}");
        assert!(spread.most() <= 2, "{status}: {}", spread.most());
    }
}

#[tokio::test]
async fn a_source_that_a_redirect_led_to_has_one_connection() {
    let origin = Several::start(|_| Reply::Part).await;
    let to = format!("Location: {}\r\nContent-Length: 0\r\n", origin.url().expose());
    let hop = move |_| vec![send(format!("HTTP/1.1 302 Found\r\n{to}\r\n"))];
    let first = super::origin::Origin::start(hop).await;
    let (fetcher, url) = (fetcher(several(4)), SourceUrl::new(first.url("/start.mp4")));
    let source = fetcher.open(Wanted::whole(&url)).await.unwrap();
    let mut spread = fetcher.spread(source, &url, &SourceHeaders::none());
    origin.seen.gate.add_permits(1);
    while spread.chunk().await.unwrap().is_some() {}
    assert_eq!((first.heads().len(), origin.parts()), (1, vec![]));
}

#[tokio::test]
async fn each_piece_is_asked_for_with_the_headers_that_were_given() {
    let origin = Several::start(|_| Reply::Part).await;
    let headers = SourceHeaders::new(vec![("X-Key".to_owned(), "k".to_owned())]);
    let (_, end) = read_with(&fetcher(several(4)), &origin, &headers).await;
    assert_eq!(end, Ok(()));
    assert_eq!(origin.seen.confided.load(Ordering::SeqCst), 1 + pieces().len());
}

#[tokio::test]
async fn a_file_that_changes_in_the_middle_ends_the_attempt_and_is_never_mixed() {
    for reply in [Reply::Changed, Reply::Lie, Reply::Whole, Reply::Short] {
        let origin =
            Several::start(move |ask| if ask.nth == 3 { reply } else { Reply::Part }).await;
        let (bytes, end) = read(&fetcher(several(3)), &origin).await;
        let fault = end.unwrap_err();
        assert_eq!(fault.retry, Retry::Backoff, "{reply:?}: the next attempt finds out more");
        let failed = origin.parts()[3].0;
        assert_eq!(bytes.len(), failed, "{reply:?}: what came before is used");
        assert!(bytes == origin.seen.file[..failed], "{reply:?}");
    }
}

#[tokio::test]
async fn a_link_that_expires_in_the_middle_asks_for_another() {
    let expired = |ask: Ask| match ask.first {
        first if first < 4 * PIECE => Reply::Part,
        _ => Reply::Status("403 Forbidden"),
    };
    let origin = Several::start(expired).await;
    let (bytes, end) = read(&fetcher(several(2)), &origin).await;
    assert_eq!(end.unwrap_err().retry, Retry::AnotherUrl);
    assert!(bytes == origin.seen.file[..4 * PIECE]);
}

/// Each connection is guarded: a name that moves to a forbidden address in the middle of a file gets
/// no connection there.
#[tokio::test]
async fn every_connection_passes_the_firewall() {
    let origin = Several::start(|_| Reply::Part).await;
    let resolver = Written::default()
        .answer("moves.example", &["127.0.0.1"])
        .answer("moves.example", &["169.254.169.254"]);
    let (fetcher, resolver) = fetcher_with(several(4), resolver);
    let url = SourceUrl::new(format!("http://moves.example:{}/v.mp4", origin.at.port()));
    let source = fetcher.open(Wanted::whole(&url)).await.unwrap();
    let mut spread = fetcher.spread(source, &url, &SourceHeaders::none());
    let mut bytes = spread.chunk().await.unwrap().unwrap().to_vec();
    spread.settle().await;
    origin.seen.gate.add_permits(1);
    while let Some(piece) = spread.chunk().await.unwrap() {
        bytes.extend_from_slice(&piece);
    }
    assert!(bytes == origin.seen.file);
    assert_eq!(resolver.asked().len(), 2, "the second connection looked again");
    assert_eq!(origin.parts(), [], "and was not made");
}
