//! An S3 server in this process (s3s-fs) that fails at any call, before or after its effect, and
//! counts what is left in it. The unit tests of `blob::s3` include this file too.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s_fs::FileSystem;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tower::ServiceExt;

pub const KEY_ID: &str = "AKIDTEST";
pub const SECRET: &str = "s3-canary-secret/with+signs=";
pub const BUCKET: &str = "media";

/// The calls that the product makes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Call {
    Head,
    Get,
    Put,
    Delete,
    List,
    Begin,
    Part,
    Complete,
    Abort,
    Parts,
    Uploads,
}

impl Call {
    fn of<B>(request: &Request<B>) -> Self {
        let query = request.uri().query().unwrap_or_default();
        let has = |name: &str| query.split('&').any(|pair| pair.split('=').next() == Some(name));
        match *request.method() {
            Method::HEAD => Self::Head,
            Method::PUT if has("partNumber") => Self::Part,
            Method::PUT => Self::Put,
            Method::POST if has("uploads") => Self::Begin,
            Method::POST => Self::Complete,
            Method::DELETE if has("uploadId") => Self::Abort,
            Method::DELETE => Self::Delete,
            _ if has("uploadId") => Self::Parts,
            _ if has("uploads") => Self::Uploads,
            _ if has("list-type") => Self::List,
            _ => Self::Get,
        }
    }
}

/// Whether a call takes effect before it fails.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum When {
    Before,
    After,
}

/// How a call fails.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum How {
    /// A status with a code.
    Status(u16, &'static str),
    /// No answer.
    Hang,
    /// The connection goes.
    Reset,
    /// As if a completion had taken place.
    Completed,
}

#[derive(Clone, Debug)]
pub struct Fault {
    pub call: Call,
    pub when: When,
    pub how: How,
    /// Calls of this kind that go well first.
    pub skip: usize,
    /// Calls that fail.
    pub times: usize,
}

impl Fault {
    pub fn once(call: Call, when: When, how: How) -> Self {
        Self { call, when, how, skip: 0, times: 1 }
    }

    pub fn always(call: Call, when: When, how: How) -> Self {
        Self { times: usize::MAX, ..Self::once(call, when, how) }
    }
}

/// What the server remembers.
#[derive(Debug, Default)]
pub struct Seen {
    faults: Mutex<Vec<Fault>>,
    /// Every call that came, in order.
    pub calls: Mutex<Vec<Call>>,
    /// Every header that came with a value, of all calls.
    pub headers: Mutex<Vec<(Call, String, String)>>,
    /// Keys of begun uploads by id.
    uploads: Mutex<BTreeMap<String, String>>,
    /// Whether it hides its uploads, as some services do.
    hides_uploads: AtomicBool,
    /// Whether it refuses requests with conditions.
    lacks_conditions: AtomicBool,
    /// Whether it keeps nothing of what a client says about an object.
    forgets: AtomicBool,
    turns: tokio::sync::RwLock<()>,
}

#[derive(Debug)]
pub struct S3Server {
    pub address: SocketAddr,
    pub seen: Arc<Seen>,
    dir: TempDir,
}

impl S3Server {
    pub async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join(BUCKET)).unwrap();
        let mut builder = S3ServiceBuilder::new(FileSystem::new(dir.path()).unwrap());
        builder.set_auth(SimpleAuth::from_single(KEY_ID, SECRET));
        let (service, seen) = (builder.build(), Arc::new(Seen::default()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = seen.clone();
        drop(spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (service, seen) = (service.clone(), shared.clone());
                drop(spawn(async move {
                    let answer = hyper::service::service_fn(move |request| {
                        let (service, seen) = (service.clone(), seen.clone());
                        async move { answer(request, service, seen).await.ok_or(Gone) }
                    });
                    let connection = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(socket), answer);
                    drop(connection.await);
                }));
            }
        }));
        Self { address, seen, dir }
    }

    /// As `HAULAGE_STORAGE_URL` has it.
    pub fn url(&self, prefix: &str) -> String {
        format!("s3://{BUCKET}/{prefix}?endpoint=http://{}", self.address)
    }

    /// From now on this fails, and what failed before does not any more.
    pub fn fail(&self, fault: Fault) {
        *self.seen.faults.lock().unwrap() = vec![fault];
    }

    /// And this too.
    pub fn also_fail(&self, fault: Fault) {
        self.seen.faults.lock().unwrap().push(fault);
    }

    pub fn heal(&self) {
        self.seen.faults.lock().unwrap().clear();
    }

    pub fn hide_uploads(&self) {
        self.seen.hides_uploads.store(true, Ordering::Relaxed);
    }

    pub fn lack_conditions(&self) {
        self.seen.lacks_conditions.store(true, Ordering::Relaxed);
    }

    pub fn forget_metadata(&self) {
        self.seen.forgets.store(true, Ordering::Relaxed);
    }

    /// Removes all objects and uploads.
    pub fn clear(&self) {
        self.seen.uploads.lock().unwrap().clear();
        std::fs::remove_dir_all(self.dir.path().join(BUCKET)).unwrap();
        std::fs::create_dir(self.dir.path().join(BUCKET)).unwrap();
    }

    /// How many calls of a kind came.
    pub fn count(&self, call: Call) -> usize {
        self.seen.calls.lock().unwrap().iter().filter(|seen| **seen == call).count()
    }

    /// Keys of uploads that were begun and are neither completed nor aborted.
    pub fn uploads(&self) -> Vec<String> {
        self.seen.uploads.lock().unwrap().values().cloned().collect()
    }

    /// Files that hold parts of uploads.
    pub fn parts(&self) -> usize {
        let is_part = |name: &str| name.starts_with(".upload_id-") && name.contains(".part-");
        names(self.dir.path()).iter().filter(|name| is_part(name)).count()
    }

    /// Keys of objects, and their bytes.
    pub fn objects(&self) -> BTreeMap<String, Vec<u8>> {
        let mut found = BTreeMap::new();
        gather(&self.dir.path().join(BUCKET), "", &mut found);
        found
    }
}

fn names(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).unwrap().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

fn gather(dir: &Path, prefix: &str, found: &mut BTreeMap<String, Vec<u8>>) {
    for name in names(dir) {
        let (path, key) = (dir.join(&name), format!("{prefix}{name}"));
        if path.is_dir() {
            gather(&path, &format!("{key}/"), found);
        } else if let Ok(bytes) = std::fs::read(&path) {
            found.insert(key, bytes);
        }
    }
}

/// The service ends the connection.
#[derive(Debug)]
struct Gone;

impl std::fmt::Display for Gone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("gone")
    }
}

impl std::error::Error for Gone {}

type Answer = Response<s3s::Body>;

/// `None` ends the connection.
async fn answer(request: Request<Incoming>, service: S3Service, seen: Arc<Seen>) -> Option<Answer> {
    let call = Call::of(&request);
    seen.calls.lock().unwrap().push(call);
    for (name, value) in request.headers() {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        seen.headers.lock().unwrap().push((call, name.to_string(), value));
    }
    // Whole before anything is said, so that an answer is never lost to a body still on its way.
    let (parts, body) = request.into_parts();
    let body = body.collect().await.ok()?.to_bytes();
    let request = Request::from_parts(parts, Full::new(body));
    let fault = seen.strike(call);
    if let Some(fault) = &fault
        && fault.when == When::Before
    {
        return fail(fault.how).await;
    }
    // To its end, also when the caller goes away meanwhile: a service does not stop half-way.
    let served = spawn(async move { serve(request, call, service, &seen).await }).await.ok()?;
    match fault {
        Some(fault) => fail(fault.how).await,
        None => Some(served),
    }
}

async fn fail(how: How) -> Option<Answer> {
    match how {
        How::Status(status, code) => Some(refusal(status, code)),
        How::Hang => std::future::pending().await,
        How::Reset => None,
        How::Completed => {
            let tag = "<ETag>\"0\"</ETag>";
            let text =
                format!("<CompleteMultipartUploadResult>{tag}</CompleteMultipartUploadResult>");
            Some(Response::new(s3s::Body::from(text)))
        }
    }
}

fn refusal(status: u16, code: &str) -> Answer {
    let text = format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code></Error>");
    let mut answer = Response::new(s3s::Body::from(text));
    *answer.status_mut() = StatusCode::from_u16(status).unwrap();
    answer
}

/// The service, and what s3s-fs has not: the list of uploads, and 404 for those it does not know.
async fn serve(
    request: Request<Full<Bytes>>,
    call: Call,
    service: S3Service,
    seen: &Seen,
) -> Answer {
    let query: BTreeMap<String, String> =
        url::form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes())
            .into_owned()
            .collect();
    // s3s-fs makes a bucket of any directory that it is asked to write into.
    if !request.uri().path().starts_with(&format!("/{BUCKET}")) {
        return refusal(404, "NoSuchBucket");
    }
    // What ends an upload meets no other call about it half-way.
    let (_shared, _alone);
    match call {
        Call::Part => _shared = seen.turns.read().await,
        Call::Complete | Call::Abort | Call::Parts => _alone = seen.turns.write().await,
        _ => {}
    }
    let conditional = request.headers().contains_key(http::header::IF_NONE_MATCH);
    if conditional && seen.lacks_conditions.load(Ordering::Relaxed) {
        return refusal(501, "NotImplemented");
    }
    if let Some(id) = query.get("uploadId")
        && !seen.uploads.lock().unwrap().contains_key(id)
    {
        return refusal(404, "NoSuchUpload");
    }
    if call == Call::Uploads {
        return match seen.hides_uploads.load(Ordering::Relaxed) {
            true => refusal(501, "NotImplemented"),
            false => Response::new(s3s::Body::from(seen.listed(&query))),
        };
    }
    let path = request.uri().path().to_owned();
    let answer = service.oneshot(request).await.unwrap();
    let (mut parts, body) = answer.into_parts();
    if seen.forgets.load(Ordering::Relaxed) {
        let said: Vec<_> = parts
            .headers
            .keys()
            .filter(|n| n.as_str().starts_with("x-amz-meta-"))
            .cloned()
            .collect();
        said.iter().for_each(|name| drop(parts.headers.remove(name)));
    }
    // Long bodies are streamed; those looked at here are short.
    if !matches!(call, Call::Begin | Call::Complete | Call::Abort) {
        return Response::from_parts(parts, body);
    }
    let bytes = body.collect().await.unwrap().to_bytes();
    if parts.status.is_success() {
        let text = String::from_utf8_lossy(&bytes);
        let key = path.trim_start_matches('/').split_once('/').unwrap().1.to_owned();
        let mut uploads = seen.uploads.lock().unwrap();
        match (call, between(&text, "<UploadId>"), query.get("uploadId")) {
            (Call::Begin, Some(id), _) => drop(uploads.insert(id, key)),
            (_, _, Some(id)) => drop(uploads.remove(id)),
            _ => panic!("{call:?}: {text}"),
        }
    }
    Response::from_parts(parts, s3s::Body::from(bytes))
}

fn between(text: &str, start: &str) -> Option<String> {
    let after = text.split_once(start)?.1;
    Some(after.split_once('<')?.0.to_owned())
}

impl Seen {
    fn strike(&self, call: Call) -> Option<Fault> {
        let mut faults = self.faults.lock().unwrap();
        let fault = faults.iter_mut().find(|fault| fault.call == call && fault.times > 0)?;
        if fault.skip > 0 {
            fault.skip -= 1;
            return None;
        }
        fault.times -= 1;
        Some(fault.clone())
    }

    fn listed(&self, query: &BTreeMap<String, String>) -> String {
        let get = |name: &str| query.get(name).cloned().unwrap_or_default();
        let (prefix, after) = (get("prefix"), (get("key-marker"), get("upload-id-marker")));
        let limit: usize = get("max-uploads").parse().unwrap();
        let mut uploads: Vec<(String, String)> = self
            .uploads
            .lock()
            .unwrap()
            .iter()
            .map(|(id, key)| (key.clone(), id.clone()))
            .collect();
        uploads.sort();
        let page = uploads.into_iter().filter(|one| one.0.starts_with(&prefix) && *one > after);
        let rows = page
            .take(limit)
            .map(|(key, id)| format!("<Upload><Key>{key}</Key><UploadId>{id}</UploadId></Upload>"));
        let rows: String = rows.collect();
        format!("<ListMultipartUploadsResult>{rows}</ListMultipartUploadsResult>")
    }
}

#[expect(clippy::disallowed_methods, reason = "tests own their tasks")]
fn spawn<F>(task: F) -> tokio::task::JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    tokio::spawn(task)
}
