//! Journal entries in words.

use std::collections::HashMap;

use daybook_api::event::EventView;
use daybook_api::run::ActorView;
use daybook_decide::{incident, text};
use daybook_executor::Note;
use daybook_model::backup::{ArchiveNote, BackupOutcome, DrillOutcome, Holding};
use daybook_model::clone::CloneOutcome;
use daybook_model::event::{Answer, StepOutcome, Toward, Verdict};
use daybook_model::notify::ChannelNote;
use daybook_model::oncall::When;
use daybook_model::upgrade::{RehearsalOutcome, UpgradeOutcome};
use daybook_model::{BackupId, Entry, Event, Plan, PlanId, RunId, Step, StepId, Timestamp};
use daybook_store::{Journal as _, Query, Store};

/// Puts entries into words. Words for a step need its plan: plans that were met are remembered.
pub(crate) struct Words {
    store: Store,
    plans: HashMap<PlanId, Plan>,
    latest: HashMap<RunId, PlanId>,
}

/// Plans that are remembered before all are forgotten.
const REMEMBERED: usize = 64;

impl Words {
    pub(crate) fn new(store: Store) -> Self {
        Self { store, plans: HashMap::new(), latest: HashMap::new() }
    }

    pub(crate) async fn entry(&mut self, entry: &Entry) -> EventView {
        self.learn(entry);
        if let Some(plan) = plan_of(&entry.event)
            && !self.plans.contains_key(plan)
        {
            self.read_plans(entry).await;
        }
        let (service, text) = self.words(&entry.event);
        EventView::of(entry, service, text)
    }

    /// A progress note: it has no place in the journal.
    pub(crate) fn note(&self, note: Note, at: Timestamp) -> EventView {
        let plan = self.latest.get(&note.run).and_then(|plan| self.plans.get(plan));
        let service = plan.and_then(|plan| plan.step(note.step)).and_then(service_of);
        EventView {
            seq: None,
            at,
            key: Some(note.key),
            run: Some(note.run),
            actor: ActorView { name: "daybook".to_owned(), origin: "executor".to_owned() },
            kind: daybook_api::event::PROGRESS.to_owned(),
            service,
            text: note.text,
            event: serde_json::json!({ "step": note.step.0 }),
        }
    }

    fn learn(&mut self, entry: &Entry) {
        if let (Event::Planned { plan, .. }, Some(run)) = (&entry.event, entry.run) {
            if self.plans.len() >= REMEMBERED {
                self.plans.clear();
                self.latest.clear();
            }
            self.plans.insert(plan.id.clone(), (**plan).clone());
            self.latest.insert(run, plan.id.clone());
        }
    }

    /// A reader who comes late has missed the plan: it is in the journal. One that cannot be read
    /// leaves the words poorer and nothing else.
    async fn read_plans(&mut self, entry: &Entry) {
        let query = Query { run: entry.run, key: entry.key.clone(), ..Query::default() };
        match self.store.read(&query).await {
            Ok(entries) => entries.iter().filter(|other| other.seq <= entry.seq).for_each(|entry| self.learn(entry)),
            Err(error) => tracing::warn!(%error, "the plan of an event cannot be read"),
        }
    }

    fn step(&self, plan: &PlanId, id: StepId) -> (Option<String>, String) {
        match self.plans.get(plan).and_then(|plan| plan.step(id)) {
            Some(step) => (service_of(step), text::step(step)),
            None => (None, format!("step {id}")),
        }
    }

    fn words(&self, event: &Event) -> (Option<String>, String) {
        let plain = |text: String| (None, text);
        let about = |service: &dyn std::fmt::Display, text: String| (Some(service.to_string()), text);
        match event {
            Event::RunStarted { reason, to, .. } => plain(format!("run began: {reason}, toward release {to}")),
            Event::Planned { plan, toward } => plain(planned(plan, *toward)),
            Event::StepStarted { plan, step, .. } => self.step(plan, *step),
            Event::StepFinished { plan, step, outcome, took_ms } => {
                let (service, words) = self.step(plan, *step);
                (service, outcome_words(&words, outcome, *took_ms))
            }
            Event::StepAsked { plan, step, answer } => {
                let (service, words) = self.step(plan, *step);
                (service, format!("{words}: {}", answer_words(answer)))
            }
            Event::SwapBack { why } => plain(format!("going back to the release before: {why}")),
            Event::RunInterrupted => plain("run interrupted".to_owned()),
            Event::RunResumed => plain("run resumed".to_owned()),
            Event::RunFinished { verdict } => plain(verdict_words(verdict)),
            Event::ReleaseAccepted { number } => plain(format!("release {number} is in force")),
            Event::TargetAdded { name, target } => plain(format!("target {name} is {}", target.name())),
            Event::TargetRemoved { name } => plain(format!("target {name} is forgotten")),
            Event::EnvironmentCreated => plain("environment made".to_owned()),
            Event::EnvironmentRetired => plain("environment taken down".to_owned()),
            Event::JobStarted { service, due, replica } => {
                about(service, format!("job {service} began as {replica}, due {due}"))
            }
            Event::JobFinished { service, due, code } => {
                about(service, format!("job {service}, due {due}, ended with exit code {code}"))
            }
            Event::JobSkipped { service, due, why } => {
                about(service, format!("job {service}, due {due}, was skipped: {why}"))
            }
            Event::Noticed { replica, what } => about(&replica.service, format!("{replica}: {what}")),
            Event::SecretSet { name, version } => plain(format!("secret {name} set, version {version}")),
            Event::HistoryChanged { database, what } => plain(format!("database {database}: {what}")),
            Event::BackupStarted { of, why, .. } => plain(format!("backup of {of} began: {why}")),
            Event::BackupFinished { backup, of, outcome, took_ms } => {
                let took = text::seconds(*took_ms);
                plain(match outcome {
                    BackupOutcome::Made(_) => format!("backup {} of {of} made in {took}", backup.short()),
                    BackupOutcome::Failed { why } => format!("backup of {of} failed after {took}: {why}"),
                })
            }
            Event::BackupsRemoved { of, backups } => plain(format!("{} old backups of {of} removed", backups.len())),
            Event::DrillStarted { of, backup, .. } => {
                plain(format!("drill of {of} began with backup {}", backup.short()))
            }
            Event::DrillFinished { of, backup, outcome, .. } => plain(drill_words(of, *backup, outcome)),
            Event::BackupOverdue { of, what } => plain(format!("{} {}: {what}", of.kind(), of.name())),
            Event::Restored { of, backup, what } => {
                plain(format!("{} {}, backup {}: {what}", of.kind(), of.name(), backup.short()))
            }
            Event::Archive { database, note } => plain(format!("database {database}: {}", archive_words(note))),
            Event::StateBackup { what } => plain(format!("own state: {what}")),
            Event::StoppedToRestore { of, services, .. } => {
                let names: Vec<_> = services.iter().map(ToString::to_string).collect();
                plain(format!("about to stop {}, to restore {of}", names.join(", ")))
            }
            Event::ApprovalAsked { plan, reason, .. } => {
                plain(format!("{reason}: plan {plan} waits for a second person"))
            }
            Event::PlanApproved { plan, .. } => plain(format!("plan {plan} is approved")),
            Event::CloneStarted { from, data, at, .. } => {
                let then = at.map(|at| format!(" as it was at {at}")).unwrap_or_default();
                plain(format!("about to become a clone of {from}{then}, data: {data}"))
            }
            Event::CloneFinished { outcome: CloneOutcome::Made { expires } } => plain(match expires {
                Some(expires) => format!("the clone is there, until {expires}"),
                None => "the clone is there".to_owned(),
            }),
            Event::CloneFinished { outcome: CloneOutcome::Failed { why } } => plain(format!("no clone: {why}")),
            Event::UpgradeRehearsed { database, from, to, outcome } => plain(match outcome {
                RehearsalOutcome::Passed { stop_ms } => format!(
                    "database {database}: from {from} to {to} rehearsed: every row came over; it would be away for {}",
                    text::seconds(*stop_ms)
                ),
                RehearsalOutcome::Failed { why } => {
                    format!("database {database}: from {from} to {to} rehearsed in vain: {why}")
                }
            }),
            Event::UpgradeStarted { database, from, to, .. } => {
                plain(format!("database {database}: about to go from {from} to {to}"))
            }
            Event::UpgradeFilled { database, .. } => {
                plain(format!("database {database}: the new server has every row; about to start what uses it"))
            }
            Event::UpgradeFinished { database, outcome: UpgradeOutcome::Made, .. } => {
                plain(format!("database {database}: the new server serves"))
            }
            Event::UpgradeFinished { database, outcome: UpgradeOutcome::Failed { why }, .. } => {
                plain(format!("database {database}: the old server serves as before: {why}"))
            }
            Event::OldFilesRemoved { database, of } => {
                plain(format!("database {database}: about to remove the files of {of}"))
            }
            Event::Incident { incident: id, what } => {
                plain(format!("incident {}: {}", id.short(), incident::words(what)))
            }
            Event::Silenced { silence } => {
                let which = if silence.matchers == "{}" { "all alerts" } else { &silence.matchers };
                let until = silence.ends.strftime("%F %H:%M:%S UTC");
                plain(format!("silence {} of {which} until {until}: {}", silence.id, silence.why))
            }
            Event::SilenceEnded { id } => plain(format!("silence {id} is over")),
            Event::MaintenanceAdded { id, window } => match &window.when {
                When::Once { from, until } => {
                    let (from, until) = (from.strftime("%F %H:%M:%S UTC"), until.strftime("%F %H:%M:%S UTC"));
                    plain(format!("maintenance {id} from {from} until {until}: {}", window.title))
                }
                When::Every { .. } => plain(format!("maintenance {id}: {}", window.title)),
            },
            Event::MaintenanceEnded { id } => plain(format!("maintenance {id} is over")),
            Event::OverrideAdded { id, schedule, what } => {
                let (from, until) = (what.from.strftime("%F %H:%M:%S UTC"), what.until.strftime("%F %H:%M:%S UTC"));
                plain(format!("{} takes over in {schedule} from {from} until {until} ({id})", what.person))
            }
            Event::OverrideEnded { id } => plain(format!("override {id} is over")),
            Event::ShiftBegan { schedule, person, .. } => {
                plain(format!("{} is on call in {schedule}", person.as_deref().unwrap_or("nobody")))
            }
            Event::Channel { channel, note } => plain(format!("channel {channel}: {}", channel_words(note))),
            Event::ChangedElsewhere { what, source: Some(source) } => plain(format!("changed at {source}: {what}")),
            Event::ChangedElsewhere { what, source: None } => plain(format!("changed elsewhere: {what}")),
            Event::SecretRemoved { name } => plain(format!("secret {name} removed")),
            Event::Adopted { replicas } => plain(format!("found running without a record: {replicas} replicas")),
            Event::Executed { replica, program } => about(&replica.service, format!("ran {program} in {replica}")),
        }
    }
}

fn drill_words(of: &Holding, backup: BackupId, outcome: &DrillOutcome) -> String {
    let backup = backup.short();
    match outcome {
        DrillOutcome::Proven(proof) => {
            format!("backup {backup} of {of} is proven: back in {}", text::seconds(proof.rto_ms))
        }
        DrillOutcome::Failed { why } => format!("backup {backup} of {of} is no good: {}", why.join("; ")),
        DrillOutcome::Undecided { why } => format!("drill of {of} came to no end: {why}"),
    }
}

fn archive_words(note: &ArchiveNote) -> String {
    match note {
        ArchiveNote::BaseStarted { base, why } => format!("base backup {} began: {why}", base.short()),
        ArchiveNote::BaseMade { base, size_bytes } => {
            format!("base backup {} made, {}", base.short(), text::size(*size_bytes))
        }
        ArchiveNote::BaseFailed { base, why } => format!("base backup {} failed: {why}", base.short()),
        ArchiveNote::Stuck { why } => format!("what is written is not archived: {why}"),
        ArchiveNote::Works => "what is written is archived again".to_owned(),
        ArchiveNote::Gap { first, last } if first == last => format!("gap in its archive: {first} is missing"),
        ArchiveNote::Gap { first, last } => format!("gap in its archive: {first} to {last} are missing"),
        ArchiveNote::RecoveryStarted { recovery } => format!("recovery {} in a scratch copy began", recovery.short()),
        ArchiveNote::RecoveryEnded { recovery } => format!("the scratch copy of recovery {} is gone", recovery.short()),
    }
}

fn channel_words(note: &ChannelNote) -> String {
    match note {
        ChannelNote::Told { what, .. } => format!("told: {what}"),
        ChannelNote::Lost { what, why } => format!("not told: {what}: {why}"),
        ChannelNote::Trouble { why, through: Some(through) } => format!("does not work, told through {through}: {why}"),
        ChannelNote::Trouble { why, through: None } => format!("does not work, and no other can tell that: {why}"),
        ChannelNote::Works => "works again".to_owned(),
    }
}

fn plan_of(event: &Event) -> Option<&PlanId> {
    match event {
        Event::StepStarted { plan, .. } | Event::StepFinished { plan, .. } | Event::StepAsked { plan, .. } => {
            Some(plan)
        }
        _ => None,
    }
}

fn service_of(step: &Step) -> Option<String> {
    step.action.service().map(ToString::to_string)
}

fn planned(plan: &Plan, toward: Toward) -> String {
    let count = plan.steps.len();
    match toward {
        Toward::Target => format!("planned {count} steps toward release {}", plan.to),
        Toward::Previous => format!("planned {count} steps back to what was there before"),
    }
}

fn outcome_words(step: &str, outcome: &StepOutcome, took_ms: u64) -> String {
    let took = text::seconds(took_ms);
    match outcome {
        StepOutcome::Done(note) if note.is_empty() => format!("{step}: done in {took}"),
        StepOutcome::Done(note) => format!("{step}: {note} ({took})"),
        StepOutcome::Failed(failure) => format!("{step}: failed after {took}: {}", failure.why),
    }
}

fn answer_words(answer: &Answer) -> String {
    match answer {
        Answer::Happened => "it had happened".to_owned(),
        Answer::HappenedAndFailed(failure) => format!("it had happened and failed: {}", failure.why),
        Answer::DidNotHappen => "it had not happened".to_owned(),
    }
}

fn verdict_words(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Reached => "run finished: everything is as it should be".to_owned(),
        Verdict::SwappedBack(failure) => format!("run failed, and the release before serves: {}", failure.why),
        Verdict::Failed(failure) => format!("run failed: {}", failure.why),
        Verdict::Abandoned => "run given up".to_owned(),
    }
}
