//! Single values that are too large, too long, or of another kind than they look.

use super::service;

/// Places that take a value of their own kind, each with `@` for the value.
const PLACES: [&str; 34] = [
    "image: @",
    "command: @",
    "user: @",
    "port: @",
    "ports: [@]",
    "ports: [{target: @, published: @}]",
    "expose: [@]",
    "scale: @",
    "scale: {min: @, max: @, cpu: @}",
    "mem_limit: @",
    "cpus: @",
    "pids_limit: @",
    "shm_size: @",
    "stop_grace_period: @",
    "stop_signal: @",
    "init: @",
    "schedule: @",
    "schedule: \"* * * * *\", timezone: @",
    "domain: @",
    "domain: {host: @, path: @, port: @}",
    "healthcheck: {test: @, interval: @, retries: @}",
    "environment: [@]",
    "environment: {@: @}",
    "labels: {@: @}",
    "volumes: [@]",
    "volumes: [{type: tmpfs, target: @, tmpfs: {size: @, mode: @}}]",
    "depends_on: [@]",
    "networks: {default: {ipv4_address: @, priority: @}}",
    "extra_hosts: [@]",
    "deploy: {replicas: @, resources: {limits: {cpus: @, memory: @, pids: @}}}",
    "ulimits: {nofile: {soft: @, hard: @}}",
    "sysctls: [@]",
    "rollout: {drain: @, ready: @, probation: @, canary: @}",
    "release: @",
];

/// Values that are not what they seem.
const VALUES: [&str; 30] = [
    "99999999999999999999999999",
    "-99999999999999999999999999",
    "18446744073709551615",
    "9223372036854775808",
    "-1",
    "0",
    "0x7fffffffffffffffffff",
    "1e400",
    "-1e-400",
    "1e308",
    ".inf",
    ".nan",
    "99999999999999999999h",
    "9223372036854775807s",
    "1h1h1h1h1h1h1h1h1h",
    "18446744073709551615Gi",
    "1e30Ti",
    "99999999999%",
    "0777777777777777777777",
    "65535-1",
    "0-65536",
    "\"\"",
    "~",
    "[]",
    "{}",
    "!!int x",
    "!!binary aGk=",
    "2026-02-31T25:61:61Z",
    "\"\\0\"",
    "\"\\uD800\"",
];

pub(crate) fn texts() -> Vec<(&'static str, String)> {
    let mut all = [long(), odd()].concat();
    for place in PLACES {
        all.extend(VALUES.map(|value| (place, service(&place.replace('@', value)))));
        all.push((place, service(&place.replace('@', &"9".repeat(100_000)))));
    }
    all
}

/// Values and lines of a megabyte.
fn long() -> Vec<(&'static str, String)> {
    let mega = "x".repeat(1 << 20);
    let lines = "xxxxxxx\n".repeat(1 << 17);
    let indented = "      xxxxxxx\n".repeat(1 << 16);
    vec![
        ("a plain text", format!("a: {mega}")),
        ("a quoted text", service(&format!("image: '{mega}'"))),
        ("a text that stays quoted", format!("a: \"{mega}")),
        ("a text of escapes", service(&format!("command: \"{}\"", "\\x41".repeat(1 << 18)))),
        ("a text of bad escapes", service(&format!("command: \"{}\"", "\\q".repeat(1 << 18)))),
        ("a text of quotes", service(&format!("command: '{}'", "''".repeat(1 << 18)))),
        ("a text of dollar signs", service(&format!("command: '{}'", "$".repeat(1 << 20)))),
        ("a text of variables", service(&format!("command: '{}'", "${A}".repeat(1 << 18)))),
        ("a text of bad variables", service(&format!("command: '{}'", "${!}".repeat(1 << 18)))),
        ("a text of references", service(&format!("environment: {{A: '{}'}}", "${web.url}".repeat(1 << 16)))),
        ("a plain text of many lines", format!("a: {lines}")),
        ("a quoted text of many lines", format!("a: \"{lines}\"")),
        ("a block", format!("services:\n  web:\n    image: |\n{indented}")),
        ("a folded block", format!("services:\n  web:\n    image: >-\n{indented}")),
        ("a block of empty lines", format!("a: |\n{}", "\n".repeat(1 << 20))),
        ("a folded block of empty lines", format!("a: >\n{}", " \n".repeat(1 << 19))),
        ("a key", format!("{mega}: a\n")),
        ("a quoted key", format!("\"{mega}\": a\n")),
        ("an unknown key of a service", service(&format!("{}: a", "imag".repeat(1 << 16)))),
        ("a service's name", format!("services: {{? {mega} : {{image: a}}}}\n")),
        ("an unknown service", service(&format!("depends_on: [{mega}]"))),
        ("an alias", format!("a: *{mega}\n")),
        ("an anchor", format!("a: &{mega} b\n")),
        ("a tag", format!("a: !{mega} b\n")),
        ("a comment", format!("# {mega}\n")),
        ("a directive", format!("%YAML {mega}\n---\n")),
        ("blanks", " ".repeat(1 << 20)),
        ("tabs", "\t".repeat(1 << 20)),
        ("line ends", "\r".repeat(1 << 20)),
        ("a line of errors", service(&"colour: a, {b}: c, ".repeat(1 << 15))),
        ("a path", service(&format!("volumes: [\"/{}:/a\"]", "../".repeat(1 << 18)))),
        ("a host name", service(&format!("port: 80, domain: {}", "a.".repeat(1 << 19)))),
        ("a name for another file", format!("include: [\"{}\"]", "../".repeat(1 << 18))),
    ]
}

/// Characters that mean something elsewhere.
fn odd() -> Vec<(&'static str, String)> {
    let wide = |text: &str| text.chars().flat_map(|c| [c, '\0']).collect::<String>();
    let shop = service("command: [a]");
    vec![
        ("a byte order mark", format!("\u{feff}{shop}")),
        ("many byte order marks", "\u{feff}".repeat(10_000)),
        ("UTF-16 read as UTF-8", wide(&shop)),
        ("a swapped byte order mark", format!("\u{fffe}{shop}")),
        ("NUL bytes", "\0".repeat(1 << 20)),
        ("a NUL byte at the end", format!("{shop}\0")),
        ("control characters", service("command: \"\u{1}\u{8}\u{1b}[2J\u{7f}\u{9b}\"")),
        ("other line ends", shop.replace('\n', "\u{2028}")),
        ("next lines", shop.replace('\n', "\u{85}")),
        ("old line ends", shop.replace('\n', "\r")),
        ("text from right to left", service("command: \"\u{202e}\u{2066}gpj.exe\"")),
        ("marks upon a letter", service(&format!("command: \"e{}\"", "\u{301}".repeat(100_000)))),
        ("the last characters", service("command: \"\u{10ffff}\u{fffd}\u{e000}\"")),
        ("letters of four bytes", service(&format!("image: \"{}\"", "🐳".repeat(100_000)))),
    ]
}
