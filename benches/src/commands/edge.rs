//! The edge, nginx and HAProxy as reverse proxies of one upstream, in turns.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use daybook_bench::compare::output;
use daybook_bench::daybook::Daybook;
use daybook_bench::load::get;
use daybook_bench::process::{Memory, memory};
use daybook_bench::shop::free_address;
use daybook_bench::statistics::{median, percentile};
use serde_json::{Value, json};
use tokio::process::{Child, Command};

use super::say;

const HOST: &str = "bench.localhost";
const CONNECTIONS: &str = "64";

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Length of one measurement.
    #[arg(long, env = "SECONDS", default_value_t = 8)]
    seconds: u64,
    /// Measurements of each proxy; the medians are shown.
    #[arg(long, env = "COUNT", default_value_t = 5)]
    count: u32,
}

/// A proxy under measurement.
struct Proxy {
    name: &'static str,
    http1: SocketAddr,
    http2: Option<SocketAddr>,
    figures: [Vec<f64>; 4],
}

/// Places in [`Proxy::figures`].
const H1_RPS: usize = 0;
const H1_P99: usize = 1;
const H2_RPS: usize = 2;
const H2_P99: usize = 3;

pub(crate) async fn run(arguments: Arguments) -> Result<()> {
    let directory = tempfile::tempdir().context("make a directory")?;
    let path = directory.path();
    let daybook = deploy(path).await?;
    let (_, edge) = daybook.pids().await?;
    let upstream = upstream(&daybook).await?;

    let (nginx, nginx_http1, nginx_http2) = start_nginx(path, upstream)?;
    let (haproxy, haproxy_http1) = start_haproxy(path, upstream)?;
    let mut proxies = [
        Proxy::new("nginx", nginx_http1, Some(nginx_http2)),
        Proxy::new("haproxy", haproxy_http1, None),
        Proxy::new("edge", daybook.http, Some(daybook.http)),
    ];
    for proxy in &proxies {
        answers(proxy).await?;
    }
    for _ in 0..arguments.count {
        for proxy in &mut proxies {
            proxy.measure(arguments.seconds, path).await?;
        }
    }
    let rss = memory(edge, Memory::Rss)?;
    for mut child in [nginx, haproxy] {
        end(&mut child).await;
    }
    daybook.end("bench").await?;

    let [nginx, haproxy, edge] = &proxies;
    let line = json!({
        "h1_rps": edge.median(H1_RPS), "h1_p99": edge.median(H1_P99),
        "h2_rps": edge.median(H2_RPS), "h2_p99": edge.median(H2_P99),
        "nginx_h1_rps": nginx.median(H1_RPS), "nginx_h1_p99": nginx.median(H1_P99),
        "nginx_h2_rps": nginx.median(H2_RPS), "nginx_h2_p99": nginx.median(H2_P99),
        "haproxy_h1_rps": haproxy.median(H1_RPS), "haproxy_h1_p99": haproxy.median(H1_P99),
        "rss": rss,
    });
    say(&line.to_string());
    Ok(())
}

/// Deploys this program's `upstream` as the only service of an app.
async fn deploy(path: &Path) -> Result<Daybook> {
    let state = path.join("state");
    let context = path.join("app");
    std::fs::create_dir(&state)?;
    std::fs::create_dir(&context)?;
    let program = std::env::current_exe().context("find this program")?;
    let manifest = format!(
        "app: bench\nservices:\n  web:\n    build: .\n    command: ['{}', upstream]\n    port: 8080\n    domain: {HOST}\n",
        program.display()
    );
    let file = context.join("daybook.yaml");
    std::fs::write(&file, manifest)?;
    let daybook = Daybook::start(&state, "process").await?;
    let mut up = daybook.command(&["up", "--file", &file.to_string_lossy(), "--yes", "--no-input"]);
    daybook.succeed(&mut up).await?;
    Ok(daybook)
}

/// Where the deployed upstream itself listens: the other proxies are put in front of the same process.
async fn upstream(daybook: &Daybook) -> Result<SocketAddr> {
    let status = daybook.get("/v1/environments/bench/production/status").await?;
    let address = status.pointer("/services/0/replicas/0/address").and_then(Value::as_str);
    address.context("the status names no address")?.parse().context("the status names an odd address")
}

fn start_nginx(path: &Path, upstream: SocketAddr) -> Result<(Child, SocketAddr, SocketAddr)> {
    let (http1, http2) = (free_address()?, free_address()?);
    let here = path.display();
    let text = format!(
        "worker_processes auto; daemon off; pid {here}/nginx.pid; error_log {here}/nginx.err;
events {{ worker_connections 4096; }}
http {{
  access_log {here}/nginx.log; client_body_temp_path {here}/body; proxy_temp_path {here}/proxy;
  fastcgi_temp_path {here}/fastcgi; uwsgi_temp_path {here}/uwsgi; scgi_temp_path {here}/scgi;
  keepalive_requests 100000000;
  upstream shop {{ server {upstream}; keepalive 128; keepalive_requests 100000000; }}
  server {{
    listen {http1} reuseport; listen {http2} http2 reuseport;
    location / {{ proxy_pass http://shop; proxy_http_version 1.1; proxy_set_header Connection ''; \
proxy_set_header Host $host; }}
  }}
}}
"
    );
    let file = path.join("nginx.conf");
    std::fs::write(&file, text)?;
    let child = start(Command::new("nginx").arg("-p").arg(path).arg("-c").arg(&file))?;
    Ok((child, http1, http2))
}

fn start_haproxy(path: &Path, upstream: SocketAddr) -> Result<(Child, SocketAddr)> {
    let http1 = free_address()?;
    let text = format!(
        "global
  nbthread 2
  maxconn 4096
defaults
  mode http
  timeout connect 5s
  timeout client 30s
  timeout server 30s
frontend shop
  bind {http1}
  default_backend shop
backend shop
  http-reuse always
  server shop {upstream}
"
    );
    let file = path.join("haproxy.cfg");
    std::fs::write(&file, text)?;
    Ok((start(Command::new("haproxy").arg("-db").arg("-f").arg(&file))?, http1))
}

fn start(command: &mut Command) -> Result<Child> {
    let program = command.as_std().get_program().to_string_lossy().into_owned();
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    command.spawn().with_context(|| format!("start {program}"))
}

async fn end(child: &mut Child) {
    if let Some(pid) = child.id() {
        daybook_bench::process::signal(pid, rustix::process::Signal::TERM);
    }
    // What does not end in time is killed when it is dropped.
    let _ = tokio::time::timeout(Duration::from_secs(5), child.wait()).await;
}

async fn answers(proxy: &Proxy) -> Result<()> {
    for _ in 0..100 {
        if get(proxy.http1, HOST, "/").await.is_ok_and(|reply| reply.status == 200) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    bail!("{} does not answer on {}", proxy.name, proxy.http1)
}

impl Proxy {
    fn new(name: &'static str, http1: SocketAddr, http2: Option<SocketAddr>) -> Self {
        Self { name, http1, http2, figures: Default::default() }
    }

    fn median(&self, figure: usize) -> Option<f64> {
        median(&mut self.figures[figure].clone())
    }

    async fn measure(&mut self, seconds: u64, path: &Path) -> Result<()> {
        let (rps, p99) = wrk(self.http1, seconds).await?;
        self.figures[H1_RPS].push(rps);
        self.figures[H1_P99].push(p99);
        let mut line = format!("{:<8} HTTP/1.1 {rps:>8.0}/s p99 {p99:.2} ms", self.name);
        if let Some(http2) = self.http2 {
            let (rps, p99) = h2load(http2, seconds, path).await?;
            self.figures[H2_RPS].push(rps);
            self.figures[H2_P99].push(p99);
            line += &format!("   HTTP/2 {rps:>8.0}/s p99 {p99:.2} ms");
        }
        say(&line);
        Ok(())
    }
}

/// Requests per second, and the 99th percentile in milliseconds.
async fn wrk(address: SocketAddr, seconds: u64) -> Result<(f64, f64)> {
    let duration = format!("-d{seconds}s");
    let mut command = Command::new("wrk");
    command.args(["-t2", "-c", CONNECTIONS, &duration, "--latency", "-H", &format!("Host: {HOST}")]);
    let text = output(command.arg(format!("http://{address}/"))).await?;
    if text.contains("Non-2xx") || text.contains("Socket errors") {
        bail!("wrk saw errors:\n{text}");
    }
    let figure = |name: &str| text.lines().find_map(|line| line.trim().strip_prefix(name)).map(str::trim);
    let rps = figure("Requests/sec:").and_then(|rps| rps.parse().ok()).context("wrk printed no rate")?;
    Ok((rps, figure("99%").and_then(milliseconds).context("wrk printed no percentile")?))
}

fn milliseconds(text: &str) -> Option<f64> {
    let at = text.find(|c: char| c.is_ascii_alphabetic())?;
    let factor = match &text[at..] {
        "us" => 0.001,
        "ms" => 1.0,
        "s" => 1_000.0,
        _ => return None,
    };
    text[..at].parse::<f64>().ok().map(|value| value * factor)
}

/// Requests per second, and the 99th percentile in milliseconds, of as many streams on 8 connections.
async fn h2load(address: SocketAddr, seconds: u64, path: &Path) -> Result<(f64, f64)> {
    let log = path.join("h2load.log");
    let mut command = Command::new("h2load");
    command.args(["-t2", "-c8", "-m8", "-D", &seconds.to_string(), &format!("--connect-to={address}")]);
    let text = output(command.arg(format!("--log-file={}", log.display())).arg(format!("http://{HOST}/"))).await?;
    let finished = text.lines().find_map(|line| line.strip_prefix("finished in ")).context("h2load did not finish")?;
    let rps = finished.split(", ").nth(1).and_then(|rate| rate.strip_suffix(" req/s"));
    let rps = rps.and_then(|rps| rps.parse().ok()).context("h2load printed no rate")?;
    if !text.contains(" 0 failed, 0 errored") {
        bail!("h2load saw errors:\n{text}");
    }
    let log = std::fs::read_to_string(&log).context("read h2load's log")?;
    let latency = |line: &str| line.split('\t').nth(2).and_then(|us| us.parse::<f64>().ok());
    let mut latencies: Vec<f64> = log.lines().filter_map(latency).map(|us| us / 1_000.0).collect();
    Ok((rps, percentile(&mut latencies, 0.99).context("h2load logged nothing")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_are_read_with_their_units() {
        assert_eq!(milliseconds("250.00us"), Some(0.25));
        assert_eq!(milliseconds("1.50ms"), Some(1.5));
        assert_eq!(milliseconds("2.00s"), Some(2_000.0));
        assert_eq!(milliseconds("oops"), None);
    }
}
