//! Every check with a manifest that it finds something in and one that it does not, and every fix.

use std::collections::BTreeSet;

use daybook_decide::policy::CHECKS;
use daybook_manifest::{Bundle, Options, edit};
use daybook_model::policy::{Edit, Fate};

use super::*;

/// A check, a manifest that it finds something in, and one that says the same in a way that is well.
const FIXTURES: &[(&str, &str, &str)] = &[
    ("DB001", "web: {image: a, privileged: true}", "web: {image: a, cap_add: [CHOWN]}"),
    (
        "DB002",
        "web: {image: a, volumes: [/var/run/docker.sock:/var/run/docker.sock:ro]}",
        "web: {image: a, volumes: [./sock:/sock]}",
    ),
    ("DB003", "web: {image: a, pid: host}", "web: {image: a, pid: \"service:db\"}\n  db: {image: b}"),
    ("DB004", "web: {image: a, ipc: host}", "web: {image: a, ipc: shareable}"),
    ("DB005", "web: {image: a, network_mode: host}", "web: {image: a, network_mode: none}"),
    (
        "DB006",
        "web: {image: a, volumes: ['/etc:/host']}",
        "web: {image: a, volumes: ['/etc/localtime:/etc/localtime:ro', ./data:/data]}",
    ),
    ("DB007", "web: {image: a, user: root}", "web: {image: a, user: '1000:1000'}"),
    ("DB008", "web: {image: a}", "web: {image: a, security_opt: ['no-new-privileges:true']}"),
    ("DB009", "web: {image: a, cap_add: [SYS_ADMIN]}", "web: {image: a, cap_add: [CHOWN], cap_drop: [NET_RAW]}"),
    ("DB010", "web: {image: a}", "web: {image: a, read_only: true}"),
    (
        "DB011",
        "web: {image: a, security_opt: ['seccomp:unconfined']}",
        "web: {image: a, security_opt: ['seccomp=profile.json']}",
    ),
    (
        "DB012",
        "web: {image: a, environment: {DB_PASSWORD: swordfish}}",
        "web: {image: a, environment: {DB_PASSWORD: '${secret.db}'}}",
    ),
    (
        "DB013",
        "web: {image: a, configs: [app]}\nconfigs:\n  app: {content: 'password = swordfish'}",
        "web: {image: a, configs: [app]}\nconfigs:\n  app: {content: 'password_file = /run/secrets/db'}",
    ),
    ("DB014", "web: {build: {context: ., args: {API_TOKEN: abc}}}", "web: {build: {context: ., args: {VERSION: '1'}}}"),
    (
        "DB015",
        "web: {image: a, environment: {CERT: '-----BEGIN RSA PRIVATE KEY----- x'}}",
        "web: {image: a, environment: {CERT: '-----BEGIN CERTIFICATE----- x'}}",
    ),
    ("DB016", "web: {image: a, environment: {ID: AKIAABCDEFGHIJKLMNOP}}", "web: {image: a, environment: {ID: AKIA}}"),
    ("DB017", "web: {image: 'nginx:latest'}", "web: {image: 'nginx:1.27'}"),
    (
        "DB018",
        "web: {image: 'nginx:1.27'}",
        "web: {image: 'nginx@sha256:0000000000000000000000000000000000000000000000000000000000000000'}",
    ),
    ("DB019", "web: {image: a}", "web: {image: a, deploy: {resources: {limits: {memory: 64m}}}}"),
    ("DB020", "web: {image: a}", "web: {image: a, cpus: 0.5}"),
    ("DB021", "web: {image: a}", "web: {image: a, pids_limit: 100}"),
    ("DB022", "web: {image: a, expose: [80]}", "web: {image: a, expose: [80], healthcheck: /healthz}"),
    ("DB023", "web: {image: a}", "web: {image: a, healthcheck: {test: [CMD, ok]}}"),
    (
        "DB024",
        "web: {image: a, expose: [80], healthcheck: {path: /, port: 9000}}",
        "web: {image: a, expose: [80], healthcheck: {path: /, port: 80}}",
    ),
    (
        "DB025",
        "web: {image: a, expose: [80], domain: {host: a.test, port: 81}}",
        "web: {image: a, expose: [80], domain: {host: a.test, port: 80}}",
    ),
    ("DB026", "web: {image: a, environment: [A=1, B=2, A=3]}", "web: {image: a, environment: [A=1, B=2]}"),
    ("DB027", "web: {image: a, expose: [80]}", "web: {image: a, expose: [80], scale: 2}"),
    (
        "DB028",
        "web: {image: a, expose: [80], deploy: {update_config: {order: stop-first}}}",
        "web: {image: a, expose: [80], deploy: {update_config: {order: start-first}}}",
    ),
    ("DB029", "web: {image: a, network_mode: bridge}", "web: {image: a}"),
    (
        "DB030",
        "web: {image: a, volumes: ['/home/ada/.kube:/kube:ro']}",
        "web: {image: a, volumes: ['/home/ada/kubes:/kube:ro']}",
    ),
    (
        "DB031",
        "web: {image: a, configs: [app]}\nconfigs:\n  app: {content: \"kind: ClusterRoleBinding\\nroleRef: {name: cluster-admin}\"}",
        "web: {image: a, configs: [app]}\nconfigs:\n  app: {content: \"kind: ClusterRoleBinding\\nroleRef: {name: view}\"}",
    ),
    ("DB032", "web: {image: a, ports: ['22:22']}", "web: {image: a, ports: ['127.0.0.1:22:22']}"),
    ("DB033", "web: {image: a, ports: ['8080:80']}", "web: {image: a, ports: ['127.0.0.1:8080:80']}"),
    (
        "DB034",
        "web: {image: a, expose: [80], domain: {host: shop.example.com, tls: off}}",
        "web: {image: a, expose: [80], domain: shop.example.com}",
    ),
    (
        "DB035",
        "db: {image: 'postgres:16', ports: ['5432:5432']}",
        "db: {image: 'postgres:16', ports: ['127.0.0.1:5432:5432']}",
    ),
    (
        "DB036",
        "db: {image: a, volumes: ['data:/data']}\nvolumes:\n  data: {}",
        "db: {image: a, volumes: ['data:/data']}\nvolumes:\n  data: {labels: {encryption: luks}}",
    ),
    (
        "DB037",
        "web: {image: a, command: [mc, anonymous, set, public, s/b]}",
        "web: {image: a, command: [mc, anonymous, list, s/b]}",
    ),
    (
        "DB038",
        "db: {image: 'mysql:8', volumes: ['data:/data']}\nvolumes:\n  data: {}",
        "db: {image: 'mysql:8', volumes: ['data:/data'], labels: {backup: nightly}}\nvolumes:\n  data: {}",
    ),
    (
        "DB039",
        "web: {image: a, configs: [app]}\nconfigs:\n  app: {content: '{\"Effect\": \"Allow\", \"Action\": \"*\", \"Resource\": \"*\"}'}",
        "web: {image: a, configs: [app]}\nconfigs:\n  app: {content: '{\"Effect\": \"Allow\", \"Action\": \"s3:Get*\", \"Resource\": \"arn:x\"}'}",
    ),
    ("DB040", "web: {image: a, ports: ['2375:2375']}", "web: {image: a, ports: ['127.0.0.1:2375:2375']}"),
];

fn bundle(text: &str) -> Bundle {
    let name = "/a/daybook.yaml".to_owned();
    Bundle {
        entries: vec![name.clone()],
        root: "/a".to_owned(),
        files: [(name, text.to_owned())].into(),
        present: ["/a".to_owned(), "/a/sock".to_owned(), "/a/data".to_owned()].into(),
        ..Bundle::default()
    }
}

fn judge_text(text: &str) -> Judged {
    judge_with(text, None)
}

fn judge_with(text: &str, zone: Option<&LandingZone>) -> Judged {
    let (bundle, options) = (bundle(text), Options::new("production".parse().unwrap()));
    let loaded = daybook_manifest::load(&bundle, &options);
    judged(&loaded, bundle, &options, "docker", zone).unwrap_or_else(|error| panic!("{error:?}\n{text}"))
}

fn found(judged: &Judged, check: &str) -> bool {
    judged.report.findings.iter().any(|finding| finding.check == check)
}

fn manifest_of(services: &str) -> String {
    format!("app: shop\nservices:\n  {services}\n")
}

#[test]
fn every_check_finds_what_it_should_and_nothing_else() {
    let named: BTreeSet<_> = FIXTURES.iter().map(|(check, ..)| *check).collect();
    let all: BTreeSet<_> = CHECKS.iter().map(|check| check.id).collect();
    assert_eq!(named, all);
    for (check, bad, good) in FIXTURES {
        assert!(found(&judge_text(&manifest_of(bad)), check), "{check} does not find {bad}");
        assert!(!found(&judge_text(&manifest_of(good)), check), "{check} finds {good}");
    }
}

#[test]
fn every_fix_makes_its_check_pass() {
    let mut mended = 0;
    for (check, bad, _) in FIXTURES {
        let text = manifest_of(bad);
        let judged = judge_text(&text);
        let findings = judged.report.findings.iter().filter(|finding| finding.check == *check);
        let edits: Vec<Edit> = findings.flat_map(|finding| finding.fix.clone()).collect();
        if edits.is_empty() {
            continue;
        }
        let edited = edit(&judged.bundle, &Options::new("production".parse().unwrap()), &edits);
        assert_eq!(edited.refused, [], "{check}");
        let after = &edited.files["/a/daybook.yaml"];
        assert!(!found(&judge_text(after), check), "{check} still finds something in\n{after}");
        mended += 1;
    }
    assert!(mended >= 20, "{mended} checks can be mended");
}

#[test]
fn every_finding_has_a_place_in_the_manifest() {
    for (check, bad, _) in FIXTURES {
        let judged = judge_text(&manifest_of(bad));
        for finding in &judged.report.findings {
            assert!(judged.place(finding).is_some(), "{check}: {} has no place", finding.path);
        }
    }
}

#[test]
fn r31_no_finding_shows_a_secret() {
    let texts = [
        "web: {image: a, environment: {DB_PASSWORD: canary-1, URL: 'redis://:canary-1@db/0'}}",
        "web: {build: {context: ., args: {API_TOKEN: canary-1}}, labels: {x: '-----BEGIN PRIVATE KEY----- canary-1'}}",
        "web: {image: a, environment: [TOKEN=canary-1, TOKEN=canary-1], configs: [app]}\nconfigs:\n  app: {content: 'password = canary-1'}",
    ];
    for text in texts {
        let judged = judge_text(&manifest_of(text));
        assert!(!judged.report.findings.is_empty());
        let whole = [
            judged.text(),
            serde_json::to_string(&judged.machine()).unwrap(),
            sarif::render(&judged),
            html::render(&judged, Timestamp::UNIX_EPOCH),
        ];
        assert!(whole.iter().all(|text| !text.contains("canary-1")), "{text}");
    }
}

const POLICY: &str = "\
app: shop
services:
  web: {image: nginx}
  db: {image: 'postgres:16'}
policy:
  deny: [latest-tag, DB019]
  waive:
    - {check: no-memory-limit, service: db, reason: measured next week, until: 9999-01-01}
    - {check: latest-tag, reason: it was so before, until: 2020-01-01}
";

#[test]
fn what_is_denied_refuses_and_what_is_waived_does_not() {
    let judged = judge_text(POLICY);
    let denied: Vec<_> =
        judged.report.denied().map(|one| (one.check.as_str(), one.service.as_ref().unwrap().as_str())).collect();
    assert_eq!(denied, [("DB017", "web"), ("DB019", "web")]);
    let waived: Vec<_> =
        judged.report.waived().map(|one| (one.check.as_str(), one.service.as_ref().unwrap().as_str())).collect();
    assert_eq!(waived, [("DB019", "db")]);
    assert_eq!(judged.report.remarks.len(), 1, "the waiver that is over is said");
    assert!(judged.report.remarks[0].message.contains("over since 2020-01-01"));
    assert_eq!(judged.report.remarks[0].line, 9);
}

#[test]
fn a_severity_denies_that_and_worse() {
    let judged =
        judge_text("app: shop\nservices:\n  web: {image: nginx, privileged: true}\npolicy: {deny: [critical]}\n");
    let denied: BTreeSet<_> = judged.report.denied().map(|one| one.check.as_str()).collect();
    assert_eq!(denied, BTreeSet::from(["DB001"]));
}

#[test]
fn words_that_mean_nothing_are_refused_with_what_was_meant() {
    let text = "app: shop\nservices:\n  web: {image: nginx}\npolicy: {deny: [latest-tags]}\n";
    let (bundle, options) = (bundle(text), Options::new("production".parse().unwrap()));
    let loaded = daybook_manifest::load(&bundle, &options);
    let error = judged(&loaded, bundle, &options, "docker", None).err().unwrap();
    assert_eq!(error.message, "manifest line 4: there is no check `latest-tags`: did you mean `latest-tag`?");
}

fn zone(text: &str) -> LandingZone {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("zone.yaml");
    std::fs::write(&path, text).unwrap();
    let (zone, diagnostics, _) = LandingZone::read(&path);
    zone.unwrap_or_else(|| panic!("{diagnostics:?}"))
}

const ZONE: &str = "\
name: acme
deny: [privileged]
registries: [registry.acme.test, docker.io/library]
targets: [docker]
regions: [hetzner/*]
most: {memory: 1Gi, replicas: 3}
labels: [team]
backups: true
";

#[test]
fn guard_rails_hold_for_all_apps() {
    let text = "\
app: shop
target: process
services:
  web: {image: ghcr.io/them/web, mem_limit: 4g, scale: 5}
  db: {image: 'postgres:16', mem_limit: 512m, labels: {team: data}, volumes: ['data:/data']}
volumes: {data: {}}
environments:
  production: {protected: true}
policy:
  waive: [{check: registry, reason: they are fine, until: 9999-01-01}]
";
    let judged = judge_with(text, Some(&zone(ZONE)));
    let rails = judged.report.denied().filter(|finding| finding.check.starts_with("LZ"));
    let shown: Vec<_> = rails.map(|finding| format!("{} {}", finding.check, finding.message)).collect();
    assert_eq!(
        shown,
        [
            "LZ001 the image ghcr.io/them/web of `web` is from none of registry.acme.test, docker.io/library",
            "LZ002 the target process is none of docker",
            "LZ003 nothing says which region this is: one of hetzner/*",
            "LZ006 nothing says that the volume data is backed up",
            "LZ004 `web` asks for 4096 MiB of memory, of which 1024 MiB are allowed",
            "LZ004 `web` asks for 5 replicas, of which 3 are allowed",
            "LZ005 `web` has no label team",
        ],
        "an app's waiver lifts nothing of them"
    );
    assert!(
        judged.report.denied().all(|one| one.fate == Fate::Denied { by: daybook_model::policy::Author::Organisation })
    );
}

#[test]
fn a_landing_zone_may_waive_what_it_denies() {
    let zone =
        zone("deny: [latest-tag]\nwaive: [{check: latest-tag, service: web, reason: agreed, until: 9999-01-01}]\n");
    let judged = judge_with("app: shop\nservices:\n  web: {image: nginx}\n  api: {image: nginx}\n", Some(&zone));
    let denied: Vec<_> = judged.report.denied().map(|one| one.service.as_ref().unwrap().as_str()).collect();
    assert_eq!(denied, ["api"]);
}

#[test]
fn the_text_is_for_people() {
    insta::assert_snapshot!(crate::output::style::plain(&judge_text(POLICY).text()));
}

#[test]
fn controls_say_what_is_open() {
    let judged = judge_text(POLICY);
    let text: String = standings(&judged.report, Framework::Iso27001).iter().map(standing_line).collect();
    insta::assert_snapshot!(crate::output::style::plain(&text));
}
