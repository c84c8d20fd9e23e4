//! A DNS server for rows whose host has several addresses.

use std::net::{IpAddr, SocketAddr};

use tokio::net::UdpSocket;

use crate::harness::spawn;

/// Answers every question for `A` or `AAAA` with those of `ips` that fit (RFC 1035 §4.1).
pub async fn server(ips: Vec<IpAddr>) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let at = socket.local_addr().unwrap();
    spawn(async move {
        let mut question = [0u8; 1_500];
        while let Ok((length, from)) = socket.recv_from(&mut question).await {
            let _ = socket.send_to(&answer(&question[..length], &ips), from).await;
        }
    });
    at
}

fn answer(question: &[u8], ips: &[IpAddr]) -> Vec<u8> {
    const HEADER: usize = 12;
    let name = question[HEADER..].iter().position(|b| *b == 0).unwrap() + 1;
    let end = HEADER + name + 4;
    let kind = question[HEADER + name + 1];
    let records: Vec<Vec<u8>> = ips
        .iter()
        .filter_map(|ip| match ip {
            IpAddr::V4(ip) if kind == 1 => Some(ip.octets().to_vec()),
            IpAddr::V6(ip) if kind == 28 => Some(ip.octets().to_vec()),
            _ => None,
        })
        .collect();
    let count = u8::try_from(records.len()).unwrap();
    // The question's id; an answer, recursion available, no error; one question, the answers.
    let mut reply = vec![question[0], question[1], 0x81, 0x80, 0, 1, 0, count, 0, 0, 0, 0];
    reply.extend_from_slice(&question[HEADER..end]);
    for data in records {
        // The name is the question's; class IN, a minute to live.
        reply.extend([0xc0, 12, 0, kind, 0, 1, 0, 0, 0, 60, 0, u8::try_from(data.len()).unwrap()]);
        reply.extend(data);
    }
    reply
}
