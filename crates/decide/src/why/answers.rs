//! What a check was answered, as a cause.

use daybook_model::observed::Health;

use super::{Choice, Evidence, Found, choice, clip, troubles};

/// From what running replicas answer now.
pub(super) fn from_answers(evidence: &Evidence<'_>) -> Option<Found> {
    let name = evidence.service;
    let (replica, said) = evidence.answers.iter().find_map(|(id, bad)| Some((id, bad.as_ref()?)))?;
    let (cause, first) = match place(evidence, said) {
        Some(found) => found,
        None => (answered(evidence, said), advice(said)),
    };
    let mut options: Vec<_> = first.into_iter().collect();
    options.push(choice("read its log", format!("daybook logs {name} --tail 50")));
    options.push(choice("go back to the release before", "daybook rollback"));
    let mut lines = vec![format!("{replica} was asked just now: {}", clip(said))];
    if let Some(policies) = troubles::inward(evidence) {
        lines.push(format!("network policies of others say who may reach it, and may keep callers away: {policies}"));
    }
    Some(Found { cause, evidence: lines, options })
}

/// It listens elsewhere than where it is asked.
fn place(evidence: &Evidence<'_>, said: &str) -> Option<(String, Option<Choice>)> {
    if said.contains("instead") {
        let cause = format!("it listens on another port than the manifest says: {said}");
        return Some((cause, Some(choice("correct `port` in the manifest, or let it listen on $PORT", "daybook up"))));
    }
    if !said.contains("nothing listens") {
        return None;
    }
    let asked = said.split("port ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap_or_default();
    let (ports, inside) = troubles::listens(evidence)?;
    if inside.iter().any(|port| port.to_string() == asked) {
        let cause = format!("it listens on 127.0.0.1:{asked} only, where nobody outside of its container reaches it");
        return Some((cause, Some(choice(format!("let it listen on 0.0.0.0:{asked}"), "daybook up"))));
    }
    if ports.is_empty() {
        return None;
    }
    let there = troubles::listed(ports);
    let cause = format!("it listens on another port than the manifest says: on {there}, not on {asked}");
    Some((cause, Some(choice("correct `port` in the manifest, or let it listen on $PORT", "daybook up"))))
}

/// What is wrong with an answer, where its words say so.
enum BadAnswer {
    NoSuchPath,
    NotPermitted,
    OwnError,
    NotHttp,
    TooSlow,
}

fn bad_answer(said: &str) -> Option<BadAnswer> {
    let code = said.split_once(" answered ").and_then(|(_, rest)| rest.get(..3)?.parse::<u16>().ok());
    match code {
        Some(404 | 405 | 410) => Some(BadAnswer::NoSuchPath),
        Some(401 | 403) => Some(BadAnswer::NotPermitted),
        Some(500..=599) => Some(BadAnswer::OwnError),
        Some(_) => None,
        None if said.starts_with("GET ") && said.contains("invalid HTTP") => Some(BadAnswer::NotHttp),
        None => {
            let is_late = ["was not answered within", "no connection to", "did not end within"];
            is_late.iter().any(|sign| said.contains(sign)).then_some(BadAnswer::TooSlow)
        }
    }
}

fn answered(evidence: &Evidence<'_>, said: &str) -> String {
    let unhealthy = evidence.replicas.iter().find_map(|replica| match &replica.health {
        Health::Unhealthy(said) => Some(said.as_str()),
        _ => None,
    });
    match bad_answer(said) {
        Some(BadAnswer::NoSuchPath) => format!("its check asks for a path that it does not have: {said}"),
        Some(BadAnswer::NotPermitted) => format!("its check asks for a path that wants credentials: {said}"),
        Some(BadAnswer::OwnError) => format!("it answers its check with an error of its own: {said}"),
        Some(BadAnswer::NotHttp) => format!("what listens there does not speak HTTP: {said}"),
        Some(BadAnswer::TooSlow) => format!("it answers its check too slowly: {said}"),
        None => format!("its check fails: {}", unhealthy.unwrap_or(said)),
    }
}

fn advice(said: &str) -> Option<Choice> {
    let text = match bad_answer(said)? {
        BadAnswer::NoSuchPath | BadAnswer::NotPermitted => "correct `healthcheck` in the manifest",
        BadAnswer::NotHttp => "correct `port` in the manifest, or ask by a command (`healthcheck: {test: …}`)",
        BadAnswer::TooSlow => "allow it more time (`healthcheck: {timeout: …}`)",
        BadAnswer::OwnError => return None,
    };
    Some(choice(text, "daybook up"))
}

#[cfg(test)]
mod tests {
    use daybook_model::trouble::{Trouble, TroubleKind};

    use super::super::why;
    use super::*;

    fn cause(said: &str, listens: Option<(&[u16], &[u16])>) -> String {
        let name = "web".parse().unwrap();
        let kind =
            |(ports, inside): (&[u16], &[u16])| TroubleKind::Listens { ports: ports.to_vec(), inside: inside.to_vec() };
        let troubles: Vec<_> =
            listens.map(kind).into_iter().map(|kind| Trouble { kind, said: String::new() }).collect();
        let answers = [("web.1".to_owned(), Some(said.to_owned()))];
        why(&Evidence { troubles: &troubles, answers: &answers, ..Evidence::of(&name) }).cause.unwrap()
    }

    #[test]
    fn r07_a_check_that_fails_is_told_by_port_path_and_time() {
        let nothing = "nothing listens on port 8080 of the container (it must listen on 0.0.0.0, not on 127.0.0.1)";
        let causes = [
            (nothing, Some((&[8081][..], &[][..]))),
            (nothing, Some((&[][..], &[8080][..]))),
            (nothing, None),
            ("GET /ok answered 404: Not Found", None),
            ("GET /ok answered 401: who are you", None),
            ("GET /ok answered 503: no database", None),
            ("GET /ok failed: invalid HTTP version parsed", None),
            ("GET /ok was not answered within 2000 ms", None),
            ("exit code 1: no", None),
        ]
        .map(|(said, listens)| cause(said, listens));
        insta::assert_snapshot!(causes.join("\n"), @r"
        it listens on another port than the manifest says: on 8081, not on 8080
        it listens on 127.0.0.1:8080 only, where nobody outside of its container reaches it
        its check fails: nothing listens on port 8080 of the container (it must listen on 0.0.0.0, not on 127.0.0.1)
        its check asks for a path that it does not have: GET /ok answered 404: Not Found
        its check asks for a path that wants credentials: GET /ok answered 401: who are you
        it answers its check with an error of its own: GET /ok answered 503: no database
        what listens there does not speak HTTP: GET /ok failed: invalid HTTP version parsed
        it answers its check too slowly: GET /ok was not answered within 2000 ms
        its check fails: exit code 1: no
        ");
    }
}
