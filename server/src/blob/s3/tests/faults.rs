//! Each call of an upload fails: before or after its effect, in each way, once or for good.

use futures_util::{StreamExt, stream};

use super::*;

/// One way in which one call fails.
#[derive(Clone, Debug)]
struct Case {
    len: usize,
    fault: Fault,
}

pub(super) const HOWS: [How; 4] =
    [How::Status(500, "InternalError"), How::Status(403, "AccessDenied"), How::Hang, How::Reset];

fn cases() -> Vec<Case> {
    let small = [Call::Head, Call::Put].map(|call| (10, call));
    let long = [Call::Head, Call::Begin, Call::Part, Call::Complete].map(|call| (LONG, call));
    let mut cases = Vec::new();
    for (len, call) in small.into_iter().chain(long) {
        for when in [When::Before, When::After] {
            for how in HOWS {
                cases.push(Case { len, fault: Fault::once(call, when, how) });
                cases.push(Case { len, fault: Fault::always(call, when, how) });
            }
        }
    }
    cases
}

impl Case {
    /// Whether the object must be there in the end, for all that goes wrong.
    fn succeeds(&self) -> bool {
        let makes_it = matches!(self.fault.call, Call::Put | Call::Complete);
        // Its effect took place, and a look tells.
        let seen = makes_it && self.fault.when == When::After;
        let passes = self.fault.times == 1 && !self.is_refusal();
        seen || passes
    }

    fn is_refusal(&self) -> bool {
        matches!(self.fault.how, How::Status(403, _))
    }

    async fn play(self) {
        // Machines are slow under load: what does not hang must not be taken for hanging.
        let hangs = self.fault.how == How::Hang;
        let bench =
            if hangs { Bench::with_timeout(2 * TIMEOUT).await } else { Bench::patient().await };
        let bytes = noise(self.len);
        let file = bench.staged(&bytes).await;
        let path = file.path().to_owned();
        bench.server.fail(self.fault.clone());
        let published = bench.blobs.publish(file, &key(1, 1)).await;
        bench.server.heal();
        match &published {
            // A slow machine may time out where nothing hangs; what is said must be true anyhow.
            Ok(()) => assert!(read(&bench.calm(), &key(1, 1)).await.unwrap() == bytes, "{self:?}"),
            Err(error) => {
                assert!(!self.succeeds() || hangs, "{self:?}: {error}");
                assert_eq!(error.is_transient(), !self.is_refusal(), "{self:?}: {error}");
            }
        }
        let must_fail = !self.succeeds() && !hangs;
        assert!(!(must_fail && published.is_ok()), "{self:?} was not noticed");
        until_gone(&path).await;
        bench.sweep().await;
        bench.assert_nothing_is_left(&format!("{self:?}"));
        for object in bench.server.objects().into_values() {
            assert!(object == bytes, "{self:?}: another object");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_fails_before_or_after_its_effect_an_object_is_whole_or_not_there() {
    let cases = cases();
    let count = cases.len();
    stream::iter(cases).map(Case::play).buffer_unordered(6).collect::<Vec<()>>().await;
    println!("{count} ways of failing a publish");
    assert_eq!(count, 96);
}
