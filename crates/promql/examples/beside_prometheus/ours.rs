//! Our side: the store, remote write in, queries out.

use std::fmt::Write as _;
use std::net::{TcpListener, TcpStream};
use std::path::Path;

use daybook_ingest::remote::{Version, read};
use daybook_ingest::{Encoding, Limits};
use daybook_metrics::Labels;
use daybook_metrics::store::{MINUTE, Options, Store, Tier};
use daybook_promql::{Answer, Point, Query};

use crate::Result;
use crate::http::{self, Request};

/// Serves from a directory until it is ended; says its port first. A minute of samples after the last time, the store is tended.
pub(crate) fn serve(directory: &Path) -> Result<()> {
    let (store, _) = Store::open(directory, Options::default())?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("{}", listener.local_addr()?.port());
    let mut tended = 0;
    for stream in listener.incoming() {
        let stream = stream?;
        if let Some(newest) = handle(&store, &stream)?
            && newest - tended >= MINUTE
        {
            tended = newest;
            while store.tend(newest)?.is_some() {}
        }
    }
    Ok(())
}

/// Answers a request; the time of the newest sample, if it brought some.
fn handle(store: &Store, stream: &TcpStream) -> Result<Option<i64>> {
    let request = http::read(stream)?;
    let answered = match request.path.as_str() {
        "/api/v1/write" => {
            let newest = keep(store, &request)?;
            http::answer(stream, 204, b"")?;
            return Ok(Some(newest));
        }
        "/api/v1/query" => instant(store, &request),
        "/api/v1/query_range" => range(store, &request),
        "/disk" => {
            let raw = store.statistics().tiers.get(&Tier::Raw).copied().unwrap_or_default();
            Ok(format!("{{\"bytes\":{},\"samples\":{}}}", raw.bytes, raw.samples))
        }
        other => Err(format!("{other} is not there").into()),
    };
    match answered {
        Ok(text) => http::answer(stream, 200, text.as_bytes())?,
        Err(error) => http::answer(stream, 400, error.to_string().as_bytes())?,
    }
    Ok(None)
}

fn keep(store: &Store, request: &Request) -> Result<i64> {
    let write = read(Version::One, Encoding::Snappy, &request.body, Limits::default())?;
    let newest = write.batch.samples().map(|(_, at, _)| at).max().ok_or("a request has no samples")?;
    let receipt = store.append(&write.batch, newest)?;
    if receipt.accepted != write.samples {
        return Err(format!("{} of {} samples are kept", receipt.accepted, write.samples).into());
    }
    Ok(newest)
}

fn instant(store: &Store, request: &Request) -> Result<String> {
    let query = Query::parse(request.parameter("query"))?;
    let at = milliseconds(request.parameter("time"))?;
    let output = query.instant(store, at, &daybook_promql::Options::default())?;
    let answer = match output.answer {
        Answer::Vector(elements) => {
            let one = |out: &mut String, labels: &Labels, value: &daybook_promql::Value| {
                metric(out, labels);
                out.push_str(",\"value\":");
                point(out, at, value);
            };
            let mut out = "\"vector\",\"result\":[".to_owned();
            for element in &elements {
                one(&mut out, &element.labels, &element.value);
                out.push_str("},");
            }
            out
        }
        Answer::Matrix(rows) => matrix(&rows),
        Answer::Scalar(_) | Answer::Text(_) => return Err("no series are asked for".into()),
    };
    Ok(whole(&answer))
}

fn range(store: &Store, request: &Request) -> Result<String> {
    let query = Query::parse(request.parameter("query"))?;
    let [from, to, step] = ["start", "end", "step"].map(|name| milliseconds(request.parameter(name)));
    let output = query.range(store, from?, to?, step?, &daybook_promql::Options::default())?;
    match output.answer {
        Answer::Matrix(rows) => Ok(whole(&matrix(&rows))),
        _ => Err("a range has another answer than a matrix".into()),
    }
}

fn matrix(rows: &[daybook_promql::Row]) -> String {
    let mut out = "\"matrix\",\"result\":[".to_owned();
    for row in rows {
        metric(&mut out, &row.labels);
        out.push_str(",\"values\":[");
        for Point { at, value } in &row.points {
            point(&mut out, *at, value);
            out.push(',');
        }
        close(&mut out);
        out.push_str("]},");
    }
    out
}

/// The answer around a list that may end with a comma.
fn whole(list: &str) -> String {
    format!("{{\"status\":\"success\",\"data\":{{\"resultType\":{}]}}}}", list.strip_suffix(',').unwrap_or(list))
}

fn close(out: &mut String) {
    if out.ends_with(',') {
        out.pop();
    }
}

fn metric(out: &mut String, labels: &Labels) {
    out.push_str("{\"metric\":{");
    for label in labels.iter() {
        let _ = write!(out, "\"{}\":{},", label.name, serde_json::Value::from(label.value.as_str()));
    }
    close(out);
    out.push('}');
}

fn point(out: &mut String, at: i64, value: &daybook_promql::Value) {
    let _ = write!(out, "[{}.{:03},\"{value}\"]", at / 1000, at % 1000);
}

fn milliseconds(seconds: &str) -> Result<i64> {
    Ok((seconds.parse::<f64>()? * 1000.0).round() as i64)
}
