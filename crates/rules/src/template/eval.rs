//! Evaluates a template.

use super::LONGEST;
use super::functions::{self, Surroundings};
use super::parse::{Branch, Head, Node, Operand, Parsed, Pipe};
use super::value::Value;

/// How deep templates may call one another.
const DEEPEST: usize = 32;
/// How many nodes a template may evaluate.
const MOST_STEPS: usize = 200_000;

/// The text of a template.
pub(super) fn expand(
    parsed: &Parsed,
    mut variables: Vec<(String, Value)>,
    data: &Value,
    surroundings: &Surroundings<'_>,
) -> Result<String, String> {
    variables.insert(0, (String::new(), data.clone()));
    let mut evaluator = Evaluator { parsed, variables, surroundings, out: String::new(), depth: 0, steps: 0 };
    evaluator.nodes(&parsed.nodes, data)?;
    Ok(evaluator.out)
}

struct Evaluator<'a> {
    parsed: &'a Parsed,
    variables: Vec<(String, Value)>,
    surroundings: &'a Surroundings<'a>,
    out: String,
    depth: usize,
    steps: usize,
}

/// How nodes ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flow {
    On,
    Break,
    Continue,
}

impl Evaluator<'_> {
    fn nodes(&mut self, nodes: &[Node], dot: &Value) -> Result<Flow, String> {
        for node in nodes {
            self.steps += 1;
            if self.steps > MOST_STEPS || self.out.len() > LONGEST {
                return Err("the template takes too long or gives too long a text".to_owned());
            }
            let flow = self.node(node, dot)?;
            if flow != Flow::On {
                return Ok(flow);
            }
        }
        Ok(Flow::On)
    }

    fn node(&mut self, node: &Node, dot: &Value) -> Result<Flow, String> {
        match node {
            Node::Text(text) => self.out.push_str(text),
            Node::Action(pipe) => {
                let value = self.pipe(pipe, dot)?;
                if pipe.variables.is_empty() {
                    self.out.push_str(&value.print());
                }
            }
            Node::If { branch, with } => return self.choose(branch, *with, dot),
            Node::Range(branch) => return self.range(branch, dot),
            Node::Call(name, about) => self.call(name, about.as_ref(), dot)?,
            Node::Break => return Ok(Flow::Break),
            Node::Continue => return Ok(Flow::Continue),
        }
        Ok(Flow::On)
    }

    fn choose(&mut self, branch: &Branch, with: bool, dot: &Value) -> Result<Flow, String> {
        let known = self.variables.len();
        let value = self.pipe(&branch.pipe, dot)?;
        let flow = match value.is_true() {
            true => self.nodes(&branch.then, if with { &value } else { dot }),
            false => self.nodes(&branch.otherwise, dot),
        };
        self.variables.truncate(known);
        flow
    }

    fn range(&mut self, branch: &Branch, dot: &Value) -> Result<Flow, String> {
        let known = self.variables.len();
        let value = self.pipe(&branch.pipe, dot)?;
        let items: Vec<(Value, Value)> = match value {
            Value::Nil => Vec::new(),
            Value::List(items) => (0..).map(Value::Int).zip(items).collect(),
            Value::Texts(map) => map.into_iter().map(|(name, text)| (Value::Text(name), Value::Text(text))).collect(),
            Value::Map(map) => map.into_iter().map(|(name, value)| (Value::Text(name), value)).collect(),
            other => return Err(format!("range can't iterate over {}", other.print())),
        };
        self.variables.truncate(known);
        if items.is_empty() {
            return self.nodes(&branch.otherwise, dot);
        }
        for (key, item) in items {
            match branch.pipe.variables.as_slice() {
                [of_item] => self.variables.push((of_item.clone(), item.clone())),
                [of_key, of_item] => {
                    self.variables.push((of_key.clone(), key));
                    self.variables.push((of_item.clone(), item.clone()));
                }
                _ => {}
            }
            let flow = self.nodes(&branch.then, &item)?;
            self.variables.truncate(known);
            if flow == Flow::Break {
                break;
            }
        }
        Ok(Flow::On)
    }

    fn call(&mut self, name: &str, about: Option<&Pipe>, dot: &Value) -> Result<(), String> {
        let parsed = self.parsed;
        let nodes = parsed.defined.get(name).ok_or_else(|| format!("template \"{name}\" not defined"))?;
        if self.depth >= DEEPEST {
            return Err(format!("exceeded maximum template depth ({DEEPEST})"));
        }
        let about = about.map_or(Ok(Value::Nil), |pipe| self.pipe(pipe, dot))?;
        let outer = std::mem::replace(&mut self.variables, vec![(String::new(), about.clone())]);
        self.depth += 1;
        let result = self.nodes(nodes, &about);
        self.depth -= 1;
        self.variables = outer;
        result.map(drop)
    }

    /// The value of a pipeline; it is kept in the variables that the pipeline sets.
    fn pipe(&mut self, pipe: &Pipe, dot: &Value) -> Result<Value, String> {
        let mut value = None;
        for command in &pipe.commands {
            value = Some(self.command(command, dot, value)?);
        }
        let value = value.unwrap_or(Value::Nil);
        match (pipe.variables.as_slice(), pipe.assigns) {
            ([name], true) => {
                let known = self.variables.iter_mut().rev().find(|(known, _)| known == name);
                if let Some((_, known)) = known {
                    *known = value.clone();
                }
            }
            (names, _) => self.variables.extend(names.iter().map(|name| (name.clone(), value.clone()))),
        }
        Ok(value)
    }

    fn command(&mut self, operands: &[Operand], dot: &Value, piped: Option<Value>) -> Result<Value, String> {
        let Some((first, rest)) = operands.split_first() else { return Ok(Value::Nil) };
        if let Head::Function(name) = &first.head {
            let value = self.function(name, rest, dot, piped)?;
            return fields(value, &first.fields);
        }
        if matches!(first.head, Head::Constant(Value::Nil)) {
            return Err("nil is not a command".to_owned());
        }
        if !rest.is_empty() || piped.is_some() {
            return Err("can't give argument to non-function".to_owned());
        }
        self.operand(first, dot)
    }

    fn operand(&mut self, operand: &Operand, dot: &Value) -> Result<Value, String> {
        let value = match &operand.head {
            Head::Dot => dot.clone(),
            Head::Constant(value) => value.clone(),
            Head::Variable(name) => {
                let known = self.variables.iter().rev().find(|(known, _)| known == name);
                known.map(|(_, value)| value.clone()).ok_or_else(|| format!("undefined variable: ${name}"))?
            }
            Head::Function(name) => self.function(name, &[], dot, None)?,
            Head::Pipe(pipe) => self.pipe(pipe, dot)?,
        };
        fields(value, &operand.fields)
    }

    /// `and` and `or` evaluate no more than they need.
    fn function(
        &mut self,
        name: &str,
        operands: &[Operand],
        dot: &Value,
        piped: Option<Value>,
    ) -> Result<Value, String> {
        if let "and" | "or" = name {
            let mut value = None;
            for operand in operands {
                let next = self.operand(operand, dot)?;
                let decides = next.is_true() == (name == "or");
                value = Some(next);
                if decides {
                    return Ok(value.unwrap_or(Value::Nil));
                }
            }
            return piped.or(value).ok_or_else(|| format!("wrong number of args for {name}: want at least 1 got 0"));
        }
        let values: Result<Vec<Value>, String> = operands.iter().map(|operand| self.operand(operand, dot)).collect();
        let mut values = values?;
        values.extend(piped);
        functions::call(name, &values, self.surroundings)
    }
}

fn fields(value: Value, names: &[String]) -> Result<Value, String> {
    match names.split_first() {
        None => Ok(value),
        Some((name, rest)) => fields(value.field(name)?, rest),
    }
}
