//! Texts that grow when they are read: aliases, merge keys, depth, numbers of things.

use super::{MANY, many, service};

pub(crate) fn texts() -> Vec<(&'static str, String)> {
    [bombs(), deep(), numerous(), circles()].concat()
}

/// Little text that names much.
fn bombs() -> Vec<(&'static str, String)> {
    let mut laughs = "x0: &x0 [a, a, a, a, a, a, a, a, a, a]\n".to_owned();
    let mut merges = "x0: &x0 {k: v}\n".to_owned();
    let mut bases = "x0: &x0 {k0: v}\n".to_owned();
    for level in 1..60 {
        let below = format!("*x{}", level - 1);
        laughs += &format!("x{level}: &x{level} [{}]\n", [below.as_str(); 10].join(", "));
        merges += &format!("x{level}: &x{level} {{a: {below}, b: {below}, <<: {below}}}\n");
        bases += &format!("x{level}: &x{level} {{k{level}: v, <<: [{}]}}\n", [below.as_str(); 10].join(", "));
    }
    let ladder: String = (1..20_000).map(|n| format!("x{n}: &x{n} [*x{}]\n", n - 1)).collect();
    let long = "y".repeat(1 << 18);
    let wide: String = (0..5_000).map(|n| format!("k{n}: v, ")).collect();
    let values = "v, ".repeat(20_000);
    vec![
        ("laughs", laughs),
        ("merge keys", merges),
        ("lists of merge keys", bases),
        ("a ladder of aliases", format!("x0: &x0 a\n{ladder}")),
        ("one long text named often", format!("x0: &x0 {long}\nx1: [{}]\n", "*x0, ".repeat(20_000))),
        ("one long key named often", format!("x0: &x0 {{{long}: v}}\nx1: [{}]\n", "*x0, ".repeat(20_000))),
        ("many values named some times", format!("x0: &x0 [{values}]\nx1: [{}]\n", "*x0, ".repeat(60))),
        ("one base of many", format!("x0: &x0 {{{wide}}}\n{}", many(|n| format!("x{}: {{<<: *x0}}\n", n + 1)))),
        (
            "one unknown key named often",
            format!(
                "x0: &x0 {{image: a, {}: v}}\nservices: {{{}}}\n",
                "colour",
                (0..10_000).map(|n| format!("s{n}: *x0, ")).collect::<String>()
            ),
        ),
        ("an alias in itself", "x0: &x0 [*x0, {a: *x0}]\n".to_owned()),
        ("anchors in anchors", "&a ".repeat(10_000)),
        ("many anchors", many(|n| format!("x{n}: &x{n} v\n"))),
        ("anchors in flow", format!("[{}]", "&a [".repeat(10_000))),
    ]
}

/// Values in values.
fn deep() -> Vec<(&'static str, String)> {
    let nest = |open: &str, close: &str| format!("a: {}{}", open.repeat(10_000), close.repeat(10_000));
    let indented: String = (0..1_500).map(|n| format!("{}a:\n", " ".repeat(n))).collect();
    vec![
        ("lists", nest("[", "]")),
        ("mappings", nest("{a: ", "}")),
        ("lists that stay open", nest("[", "")),
        ("mappings that stay open", nest("{a: ", "")),
        ("both in turn", nest("[{a: ", "}]")),
        ("closed too often", nest("", "]")),
        ("items", nest("\n", "") + &"- ".repeat(10_000)),
        ("keys", "? ".repeat(10_000)),
        ("keys in flow", nest("{? [", "]}")),
        ("indentation", indented),
        ("defaults", service(&format!("command: \"{}x{}\"", "${A:-".repeat(10_000), "}".repeat(10_000)))),
        ("defaults that stay open", service(&format!("command: \"{}\"", "${A:-".repeat(10_000)))),
        ("tags", "!a ".repeat(10_000)),
    ]
}

/// Very many of one thing.
fn numerous() -> Vec<(&'static str, String)> {
    let documents = |body: &str| format!("services: {{web: {{image: a, {body}}}}}\n---\n").repeat(2);
    vec![
        ("keys that nobody reads", many(|n| format!("x-{n}: v\n"))),
        ("keys that nobody knows", many(|n| format!("servces{n}: v\n"))),
        ("one key again and again", "services: {}\n".repeat(MANY)),
        ("services", format!("services:\n{}", many(|n| format!("  s{n}: {{image: a}}\n")))),
        ("services that are nothing", format!("services:\n{}", many(|n| format!("  s{n}:\n")))),
        ("services with bad names", format!("services:\n{}", many(|n| format!("  S!{n}: {{image: a}}\n")))),
        ("variables", service(&format!("environment: {{{}}}", many(|n| format!("A{n}: v, "))))),
        ("variables in a list", service(&format!("environment: [{}]", many(|n| format!("A{n}=v, "))))),
        ("unset variables", service(&format!("command: [{}]", many(|n| format!("\"$A{n}\", "))))),
        (
            "references to nothing",
            service(&format!("environment: {{{}}}", many(|n| format!("A{n}: \"${{s{n}.url}}\", ")))),
        ),
        ("anonymous mounts", service(&format!("volumes: [{}]", many(|n| format!("/v{n}, "))))),
        ("mounts", service(&format!("volumes: [{}]", many(|n| format!("v{n}:/v{n}, "))))),
        ("mounts in two documents", documents(&format!("volumes: [{}]", many(|n| format!("v:/v{n}, "))))),
        ("capabilities in two documents", documents(&format!("cap_add: [{}]", many(|n| format!("C{n}, "))))),
        ("values that are reset", format!("services: {{{}}}\n", many(|n| format!("s{n}: !reset , ")))),
        ("documents", "---\na: 1\n".repeat(MANY)),
        ("empty documents", "---\n".repeat(MANY)),
        ("includes", format!("include: [{}]\n", many(|n| format!("f{n}.yaml, ")))),
        ("one include again and again", format!("include: [{}]\n", "daybook.yaml, ".repeat(MANY))),
        ("ports", service(&format!("ports: [{}]", many(|n| format!("\"{}\", ", n + 1))))),
        ("ranges of ports", service(&format!("ports: [{}]", "\"1-65535:1-65535\", ".repeat(2_000)))),
        ("ranges of exposed ports", service(&format!("expose: [{}]", "\"1-65535\", ".repeat(2_000)))),
        (
            "services with ranges of ports",
            format!(
                "services:\n{}",
                (0..2_000).map(|n| format!("  s{n}: {{image: a, ports: [\"1-65535:1-65535\"]}}\n")).collect::<String>()
            ),
        ),
        (
            "networks",
            format!(
                "networks: {{{}}}\n{}",
                many(|n| format!("n{n}: , ")),
                service(&format!("networks: [{}]", many(|n| format!("n{n}, "))))
            ),
        ),
        ("links", service(&format!("links: [{}]", many(|n| format!("\"web:a{n}\", "))))),
        ("profiles", service(&format!("profiles: [{}]", many(|n| format!("p{n}, "))))),
        ("public names", service(&format!("port: 80, domain: [{}]", many(|n| format!("a{n}.test, "))))),
        (
            "environments",
            format!("environments:\n{}", many(|n| format!("  e{n}: {{services: {{web: {{image: b}}}}}}\n"))),
        ),
        ("secrets that are not declared", service(&format!("secrets: [{}]", many(|n| format!("s{n}, "))))),
        ("directives", many(|n| format!("%TAG !a{n}! tag:{n}\n")) + "--- {}\n"),
        ("comments", "# nothing\n".repeat(MANY) + "services: {}\n"),
    ]
}

/// What leads back to where it began.
fn circles() -> Vec<(&'static str, String)> {
    let services = |body: &dyn Fn(usize) -> String| {
        let all: String = (0..10_000).map(|n| format!("  s{n}: {{image: a, {}}}\n", body(n))).collect();
        format!("services:\n{all}")
    };
    vec![
        ("extends in a chain", services(&|n| format!("extends: s{}", n + 1))),
        ("extends in a circle", services(&|n| format!("extends: s{}", (n + 1) % 10_000))),
        ("extends of one", services(&|_| "extends: s0, labels: {a: b}".to_owned())),
        ("from in a circle", services(&|n| format!("from: s{}", (n + 1) % 30))),
        ("waits in a chain", services(&|n| format!("depends_on: [s{}]", n + 1))),
        ("waits in a circle", services(&|n| format!("depends_on: [s{}]", (n + 1) % 10_000))),
        ("waits in many circles", services(&|n| format!("depends_on: [s{}, s0, s1, s2]", (n + 1) % 10_000))),
        ("waits for nobody known", services(&|n| format!("depends_on: [servce{n}]"))),
        ("namespaces in a circle", services(&|n| format!("pid: \"service:s{}\"", (n + 1) % 10_000))),
    ]
}
