//! A DNS server that plays the script of `ssrf_dns.jsonl`.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};

use crate::harness::spawn;

const PUBLIC: &str = "93.184.216.34";

/// What DNS answers, by name: one entry after the other, the last again and again. Names that are
/// not listed have the public address.
pub type Zone = HashMap<String, Vec<Value>>;

/// How often each name was asked for each type of record (its lower byte), by UDP.
pub type Asked = Arc<Mutex<HashMap<(String, u8), usize>>>;

/// Serves a zone at `at`, by UDP and TCP.
pub async fn serve(zone: Zone, at: &str) -> Asked {
    let socket = UdpSocket::bind(at).await.unwrap();
    let listener = TcpListener::bind(at).await.unwrap();
    let (zone, asked) = (Arc::new(zone), Asked::default());
    let (whole, log) = (zone.clone(), asked.clone());
    spawn(async move {
        let mut question = [0u8; 1_500];
        while let Ok((length, from)) = socket.recv_from(&mut question).await {
            let reply = answer(&question[..length], &zone, &mut log.lock().unwrap(), true);
            if let Some(reply) = reply {
                let _ = socket.send_to(&reply, from).await;
            }
        }
    });
    // For answers that are too long for a datagram (RFC 7766: a length before each message).
    spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let zone = whole.clone();
            spawn(async move {
                while let Ok(length) = stream.read_u16().await {
                    let mut question = vec![0; usize::from(length)];
                    stream.read_exact(&mut question).await.ok()?;
                    let reply = answer(&question, &zone, &mut HashMap::new(), false)?;
                    stream.write_u16(u16::try_from(reply.len()).unwrap()).await.ok()?;
                    stream.write_all(&reply).await.ok()?;
                }
                Some(())
            });
        }
    });
    asked
}

fn answer(
    question: &[u8],
    zone: &Zone,
    asked: &mut HashMap<(String, u8), usize>,
    datagram: bool,
) -> Option<Vec<u8>> {
    let (mut labels, mut at) = (Vec::new(), 12);
    while question[at] != 0 {
        let end = at + 1 + usize::from(question[at]);
        labels.push(String::from_utf8_lossy(&question[at + 1..end]).to_lowercase());
        at = end;
    }
    let (name, kind, end) = (labels.join("."), question[at + 2], at + 5);
    let times = asked.entry((name.clone(), kind)).or_default();
    let default = vec![json!({"A": [PUBLIC]})];
    let answers = zone.get(&name).unwrap_or(&default);
    let answer = &answers[(*times).min(answers.len() - 1)];
    *times += 1;
    if answer["drop"] == true {
        return None;
    }
    let code = match answer["rcode"].as_str() {
        Some("NXDOMAIN") => 3,
        Some("SERVFAIL") => 2,
        _ => 0,
    };
    let mut records = Vec::new();
    let mut owner = vec![0xc0, 12];
    let mut last = answer;
    let mut record = |owner: &[u8], kind: u8, data: &[u8]| {
        let length = u16::try_from(data.len()).unwrap().to_be_bytes();
        records.push([owner, &[0, kind, 0, 1, 0, 0, 0, 0], &length, data].concat());
    };
    if let Some(target) = answer["CNAME"].as_str() {
        let mut encoded = Vec::new();
        for label in target.split('.') {
            encoded.push(u8::try_from(label.len()).unwrap());
            encoded.extend(label.as_bytes());
        }
        encoded.push(0);
        record(&owner, 5, &encoded);
        owner = encoded;
        last = &answer["final"];
    }
    let field = if kind == 1 { "A" } else { "AAAA" };
    let cut = datagram && answer["truncated"] == true;
    for ip in last[field].as_array().into_iter().flatten().filter(|_| !cut) {
        match ip.as_str().unwrap().parse::<IpAddr>().unwrap() {
            IpAddr::V4(ip) => record(&owner, kind, &ip.octets()),
            IpAddr::V6(ip) => record(&owner, kind, &ip.octets()),
        }
    }
    let count = u8::try_from(records.len()).unwrap();
    let flags = if cut { 0x83 } else { 0x81 };
    let mut reply = vec![question[0], question[1], flags, 0x80 | code, 0, 1, 0, count, 0, 0, 0, 0];
    reply.extend_from_slice(&question[12..end]);
    records.iter().for_each(|record| reply.extend(record));
    Some(reply)
}
