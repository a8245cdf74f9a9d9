//! Pictures: what is drawn, where, and always the same.

#![allow(clippy::unwrap_used, reason = "a failure fails the test")]

mod common;

use common::{image, spec, worker};
use daybook_decide::diagram::{Graph, Kind, Mark, c4, d2, mermaid, svg};
use daybook_model::spec::{Domain, EnvValue, Mount, MountSource, Port, Protocol, Tls, Volume};
use daybook_model::{Service, Spec};

fn service(name: &str) -> Service {
    Service { name: name.parse().unwrap(), ..worker("1") }
}

fn listens(port: u16) -> Vec<Port> {
    vec![Port { container: port, protocol: Protocol::Detect, publish: None }]
}

fn shop() -> Spec {
    let mut web = service("web");
    web.ports = listens(8080);
    web.routes =
        vec![Domain { host: "shop.example.com".to_owned(), path: "/".to_owned(), port: 8080, tls: Tls::Internal }];
    for (name, value) in [
        ("DATABASE_URL", "postgres://app:canary-77@db:5432/app"),
        ("CACHE", "redis://:canary-77@cache:6379"),
        ("PAY", "https://user:canary-77@api.pay.example/v1"),
        ("API_TOKEN", "canary-77.example:443"),
    ] {
        web.container.environment.insert(name.to_owned(), EnvValue::Text(value.to_owned()));
    }
    let mut worker = service("worker");
    worker.ports.clear();
    worker.container.environment = web.container.environment.clone();
    let mut db = service("db");
    (db.artifact, db.ports) = (image("postgres:16"), listens(5432));
    db.container.mounts = vec![Mount {
        target: "/var/lib/postgresql/data".to_owned(),
        source: MountSource::Volume { name: "data".parse().unwrap(), subpath: None, nocopy: false },
        read_only: false,
    }];
    let mut cache = service("cache");
    (cache.artifact, cache.ports) = (image("redis:7"), listens(6379));
    let mut spec = spec([web, worker, db, cache]);
    spec.volumes.insert("data".parse().unwrap(), Volume::default());
    spec
}

/// `layers` rows of services, each of which asks two of the next.
fn large(layers: usize, each: usize) -> Spec {
    let name = |layer: usize, at: usize| format!("s{layer}-{at}");
    let all = (0..layers).flat_map(|layer| (0..each).map(move |at| (layer, at)));
    spec(all.map(|(layer, at)| {
        let mut one = service(&name(layer, at));
        one.ports = listens(80);
        if layer + 1 < layers {
            for (key, other) in [("A", at), ("B", (at * 7 + 3) % each)] {
                let url = format!("http://{}:80", name(layer + 1, other));
                one.container.environment.insert(key.to_owned(), EnvValue::Text(url));
            }
        }
        one
    }))
}

#[test]
fn what_is_asked_kept_and_reached_is_drawn() {
    let graph = Graph::of(&shop());
    let nodes: Vec<_> = graph.nodes.iter().map(|node| (node.name.as_str(), node.kind)).collect();
    assert_eq!(
        nodes,
        [
            ("users", Kind::Users),
            ("edge", Kind::Edge),
            ("web", Kind::Service),
            ("worker", Kind::Worker),
            ("cache", Kind::Database),
            ("db", Kind::Database),
            ("data", Kind::Volume),
            ("api.pay.example", Kind::External),
        ]
    );
    let flows: Vec<_> = graph.flows.iter().map(|flow| format!("{} → {} {}", flow.from, flow.to, flow.label)).collect();
    insta::assert_snapshot!(flows.join("\n"));
}

#[test]
fn r31_no_picture_shows_a_secret() {
    let graph = Graph::of(&shop());
    for picture in [svg(&graph, "as described"), mermaid(&graph), d2(&graph), c4(&graph)] {
        assert!(!picture.contains("canary"), "{picture}");
    }
}

#[test]
fn other_languages_say_the_same() {
    let mut graph = Graph::of(&shop());
    graph.mark_service("web", Mark::Changed);
    graph.mark_service("legacy", Mark::Removed);
    insta::assert_snapshot!([mermaid(&graph), d2(&graph), c4(&graph)].join("\n"));
}

/// `<rect class="box" x="…" y="…"` of a picture; cylinders and hexagons are paths and have no rectangle.
fn boxes(picture: &str) -> Vec<(f64, f64)> {
    let number = |text: &str, key: &str| {
        let rest = text.split(&format!("{key}=\"")).nth(1)?;
        rest.split('"').next()?.parse::<f64>().ok()
    };
    let rows = picture.split("<rect class=\"box\"").skip(1);
    rows.filter_map(|row| Some((number(row, " x")?, number(row, " y")?))).collect()
}

#[test]
fn pictures_are_the_same_each_time_and_nothing_covers_anything() {
    for spec in [shop(), large(5, 12), large(2, 30), large(12, 5)] {
        let graph = Graph::of(&spec);
        let picture = svg(&graph, "as described");
        assert_eq!(picture, svg(&Graph::of(&spec), "as described"));
        let boxes = boxes(&picture);
        for (at, a) in boxes.iter().enumerate() {
            for b in &boxes[at + 1..] {
                let apart = (a.0 - b.0).abs() >= 176.0 || (a.1 - b.1).abs() >= 66.0;
                assert!(apart, "boxes at {a:?} and {b:?} cover each other");
            }
        }
        let height: f64 = picture.split("height=\"").nth(1).unwrap().split('"').next().unwrap().parse().unwrap();
        assert!(height < 1_600.0, "{height} is higher than a page");
    }
}

#[test]
fn circles_are_drawn_too() {
    let mut all = Vec::new();
    for (name, other) in [("a", "b"), ("b", "c"), ("c", "a"), ("d", "d")] {
        let mut one = service(name);
        one.ports = listens(80);
        one.container.environment.insert("URL".to_owned(), EnvValue::Text(format!("http://{other}:80")));
        all.push(one);
    }
    let graph = Graph::of(&spec(all));
    assert_eq!(graph.flows.len(), 3, "what asks itself is no flow");
    assert!(svg(&graph, "as described").contains("</svg>"));
}
