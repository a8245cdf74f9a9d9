//! The files, as trees.

use std::rc::Rc;

use toml_edit::{Document as Toml, Item, TableLike, Value as TomlValue};

use crate::context::weight;
use crate::import::Document;
use crate::tree::{Entry, Map, Node, Scalar, Span, Value};
use crate::yaml;

use super::app::App;

/// What a file weighs, so that their number stays within what a place can name.
const FILE_WEIGHT: usize = 30;

/// Takes a text in, and returns its number.
pub(super) fn add(app: &App<'_, '_>, document: &Document) -> Option<u16> {
    let file = app.ctx.add_source(&document.path, &document.text, "/", Rc::default());
    let span = Span { file, ..Span::default() };
    if document.text.len() > yaml::MAX_BYTES {
        app.notes.error(span, "the file is larger than 8 MiB", "");
        return None;
    }
    app.ctx.afford(span, FILE_WEIGHT).then_some(file)
}

/// The documents of a YAML or JSON file.
pub(super) fn yaml(app: &App<'_, '_>, document: &Document) -> Option<Vec<Node>> {
    let file = add(app, document)?;
    let read = yaml::parse(app.ctx, file);
    if let Some(at) = document.text.find("{{").filter(|_| app.ctx.failed()) {
        let span = Span { file, start: at as u32, end: at as u32 + 2 };
        let what = "the file holds `{{`: it is a template, and not what comes of it";
        app.notes.error(span, what, "render it first");
    }
    read.filter(|_| !app.ctx.failed())
}

/// A TOML file.
pub(super) fn toml(app: &App<'_, '_>, document: &Document) -> Option<Node> {
    let file = add(app, document)?;
    match Toml::parse(document.text.as_str()) {
        Ok(read) => Reader { app, file, text: &document.text }.table(read.as_table(), 0..document.text.len()),
        Err(error) => {
            let at = error.span().unwrap_or_default();
            let span = Span { file, start: at.start as u32, end: at.end as u32 };
            let why = error.message().lines().next().unwrap_or_default().to_owned();
            app.notes.error(span, format!("this is not TOML: {why}"), "");
            None
        }
    }
}

struct Reader<'r, 'c, 'a> {
    app: &'r App<'c, 'a>,
    file: u16,
    text: &'r str,
}

type Range = std::ops::Range<usize>;

impl Reader<'_, '_, '_> {
    fn span(&self, range: &Range) -> Span {
        Span { file: self.file, start: range.start as u32, end: range.end as u32 }
    }

    fn table(&self, table: &dyn TableLike, place: Range) -> Option<Node> {
        let mut map = Map::default();
        for (name, item) in table.iter() {
            let key = table.key(name).and_then(toml_edit::Key::span).unwrap_or_else(|| place.clone());
            let value = self.item(item, key.clone())?;
            map.put(Entry { key: name.into(), key_span: self.span(&key), value });
        }
        Some(Node::new(self.span(&place), Value::Map(map)))
    }

    /// `near`: where it is, if it does not say so itself.
    fn item(&self, item: &Item, near: Range) -> Option<Node> {
        let place = item.span().unwrap_or(near);
        match item {
            Item::None => Some(Node::new(self.span(&place), Value::Null)),
            Item::Table(table) => self.table(table, place),
            Item::ArrayOfTables(tables) => {
                let items = tables.iter().map(|table| self.table(table, table.span().unwrap_or_else(|| place.clone())));
                let items: Option<Vec<Node>> = items.collect();
                Some(Node::new(self.span(&place), Value::List(items?)))
            }
            Item::Value(value) => self.value(value, place),
        }
    }

    fn value(&self, value: &TomlValue, near: Range) -> Option<Node> {
        let place = value.span().unwrap_or(near);
        let span = self.span(&place);
        if !self.app.ctx.afford(span, 1 + weight(value.as_str().unwrap_or_default())) {
            return None;
        }
        let scalar = |text: &str, quoted: bool| Value::Scalar(Scalar { text: text.into(), quoted, pieces: None });
        let value = match value {
            TomlValue::String(text) => scalar(text.value(), true),
            TomlValue::Array(items) => {
                let items: Option<Vec<Node>> = items.iter().map(|item| self.value(item, place.clone())).collect();
                Value::List(items?)
            }
            TomlValue::InlineTable(table) => return self.table(table, place),
            TomlValue::Integer(number) => scalar(&number.value().to_string(), false),
            TomlValue::Boolean(value) => scalar(&value.value().to_string(), false),
            TomlValue::Float(_) | TomlValue::Datetime(_) => {
                scalar(self.text.get(place.clone()).unwrap_or_default().trim(), false)
            }
        };
        Some(Node::new(span, value))
    }
}
