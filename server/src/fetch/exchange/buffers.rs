//! Buffers that a read borrows for as long as there is something to read: a transfer that waits
//! for its origin holds none, however many of them wait.

use std::fmt;
use std::io;
use std::ops::Deref;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, ReadBuf};

/// Bytes of a buffer, and so of the largest piece that is handed on: large enough that a call of
/// the kernel costs little beside the copy, small enough to stay in a core's own cache.
pub(super) const BUFFER: usize = 256 * 1024;
/// Buffers kept while nobody reads: each thread needs one at a time.
const KEPT: usize = 8;

/// The buffers of a fetcher. Clones share them.
#[derive(Clone, Default, Debug)]
pub(super) struct Buffers(Arc<Mutex<Vec<Box<[u8]>>>>);

impl Buffers {
    /// Reads what is there: up to a full buffer, at least one byte, or none at the end. `enough`
    /// bytes are not waited for, but more are not asked for either once they came.
    ///
    /// An error that comes behind some bytes is left in `later`, and is the next result.
    pub(super) fn poll_read<R: AsyncRead + Unpin>(
        &self,
        cx: &mut Context<'_>,
        from: &mut R,
        enough: usize,
        later: &mut Option<io::Error>,
    ) -> Poll<io::Result<Lent>> {
        if let Some(error) = later.take() {
            return Poll::Ready(Err(error));
        }
        let mut lent = self.lend();
        let room = lent.bytes.len();
        while lent.filled < enough.min(room) {
            let mut rest = ReadBuf::new(&mut lent.bytes[lent.filled..]);
            match Pin::new(&mut *from).poll_read(cx, &mut rest) {
                Poll::Ready(Ok(())) => {
                    let read = rest.filled().len();
                    lent.filled += read;
                    if read == 0 {
                        break;
                    }
                }
                Poll::Ready(Err(error)) if lent.filled > 0 => {
                    *later = Some(error);
                    break;
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending if lent.filled > 0 => break,
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(Ok(lent))
    }

    fn lend(&self) -> Lent {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let bytes = kept.unwrap_or_else(|| vec![0; BUFFER].into_boxed_slice());
        Lent { bytes, filled: 0, home: self.clone() }
    }

    fn take_back(&self, bytes: Box<[u8]>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < KEPT {
            kept.push(bytes);
        }
    }
}

/// A buffer with bytes in it; it goes back when it is dropped.
pub(super) struct Lent {
    bytes: Box<[u8]>,
    filled: usize,
    home: Buffers,
}

impl Lent {
    pub(super) fn filled_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[..self.filled]
    }

    pub(super) fn truncate(&mut self, to: usize) {
        self.filled = self.filled.min(to);
    }
}

impl Deref for Lent {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..self.filled]
    }
}

impl fmt::Debug for Lent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lent({} bytes)", self.filled)
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.home.take_back(std::mem::take(&mut self.bytes));
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use futures_util::FutureExt;
    use tokio::io::AsyncWriteExt;

    use super::*;

    impl Buffers {
        fn kept(&self) -> usize {
            self.0.lock().unwrap().len()
        }
    }

    async fn read<R: AsyncRead + Unpin>(
        buffers: &Buffers,
        from: &mut R,
        enough: usize,
        later: &mut Option<io::Error>,
    ) -> io::Result<Lent> {
        poll_fn(|cx| buffers.poll_read(cx, from, enough, later)).await
    }

    #[tokio::test]
    async fn a_read_that_waits_holds_no_buffer_and_one_that_ended_gives_it_back() {
        let buffers = Buffers::default();
        let (mut near, mut far) = tokio::io::duplex(1 << 20);
        let mut later = None;
        let mut waiting = Box::pin(read(&buffers, &mut near, BUFFER, &mut later));
        assert!(waiting.as_mut().now_or_never().is_none());
        assert_eq!(buffers.kept(), 1, "it was lent, and is back");
        far.write_all(b"hello").await.unwrap();
        let lent = waiting.await.unwrap();
        assert_eq!((&*lent, buffers.kept()), (&b"hello"[..], 0));
        drop(lent);
        assert_eq!(buffers.kept(), 1);
        drop(far);
        assert!(read(&buffers, &mut near, BUFFER, &mut later).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn no_more_buffers_are_kept_than_threads_need() {
        let buffers = Buffers::default();
        let many: Vec<_> = (0..3 * KEPT).map(|_| buffers.lend()).collect();
        drop(many);
        assert_eq!(buffers.kept(), KEPT);
    }

    #[tokio::test]
    async fn an_error_behind_some_bytes_is_not_forgotten() {
        struct Breaks(Vec<io::Result<&'static [u8]>>);
        impl AsyncRead for Breaks {
            fn poll_read(
                mut self: Pin<&mut Self>,
                _: &mut Context<'_>,
                buf: &mut ReadBuf<'_>,
            ) -> Poll<io::Result<()>> {
                // As a socket does: the error is told once, and then there is an end.
                match self.0.pop() {
                    Some(Ok(bytes)) => buf.put_slice(bytes),
                    Some(Err(error)) => return Poll::Ready(Err(error)),
                    None => {}
                }
                Poll::Ready(Ok(()))
            }
        }
        let reset = || Err(io::Error::from(io::ErrorKind::ConnectionReset));
        let (buffers, mut later) = (Buffers::default(), None);
        let mut from = Breaks(vec![reset(), Ok(b"lo"), Ok(b"hel")]);
        let lent = read(&buffers, &mut from, BUFFER, &mut later).await.unwrap();
        assert_eq!(&*lent, b"hello");
        let error = read(&buffers, &mut from, BUFFER, &mut later).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }
}
