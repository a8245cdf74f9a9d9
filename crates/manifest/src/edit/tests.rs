use daybook_model::policy::{Edit, KeyPath};

use super::{Texts, edit};
use crate::bundle::Bundle;
use crate::load::Options;

const MANIFEST: &str = "\
# The shop.
services:
  web:
    image: nginx   # pinned elsewhere
    ports:
      - \"8080:80\"   # the site
      - target: 9000
        published: 9000
    environment:
      - A=1
      - B=2
      - A=3
    cap_add: [NET_ADMIN, SYS_TIME]

  worker:
    from: web
    privileged: true
    volumes: [/var/run/docker.sock:/var/run/docker.sock]
  db: {image: \"postgres:16\", pid: host}
environments:
  production:
    services:
      web: {user: root}
";

fn bundle(text: &str) -> Bundle {
    Bundle {
        entries: vec!["/a/daybook.yaml".to_owned()],
        root: "/a".to_owned(),
        files: [("/a/daybook.yaml".to_owned(), text.to_owned())].into(),
        ..Bundle::default()
    }
}

fn options() -> Options {
    Options::new("production".parse().unwrap())
}

fn at(keys: &[&str]) -> KeyPath {
    KeyPath::root(keys)
}

/// The lines that go and come, as a diff without context.
fn changed(edits: &[Edit]) -> String {
    let edited = edit(&bundle(MANIFEST), &options(), edits);
    assert_eq!(edited.refused, []);
    let Some(after) = edited.files.get("/a/daybook.yaml") else { return String::new() };
    let (before, after): (Vec<_>, Vec<_>) = (MANIFEST.lines().collect(), after.lines().collect());
    let gone = before.iter().filter(|line| !after.contains(line)).map(|line| format!("-{line}\n"));
    let came = after.iter().filter(|line| !before.contains(line)).map(|line| format!("+{line}\n"));
    gone.chain(came).collect()
}

#[test]
fn values_change_where_they_stand_and_are_added_where_they_do_not() {
    let set = |keys: &[&str], value: &str| changed(&[Edit::Set { paths: vec![at(keys)], value: value.to_owned() }]);
    assert_eq!(
        set(&["services", "web", "image"], "nginx:1.27"),
        "\
-    image: nginx   # pinned elsewhere
+    image: nginx:1.27   # pinned elsewhere
"
    );
    assert_eq!(
        set(&["services", "web", "user"], "\"65532\""),
        "\
-      web: {user: root}
+      web: {user: \"65532\"}
",
        "what the environment says for itself counts"
    );
    assert_eq!(set(&["services", "web", "mem_limit"], "512m"), "+    mem_limit: 512m\n");
    assert_eq!(
        set(&["services", "db", "mem_limit"], "512m"),
        "\
-  db: {image: \"postgres:16\", pid: host}
+  db: {image: \"postgres:16\", pid: host, mem_limit: 512m}
"
    );
    assert_eq!(set(&["services", "worker", "rollout", "order"], "start-first"), "+    rollout: {order: start-first}\n");
    let either = vec![at(&["services", "web", "deploy", "replicas"]), at(&["services", "web", "scale"])];
    assert_eq!(changed(&[Edit::Set { paths: either, value: "2".to_owned() }]), "+    scale: 2\n");
    let cpus = Edit::Set { paths: vec![at(&["services", "web", "environment", "B"])], value: "4".to_owned() };
    assert_eq!(changed(&[cpus]), "-      - B=2\n+      - B=4\n");
}

#[test]
fn lists_grow() {
    let append = |keys: &[&str], value: &str| changed(&[Edit::Append { path: at(keys), value: value.to_owned() }]);
    assert_eq!(
        append(&["services", "web", "cap_add"], "BPF"),
        "\
-    cap_add: [NET_ADMIN, SYS_TIME]
+    cap_add: [NET_ADMIN, SYS_TIME, BPF]
"
    );
    assert_eq!(append(&["services", "web", "environment"], "C=4"), "+      - C=4\n");
    assert_eq!(append(&["services", "web", "cap_drop"], "NET_RAW"), "+    cap_drop: [NET_RAW]\n");
    assert_eq!(append(&["services", "web", "cap_add"], "SYS_TIME"), "", "it is there");
}

#[test]
fn what_goes_takes_its_line_or_its_comma_along() {
    let remove = |path: KeyPath| changed(&[Edit::Remove { path }]);
    assert_eq!(remove(at(&["services", "worker", "privileged"])), "-    privileged: true\n");
    assert_eq!(
        remove(at(&["services", "db", "pid"])),
        "\
-  db: {image: \"postgres:16\", pid: host}
+  db: {image: \"postgres:16\"}
"
    );
    assert_eq!(
        remove(at(&["services", "web", "cap_add"]).holding("NET_ADMIN")),
        "\
-    cap_add: [NET_ADMIN, SYS_TIME]
+    cap_add: [SYS_TIME]
"
    );
    assert_eq!(
        remove(at(&["services", "worker", "volumes"]).holding("/var/run/docker.sock")),
        "-    volumes: [/var/run/docker.sock:/var/run/docker.sock]\n",
        "nothing is left of the list"
    );
    assert_eq!(changed(&[Edit::KeepLast { path: at(&["services", "web", "environment", "A"]) }]), "-      - A=1\n");
}

#[test]
fn ports_are_bound_in_either_form() {
    let bind = |container: u16| {
        changed(&[Edit::Bind { path: at(&["services", "web", "ports"]), container, address: "127.0.0.1".to_owned() }])
    };
    assert_eq!(
        bind(80),
        "\
-      - \"8080:80\"   # the site
+      - \"127.0.0.1:8080:80\"   # the site
"
    );
    assert_eq!(bind(9000), "+        host_ip: 127.0.0.1\n");
    for (written, bound) in [
        ("\"80\"", "\"127.0.0.1::80\""),
        ("\"0.0.0.0:8080:80/tcp\"", "\"127.0.0.1:8080:80/tcp\""),
        ("\"[::]:8080:80\"", "\"127.0.0.1:8080:80\""),
        ("\"${PORT:-8080}:80\"", "\"127.0.0.1:${PORT:-8080}:80\""),
        ("\"8079-8081:79-81\"", "\"127.0.0.1:8079-8081:79-81\""),
    ] {
        let text = format!("services:\n  web:\n    ports: [{written}]\n");
        let edits =
            [Edit::Bind { path: at(&["services", "web", "ports"]), container: 80, address: "127.0.0.1".to_owned() }];
        let edited = edit(&bundle(&text), &options(), &edits);
        assert_eq!(edited.files["/a/daybook.yaml"], text.replace(written, bound));
    }
}

#[test]
fn what_cannot_be_edited_is_said() {
    let refused = |edit_: Edit| {
        let edited = edit(&bundle(MANIFEST), &options(), &[edit_]);
        assert!(edited.files.is_empty());
        edited.refused.into_iter().map(|(_, why)| why).next().unwrap_or_default()
    };
    let gone = refused(Edit::Remove { path: at(&["services", "nobody", "pid"]) });
    assert_eq!(gone, "services.nobody.pid is not written in the manifest's own files");
    let list = refused(Edit::Set { paths: vec![at(&["services", "web", "ports"])], value: "1".to_owned() });
    assert!(list.contains("more than one value"), "{list}");
}

#[test]
fn places_are_the_nearest_thing_that_is_there() {
    let bundle = bundle(MANIFEST);
    let texts = Texts::of(&bundle, &options());
    let line = |path: KeyPath| texts.place(&path).map(|place| place.line);
    assert_eq!(line(at(&["services", "web", "image"])), Some(4));
    assert_eq!(line(at(&["services", "web", "mem_limit"])), Some(3), "the service");
    assert_eq!(line(at(&["services", "web", "user"])), Some(23), "the environment's own");
    assert_eq!(line(at(&["services", "worker", "image"])), Some(4), "what it is made from");
    assert_eq!(line(at(&["services", "web", "ports"]).holding("9000")), Some(7));
    assert_eq!(line(at(&["services", "web", "environment", "A"])), Some(12), "the last counts");
    assert_eq!(line(at(&["budget", "at"])), None);
}

#[test]
fn edits_see_what_those_before_them_made() {
    let set = |key: &str| Edit::Set { paths: vec![at(&["services", "web", key])], value: "1".to_owned() };
    assert_eq!(changed(&[set("cpus"), set("pids_limit")]), "+    cpus: 1\n+    pids_limit: 1\n");
    let both =
        ["NET_ADMIN", "SYS_TIME"].map(|name| Edit::Remove { path: at(&["services", "web", "cap_add"]).holding(name) });
    assert_eq!(changed(&both), "-    cap_add: [NET_ADMIN, SYS_TIME]\n");
}
