//! `CreateConsoleSession`, an operation of ours: a ticket that signs a browser in, once. Whoever
//! holds it is whoever signed the call, so it lives for a minute and dies of its first use.

use std::time::Duration;

use wire::code::{Code, Fault};
use wire::reply::{CreateConsoleSessionReply, Reply};

use super::{Ops, store_fault};
use crate::domain::account::Subject;
use crate::domain::time::Timestamp;
use crate::store::{Nonce, NonceUse};

/// How long a ticket can be redeemed.
const TICKET_LIFE: Duration = Duration::from_secs(60);
/// Beyond a ticket's end its use is remembered for this long, in case the clock is set back.
const GRACE: Duration = Duration::from_secs(15 * 60);
/// What tickets are sealed for; nothing that is sealed for something else opens as one.
const PURPOSE: &str = "console ticket";
/// Bytes of a ticket that are unlike those of any other: the seal's own nonce (24 random bytes).
const UNIQUE_BYTES: usize = 24;
/// Longest ticket looked at, in characters.
const TICKET_LIMIT: usize = 1_024;

impl Ops {
    pub(super) fn create_console_session(&self, subject: &Subject) -> Result<Reply, Fault> {
        if subject.access_key_id.is_empty() {
            tracing::error!("a console session was asked for without an access key");
            return Err(Fault::new(Code::InternalError));
        }
        let expires = self.clock.now() + TICKET_LIFE;
        let inside = format!("{} {}", expires.0, subject.access_key_id);
        let ticket = hex::encode(self.vault.seal(PURPOSE, &inside));
        let expire_time = expires.seconds();
        Ok(Reply::CreateConsoleSession(CreateConsoleSessionReply { ticket, expire_time }))
    }

    /// Redeems a ticket: the id of the access key that it signs in as. Whether that key may still
    /// sign in is for the caller to ask.
    ///
    /// # Errors
    /// `Forbidden.RAM` when it is not one of ours, has expired or was redeemed before, without
    /// saying which; those of the store.
    pub async fn redeem_ticket(&self, ticket: &str) -> Result<String, Fault> {
        let refused = || {
            let message = "This ticket is good no longer: it signs in once, within a minute of \
                           its making. Ask for another.";
            Fault::with_message(Code::ForbiddenRAM, message)
        };
        let now = self.clock.now();
        let (sealed, access_key_id, expires) = self.opened(ticket).ok_or_else(refused)?;
        if now >= expires {
            return Err(refused());
        }
        // The bytes, not the text: hexadecimal can be spelt in two ways.
        let value = format!("{PURPOSE} {}", hex::encode(&sealed[..UNIQUE_BYTES]));
        let use_of =
            Nonce { access_key_id: &access_key_id, value: &value, expires: expires + GRACE, now };
        match self.store.nonce_take(use_of).await.map_err(store_fault)? {
            NonceUse::Fresh(durable) => durable.await.map_err(store_fault)?,
            NonceUse::Replayed => return Err(refused()),
        }
        Ok(access_key_id)
    }

    /// The bytes of a ticket of ours, its key and its end.
    fn opened(&self, ticket: &str) -> Option<(Vec<u8>, String, Timestamp)> {
        if ticket.len() > TICKET_LIMIT {
            return None;
        }
        let sealed = hex::decode(ticket).ok()?;
        let inside = self.vault.open_sealed(PURPOSE, &sealed).ok()?;
        let (expires, access_key_id) = inside.split_once(' ')?;
        Some((sealed, access_key_id.to_owned(), Timestamp(expires.parse().ok()?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::account::AccountId;
    use crate::ops::for_tests::ops;

    fn signed_in(key: &str) -> Subject {
        Subject { access_key_id: key.to_owned(), ..Subject::own(AccountId(1), false) }
    }

    fn ticket(ops: &Ops, key: &str) -> String {
        match ops.create_console_session(&signed_in(key)) {
            Ok(Reply::CreateConsoleSession(reply)) => reply.ticket,
            other => panic!("{other:?}"),
        }
    }

    async fn redeemed(ops: &Ops, ticket: &str) -> Result<String, String> {
        ops.redeem_ticket(ticket).await.map_err(|fault| fault.code_text().into_owned())
    }

    #[tokio::test]
    async fn a_ticket_signs_in_once_as_the_key_that_asked_for_it() {
        let dir = tempfile::tempdir().unwrap();
        let ops = ops(dir.path()).await;
        let (one, other) = (ticket(&ops, "key one"), ticket(&ops, "key two"));
        let refused = Err("Forbidden.RAM".to_owned());
        assert_eq!(redeemed(&ops, &one).await, Ok("key one".to_owned()));
        assert_eq!(redeemed(&ops, &one).await, refused);
        assert_eq!(redeemed(&ops, &one.to_uppercase()).await, refused, "the same bytes");
        assert_eq!(redeemed(&ops, &other).await, Ok("key two".to_owned()));
    }

    #[tokio::test]
    async fn a_ticket_is_good_for_a_minute() {
        let dir = tempfile::tempdir().unwrap();
        let ops = ops(dir.path()).await;
        let (early, late) = (ticket(&ops, "k"), ticket(&ops, "k"));
        let start = ops.clock.now();
        ops.clock.set(Timestamp(start.0 + 59_999));
        assert_eq!(redeemed(&ops, &early).await, Ok("k".to_owned()));
        ops.clock.set(Timestamp(start.0 + 60_000));
        assert_eq!(redeemed(&ops, &late).await, Err("Forbidden.RAM".to_owned()));
        // Neither does one come back when the clock is set back.
        ops.clock.set(start);
        assert_eq!(redeemed(&ops, &early).await, Err("Forbidden.RAM".to_owned()));
    }

    #[tokio::test]
    async fn nothing_else_is_a_ticket() {
        let dir = tempfile::tempdir().unwrap();
        let ops = ops(dir.path()).await;
        let good = ticket(&ops, "k");
        let mut flipped = hex::decode(&good).unwrap();
        flipped[40] ^= 1;
        let elsewhere = hex::encode(ops.vault.seal("k", "99999999999999 k"));
        for wrong in [
            "",
            "x",
            "00",
            &good[2..],
            &hex::encode(flipped),
            &elsewhere,
            &"0".repeat(TICKET_LIMIT + 2),
        ] {
            assert_eq!(redeemed(&ops, wrong).await, Err("Forbidden.RAM".to_owned()), "{wrong}");
        }
        assert!(ops.create_console_session(&Subject::own(AccountId(1), true)).is_err());
    }
}
