//! Whether it is of use to wait for what is in the way.

use daybook_model::Service;
use daybook_model::trouble::{ImageFault, Trouble, TroubleKind};

use super::exits::has_no_program;
use super::troubles::{cause, in_the_way, is_too_large};
use crate::text::seconds;

/// A machine that could take a replica, where none of those that are there ever can, is waited for so long,
/// milliseconds. Once somebody says that one is being added it is waited for as long as everything else.
pub const GROWS_WITHIN_MS: u64 = 120_000;

/// Why it is of no use to wait any longer, after `waited_ms`. A registry that is away comes back, replicas make room, and
/// machines are added by themselves; an image that is not there stays so.
pub fn no_use(troubles: &[Trouble], spec: Option<&Service>, waited_ms: u64) -> Option<String> {
    let trouble = in_the_way(troubles)?;
    match &trouble.kind {
        TroubleKind::Image { fault: ImageFault::Missing | ImageFault::Denied | ImageFault::Name, .. } => {
            Some(cause(trouble, spec))
        }
        TroubleKind::Container if has_no_program(&trouble.said) => Some(cause(trouble, spec)),
        TroubleKind::NoRoom { .. } if is_too_large(trouble, spec) => {
            let grows = troubles.iter().any(|trouble| trouble.kind == TroubleKind::Growing);
            let is_over = !grows && waited_ms >= GROWS_WITHIN_MS;
            is_over.then(|| format!("{}; none was added within {}", cause(trouble, spec), seconds(waited_ms)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trouble(kind: TroubleKind) -> Trouble {
        Trouble { kind, said: String::new() }
    }

    #[test]
    fn r07_an_image_that_is_not_there_is_not_waited_for_and_a_registry_is() {
        let no_use =
            |fault| no_use(&[trouble(TroubleKind::Image { image: "r.example/x:1".to_owned(), fault })], None, 0);
        assert_eq!(no_use(ImageFault::Missing).as_deref(), Some("its registry does not have the image r.example/x:1"));
        assert!(no_use(ImageFault::Denied).is_some() && no_use(ImageFault::Name).is_some());
        assert!(no_use(ImageFault::Away).is_none() && no_use(ImageFault::Unknown).is_none());
    }

    #[test]
    fn r07_a_program_that_is_not_there_is_not_waited_for() {
        let said = "RunContainerError: runc create failed: exec: \"nope\": executable file not found in $PATH: unknown";
        let container = |said: &str| Trouble { kind: TroubleKind::Container, said: said.to_owned() };
        let told = no_use(&[container(said)], None, 0).unwrap();
        assert_eq!(told, "its process cannot be started: \"nope\": executable file not found in $PATH");
        assert_eq!(no_use(&[container("CreateContainerError: the device is busy")], None, 0), None);
    }

    #[test]
    fn r07_a_machine_that_nobody_has_is_waited_for_a_while_unless_one_is_being_added() {
        let gpu = |most| trouble(TroubleKind::NoRoom { resource: "nvidia.com/gpu".to_owned(), most });
        assert_eq!(no_use(&[gpu(Some(0))], None, GROWS_WITHIN_MS - 1), None);
        assert_eq!(
            no_use(&[gpu(Some(0))], None, GROWS_WITHIN_MS).as_deref(),
            Some("no machine has any nvidia.com/gpu, and it asks for 1; none was added within 2 min")
        );
        assert_eq!(no_use(&[gpu(Some(0)), trouble(TroubleKind::Growing)], None, GROWS_WITHIN_MS), None);
        // They are taken, and will be given back.
        assert_eq!(no_use(&[gpu(Some(1))], None, GROWS_WITHIN_MS), None);
        assert_eq!(no_use(&[gpu(None)], None, GROWS_WITHIN_MS), None);
    }
}
