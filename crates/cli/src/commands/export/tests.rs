use std::collections::BTreeMap;

use daybook_manifest::import::{Document, kubernetes};
use daybook_model::spec::Kind;
use serde_json::Value;

use super::*;

fn ctx(manifest: &Path) -> Ctx {
    let words = ["daybook".as_ref(), "--state".as_ref(), "/nowhere".as_ref(), "-f".as_ref(), manifest.as_os_str()];
    let words = words.into_iter().chain(["-q", "export", "kubernetes"].map(std::ffi::OsStr::new));
    Ctx::new(crate::args::read(words).unwrap().global).unwrap()
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/commands/export/fixtures").join(name)
}

fn shop() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/shop/daybook.yaml")
}

fn exported_of(manifest: &Path, version: &str) -> (String, Exported) {
    exported(&ctx(manifest), version.parse().unwrap()).unwrap()
}

fn text(manifest: &Path) -> String {
    let (head, exported) = exported_of(manifest, "1.34");
    stream(&head, &exported.objects)
}

#[test]
fn everything_that_a_manifest_may_say_becomes_an_object_or_a_note() {
    insta::assert_snapshot!(text(&fixture("everything.yaml")));
}

#[test]
fn what_kubernetes_cannot_do_is_said_all_at_once() {
    let error = exported(&ctx(&fixture("refused.yaml")), Version::default()).unwrap_err();
    insta::assert_snapshot!(format!("{}\n{}", error.diagnostics.join("\n"), error.message), @r"
    all-gpus: `gpus: all`: Kubernetes gives GPUs by number
    shares: `network_mode: service:all-gpus` has no counterpart in Kubernetes
    Kubernetes cannot do 2 things that the manifest asks for; nothing was written
    ");
}

#[test]
fn r31_no_value_of_a_secret_is_exported() {
    let (_, exported) = exported_of(&fixture("everything.yaml"), "1.34");
    let notes = serde_json::to_string(&exported.notes).unwrap();
    let all = format!("{}{notes}", text(&fixture("everything.yaml")));
    assert!(!all.contains("not-to-be-exported"), "{all}");
    assert!(!exported.objects.iter().any(|object| object.identity().0 == "Secret"));
    for key in
        ["TOKEN=<env.web.TOKEN>", "DATABASE_URL=postgres://shop:<db-password>@db:5432/shop", "file-0=<certificate>"]
    {
        assert!(notes.contains(key), "{notes}");
    }
}

/// What the schemas of a version say of a kind; no field but those that they know may be there.
struct Schemas(BTreeMap<(String, String), jsonschema::Validator>);

impl Schemas {
    fn validator(&mut self, version: Version, object: &Value) -> &jsonschema::Validator {
        let text = |key: &str| object[key].as_str().unwrap();
        let group = match text("apiVersion").split_once('/') {
            Some((group, version)) => format!("{}-{version}", group.split('.').next().unwrap()),
            None => text("apiVersion").to_owned(),
        };
        let file = format!("{}-{group}.json", text("kind").to_lowercase());
        self.0.entry((version.to_string(), file.clone())).or_insert_with(|| {
            let mut of_kind = schema(version, &file);
            of_kind["$defs"] = schema(version, "_definitions.json")["$defs"].take();
            jsonschema::validator_for(&of_kind).unwrap()
        })
    }
}

/// `scripts/setup` puts the schemas where the other tools are.
fn schema(version: Version, file: &str) -> Value {
    let cache =
        || std::env::var("XDG_CACHE_HOME").map_or_else(|_| std::env::home_dir().unwrap().join(".cache"), PathBuf::from);
    let tools = std::env::var("DAYBOOK_TOOLS").map_or_else(|_| cache().join("daybook/tools"), PathBuf::from);
    let directory = tools.join("kubernetes_validate/kubernetes-json-schema").join(format!("v{version}.0-local-strict"));
    let path = directory.join(file);
    let text = std::fs::read_to_string(&path);
    let text = text.unwrap_or_else(|error| panic!("{}: {error}: run scripts/setup", path.display()));
    serde_json::from_str(&text.replace("/api/_definitions.json#/", "#/")).unwrap()
}

#[test]
fn every_export_is_what_the_schemas_of_every_version_say() {
    let mut schemas = Schemas(BTreeMap::new());
    for version in Version::all() {
        for manifest in [fixture("everything.yaml"), shop()] {
            let (_, exported) = exported_of(&manifest, &version.to_string());
            for Object { value, .. } in &exported.objects {
                let errors = schemas.validator(version, value).iter_errors(value);
                let errors: Vec<_> = errors.map(|error| format!("{}: {error}", error.instance_path())).collect();
                assert!(errors.is_empty(), "{version}: {}: {errors:#?}", value["metadata"]["name"]);
            }
        }
        let mut wrong = exported_of(&shop(), &version.to_string()).1.objects.pop().unwrap().value;
        wrong["spec"]["template"]["spec"]["unheardOf"] = true.into();
        assert!(!schemas.validator(version, &wrong).is_valid(&wrong), "{version}: the schemas take anything");
    }
}

#[test]
fn what_a_version_has_behind_a_gate_is_not_written_for_it() {
    let waits = |version| {
        let (_, exported) = exported_of(&shop(), version);
        exported.objects.iter().any(|object| object.value.to_string().contains("preStop"))
    };
    assert!(!waits("1.29") && waits("1.30"));
    assert!("1.28".parse::<Version>().is_err() && "1.35".parse::<Version>().is_err());
}

#[test]
fn what_is_exported_can_be_imported_again() {
    let text = text(&shop()).replace("REGISTRY/shop/web:TAG", "registry.example.com/shop/web:1");
    let imported = kubernetes(&[Document { path: "shop.yaml".to_owned(), text }], None);
    let manifest = imported.manifest.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("daybook.yaml");
    std::fs::write(&path, manifest).unwrap();
    let spec = |path: &Path| manifest::load(&ctx(path).global, Aim::Look).unwrap().0;
    // A hook that mounts something is imported as a task: that of the shop does.
    let (tasks, services): (Vec<_>, Vec<_>) =
        spec(&path).services.into_values().partition(|service| matches!(service.kind, Kind::Task));
    let shop = spec(&shop());
    assert_eq!(tasks[0].container.command, shop.services.values().find_map(|service| service.release_hook.clone()));
    let shape = |service: Box<daybook_model::Service>| {
        let ports: Vec<_> = service.ports.iter().map(|port| port.container).collect();
        let hosts: Vec<_> = service.routes.iter().map(|domain| format!("{}{}", domain.host, domain.path)).collect();
        let resources = (service.container.resources.cpu_millis, service.container.resources.memory_bytes);
        (service.name, service.kind, service.scale, ports, hosts, service.container.command, resources)
    };
    let found: Vec<_> = services.into_iter().map(shape).collect();
    assert_eq!(found, shop.services.into_values().map(shape).collect::<Vec<_>>());
}

#[test]
fn a_directory_has_a_file_for_each_service_and_one_that_names_them() {
    let (head, exported) = exported_of(&shop(), "1.34");
    let directory = tempfile::tempdir().unwrap();
    let files = files(directory.path(), &head, &exported.objects);
    let names: Vec<_> = files.iter().map(|(path, _)| path.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(names, [KUSTOMIZATION, NAMESPACE, "report.yaml", "web.yaml", "worker.yaml"]);
    let kustomization = files[0].1.strip_prefix(&head).unwrap();
    insta::assert_snapshot!(kustomization, @r"
    ---
    apiVersion: kustomize.config.k8s.io/v1beta1
    kind: Kustomization
    resources:
      - namespace.yaml
      - report.yaml
      - web.yaml
      - worker.yaml
    ");
    assert_eq!(file_name("namespace"), "service-namespace.yaml");
    write(&files, false).unwrap();
    assert!(write(&files, false).unwrap_err().hint.unwrap().contains("--force"));
    write(&files, true).unwrap();
}

#[test]
fn a_comment_stays_a_comment() {
    assert_eq!(comment("a\nkind: Secret\u{85}"), "# a\\nkind: Secret\\u{85}\n");
    assert!(is_directory("k8s".as_ref()) && !is_directory("k8s/all.yaml".as_ref()));
}

#[test]
fn servers_are_the_documented_ones_with_an_image_of_ones_own() {
    let written = servers("registry.example.com/daybook@sha256:0", 5);
    let differ: Vec<_> = SERVER.lines().filter(|line| !written.lines().any(|other| other == *line)).collect();
    assert_eq!(differ.len(), 3, "{differ:?}");
    assert!(written.contains("\n  replicas: 5\n"), "{written}");
    assert!(written.contains("\n          image: registry.example.com/daybook@sha256:0\n"), "{written}");
}

#[test]
fn servers_may_do_what_is_documented_and_no_more() {
    let docs = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/kubernetes.md")).unwrap();
    let section = docs.split("\n## Permissions\n").nth(1).unwrap().split("\n## ").next().unwrap().to_owned();
    let rules = |text: &str| -> Vec<String> {
        let lines =
            text.lines().map(str::trim).filter(|line| line.starts_with("- {apiGroups: [") && !line.contains("leases"));
        lines.map(str::to_owned).collect()
    };
    let of_servers = SERVER.split("# The one Lease").next().unwrap();
    let roles = |text: &str| rules(text).into_iter().filter(|rule| rule.contains("verbs")).collect::<Vec<_>>();
    assert_eq!(roles(&section), roles(of_servers));
}
