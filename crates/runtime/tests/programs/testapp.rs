//! A program to be a replica of. Its arguments say how it behaves; see `main`.
//!
//! Besides the standard library it needs nothing, so that a static build of it alone makes an image.

#![allow(clippy::print_stdout, reason = "what it prints is what the tests look at")]

use std::io::{BufRead, BufReader, IsTerminal, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, exit};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    // The first process of a container ignores signals that it has no handler for.
    if arguments.last() != Some(&"--ignore-term") {
        let always = Arc::new(AtomicBool::new(true));
        signal_hook::flag::register_conditional_shutdown(15, 143, always).expect("SIGTERM can be handled");
    } else {
        signal_hook::flag::register(15, Arc::new(AtomicBool::new(false))).expect("SIGTERM can be handled");
    }
    match arguments[..] {
        ["serve"] | ["serve", "--ignore-term"] => serve(&variable("PORT")),
        // Listens where nobody expects it.
        ["serve-at", port] => serve(port),
        // A second process of it serves the second port, and does not end with the first.
        ["serve-two", port] => {
            let me = std::env::current_exe().expect("this program has a path");
            let child =
                Command::new(me).args(["serve-at", &variable(&format!("PORT_{port}")), "--ignore-term"]).spawn();
            drop(child.expect("a child starts"));
            serve(&variable("PORT"));
        }
        ["serve-at", port, "--ignore-term"] => serve(port),
        ["exit", code] => exit(code.parse().expect("a code")),
        ["print", out, err] => {
            println!("{out}");
            eprintln!("{err}");
        }
        ["count", lines] => {
            (1..=lines.parse().expect("a number")).for_each(|line: u64| println!("line {line}"));
            sleep();
        }
        // Prints its lines one for each line that the file has, until the file says `end`.
        ["follow", file] => follow(&path(file)),
        ["use-memory", mebibytes] => {
            use_memory(mebibytes.parse().expect("a number"));
            sleep();
        }
        ["append", file, text] => {
            let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path(file)).expect("a file");
            writeln!(file, "{text}").expect("the file can be written");
        }
        ["cat", file] => print!("{}", std::fs::read_to_string(path(file)).expect("the file can be read")),
        ["env", name] => println!("{}", variable(name)),
        ["echo"] => std::io::copy(&mut std::io::stdin(), &mut std::io::stdout()).map(drop).expect("an echo"),
        ["terminal"] => println!("terminal: {}", std::io::stdin().is_terminal()),
        ["id"] => println!("{}", std::fs::read_to_string("/proc/self/status").expect("a status")),
        ["sleep"] | ["sleep", "--ignore-term"] => sleep(),
        _ => {
            eprintln!("testapp: what is {arguments:?}?");
            exit(64);
        }
    }
}

fn sleep() {
    loop {
        thread::sleep(Duration::from_secs(3600));
    }
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_default()
}

/// Where the process runtime has no file system of its own, absolute paths are beneath this variable.
fn path(path: &str) -> String {
    variable("DAYBOOK_ROOT") + path
}

fn use_memory(mebibytes: usize) {
    let mut memory = vec![0_u8; mebibytes << 20];
    // Touched, or it is not used.
    memory.iter_mut().step_by(4096).for_each(|byte| *byte = 1);
    std::mem::forget(memory);
}

fn follow(file: &str) {
    let mut printed = 0;
    loop {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        for line in text.lines().skip(printed) {
            printed += 1;
            println!("{line}");
            if line == "end" {
                return;
            }
        }
        thread::sleep(Duration::from_millis(10));
    }
}

static SICK: AtomicBool = AtomicBool::new(false);

fn serve(port: &str) {
    let host = std::env::var("HOST").unwrap_or_else(|_| "0.0.0.0".to_owned());
    let listener = TcpListener::bind(format!("{host}:{port}")).unwrap_or_else(|error| {
        eprintln!("testapp: listen at {host}:{port}: {error}");
        exit(98);
    });
    println!("listening");
    for stream in listener.incoming().flatten() {
        thread::spawn(move || answer(&stream));
    }
}

fn answer(mut stream: &TcpStream) {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let request = lines.next().unwrap_or_default();
    for _ in lines.take_while(|line| !line.is_empty()) {}
    let target = request.split(' ').nth(1).unwrap_or("/").to_owned();
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let (status, text) = reply(path, query);
    let length = text.len();
    let _ = write!(stream, "HTTP/1.1 {status} X\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{text}");
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let _ = stream.read(&mut [0; 16]);
}

/// `query` is the one value that each of these takes.
fn reply(target: &str, query: &str) -> (u16, String) {
    match target {
        "/healthz" if SICK.load(Ordering::SeqCst) => (500, "no database".to_owned()),
        "/healthz" => (200, "well".to_owned()),
        "/sick" => {
            SICK.store(true, Ordering::SeqCst);
            (200, String::new())
        }
        "/exit" => exit(query.parse().unwrap_or(1)),
        "/env" => (200, variable(query)),
        "/file" => {
            std::fs::read_to_string(path(query)).map_or_else(|error| (500, error.to_string()), |text| (200, text))
        }
        "/pid" => (200, std::process::id().to_string()),
        "/alloc" => {
            use_memory(query.parse().unwrap_or(1));
            (200, String::new())
        }
        _ => (404, "nothing is here".to_owned()),
    }
}
