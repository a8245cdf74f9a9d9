//! The tokens of a template to a tree.

use std::collections::BTreeMap;

use super::TemplateError;
use super::functions;
use super::tokens::{Kind, Segment, Token, split};
use super::value::Value;

/// How deep control structures may be nested.
const DEEPEST: usize = 64;

/// Variables that every template has, by the field of the data that they are.
const VARIABLES: [(&str, &str); 4] =
    [("Labels", "labels"), ("ExternalLabels", "externalLabels"), ("ExternalURL", "externalURL"), ("Value", "value")];

/// The variable that a field of the data is.
pub(super) fn variable_of(field: &str) -> String {
    VARIABLES.iter().find(|(name, _)| *name == field).map_or(field, |(_, variable)| variable).to_owned()
}

/// A template as a tree, and those that are defined in it.
#[derive(Debug, Clone, Default)]
pub(super) struct Parsed {
    pub(super) nodes: Vec<Node>,
    pub(super) defined: BTreeMap<String, Vec<Node>>,
}

impl Parsed {
    /// The text, if there is nothing else.
    pub(super) fn plain(&self) -> Option<&str> {
        match self.nodes.as_slice() {
            [] => Some(""),
            [Node::Text(text)] => Some(text),
            _ => None,
        }
    }
}

#[derive(Debug, Clone)]
pub(super) enum Node {
    Text(String),
    Action(Pipe),
    If {
        branch: Branch,
        with: bool,
    },
    Range(Branch),
    /// `template`, with what it is about.
    Call(String, Option<Pipe>),
    Break,
    Continue,
}

#[derive(Debug, Clone)]
pub(super) struct Branch {
    pub(super) pipe: Pipe,
    pub(super) then: Vec<Node>,
    pub(super) otherwise: Vec<Node>,
}

/// Commands, each of which is given what the one before it gave; perhaps kept in variables.
#[derive(Debug, Clone)]
pub(super) struct Pipe {
    pub(super) variables: Vec<String>,
    pub(super) assigns: bool,
    pub(super) commands: Vec<Vec<Operand>>,
}

/// A value, and the fields of it that are meant.
#[derive(Debug, Clone)]
pub(super) struct Operand {
    pub(super) head: Head,
    pub(super) fields: Vec<String>,
}

#[derive(Debug, Clone)]
pub(super) enum Head {
    Dot,
    Constant(Value),
    Variable(String),
    Function(String),
    Pipe(Box<Pipe>),
}

pub(super) fn parse(text: &str) -> Result<Parsed, TemplateError> {
    let segments = split(text)?;
    let last = 1 + text.matches('\n').count();
    let variables = std::iter::once(String::new()).chain(VARIABLES.iter().map(|(_, name)| (*name).to_owned()));
    let mut parser = Parser {
        segments: segments.into_iter(),
        line: 1,
        variables: variables.collect(),
        loops: 0,
        defined: BTreeMap::new(),
    };
    let parsed = parser.block(0).and_then(|(nodes, end)| match end {
        End::OfText => Ok(nodes),
        End::OfBlock => Err("unexpected {{end}}".to_owned()),
        End::Else(_) => Err("unexpected {{else}}".to_owned()),
    });
    match parsed {
        Ok(nodes) => Ok(Parsed { nodes, defined: parser.defined }),
        Err(message) => Err(TemplateError { line: parser.line.min(last), message }),
    }
}

struct Parser {
    segments: std::vec::IntoIter<Segment>,
    line: usize,
    variables: Vec<String>,
    loops: usize,
    defined: BTreeMap<String, Vec<Node>>,
}

/// What ended a block.
enum End {
    /// The template is over.
    OfText,
    OfBlock,
    /// What stands after `else`.
    Else(Vec<Token>),
}

impl Parser {
    fn block(&mut self, depth: usize) -> Result<(Vec<Node>, End), String> {
        if depth > DEEPEST {
            return Err(format!("nested more than {DEEPEST} levels deep"));
        }
        let mut nodes = Vec::new();
        while let Some(segment) = self.segments.next() {
            let tokens = match segment {
                Segment::Text(text) => {
                    nodes.push(Node::Text(text));
                    continue;
                }
                Segment::Action { line, tokens } => {
                    self.line = line;
                    tokens
                }
            };
            let keyword = match tokens.first().map(|token| &token.kind) {
                Some(Kind::Word(word)) => word.clone(),
                None => return Err("missing value for command".to_owned()),
                _ => String::new(),
            };
            match keyword.as_str() {
                "end" if tokens.len() == 1 => return Ok((nodes, End::OfBlock)),
                "else" => return Ok((nodes, End::Else(tokens[1..].to_vec()))),
                "if" => nodes.push(self.branch(&tokens[1..], depth, Shape::If)?),
                "with" => nodes.push(self.branch(&tokens[1..], depth, Shape::With)?),
                "range" => nodes.push(self.branch(&tokens[1..], depth, Shape::Range)?),
                "define" | "block" => nodes.extend(self.define(&tokens[1..], depth, keyword == "block")?),
                "template" => nodes.push(self.call(&tokens[1..])?),
                "break" | "continue" if tokens.len() == 1 => {
                    if self.loops == 0 {
                        return Err(format!("{{{{{keyword}}}}} outside {{{{range}}}}"));
                    }
                    nodes.push(if keyword == "break" { Node::Break } else { Node::Continue });
                }
                _ => nodes.push(Node::Action(self.pipe(&tokens)?)),
            }
        }
        Ok((nodes, End::OfText))
    }

    fn branch(&mut self, tokens: &[Token], depth: usize, shape: Shape) -> Result<Node, String> {
        let known = self.variables.len();
        let pipe = self.pipe(tokens)?;
        self.loops += usize::from(shape == Shape::Range);
        let (then, end) = self.block(depth + 1)?;
        self.loops -= usize::from(shape == Shape::Range);
        let otherwise = match end {
            End::OfText => return Err("unexpected EOF".to_owned()),
            End::OfBlock => Vec::new(),
            End::Else(tokens) => self.otherwise(&tokens, depth, shape)?,
        };
        self.variables.truncate(known);
        let branch = Branch { pipe, then, otherwise };
        Ok(match shape {
            Shape::If => Node::If { branch, with: false },
            Shape::With => Node::If { branch, with: true },
            Shape::Range => Node::Range(branch),
        })
    }

    /// `else`, `else if …` or `else with …`: the last two are a branch within, which ends with the same `end`.
    fn otherwise(&mut self, tokens: &[Token], depth: usize, shape: Shape) -> Result<Vec<Node>, String> {
        let next = match (tokens.first().map(|token| &token.kind), shape) {
            (None, _) => {
                return match self.block(depth + 1)? {
                    (nodes, End::OfBlock) => Ok(nodes),
                    (_, End::Else(_)) => Err("expected end; found {{else}}".to_owned()),
                    (_, End::OfText) => Err("unexpected EOF".to_owned()),
                };
            }
            (Some(Kind::Word(word)), Shape::If) if word == "if" => Shape::If,
            (Some(Kind::Word(word)), Shape::With) if word == "with" => Shape::With,
            _ => return Err("unexpected token in {{else}}".to_owned()),
        };
        Ok(vec![self.branch(&tokens[1..], depth + 1, next)?])
    }

    fn define(&mut self, tokens: &[Token], depth: usize, is_block: bool) -> Result<Option<Node>, String> {
        let Some(Kind::Text(name)) = tokens.first().map(|token| token.kind.clone()) else {
            return Err("a template is defined by a name in quotes".to_owned());
        };
        let about = if is_block { Some(self.pipe(&tokens[1..])?) } else { None };
        let outer = std::mem::replace(&mut self.variables, vec![String::new()]);
        let (nodes, end) = self.block(depth + 1)?;
        self.variables = outer;
        if !matches!(end, End::OfBlock) {
            return Err("unexpected EOF".to_owned());
        }
        self.defined.insert(name.clone(), nodes);
        Ok(is_block.then_some(Node::Call(name, about)))
    }

    fn call(&mut self, tokens: &[Token]) -> Result<Node, String> {
        let Some(Kind::Text(name)) = tokens.first().map(|token| token.kind.clone()) else {
            return Err("a template is called by its name in quotes".to_owned());
        };
        let about = if tokens.len() > 1 { Some(self.pipe(&tokens[1..])?) } else { None };
        Ok(Node::Call(name, about))
    }

    /// A whole pipeline, which may set variables.
    fn pipe(&mut self, tokens: &[Token]) -> Result<Pipe, String> {
        let (variables, assigns, rest) = self.declaration(tokens)?;
        let mut at = 0;
        let mut pipe = self.commands(rest, &mut at, 0)?;
        if at < rest.len() {
            return Err("unexpected right paren".to_owned());
        }
        if !assigns {
            self.variables.extend(variables.iter().cloned());
        }
        (pipe.variables, pipe.assigns) = (variables, assigns);
        Ok(pipe)
    }

    /// `$a :=`, `$a =` or `$a, $b :=` at the start of a pipeline.
    fn declaration<'t>(&self, tokens: &'t [Token]) -> Result<(Vec<String>, bool, &'t [Token]), String> {
        let kinds: Vec<&Kind> = tokens.iter().take(4).map(|token| &token.kind).collect();
        Ok(match kinds.as_slice() {
            [Kind::Variable(name), Kind::Declare, ..] => (vec![name.clone()], false, &tokens[2..]),
            [Kind::Variable(name), Kind::Assign, ..] => {
                self.check(name)?;
                (vec![name.clone()], true, &tokens[2..])
            }
            [Kind::Variable(first), Kind::Comma, Kind::Variable(second), Kind::Declare] => {
                (vec![first.clone(), second.clone()], false, &tokens[4..])
            }
            _ => (Vec::new(), false, tokens),
        })
    }

    fn check(&self, variable: &str) -> Result<(), String> {
        let known = self.variables.iter().any(|known| known == variable);
        if known { Ok(()) } else { Err(format!("undefined variable \"${variable}\"")) }
    }

    /// Commands with pipes between, until the end or a closing parenthesis.
    fn commands(&self, tokens: &[Token], at: &mut usize, depth: usize) -> Result<Pipe, String> {
        if depth > DEEPEST {
            return Err(format!("nested more than {DEEPEST} levels deep"));
        }
        let mut commands = vec![Vec::new()];
        while let Some(token) = tokens.get(*at) {
            match &token.kind {
                Kind::Close => break,
                Kind::Pipe => {
                    if commands.last().is_none_or(Vec::is_empty) {
                        return Err("missing value for command".to_owned());
                    }
                    commands.push(Vec::new());
                    *at += 1;
                }
                _ => {
                    let operand = self.operand(tokens, at, depth)?;
                    if let Some(command) = commands.last_mut() {
                        command.push(operand);
                    }
                }
            }
        }
        if commands.last().is_none_or(Vec::is_empty) {
            return Err("missing value for command".to_owned());
        }
        Ok(Pipe { variables: Vec::new(), assigns: false, commands })
    }

    fn operand(&self, tokens: &[Token], at: &mut usize, depth: usize) -> Result<Operand, String> {
        let token = &tokens[*at];
        *at += 1;
        let mut fields = Vec::new();
        let head = match &token.kind {
            Kind::Dot => Head::Dot,
            Kind::Field(name) => {
                fields.push(name.clone());
                Head::Dot
            }
            Kind::Variable(name) => {
                self.check(name)?;
                Head::Variable(name.clone())
            }
            Kind::Int(number) => Head::Constant(Value::Int(*number)),
            Kind::Float(number) => Head::Constant(Value::Float(*number)),
            Kind::Text(text) => Head::Constant(Value::Text(text.clone())),
            Kind::Word(word) => match word.as_str() {
                "true" => Head::Constant(Value::Bool(true)),
                "false" => Head::Constant(Value::Bool(false)),
                "nil" => Head::Constant(Value::Nil),
                name if functions::is_known(name) => Head::Function(name.to_owned()),
                name => return Err(format!("function \"{name}\" not defined")),
            },
            Kind::Open => {
                let pipe = self.commands(tokens, at, depth + 1)?;
                if tokens.get(*at).is_none_or(|token| token.kind != Kind::Close) {
                    return Err("unclosed left paren".to_owned());
                }
                *at += 1;
                Head::Pipe(Box::new(pipe))
            }
            Kind::Close | Kind::Pipe | Kind::Comma | Kind::Declare | Kind::Assign => {
                return Err("unexpected operator in operand".to_owned());
            }
        };
        while let Some(Token { kind: Kind::Field(name), spaced: false }) = tokens.get(*at) {
            fields.push(name.clone());
            *at += 1;
        }
        Ok(Operand { head, fields })
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    If,
    With,
    Range,
}
