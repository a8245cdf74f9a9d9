//! Objects of Kubernetes, each fixture with its manifest and its notes as a text that a person can review.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};

mod importing;

use daybook_fuzz::{Chance, Tally, cases, damage};
use daybook_manifest::import::{Document, Imported, NoteKind, kubernetes};
use importing::{loaded, notes, snapshot, story};

fn fixtures(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(folder);
    let mut all: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    all.sort();
    all
}

fn name(file: &Path) -> String {
    file.file_stem().unwrap().to_string_lossy().into_owned()
}

fn import(file: &Path) -> Imported {
    let path = file.file_name().unwrap().to_string_lossy().into_owned();
    kubernetes(&[Document { path, text: std::fs::read_to_string(file).unwrap() }], None)
}

fn import_text(text: &str) -> Imported {
    kubernetes(&[Document { path: "a.yaml".to_owned(), text: text.to_owned() }], None)
}

#[test]
fn objects_become_a_manifest_that_loads() {
    let files = fixtures("kubernetes");
    assert!(files.len() >= 8);
    for file in files {
        let imported = import(&file);
        let text = story(&imported);
        snapshot(format!("kubernetes-{}", name(&file)), &text);
    }
}

#[test]
fn what_cannot_be_read_is_an_error_with_its_place() {
    for file in fixtures("kubernetes-bad") {
        let imported = import(&file);
        assert_eq!(imported.manifest, None, "{}", file.display());
        assert!(imported.notes.iter().any(|note| note.kind == NoteKind::Error));
        snapshot(format!("kubernetes-bad-{}", name(&file)), &notes(&imported));
    }
}

#[test]
fn r31_a_secret_is_in_neither_the_manifest_nor_the_notes() {
    for file in fixtures("kubernetes") {
        let said = serde_json::to_string(&import(&file)).unwrap();
        // As it stands, and as `data` has it.
        for telltale in ["telltale", "dGVsbHRhbGU"] {
            assert!(!said.contains(telltale), "{}: {said}", file.display());
        }
    }
}

#[test]
fn the_same_objects_make_the_same_manifest() {
    for file in fixtures("kubernetes") {
        assert_eq!(import(&file), import(&file));
    }
}

/// A Deployment `web` with `container` in its container and `pod` beside it.
fn deployment(container: &str, pod: &str) -> String {
    let main = format!("{{name: web, image: a, {container}}}");
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: web}}\nspec: {{template: {{spec: {{containers: [{main}], {pod}}}}}}}\n"
    )
}

/// The manifest of a Deployment, and its notes.
fn imported(container: &str, pod: &str) -> (String, String) {
    let imported = import_text(&deployment(container, pod));
    let notes = notes(&imported);
    (imported.manifest.unwrap_or_else(|| panic!("{notes}")), notes)
}

#[test]
fn a_key_of_a_container_becomes_a_key_of_the_service() {
    let all = [
        ("command: [a, b c]", "", "entrypoint: [a, \"b c\"]"),
        ("args: [$HOME]", "", "command: [\"$$HOME\"]"),
        ("workingDir: /srv", "", "working_dir: /srv"),
        ("resources: {limits: {cpu: 0.25, memory: 1e9}}", "", "resources: {cpu: 250m, memory: 1000000000}"),
        ("resources: {limits: {memory: 128974848000m}}", "", "resources: {memory: 123Mi}"),
        ("securityContext: {runAsUser: 1}", "securityContext: {runAsUser: 2, runAsGroup: 3}", "user: \"1:3\""),
        ("securityContext: {capabilities: {add: [SYS_TIME]}}", "", "cap_add: [SYS_TIME]"),
        ("", "terminationGracePeriodSeconds: 5", "stop_grace_period: 5s"),
        ("", "hostAliases: [{ip: 10.0.0.1, hostnames: [a, b]}]", "extra_hosts: [a=10.0.0.1, b=10.0.0.1]"),
        ("", "dnsConfig: {nameservers: [10.0.0.53]}", "dns: [\"10.0.0.53\"]"),
        ("readinessProbe: {tcpSocket: {port: 5432}}", "", "port: 5432"),
        ("startupProbe: {exec: {command: [ok]}, periodSeconds: 5, failureThreshold: 60}", "", "start_period: 300s"),
        ("readinessProbe: {httpGet: {port: 80}}", "", "path: /"),
        ("ports: [{containerPort: 53, protocol: UDP}]", "", "expose: [\"53/udp\"]"),
        ("ports: [{containerPort: 80, hostPort: 8080, hostIP: 127.0.0.1}]", "", "ports: [\"127.0.0.1:8080:80\"]"),
        ("env: [{name: A, value: x}, {name: B, value: \"$(A)-$$(A)-$(C)\"}]", "", "B: \"x-$$(A)-$$(C)\""),
        (
            "volumeMounts: [{name: v, mountPath: /v}]",
            "volumes: [{name: v, nfs: {server: n, path: /x}}]",
            "device: \":/x\"",
        ),
    ];
    for (container, pod, expect) in all {
        let (manifest, notes) = imported(container, pod);
        assert!(manifest.contains(expect), "{container} {pod}\n{manifest}\n{notes}");
        assert!(loaded(&manifest).spec.is_some(), "{manifest}");
    }
}

#[test]
fn what_is_not_carried_over_is_told_where_it_stands() {
    let all = [
        ("readinessProbe: {httpGet: {port: gone}}", "", "its port is not known"),
        ("env: [{name: A, valueFrom: {fieldRef: {fieldPath: status.podIP}}}]", "", "a replica has no `status.podIP`"),
        (
            "env: [{name: A, valueFrom: {secretKeyRef: {name: s, key: k}}}], args: [$(A)]",
            "",
            "cannot stand in a command",
        ),
        (
            "env: [{name: A, valueFrom: {configMapKeyRef: {name: s, key: k}}}], args: [$(A)]",
            "",
            "`$(A)`: the variable is not",
        ),
        ("resources: {limits: {cpu: lots}}", "", "is no amount"),
        ("args: [\"--db=redis://:pw@cache\"]", "", "holds a password in clear"),
        ("volumeMounts: [{name: v, mountPath: /v}]", "", "the pod has no such volume"),
        ("colour: red", "", "it is not known to the import"),
        ("", "nodeSelector: {disk: fast}", "`nodeSelector` of the pod of Deployment web"),
        ("", "initContainers: [{name: proxy, image: envoy, restartPolicy: Always}]", "the container `proxy` beside"),
    ];
    for (container, pod, expect) in all {
        let (_, notes) = imported(container, pod);
        assert!(notes.contains(expect), "{container} {pod}\n{notes}");
        let line = notes.lines().find(|line| line.contains(expect)).unwrap();
        assert!(line.starts_with("a.yaml:4:"), "{line}");
    }
}

#[test]
fn what_is_written_is_understood_as_it_was_meant() {
    let shop = fixtures("kubernetes").into_iter().find(|file| name(file) == "shop").unwrap();
    let spec = loaded(&import(&shop).manifest.unwrap()).spec.unwrap();
    let of =
        |service: &str| serde_json::to_value(&spec.services[&service.parse().unwrap()]).unwrap()["container"].clone();
    let url = of("api")["environment"]["DATABASE_URL"].to_string();
    assert!(url.contains("postgres://shop:") && url.contains("\"name\":\"shop-db.password\""), "{url}");
    let web = of("web");
    assert!(web["environment"]["PRICE_FORMAT"].to_string().contains("\"$0.00\""), "{web:#}");
    assert!(web["files"].to_string().contains("proxy_set_header Host $host;"), "{web:#}");
}

#[test]
fn two_values_of_one_secret_variable_are_two_secrets() {
    let container = "env: [{name: A_TOKEN, value: one}], volumeMounts: [{name: v, mountPath: /v}]";
    let own = "{name: init, image: b, env: [{name: A_TOKEN, value: two}], volumeMounts: [{name: v, mountPath: /v}]}";
    let (manifest, _) =
        imported(container, &format!("initContainers: [{own}], volumes: [{{name: v, emptyDir: {{}}}}]"));
    let secrets = ["{secret: web.A_TOKEN}", "{secret: web.A_TOKEN-2}"];
    assert!(secrets.iter().all(|secret| manifest.contains(secret)), "{manifest}");
}

#[test]
fn documents_of_several_files_are_one_app() {
    let document = |path: &str, text: &str| Document { path: path.to_owned(), text: text.to_owned() };
    let map = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {A: b}\n";
    let texts = [document("a.yaml", &deployment("envFrom: [{configMapRef: {name: c}}]", "")), document("b.yaml", map)];
    let imported = kubernetes(&texts, Some(&"shop".parse().unwrap()));
    let manifest = imported.manifest.unwrap();
    assert!(manifest.contains("app: shop") && manifest.contains("A: b"), "{manifest}");
}

/// Imports `text` and checks what holds for every text.
fn survives(tally: &Tally, text: &str) {
    let imported = tally.measure(text.as_bytes(), || import_text(text));
    let errors = imported.notes.iter().filter(|note| note.kind == NoteKind::Error).count();
    assert_eq!(
        imported.manifest.is_none(),
        errors > 0,
        "a manifest or an error, and never both:\n{}",
        notes(&imported)
    );
    assert!(imported.notes.len() <= 5_300, "{}", imported.notes.len());
    for note in &imported.notes {
        let beginning: String = text.chars().take(4_000).collect();
        assert!(!note.what.contains("does not load"), "{beginning}\n{}", notes(&imported));
        assert!(note.place.end as usize <= text.len() && note.what.len() < 4_000, "{note:?}");
    }
}

#[test]
fn r36_damaged_objects_are_told_what_is_wrong() {
    let tally = Tally::start("damaged objects");
    let files: Vec<Vec<u8>> = fixtures("kubernetes").iter().map(|file| std::fs::read(file).unwrap()).collect();
    for seed in 0..u64::from(cases(3_000)) {
        let mut chance = Chance::new(seed);
        let file: &Vec<u8> = chance.one_of(&files);
        let damaged = damage(file, &mut chance);
        survives(&tally, &String::from_utf8_lossy(&damaged));
    }
}

/// `count` pieces in a row.
fn many(count: usize, piece: impl Fn(usize) -> String) -> String {
    (0..count).map(piece).collect()
}

/// Objects that are made to be slow or large.
fn hostile() -> Vec<(&'static str, String)> {
    let service = |name: &str, selector: &str| {
        format!(
            "---\n{{apiVersion: v1, kind: Service, metadata: {{name: {name}}}, spec: {{selector: {selector}, ports: [{{port: 80}}]}}}}\n"
        )
    };
    let labelled = |name: &str, container: &str, pod: &str| {
        format!(
            "---\n{{apiVersion: apps/v1, kind: Deployment, metadata: {{name: {name}}}, spec: {{template: {{metadata: {{labels: {{a: b}}}}, spec: {{containers: [{{image: a, {container}}}], {pod}}}}}}}}}\n"
        )
    };
    let map = |keys: &str| format!("---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: c}}\ndata: {{{keys}}}\n");
    let mega = "x".repeat(1 << 20);
    vec![
        ("aliases of aliases", "a: &a [x, x, x, x, x, x, x, x, x, x]\nb: &b [*a, *a, *a, *a, *a, *a, *a, *a, *a, *a]\nc: &c [*b, *b, *b, *b, *b, *b, *b, *b, *b, *b]\nd: &d [*c, *c, *c, *c, *c, *c, *c, *c, *c, *c]\ne: [*d, *d, *d, *d, *d, *d, *d, *d, *d, *d]\n".to_owned()),
        ("one map in many services", map(&many(1_000, |n| format!("k{n}: v, "))) + &many(2_000, |n| labelled(&format!("d{n}"), "envFrom: [{configMapRef: {name: c}}]", ""))),
        ("a long text in many services", map(&format!("k: {mega}")) + &many(2_000, |n| labelled(&format!("d{n}"), "envFrom: [{configMapRef: {name: c}}]", ""))),
        ("variables of variables", deployment(&format!("env: [{{name: a0, value: xxxxxxxxxx}}, {}]", many(60, |n| format!("{{name: a{}, value: \"$(a{n})$(a{n})$(a{n})$(a{n})\"}}, ", n + 1))), "")),
        ("variables that stay open", deployment(&format!("args: [\"{}\"]", "$(".repeat(1 << 19)), "")),
        ("every service selects every pod", many(3_000, |n| service(&format!("s{n}"), "{a: b}")) + &many(3_000, |n| labelled(&format!("d{n}"), "", ""))),
        ("services of one name", many(10_000, |_| "---\n{apiVersion: v1, kind: Pod, metadata: {name: x, generateName: y}, spec: {containers: [{image: a}]}}\n".to_owned())),
        ("services without a name", many(10_000, |_| "---\n{apiVersion: v1, kind: Pod, metadata: {}, spec: {containers: [{image: a}]}}\n".to_owned())),
        ("hooks of one image", many(2_000, |n| labelled(&format!("d{n}"), "", "")) + &many(2_000, |n| format!("---\n{{apiVersion: batch/v1, kind: Job, metadata: {{name: j{n}, annotations: {{helm.sh/hook: pre-install}}}}, spec: {{template: {{spec: {{containers: [{{image: a, command: [b]}}]}}}}}}}}\n"))),
        ("who waits in a chain", many(3_000, |n| service(&format!("s{n}"), &format!("{{n: \"{n}\"}}")) + &format!("---\n{{apiVersion: apps/v1, kind: Deployment, metadata: {{name: s{n}}}, spec: {{template: {{metadata: {{labels: {{n: \"{n}\"}}}}, spec: {{containers: [{{image: a}}], initContainers: [{{image: b, args: [\"wait s{} s{}\"]}}]}}}}}}}}\n", n + 1, (n * 7) % 3_000))),
        ("mounts", deployment(&format!("volumeMounts: [{}]", many(20_000, |n| format!("{{name: v{n}, mountPath: /v{n}}}, "))), &format!("volumes: [{}]", many(20_000, |n| format!("{{name: v{n}}}, "))))),
        ("unknown fields", deployment(&many(50_000, |n| format!("f{n}: v, ")), "")),
        ("unknown kinds", many(20_000, |n| format!("---\n{{apiVersion: x/v1, kind: K{n}}}\n"))),
        ("lists in lists", "{apiVersion: v1, kind: List, items: [".repeat(30) + &"]}".repeat(30)),
        ("a list of nothing", format!("{{apiVersion: v1, kind: List, items: [{}]}}", "a, ".repeat(50_000))),
        ("a name of a megabyte", format!("{{apiVersion: v1, kind: Pod, metadata: {{name: {mega}}}, spec: {{containers: [{{image: a}}]}}}}")),
        ("a kind of a megabyte", format!("{{apiVersion: v1, kind: {mega}, metadata: {{name: a}}}}")),
        ("a text of addresses", deployment(&format!("env: [{{name: A, value: \"{}\"}}]", "http://a.b.svc.cluster.local:80/".repeat(1 << 14)), "") + &service("a", "{a: b}")),
        ("replicas without end", deployment("", "").replace("spec: {template", "spec: {replicas: 4294967295, template")),
        ("odd names", labelled("\"a\\0\\u202e#: x\"", "env: [{name: \"A=B\", value: x}, {name: \"\\n#\", value: \"\\r\\0\"}]", "")),
        ("many documents", "---\na: 1\n".repeat(50_000)),
    ]
}

#[test]
fn r36_hostile_objects_are_bounded() {
    let tally = Tally::start("hostile objects");
    for (_, text) in hostile() {
        survives(&tally, &text);
    }
}
