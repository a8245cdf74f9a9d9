//! Events of a namespace, asked for once for all who want them at about the same time: while thousands of replicas start, each of
//! them asks what is in its way, and there are several events of each.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Event;
use tokio::sync::Mutex;
use tokio::time::Instant;

/// An answer holds for so long,
const HOLDS_FOR: Duration = Duration::from_secs(1);
/// and for so many times as long as it took, if that is longer.
const OF_ITS_TIME: u32 = 10;

/// What was answered last, by namespace.
#[derive(Default)]
pub(crate) struct Told(Mutex<BTreeMap<String, Answer>>);

struct Answer {
    events: Arc<[Event]>,
    until: Instant,
}

impl Told {
    /// What happened in a namespace. Whoever asks meanwhile waits for the same answer.
    pub(super) async fn in_namespace(&self, namespace: &str, ask: impl Future<Output = Vec<Event>>) -> Arc<[Event]> {
        let mut known = self.0.lock().await;
        let begun = Instant::now();
        if let Some(answer) = known.get(namespace).filter(|answer| begun < answer.until) {
            return answer.events.clone();
        }
        let events: Arc<[Event]> = ask.await.into();
        let until = Instant::now() + HOLDS_FOR.max(begun.elapsed() * OF_ITS_TIME);
        known.retain(|_, answer| begun < answer.until);
        known.insert(namespace.to_owned(), Answer { events: events.clone(), until });
        events
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_question_answers_all_who_ask_at_about_the_same_time() {
        let (told, asked) = (Told::default(), Cell::new(0));
        let ask = async |took: u64| {
            let answer = async {
                asked.set(asked.get() + 1);
                tokio::time::sleep(Duration::from_millis(took)).await;
                vec![Event::default(); asked.get()]
            };
            told.in_namespace("shop", answer).await.len()
        };
        let both = futures::join!(ask(50), ask(50));
        assert_eq!(both, (1, 1));
        tokio::time::sleep(Duration::from_millis(900)).await;
        assert_eq!(ask(500).await, 1);
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert_eq!(ask(500).await, 2, "it was too old");
        tokio::time::sleep(Duration::from_secs(4)).await;
        assert_eq!(ask(500).await, 2, "what takes long is asked seldom");
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(ask(1).await, 3);
    }
}
