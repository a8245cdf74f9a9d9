//! How channels do, and whether they work.

use daybook_api::ErrorCode;
use daybook_api::channel::{ChannelTested, ChannelView, SentView, TestChannel, ToldView};
use daybook_model::name::ChannelName;
use daybook_model::notify::ChannelNote;
use daybook_model::{Actor, EnvKey, Timestamp};
use daybook_notify::{Outcome, trial};

use super::{channels, headline};
use crate::App;
use crate::error::ApiError;
use crate::observe::Fired;

/// A channel that does not work.
pub(crate) struct Trouble {
    pub(crate) key: EnvKey,
    pub(crate) channel: String,
    pub(crate) since: Timestamp,
    pub(crate) waiting: usize,
    pub(crate) why: String,
}

impl App {
    /// The channels of an environment, in the order of its manifest.
    pub(crate) async fn channels(&self, key: &EnvKey) -> Result<Vec<ChannelView>, ApiError> {
        let Some(release) = self.inner.store.current_release(key).await? else { return Ok(Vec::new()) };
        let opened = channels::open(&self.inner.store, &release).await;
        let standing = self.notices().standing.lock();
        let place = standing.places.get(key);
        let health = place.map(|place| place.queue.health()).unwrap_or_default();
        let views = opened.into_iter().map(|channels::Opened { described, channel, .. }| {
            let name = described.name.as_str();
            let health = health.get(name).copied();
            let seen = place.and_then(|place| place.channels.get(name)).cloned().unwrap_or_default();
            let failing_since = health.and_then(|health| health.failing_since);
            let state = match &channel {
                Err(_) => "unusable",
                Ok(_) if health.is_some_and(|health| health.in_trouble) => "dead",
                Ok(_) if failing_since.is_some() => "failing",
                Ok(_) if seen.told.is_some() => "works",
                Ok(_) => "idle",
            };
            ChannelView {
                to: channels::leads_to(&described, &channel),
                least: described.least.word().to_owned(),
                changes: described.changes,
                state: state.to_owned(),
                waiting: health.map_or(0, |health| health.waiting as u64),
                told: seen.told.map(|(at, what)| ToldView { at, what }),
                failing_since,
                why: channel.err().or(seen.failure),
                name: described.name,
            }
        });
        Ok(views.collect())
    }

    /// Sends a test through a channel, at once, and says what was answered.
    pub(crate) async fn test_channel(
        &self,
        key: &EnvKey,
        asked: TestChannel,
        actor: &Actor,
    ) -> Result<ChannelTested, ApiError> {
        let release = self.inner.store.current_release(key).await?;
        let release = release.ok_or_else(|| no_channel(key, &asked.channel, &[]))?;
        let mut opened = channels::open(&self.inner.store, &release).await;
        let names: Vec<_> = opened.iter().map(|one| one.described.name.clone()).collect();
        let place = names.iter().position(|name| *name == asked.channel);
        let place = place.ok_or_else(|| no_channel(key, &asked.channel, &names))?;
        let channels::Opened { described, channel, .. } = opened.swap_remove(place);
        let to = channels::leads_to(&described, &channel);
        let channel = channel.map_err(|why| {
            ApiError::invalid(format!("the channel {} cannot be used: {why}", asked.channel))
                .hint("set the secret with `daybook secret set`, and run `daybook up`")
        })?;
        let sender = self.notices().sender();
        let mut sent = Vec::new();
        for notice in trial(asked.channel.as_str(), &actor.name, self.now()) {
            let delivery = format!("{}-{}", notice.key, notice.kind);
            let reply = sender.ask(&channel, &notice, &delivery, self.now()).await;
            let what = headline(&notice);
            let (taken, answer, note) = match reply.outcome {
                Outcome::Delivered => (true, reply.said, ChannelNote::Told { about: "test".to_owned(), what }),
                Outcome::Retry { why, .. } | Outcome::Refused { why } => {
                    (false, why.clone(), ChannelNote::Lost { what, why })
                }
            };
            self.note_channel(key, actor, asked.channel.clone(), note).await;
            sent.push(SentView { kind: notice.kind.to_string().to_lowercase(), taken, answer });
            if !taken {
                break;
            }
        }
        let works = sent.iter().all(|sent| sent.taken);
        Ok(ChannelTested { channel: asked.channel, to, works, sent })
    }

    /// Channels that do not work, though something is to be told there.
    pub(crate) fn dead_channels(&self) -> Vec<Trouble> {
        let standing = self.notices().standing.lock();
        let mut all = Vec::new();
        for (key, place) in standing.places.iter() {
            for (channel, health) in place.queue.health().into_iter().filter(|(_, health)| health.in_trouble) {
                let seen = place.channels.get(channel);
                all.push(Trouble {
                    key: key.clone(),
                    channel: channel.to_owned(),
                    since: health.failing_since.unwrap_or(self.inner.started_at),
                    waiting: health.waiting,
                    why: seen.and_then(|seen| seen.failure.clone()).unwrap_or_default(),
                });
            }
        }
        all
    }
}

impl Trouble {
    /// As an alert. It opens no incident: the other channels are told of it as it is.
    pub(crate) fn fired(self) -> Fired {
        let Self { key, channel, since, waiting, why } = self;
        let summary = match waiting {
            0 => format!("the channel {channel} has refused a notice: nobody was told there"),
            1 => format!("nobody is told through the channel {channel}: a notice waits"),
            many => format!("nobody is told through the channel {channel}: {many} notices wait"),
        };
        let alert = daybook_model::Alert {
            name: "ChannelDead".to_owned(),
            labels: [("channel".to_owned(), channel.clone())].into(),
            severity: daybook_model::Severity::Page,
            summary,
            started: since,
            ended: None,
            service: None,
            host: None,
            runbook: None,
        };
        Fired::told(key, alert, why, waiting as f64)
    }
}

fn no_channel(key: &EnvKey, name: &ChannelName, names: &[ChannelName]) -> ApiError {
    let error = ApiError::new(ErrorCode::NotFound, format!("{key} has no channel {name}"));
    match names {
        [] => error.hint("describe one in the manifest, under `notify`, and run `daybook up`"),
        names => {
            let names: Vec<_> = names.iter().map(ToString::to_string).collect();
            error.hint(format!("it has {}", names.join(", ")))
        }
    }
}
