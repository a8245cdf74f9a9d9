//! What was measured, where people look: pictures, dashboards, a terminal that goes on.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use daybook_bench::load::get;
use daybook_bench::shop::free_address;
use daybook_e2e::World;
use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Termios, Winsize, tcgetattr, tcsetwinsize};
use tokio::process::Child;

const PATIENCE: Duration = Duration::from_secs(60);

/// `daybook ui` in a terminal of its own.
/// What begins a sequence that is no text.
const ESC: char = '\u{1b}';

/// The text alone, one space for each move of the cursor: what is on the screen already is not written again.
fn plain(shown: &str) -> String {
    let mut text = String::new();
    let mut rest = shown;
    while let Some((before, after)) = rest.split_once(ESC) {
        text.push_str(before);
        let end = after.find(|letter: char| letter.is_ascii_alphabetic()).map_or(after.len(), |at| at + 1);
        if after[..end].ends_with('H') {
            text.push(' ');
        }
        rest = &after[end..];
    }
    text + rest
}

struct Terminal {
    child: Child,
    /// What a person has.
    keys: File,
    /// What the program has.
    theirs: OwnedFd,
    before: Termios,
    shown: Arc<Mutex<String>>,
}

impl Terminal {
    fn start(world: &World) -> Self {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("a terminal");
        grantpt(&ours).expect("it is ours");
        unlockpt(&ours).expect("it can be opened");
        let name = ptsname(&ours, Vec::new()).expect("it has a name");
        let theirs = rustix::fs::open(&name, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty());
        let theirs = theirs.expect("the other side opens");
        tcsetwinsize(&theirs, Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 }).expect("it has a size");
        let before = tcgetattr(&theirs).expect("it has modes");
        let side = || Stdio::from(theirs.try_clone().expect("it can be shared"));
        let mut command = world.command(&["ui"]);
        command.env("TERM", "xterm-256color").stdin(side()).stdout(side()).stderr(side()).kill_on_drop(true);
        let child = command.spawn().expect("daybook runs");
        let mut output = File::from(ours.try_clone().expect("it can be shared"));
        let shown = Arc::new(Mutex::new(String::new()));
        let told = shown.clone();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = output.read(&mut buffer) {
                told.lock().expect("nobody panicked").push_str(&String::from_utf8_lossy(&buffer[..count]));
            }
        });
        Self { child, keys: File::from(ours), theirs, before, shown }
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).expect("keys are pressed");
    }

    fn text(&self) -> String {
        self.shown.lock().expect("nobody panicked").clone()
    }

    /// Waits for what is written, or for a sequence that begins with ESC.
    async fn until_shown(&self, text: &str) {
        let began = Instant::now();
        let is_shown =
            |shown: &str| if text.starts_with(ESC) { shown.contains(text) } else { plain(shown).contains(text) };
        while !is_shown(&self.text()) {
            assert!(began.elapsed() < PATIENCE, "{text} is not shown:\n{:?}", self.text());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// That it ends, and leaves the terminal as it was.
    async fn expect_left(mut self) {
        let ended =
            tokio::time::timeout(PATIENCE, self.child.wait()).await.expect("it ends").expect("it is waited for");
        assert!(ended.success(), "{ended}: {:?}", self.text());
        let after = tcgetattr(&self.theirs).expect("it has modes");
        assert_eq!(after.local_modes, self.before.local_modes);
        assert_eq!(after.input_modes, self.before.input_modes);
        self.until_shown("\u{1b}[?1049l").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_measured_is_drawn_exported_and_shown() {
    let door = free_address().expect("there is a free port");
    let world = World::answering_as_prometheus(door).await;
    world.up(1, &[]).await.expect(0);
    for _ in 0..20 {
        assert_eq!(world.get("/").await.expect("the shop answers").status, 200);
    }
    world
        .until("the last hour is told", async |world| {
            let status = world.status().await;
            status["last_hour"].as_array().is_some_and(|all| all.iter().any(|pulse| pulse["service"] == "web"))
        })
        .await;

    let query = "sum by (service) (daybook_service_replicas_running)";
    world.run(&["query", query, "--since", "1h", "--svg", "web.svg", "--title", "replicas"]).await.expect(0);
    let drawn = std::fs::read_to_string(world.path().join("web.svg")).expect("it is written");
    assert!(drawn.starts_with("<svg ") && drawn.contains(">replicas<") && drawn.contains(">web<"), "{drawn}");
    let wrong = world.run(&["query", "sum(", "--svg", "-"]).await.expect(64);
    assert!(wrong.err.contains("query"), "{wrong}");

    let shown = world.run(&["dashboard", "show", "service", "-o", "json"]).await.expect(0).json();
    let panels = shown["panels"].as_array().cloned().unwrap_or_default();
    let replicas = panels.iter().find(|panel| panel["title"] == "Replicas").expect("there is one");
    assert!(replicas["series"].as_array().is_some_and(|all| all.iter().any(|one| one["name"] == "web")), "{replicas}");
    assert_eq!(shown["notes"].as_array().map(Vec::len), Some(0), "{shown}");

    let listed = get(door, "localhost", "/dashboards").await.expect("there are pages");
    let listed = String::from_utf8_lossy(&listed.body).into_owned();
    assert!(listed.contains("dashboards/service?app=shop&amp;env=production"), "{listed}");
    let page =
        get(door, "localhost", "/dashboards/service?app=shop&env=production&since=900").await.expect("there is one");
    let page = String::from_utf8_lossy(&page.body).into_owned();
    assert!(page.matches("<svg ").count() == 9 && page.contains(">web<") && !page.contains("<script"), "{page}");
    assert_eq!(get(door, "localhost", "/dashboards/nope").await.expect("it answers").status, 404);

    world.run(&["dashboard", "export", "--all", "--to", "grafana"]).await.expect(0);
    for name in ["service", "database", "host", "edge"] {
        let file = format!("grafana/daybook-{name}.json");
        let again =
            world.run(&["dashboard", "show", &file, "--set", "app=shop", "--set", "env=production"]).await.expect(0);
        assert!(again.out.contains("Daybook / ") && !again.out.contains('!'), "{again}");
    }
    let none = world.run(&["dashboard", "show", "servise"]).await.expect(64);
    assert!(none.err.contains("service, database, host, edge"), "{none}");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_shows_what_runs_and_is_given_back() {
    let world = World::new().await;
    world.up(1, &[]).await.expect(0);
    let piped = world.run(&["ui"]).await.expect(64);
    assert!(piped.err.contains("needs a terminal"), "{piped}");

    let mut terminal = Terminal::start(&world);
    terminal.until_shown("web").await;
    terminal.until_shown("running").await;
    terminal.press("?");
    terminal.until_shown("acknowledge the chosen incident").await;
    terminal.press("q4");
    terminal.until_shown("no incident goes on").await;
    terminal.press("q");
    terminal.expect_left().await;

    let terminal = Terminal::start(&world);
    terminal.until_shown("worker").await;
    let pid = terminal.child.id().and_then(|id| Pid::from_raw(id.cast_signed())).expect("it runs");
    kill_process(pid, Signal::TERM).expect("it is told to end");
    terminal.expect_left().await;
    world.end().await;
}
