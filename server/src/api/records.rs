//! The newest requests, by their RequestId: what a support person asks for first. Kept in the
//! memory of this process alone, without parameters.
//!
//! Requests whose key is unknown have a ring of their own: whoever floods the server with them
//! pushes only each other out.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use wire::code::{Code, Fault};

use crate::domain::account::AccountId;
use crate::domain::time::Timestamp;

/// Requests kept whose key is an account's. A record holds at most about 1 KiB.
pub const REQUESTS_KEPT: usize = 20_000;
/// Requests kept that name no key, or none that exists.
pub const STRANGERS_KEPT: usize = 2_000;
/// Longest text of a record, in bytes: an access key id or a message as somebody sent it.
const TEXT_LIMIT: usize = 256;
const HTTP_OK: u16 = 200;

/// How a request was signed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scheme {
    /// It could not be told.
    Unknown,
    V1,
    V3,
    /// Not signed: an action in the console.
    Session,
}

impl Scheme {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::V1 => "V1",
            Self::V3 => "V3",
            Self::Session => "session",
        }
    }
}

/// A request that was answered.
#[derive(Clone, Debug)]
pub struct Entry {
    pub request_id: String,
    pub time: Timestamp,
    /// `unknown` if the request names none.
    pub operation: &'static str,
    /// As named; empty if the request names none.
    pub access_key_id: String,
    /// Whose key that is, whether or not the signature was right.
    pub account: Option<AccountId>,
    /// The other end of the connection.
    pub source: Option<IpAddr>,
    pub took: Duration,
    pub scheme: Scheme,
    /// What it was refused with.
    pub fault: Option<Fault>,
}

/// A request as it is remembered.
#[derive(Clone, Debug)]
pub struct Record {
    pub request_id: String,
    pub time: Timestamp,
    pub operation: &'static str,
    pub access_key_id: String,
    pub account: Option<AccountId>,
    pub source: Option<IpAddr>,
    pub took: Duration,
    pub scheme: Scheme,
    /// HTTP status.
    pub status: u16,
    /// Code and message of the refusal.
    pub error: Option<(String, String)>,
}

impl From<Entry> for Record {
    fn from(entry: Entry) -> Self {
        let status = entry.fault.as_ref().map_or(HTTP_OK, Fault::status);
        let error = entry.fault.map(|fault| (fault.code_text().into_owned(), shown(&fault)));
        Self {
            request_id: entry.request_id,
            time: entry.time,
            operation: entry.operation,
            access_key_id: cut(&entry.access_key_id),
            account: entry.account,
            source: entry.source,
            took: entry.took,
            scheme: entry.scheme,
            status,
            error,
        }
    }
}

/// The message, without the string to sign: that is the whole request, secrets of URLs included.
fn shown(fault: &Fault) -> String {
    match fault.code() {
        Code::SignatureDoesNotMatch => {
            "The signature is not the one this server computes with the key's secret.".to_owned()
        }
        _ => cut(fault.message()),
    }
}

fn cut(text: &str) -> String {
    text[..text.floor_char_boundary(TEXT_LIMIT)].to_owned()
}

/// The newest requests of this process.
#[derive(Debug)]
pub struct Records {
    known: Mutex<Ring>,
    strangers: Mutex<Ring>,
}

impl Default for Records {
    fn default() -> Self {
        Self::new(REQUESTS_KEPT, STRANGERS_KEPT)
    }
}

impl Records {
    fn new(known: usize, strangers: usize) -> Self {
        Self { known: Mutex::new(Ring::new(known)), strangers: Mutex::new(Ring::new(strangers)) }
    }

    /// Remembers a request, and forgets the oldest above the limit.
    pub fn add(&self, entry: Entry) {
        let record = Record::from(entry);
        let ring = if record.account.is_some() { &self.known } else { &self.strangers };
        ring.lock().unwrap_or_else(PoisonError::into_inner).add(record);
    }

    /// The request with this id, if it is remembered.
    pub fn find(&self, request_id: &str) -> Option<Record> {
        [&self.known, &self.strangers].into_iter().find_map(|ring| {
            ring.lock().unwrap_or_else(PoisonError::into_inner).find(request_id).cloned()
        })
    }
}

/// Records in the order of their arrival, numbered.
#[derive(Debug)]
struct Ring {
    kept: usize,
    records: VecDeque<Record>,
    /// Numbers by RequestId.
    numbers: HashMap<String, u64>,
    /// Number of the oldest record.
    first: u64,
}

impl Ring {
    fn new(kept: usize) -> Self {
        Self { kept, records: VecDeque::new(), numbers: HashMap::new(), first: 0 }
    }

    fn add(&mut self, record: Record) {
        if self.records.len() >= self.kept
            && let Some(oldest) = self.records.pop_front()
        {
            self.numbers.remove(&oldest.request_id);
            self.first += 1;
        }
        let number = self.first + self.records.len() as u64;
        self.numbers.insert(record.request_id.clone(), number);
        self.records.push_back(record);
    }

    fn find(&self, request_id: &str) -> Option<&Record> {
        let number = self.numbers.get(request_id)?;
        let place = usize::try_from(number.checked_sub(self.first)?).ok()?;
        self.records.get(place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(id: &str, account: Option<i64>) -> Entry {
        Entry {
            request_id: id.to_owned(),
            time: Timestamp(0),
            operation: "unknown",
            access_key_id: "k".to_owned(),
            account: account.map(AccountId),
            source: None,
            took: Duration::ZERO,
            scheme: Scheme::V3,
            fault: None,
        }
    }

    #[test]
    fn the_newest_requests_are_found_and_older_ones_forgotten() {
        let records = Records::new(3, 2);
        for id in 0..10 {
            records.add(entry(&id.to_string(), Some(1)));
            for old in 0..=id {
                let found = records.find(&old.to_string()).map(|record| record.request_id);
                assert_eq!(found, (old + 3 > id).then(|| old.to_string()), "{old} after {id}");
            }
        }
        let ring = records.known.lock().unwrap();
        assert_eq!((ring.records.len(), ring.numbers.len()), (3, 3));
    }

    #[test]
    fn strangers_push_out_only_strangers() {
        let records = Records::new(3, 2);
        records.add(entry("mine", Some(1)));
        for id in 0..100 {
            records.add(entry(&id.to_string(), None));
        }
        assert!(records.find("mine").is_some());
        assert!(records.find("99").is_some() && records.find("97").is_none());
    }

    #[test]
    fn a_record_holds_no_string_to_sign_and_no_long_text() {
        let records = Records::default();
        let secret = Fault::with_message(Code::SignatureDoesNotMatch, "server string: hush");
        records.add(Entry { fault: Some(secret), ..entry("a", Some(1)) });
        let record = records.find("a").unwrap();
        assert_eq!(record.status, 400);
        let (code, message) = record.error.unwrap();
        assert!(code == "SignatureDoesNotMatch" && !message.contains("hush"), "{message}");
        let long = Fault::with_message(Code::InvalidParameter, "ä".repeat(5_000));
        let key = "ö".repeat(5_000);
        records.add(Entry { fault: Some(long), access_key_id: key, ..entry("b", None) });
        let record = records.find("b").unwrap();
        assert!(record.access_key_id.len() <= TEXT_LIMIT);
        assert!(record.error.unwrap().1.len() <= TEXT_LIMIT);
    }
}
