import { rust } from './quote.js';

export const id = 'rust';
export const label = 'Rust';
export const note = 'There is no official SDK for Rust; this uses wire, the crate of Haulage that signs, and the standard library.';

export function sample(call) {
  const params = call.params
    .map((p) => `        (${rust(p.name)}, ${rust(p.value)}),\n`)
    .join('');
  const method = rust(call.method);
  const [load, signed] = call.scheme === 'V1'
    ? ['use wire::envelope::Format;\n',
      `signer.v1(${method}, ${rust(call.action)}, &params, Format::Json, at)`]
    : ['', `signer.v3(HOST, ${rust(call.action)}, &params, at)`];
  const tls = call.protocol === 'https'
    ? '// This server speaks TLS: send `request` with your HTTP client instead of a TcpStream.\n'
    : '';
  return `${tls}use std::error::Error;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{SystemTime, UNIX_EPOCH};

${load}use wire::sign::client::{Moment, Signer};

const HOST: &str = ${rust(call.host)};

fn main() -> Result<(), Box<dyn Error>> {
    let access_key_id = std::env::var("ALIBABA_CLOUD_ACCESS_KEY_ID")?;
    let access_key_secret = std::env::var("ALIBABA_CLOUD_ACCESS_KEY_SECRET")?;
    let params: [(&str, &str); ${call.params.length}] = [
${params}    ];
    let params = params.map(|(name, value)| (name.to_owned(), value.to_owned()));

    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let nonce = format!("{:x}-{:x}", now.as_nanos(), std::process::id());
    let at = Moment { unix_seconds: i64::try_from(now.as_secs())?, nonce: &nonce };
    let signer = Signer {
        access_key_id: &access_key_id,
        access_key_secret: &access_key_secret,
        security_token: None,
    };
    let request = ${signed};

    let mut head = format!("{} {} HTTP/1.1\\r\\n", request.method, request.path_and_query);
    if request.headers.iter().all(|(name, _)| name != "host") {
        head += &format!("host: {HOST}\\r\\n");
    }
    for (name, value) in &request.headers {
        head += &format!("{name}: {value}\\r\\n");
    }
    head += &format!("content-length: {}\\r\\nconnection: close\\r\\n\\r\\n", request.body.len());
    let mut connection = TcpStream::connect((${rust(call.hostname)}, ${call.port}))?;
    connection.write_all(head.as_bytes())?;
    connection.write_all(&request.body)?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer)?;
    println!("{}", answer.split_once("\\r\\n\\r\\n").map_or("", |(_head, body)| body));
    Ok(())
}
`;
}
