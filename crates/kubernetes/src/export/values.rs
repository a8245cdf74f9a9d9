//! The commands that put secrets into a cluster: nothing that is exported holds a value.

use daybook_model::spec::FileContent;
use daybook_model::{Launch, Service, Spec};

use super::stand_in::{place, text_of};
use crate::objects::{Surroundings, file_key, is_plain, secret_key};

/// What has to be done for the secrets of a service. `None`: it has none.
pub(super) fn secrets(
    service: &Service,
    spec: &Spec,
    launch: &Launch,
    around: &Surroundings,
    shown: &dyn Fn(&str) -> String,
) -> Option<(String, Vec<String>)> {
    let variables = launch.environment.iter().enumerate().filter(|(_, (name, _))| !is_plain(launch, name));
    let variables = variables.map(|(index, (name, value))| literal(&secret_key(index, name), value));
    let files = service.container.files.iter().enumerate().filter_map(|(index, file)| match &file.content {
        FileContent::Text(_) => None,
        FileContent::Secret(secret) | FileContent::Authority(secret) | FileContent::Certificate(secret) => {
            Some(literal(&file_key(index), &place(secret)))
        }
        FileContent::Template(parts) => {
            let filled: String = parts.iter().filter_map(|part| text_of(spec, part).ok()).collect();
            Some(literal(&file_key(index), &filled))
        }
        FileContent::HostFile(path) => {
            Some(format!("--from-file={}", quoted(&format!("{}={}", file_key(index), shown(path)))))
        }
    });
    let all: Vec<_> = variables.chain(files).collect();
    if all.is_empty() {
        return None;
    }
    let name = around.beside(launch);
    let what = format!("make the Secret `{name}`, with values in place of what stands in angle brackets");
    let command = format!("kubectl create secret generic {name} --namespace {} {}", around.namespace, all.join(" "));
    Some((what, vec![command]))
}

fn literal(key: &str, value: &str) -> String {
    format!("--from-literal={}", quoted(&format!("{key}={value}")))
}

/// A word as every shell takes it.
pub(super) fn quoted(word: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_./=:@,+".contains(&b);
    if !word.is_empty() && word.bytes().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_reach_a_command_as_they_are() {
        for plain in ["web", "registry.example.com/web:2", "--tag=a,b"] {
            assert_eq!(quoted(plain), plain);
        }
        for (word, wanted) in [("", "''"), ("a b", "'a b'"), ("$(rm)", "'$(rm)'"), ("it's", r"'it'\''s'")] {
            assert_eq!(quoted(word), wanted);
        }
    }
}
