//! The test application: one static binary that is the whole of an image.
//!
//! `GET /` answers `$MESSAGE`, `/env/NAME` a variable, `/file/PATH` a file, `/host` the host name,
//! `/get/HOST/PORT` what another server answers at `/`, `/exit/CODE` ends the process. Listens on
//! 0.0.0.0:$PORT (8080), ends with code 0 at SIGTERM.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};

unsafe extern "C" {
    fn signal(number: i32, handler: extern "C" fn(i32)) -> usize;
    fn _exit(code: i32) -> !;
}

extern "C" fn end(_: i32) {
    // The first process of a container gets no signal that it does not handle.
    unsafe { _exit(0) }
}

fn main() {
    unsafe { signal(15, end) };
    let port = std::env::var("PORT").unwrap_or_else(|_| "8080".to_owned());
    let listener = TcpListener::bind(format!("0.0.0.0:{port}")).expect("the port is free");
    println!("listening on {port}");
    for connection in listener.incoming().flatten() {
        std::thread::spawn(move || answer(connection));
    }
}

fn answer(mut connection: TcpStream) -> Option<()> {
    let mut reader = BufReader::new(connection.try_clone().ok()?);
    let mut first = String::new();
    reader.read_line(&mut first).ok()?;
    let mut line = String::new();
    while reader.read_line(&mut line).ok()? > 2 {
        line.clear();
    }
    let path = first.split(' ').nth(1)?.to_owned();
    println!("{}", first.trim_end());
    let (status, body) = match body(&path) {
        Some(body) => ("200 OK", body),
        None => ("404 Not Found", format!("{path} is not here\n")),
    };
    let length = body.len();
    write!(connection, "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}").ok()
}

fn body(path: &str) -> Option<String> {
    if path == "/" {
        return Some(std::env::var("MESSAGE").unwrap_or_else(|_| "hello\n".to_owned()));
    }
    let (what, rest) = path.trim_start_matches('/').split_once('/').unwrap_or((path.trim_start_matches('/'), ""));
    match what {
        "env" => std::env::var(rest).ok(),
        "file" => std::fs::read_to_string(format!("/{rest}")).ok(),
        "host" => std::fs::read_to_string("/etc/hostname").ok(),
        "exit" => std::process::exit(rest.parse().unwrap_or(1)),
        "get" => {
            let (host, port) = rest.split_once('/')?;
            let mut other = TcpStream::connect((host, port.parse().ok()?)).ok()?;
            other.write_all(b"GET / HTTP/1.0\r\n\r\n").ok()?;
            let mut text = String::new();
            other.read_to_string(&mut text).ok()?;
            text.split_once("\r\n\r\n").map(|(_, body)| body.to_owned())
        }
        _ => None,
    }
}
