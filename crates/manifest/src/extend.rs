//! `extends` and `from`: a service that begins as another.

use std::collections::HashMap;
use std::rc::Rc;

use crate::context::{Context, Problem, Variables, directory};
use crate::document::documents;
use crate::merge::merge;
use crate::tree::{Map, Node, Span, Value};

/// What `from` does not copy: how the other service is reached, checked, scaled and rolled out. What
/// remains is what it runs.
const NOT_COPIED: [&str; 14] = [
    "port",
    "ports",
    "expose",
    "domain",
    "healthcheck",
    "release",
    "scale",
    "rollout",
    "metrics",
    "slo",
    "schedule",
    "timezone",
    "container_name",
    "profiles",
];

/// Replaces every service of `whole` that begins as another by the two together.
pub(crate) fn resolve(ctx: &Context<'_>, whole: &mut Node, variables: &Rc<Variables>) {
    let Value::Map(map) = &mut whole.value else { return };
    let Some(Value::Map(services)) = map.get_mut("services").map(|node| &mut node.value) else { return };
    if !services.iter().any(|entry| entry.value.get("extends").is_some() || entry.value.get("from").is_some()) {
        return;
    }
    let names: Vec<String> = services.iter().map(|entry| entry.key.to_string()).collect();
    let mut resolver = Resolver { ctx, variables, files: HashMap::new(), done: HashMap::new() };
    for name in names {
        let mut stack = Vec::new();
        if let Some(node) = resolver.service(services, "", &name, &mut stack)
            && let Some(place) = services.get_mut(&name)
        {
            *place = node;
        }
    }
}

/// How many services may each begin as the next.
const MAX_CHAIN: usize = 50;

struct Resolver<'c, 'a> {
    ctx: &'c Context<'a>,
    variables: &'c Rc<Variables>,
    files: HashMap<String, Option<Rc<Map>>>,
    done: HashMap<(String, String), Node>,
}

impl Resolver<'_, '_> {
    /// The service `name` of the file `path` (empty: the manifest itself) with what it extends.
    fn service(&mut self, services: &Map, path: &str, name: &str, stack: &mut Vec<(String, String)>) -> Option<Node> {
        let id = (path.to_owned(), name.to_owned());
        if let Some(node) = self.done.get(&id) {
            return Some(node.clone());
        }
        let mut node = services.get(name)?.clone();
        if !self.ctx.afford(node.span, node.size()) {
            return None;
        }
        if stack.len() >= MAX_CHAIN {
            let message = "services extend each other more than a manifest could need";
            self.ctx.report(Problem::new("M0106", node.span, message));
            return None;
        }
        stack.push(id.clone());
        for key in ["from", "extends"] {
            let Some(asked) = node.get(key).cloned() else { continue };
            let base = self.base(services, path, &asked, stack);
            if let Value::Map(map) = &mut node.value {
                map.remove(key);
            }
            if let Some(mut base) = base {
                if !self.ctx.afford(node.span, base.size()) {
                    return None;
                }
                if key == "from" {
                    strip(&mut base);
                }
                let span = node.span;
                node = Node { span, ..merge(base, node) };
            }
        }
        stack.pop();
        self.done.insert(id, node.clone());
        Some(node)
    }

    fn base(&mut self, services: &Map, path: &str, asked: &Node, stack: &mut Vec<(String, String)>) -> Option<Node> {
        let name = asked.get("service").unwrap_or(asked);
        let text = name.scalar()?.to_owned();
        let file = asked.get("file").and_then(|file| Some((self.ctx.resolve(file.span, file.scalar()?), file.span)));
        let target = file.as_ref().map_or_else(|| path.to_owned(), |(path, _)| path.clone());
        let id = (target.clone(), text.clone());
        if let Some(at) = stack.iter().position(|known| *known == id) {
            let circle: Vec<&str> = stack[at..].iter().chain([&id]).map(|(_, name)| name.as_str()).collect();
            let problem = Problem::new("M0202", name.span, format!("`{text}` extends itself"));
            self.ctx.report(problem.label(format!("closes the circle {}", circle.join(" → "))));
            return None;
        }
        let Some((file, span)) = file else {
            self.known(services, &text, name.span)?;
            return self.service(services, path, &text, stack);
        };
        let others = self.file(&file, span)?;
        self.known(&others, &text, name.span)?;
        self.service(&others, &file, &text, stack)
    }

    /// The services of another file, read once.
    fn file(&mut self, path: &str, asked: Span) -> Option<Rc<Map>> {
        if let Some(known) = self.files.get(path) {
            return known.clone();
        }
        let read = documents(self.ctx, path, directory(path), self.variables, Some(asked));
        let whole = read.and_then(|documents| documents.into_iter().reduce(merge));
        let services = whole.and_then(|whole| whole.get("services").and_then(Node::map).cloned()).map(Rc::new);
        self.files.insert(path.to_owned(), services.clone());
        services
    }

    fn known(&self, services: &Map, name: &str, span: Span) -> Option<()> {
        if services.get(name).is_some() {
            return Some(());
        }
        let problem = Problem::new("M0201", span, format!("there is no service `{name}` to begin from"));
        let near = self.ctx.nearest(name, services.iter().map(|entry| entry.key.as_str()));
        let label = near.map_or_else(|| "unknown service".to_owned(), |near| format!("did you mean `{near}`?"));
        self.ctx.report(problem.label(label));
        None
    }
}

fn strip(base: &mut Node) {
    let Value::Map(map) = &mut base.value else { return };
    for key in NOT_COPIED {
        map.remove(key);
    }
}
