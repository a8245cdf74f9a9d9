//! A repository in a bucket of a server that speaks S3.
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/Welcome.html>

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use jiff::{SignedDuration, Timestamp, Unit};
use reqwest::header::{CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue, RANGE};
use reqwest::{Client, Method, StatusCode, redirect};
use rusty_s3::actions::ListObjectsV2;
use rusty_s3::{Credentials, S3Action, UrlStyle};
use sha2::{Digest as _, Sha256};
use tokio::runtime::Runtime;
use url::Url;

use crate::error::{Error, Result};
use crate::place::{ObjectLock, S3};
use crate::storage::{Failure, How, Kind, Listed, Part, Storage};

/// Times that a request is made before it is given up.
const TRIES: u32 = 5;
/// Before the second try; before each further one it is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// A body gets time for at least so many bytes in a second.
const SLOWEST: u64 = 64 * 1024;
/// How long a signed request is good: long enough for a slow body, and for clocks that differ.
const SIGNED_FOR: Duration = Duration::from_secs(60 * 60);

pub(crate) struct Bucket {
    bucket: rusty_s3::Bucket,
    credentials: Credentials,
    /// Empty, or with a `/` at its end.
    prefix: String,
    lock: Option<ObjectLock>,
    patience: Duration,
    client: Client,
    /// Taken when this is dropped.
    runtime: Option<Runtime>,
}

/// A request, so that it can be made again.
struct Request<'a> {
    doing: Cow<'a, str>,
    method: Method,
    headers: HeaderMap,
    body: Option<Bytes>,
    /// What the server sends at most, for the time that it may take.
    expects: u64,
}

/// Why one try has failed.
struct Attempt {
    why: String,
    status: Option<StatusCode>,
    is_worth_another: bool,
}

impl Bucket {
    pub(crate) fn new(s3: &S3) -> Result<Self> {
        let invalid = |why: String| Error::Invalid { what: format!("the S3 server {}", s3.endpoint.as_str()), why };
        let (name, region) = (s3.bucket.clone(), s3.region.clone());
        let bucket = rusty_s3::Bucket::new(s3.endpoint.clone(), UrlStyle::Path, name, region);
        let bucket = bucket.map_err(|error| invalid(error.to_string()))?;
        let credentials = Credentials::new(s3.access_key.as_str(), s3.secret_key.as_str());
        // Objects are where they were asked for; whoever sends us elsewhere must not see a signature.
        let client = Client::builder().redirect(redirect::Policy::none()).connect_timeout(s3.patience).no_proxy();
        let client = client.build().map_err(|error| invalid(error.to_string()))?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.map_err(|error| invalid(format!("no thread can be started for it: {error}")))?;
        let prefix = s3.prefix.trim_matches('/');
        let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
        let (lock, patience) = (s3.lock, s3.patience);
        Ok(Self { bucket, credentials, prefix, lock, patience, client, runtime: Some(runtime) })
    }

    fn key(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// Makes a request, and once more where that may help. Each try is signed anew.
    fn send(&self, request: &Request<'_>, sign: impl Fn() -> Url) -> Result<Bytes, Failure> {
        let mut pause = FIRST_PAUSE;
        for attempt in 1.. {
            let failed = match self.try_once(request, sign()) {
                Ok(bytes) => return Ok(bytes),
                Err(failed) => failed,
            };
            if !failed.is_worth_another || attempt == TRIES {
                return Err(self.failure(request, &failed, attempt));
            }
            tracing::debug!("trying again to {}: {}", request.doing, failed.why);
            std::thread::sleep(pause);
            pause *= 2;
        }
        unreachable!("the last try has returned")
    }

    fn try_once(&self, request: &Request<'_>, url: Url) -> Result<Bytes, Attempt> {
        let size = request.body.as_ref().map_or(0, Bytes::len) as u64 + request.expects;
        let within = self.patience + Duration::from_secs(size / SLOWEST);
        let mut sent = self.client.request(request.method.clone(), url).headers(request.headers.clone());
        sent = sent.timeout(within);
        if let Some(body) = &request.body {
            // The server wants to be told even of nothing.
            sent = sent.header(CONTENT_LENGTH, body.len()).body(body.clone());
        }
        let answer = async {
            let response = sent.send().await?;
            let status = response.status();
            Ok::<_, reqwest::Error>((status, response.bytes().await?))
        };
        let runtime = self.runtime.as_ref().expect("it is taken when this is dropped");
        let (status, bytes) = runtime.block_on(answer).map_err(|error| lost(error, within))?;
        if status.is_success() {
            return Ok(bytes);
        }
        let is_worth_another =
            status.is_server_error() || [StatusCode::TOO_MANY_REQUESTS, StatusCode::REQUEST_TIMEOUT].contains(&status);
        let said = code(&String::from_utf8_lossy(&bytes)).map(|code| format!(" ({code})")).unwrap_or_default();
        Err(Attempt { why: format!("the server answers {status}{said}"), status: Some(status), is_worth_another })
    }

    fn failure(&self, request: &Request<'_>, failed: &Attempt, attempts: u32) -> Failure {
        let (kind, advice) = match failed.status {
            Some(StatusCode::NOT_FOUND) => (Kind::Missing, "check that the bucket is there, and the backups"),
            Some(StatusCode::PRECONDITION_FAILED) => (Kind::Exists, "another process has made it"),
            Some(StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED) => {
                (Kind::Other, "check the access key, the secret key, and what they may do in the bucket")
            }
            Some(StatusCode::INSUFFICIENT_STORAGE) => (Kind::Full, "make room there"),
            Some(status) if status.is_server_error() => (Kind::Other, "try again when the server is well"),
            Some(_) => (Kind::Other, "check the endpoint, the region and the bucket"),
            None => (Kind::Other, "check the endpoint and the network, and try again"),
        };
        let times = if attempts == 1 { String::new() } else { format!(", and so {attempts} times") };
        let why = format!("{}{times}", failed.why);
        Failure { place: self.place(), doing: request.doing.to_string(), why, advice, kind }
    }

    /// What is sent with a file that is to stay, and is signed.
    fn headers(&self, content: &[u8], how: How) -> Vec<(&'static str, String)> {
        let mut headers = Vec::new();
        if how == How::First {
            headers.push(("if-none-match", "*".to_owned()));
        }
        if let (Some(lock), false) = (self.lock, how == How::Passing) {
            let until = Timestamp::now() + SignedDuration::from_hours(24 * i64::from(lock.days));
            let until = until.round(Unit::Second).unwrap_or(until);
            headers.push(("x-amz-object-lock-mode", lock.mode.header().to_owned()));
            headers.push(("x-amz-object-lock-retain-until-date", until.to_string()));
            // Servers want a checksum of whatever they are to lock.
            headers.push(("x-amz-sdk-checksum-algorithm", "SHA256".to_owned()));
            headers.push(("x-amz-checksum-sha256", STANDARD.encode(Sha256::digest(content))));
        }
        headers
    }

    fn page(&self, folder: &str, token: Option<&str>) -> Result<Bytes, Failure> {
        let sign = || {
            let mut list = ListObjectsV2::new(&self.bucket, Some(&self.credentials));
            list.with_prefix(self.key(&format!("{folder}/")));
            if let Some(token) = token {
                list.with_continuation_token(token);
            }
            list.sign(SIGNED_FOR)
        };
        self.send(&request(format!("list {folder}"), Method::GET), sign)
    }

    /// Whether a file is there just as it was to be written.
    fn is_written(&self, name: &str, content: &Bytes) -> bool {
        self.read(name, None).is_ok_and(|found| found == content)
    }
}

impl Storage for Bucket {
    fn place(&self) -> String {
        let base = self.bucket.base_url();
        format!("{}{}", base.as_str(), self.prefix.trim_end_matches('/'))
    }

    fn list(&self, folder: &str) -> Result<Vec<Listed>, Failure> {
        let (mut listed, mut token) = (Vec::new(), None::<String>);
        loop {
            let page = self.page(folder, token.as_deref())?;
            let text = String::from_utf8_lossy(&page);
            let page = ListObjectsV2::parse_response(&text).map_err(|error| Failure {
                place: self.place(),
                doing: format!("list {folder}"),
                why: format!("the server does not answer as S3 does: {error}"),
                advice: "check the endpoint",
                kind: Kind::Other,
            })?;
            listed.extend(page.contents.into_iter().map(|object| Listed {
                name: object.key.rsplit('/').next().unwrap_or_default().to_owned(),
                size: object.size.unwrap_or_default(),
                modified: object.last_modified.and_then(|time| time.parse::<Timestamp>().ok()).map(SystemTime::from),
            }));
            token = page.next_continuation_token.filter(|next| Some(next) != token.as_ref());
            if token.is_none() {
                return Ok(listed);
            }
        }
    }

    fn size(&self, name: &str) -> Result<Option<u64>, Failure> {
        // An answer to HEAD does not say why there is nothing: a bucket that is missing would pass for an empty one.
        match self.read(name, None) {
            Ok(bytes) => Ok(Some(bytes.len() as u64)),
            Err(failure) if failure.kind == Kind::Missing && !failure.why.contains("NoSuchBucket") => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    fn read(&self, name: &str, part: Option<Part>) -> Result<Bytes, Failure> {
        let key = self.key(name);
        let mut request = request(format!("read {name}"), Method::GET);
        if let Some(Part { offset, length }) = part {
            if length == 0 {
                return Ok(Bytes::new());
            }
            let range = HeaderValue::from_str(&format!("bytes={offset}-{}", offset + length - 1));
            request.headers.insert(RANGE, range.expect("numbers fit in a header"));
            request.expects = length;
        }
        let bytes = self.send(&request, || self.bucket.get_object(Some(&self.credentials), &key).sign(SIGNED_FOR));
        let bytes = bytes.map_err(|failure| shorter(failure, part))?;
        match part {
            Some(part) if bytes.len() as u64 != part.length => Err(Failure {
                place: self.place(),
                doing: request.doing.to_string(),
                why: "it is shorter than it should be".to_owned(),
                advice: "check the backups",
                kind: Kind::Missing,
            }),
            _ => Ok(bytes),
        }
    }

    fn write(&self, name: &str, content: &[Bytes], how: How) -> Result<(), Failure> {
        let content = match content {
            [one] => one.clone(),
            several => several.concat().into(),
        };
        let (key, headers) = (self.key(name), self.headers(&content, how));
        let mut request = request(format!("write {name}"), Method::PUT);
        for (name, value) in &headers {
            let value = HeaderValue::from_str(value).expect("what we sign is a header");
            request.headers.insert(HeaderName::from_static(name), value);
        }
        request.body = Some(content.clone());
        let sent = self.send(&request, || {
            let mut put = self.bucket.put_object(Some(&self.credentials), &key);
            for (name, value) in &headers {
                put.headers_mut().insert(*name, value.as_str());
            }
            put.sign(SIGNED_FOR)
        });
        match sent {
            // The answer to an earlier try of ours was lost.
            Err(failure) if failure.kind == Kind::Exists && self.is_written(name, &content) => Ok(()),
            sent => sent.map(drop),
        }
    }

    fn remove(&self, name: &str) -> Result<(), Failure> {
        let key = self.key(name);
        let request = request(format!("remove {name}"), Method::DELETE);
        let sent = self.send(&request, || self.bucket.delete_object(Some(&self.credentials), &key).sign(SIGNED_FOR));
        match sent {
            Err(failure) if failure.kind == Kind::Missing => Ok(()),
            sent => sent.map(drop),
        }
    }

    /// A server shows no object before it has all of it.
    fn tidy(&self) -> Result<(), Failure> {
        Ok(())
    }
}

impl Drop for Bucket {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Waiting for its thread is not allowed where this is dropped by async code.
            runtime.shutdown_background();
        }
    }
}

fn request(doing: String, method: Method) -> Request<'static> {
    Request { doing: doing.into(), method, headers: HeaderMap::new(), body: None, expects: 0 }
}

/// A server that is asked for what is behind the end of a file.
fn shorter(failure: Failure, part: Option<Part>) -> Failure {
    let is_behind = part.is_some() && failure.why.contains("416");
    if is_behind { Failure { kind: Kind::Missing, advice: "check the backups", ..failure } } else { failure }
}

/// A request without an answer. Its URL has a signature, and is not told.
fn lost(error: reqwest::Error, within: Duration) -> Attempt {
    let error = error.without_url();
    let why = if error.is_timeout() {
        format!("there is no answer within {} s", within.as_secs_f64())
    } else {
        let first: &dyn std::error::Error = &error;
        let chain = std::iter::successors(Some(first), |error| error.source());
        format!("no connection: {}", chain.map(ToString::to_string).collect::<Vec<_>>().join(": "))
    };
    Attempt { why, status: None, is_worth_another: !error.is_builder() }
}

/// The code in the answer of a server that refuses.
fn code(answer: &str) -> Option<&str> {
    let (_, rest) = answer.split_once("<Code>")?;
    let (code, _) = rest.split_once("</Code>")?;
    (code.len() < 64).then_some(code)
}
