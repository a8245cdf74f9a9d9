//! All files of a manifest as one tree: included, merged, extended, with its environment chosen.

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::bundle::ReadError;
use crate::context::{Context, Problem, Variables, directory, join};
use crate::interpolate::{expand_text, interpolate};
use crate::merge::{merge, settle};
use crate::tree::{Entry, Map, Node, Span, Value};
use crate::{dotenv, extend, yaml};

/// How many files one manifest may read as YAML.
const MAX_FILES: usize = 200;
/// Mappings that an included file adds to.
const SECTIONS: [&str; 6] = ["services", "volumes", "networks", "secrets", "configs", "databases"];

/// The manifest as one tree. `None` when a file could not be read at all.
pub(crate) fn assemble(ctx: &Context<'_>, entries: &[String], root: &str, environment: Option<&str>) -> Option<Node> {
    if entries.is_empty() {
        let span = Span { file: ctx.add_source(root, "", root, Rc::default()), ..Span::default() };
        ctx.report(Problem::new("M0117", span, "no manifest is given").always());
        return None;
    }
    let variables = Rc::new(Variables { own: dotenv_file(ctx, &join(root, ".env"), None), parent: None });
    let mut whole: Option<Node> = None;
    for entry in entries {
        let node = read(ctx, entry, root, &variables, &mut Vec::new(), None)?;
        whole = Some(match whole {
            Some(base) => merge(base, node),
            None => node,
        });
    }
    let mut whole = whole?;
    settle(&mut whole);
    if let Some(environment) = environment {
        choose(&mut whole, environment);
        settle(&mut whole);
    }
    extend::resolve(ctx, &mut whole, &variables);
    settle(&mut whole);
    Some(whole)
}

/// Reads one file and what it includes. `stack` holds the files that led here.
fn read(
    ctx: &Context<'_>,
    path: &str,
    base: &str,
    variables: &Rc<Variables>,
    stack: &mut Vec<String>,
    asked: Option<Span>,
) -> Option<Node> {
    let documents = documents(ctx, path, base, variables, asked)?;
    let mut whole: Option<Node> = None;
    stack.push(path.to_owned());
    for mut document in documents {
        include(ctx, &mut document, variables, stack);
        whole = Some(match whole {
            Some(base) => merge(base, document),
            None => document,
        });
    }
    stack.pop();
    whole
}

/// The documents of a file, with their variables replaced; each is a mapping. `asked` is where the
/// file was asked for.
pub(crate) fn documents(
    ctx: &Context<'_>,
    path: &str,
    base: &str,
    variables: &Rc<Variables>,
    asked: Option<Span>,
) -> Option<Vec<Node>> {
    let text = match ctx.read(asked.unwrap_or_default(), path) {
        Ok(text) => text,
        Err(ReadError::TooMuch) => return None,
        Err(error) => {
            let span = asked.unwrap_or_else(|| Span {
                file: ctx.add_source(path, "", base, Rc::clone(variables)),
                ..Span::default()
            });
            let code = if error == ReadError::Missing { "M0401" } else { "M0402" };
            let problem = Problem::new(code, span, format!("cannot read {path}: {error}"));
            if asked.is_some() {
                ctx.mark_incomplete();
                ctx.report(problem.label("asked for here").help("what it declares is left out"));
            } else {
                ctx.report(problem.always());
            }
            return None;
        }
    };
    if ctx.sources() >= MAX_FILES {
        let span = asked.unwrap_or_default();
        ctx.report(Problem::new("M0403", span, format!("more than {MAX_FILES} files are read")));
        return None;
    }
    let file = ctx.add_source(path, &text, base, Rc::clone(variables));
    let mut documents = yaml::parse(ctx, file)?;
    documents.retain(|document| !document.is_null());
    let silent = documents.is_empty();
    for document in &mut documents {
        interpolate(ctx, document, true);
        if document.map().is_none() {
            let message = format!("a manifest must be a mapping, not {}", document.kind());
            ctx.report(Problem::new("M0116", document.span, message).help("begin with `services:`").always());
        }
    }
    documents.retain(|document| document.map().is_some());
    if documents.is_empty() {
        let span = Span { file, ..Span::default() };
        if silent {
            ctx.report(Problem::new("M0117", span, "the file says nothing").help("begin with `services:`"));
        }
        return None;
    }
    Some(documents)
}

/// Adds what the files of `include` declare.
fn include(ctx: &Context<'_>, document: &mut Node, variables: &Rc<Variables>, stack: &mut Vec<String>) {
    let Value::Map(map) = &mut document.value else { return };
    let items = map.get("include").cloned();
    for item in items.iter().flat_map(Node::items) {
        if let Some(included) = included(ctx, item, variables, stack) {
            absorb(ctx, map, included);
        }
    }
}

fn included(ctx: &Context<'_>, item: &Node, variables: &Rc<Variables>, stack: &mut Vec<String>) -> Option<Node> {
    let paths: &[Node] = if item.map().is_some() { item.get("path")?.items() } else { std::slice::from_ref(item) };
    let mut whole: Option<Node> = None;
    let mut inherited: Option<(String, Rc<Variables>)> = None;
    for node in paths {
        let written = node.scalar()?;
        if written.contains("://") || written.starts_with("git@") {
            let problem = Problem::new("M0404", node.span, "files elsewhere are not fetched");
            ctx.mark_incomplete();
            ctx.report(problem.label("not a local file").help("keep a copy beside the manifest"));
            return None;
        }
        let path = ctx.resolve(node.span, written);
        if stack.contains(&path) {
            let circle: Vec<&str> = stack.iter().map(String::as_str).chain([path.as_str()]).collect();
            let problem = Problem::new("M0202", node.span, "files include each other in a circle");
            ctx.report(problem.label(format!("closes the circle {}", circle.join(" → "))));
            return None;
        }
        let (base, own) = inherited.get_or_insert_with(|| {
            let named = item.get("project_directory").and_then(|node| Some(ctx.resolve(node.span, node.scalar()?)));
            let base = named.unwrap_or_else(|| directory(&path).to_owned());
            let own = include_variables(ctx, item, &base);
            (base, Rc::new(Variables { own, parent: Some(Rc::clone(variables)) }))
        });
        let node = read(ctx, &path, base, own, stack, Some(node.span))?;
        whole = Some(match whole {
            Some(base) => merge(base, node),
            None => node,
        });
    }
    whole
}

fn include_variables(ctx: &Context<'_>, item: &Node, base: &str) -> BTreeMap<String, String> {
    let Some(files) = item.get("env_file") else {
        return dotenv_file(ctx, &join(base, ".env"), None);
    };
    let mut all = BTreeMap::new();
    for node in files.items() {
        if let Some(path) = node.scalar() {
            all.extend(dotenv_file(ctx, &ctx.resolve(node.span, path), Some(node.span)));
        }
    }
    all
}

/// Puts what an included file declares beside what is here. One name cannot mean two things.
fn absorb(ctx: &Context<'_>, map: &mut Map, included: Node) {
    let Value::Map(included) = included.value else { return };
    for section in included {
        if !SECTIONS.contains(&section.key.as_str()) {
            continue;
        }
        let Value::Map(resources) = section.value.value else { continue };
        if map.get(&section.key).is_none_or(Node::is_null) {
            let value = Node::new(section.key_span, Value::Map(Map::default()));
            map.put(Entry { key: section.key.clone(), key_span: section.key_span, value });
        }
        let Some(Value::Map(here)) = map.get_mut(&section.key).map(|node| &mut node.value) else { continue };
        for resource in resources {
            match here.entry(&resource.key) {
                Some(known) if section.key == "services" => {
                    let message = format!("`{}` is described here and in an included file", resource.key);
                    let problem = Problem::new("M0208", known.key_span, message).label("second description");
                    ctx.report(
                        problem
                            .also(resource.key_span, "included from here")
                            .help("override it in compose.override.yaml"),
                    );
                }
                Some(_) => {}
                None => here.put(resource),
            }
        }
    }
}

/// Lays what the chosen environment says over the services and the databases.
fn choose(whole: &mut Node, environment: &str) {
    for section in ["services", "databases"] {
        let Some(over) = whole.get("environments").and_then(|all| all.get(environment)?.get(section)).cloned() else {
            continue;
        };
        let Value::Map(map) = &mut whole.value else { return };
        let base = map.remove(section).unwrap_or_else(|| Node::new(over.span, Value::Map(Map::default())));
        map.put(Entry { key: section.into(), key_span: base.span, value: merge(base, over) });
    }
}

/// The assignments of a dotenv file that variables are taken from. One that nobody asked for by name
/// may be missing.
fn dotenv_file(ctx: &Context<'_>, path: &str, asked: Option<Span>) -> BTreeMap<String, String> {
    let text = match ctx.read_lines(asked.unwrap_or_default(), path) {
        Ok(text) => text,
        Err(ReadError::TooMuch) => return BTreeMap::new(),
        Err(ReadError::Missing) if asked.is_none() => return BTreeMap::new(),
        Err(error) => {
            let span = asked.unwrap_or_else(|| Span { file: ctx.add_lines(path, ""), ..Span::default() });
            let code = if error == ReadError::Missing { "M0401" } else { "M0402" };
            ctx.report(Problem::new(code, span, format!("cannot read {path}: {error}")));
            return BTreeMap::new();
        }
    };
    read_dotenv(ctx, path, &text).into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

/// The assignments in `text`, with variables taken from the environment and from the lines before. A bad line is reported in its own file.
pub(crate) fn read_dotenv(ctx: &Context<'_>, path: &str, text: &str) -> Vec<(String, Option<String>)> {
    let expand = |line: usize, value: &str, known: &BTreeMap<String, String>| {
        if !value.contains('$') {
            return value.to_owned();
        }
        let span = ctx.span_in_line(ctx.add_lines(path, text), line, value);
        expand_text(ctx, span, value, &|name| ctx.files.variable(name).or_else(|| known.get(name).cloned()))
    };
    match dotenv::parse(text, &expand) {
        Ok(assignments) => assignments,
        Err(bad) => {
            let file = ctx.add_lines(path, text);
            let span = ctx.span_in_line(file, bad.line, "");
            ctx.report(Problem::new("M0305", span, format!("line {} is no assignment", bad.line)).label(bad.why));
            Vec::new()
        }
    }
}
