//! A client of the API: one typed method for each path.
//!
//! It keeps no connection between requests and has no time-outs of its own: whoever waits decides
//! for how long, and dropping a future or a stream closes its connection.

mod error;
mod exec;
mod query;
mod sse;
mod transport;

use std::path::{Path, PathBuf};

use bytes::Bytes;
use daybook_model::{BackupId, DatabaseName, EnvKey, ReplicaId, RunId, SecretName, ServiceName, Target, TargetName};
use futures::Stream;
use http::Method;

pub use error::{Error, Exit};
pub use exec::ExecSession;

use crate::approval::{ApprovalView, Approve};
use crate::backup::{BackUp, BackupsView, OperationView, Restore, RestorePlan, RunDrill, VerifyQuery};
use crate::channel::{ChannelTested, ChannelView, TestChannel};
use crate::clone::{CloneEnvironment, ClonePlan};
use crate::database::{DatabaseView, HistoryChange, HistoryChanged, TuneView};
use crate::doctor::CheckView;
use crate::environment::{CreateEnvironment, EnvironmentView, OtherEnvironmentView};
use crate::event::{EventView, EventsQuery};
use crate::exec::ExecRequest;
use crate::history::{HistoryEntry, HistoryQuery};
use crate::incident::{AlertView, IncidentView, IncidentsQuery, Marking, OpenIncident};
use crate::journal::JournalVerified;
use crate::logs::{LogLineView, LogSearch, LogsFound, LogsQuery};
use crate::oncall::{AddMaintenance, AddOverride, MaintenanceView, OnCallQuery, OverrideView, ScheduleView};
use crate::oneoff::{OneOffRequest, OneOffStarted, OneOffView};
use crate::plan::{PlanReply, PlanRequest};
use crate::query::{InstantQuery, PictureQuery, QueryAnswer, RangeQuery};
use crate::rules::{AlertTest, TestAlerts};
use crate::run::{RunReply, RunRequest, RunView, RunsQuery};
use crate::secret::{SecretVersion, SecretView, SetSecret};
use crate::silence::{AddSilence, SilenceView};
use crate::status::StatusView;
use crate::target::{AddTarget, TargetView};
use crate::top::TopView;
use crate::trace::{TraceLine, TraceView, TracesQuery};
use crate::upgrade::{Upgrade, UpgradePlan};
use crate::version::VersionView;
use crate::why::WhyView;
use query::{segment, with_query};

/// A result of the client.
pub type Result<T> = std::result::Result<T, Error>;

/// A client of one server.
#[derive(Debug, Clone)]
pub struct Client {
    socket: PathBuf,
    origin: &'static str,
}

impl Client {
    /// A client of the server that listens on the Unix socket at `path`. Connects when first asked.
    pub fn unix(path: impl Into<PathBuf>) -> Self {
        Self { socket: path.into(), origin: "cli" }
    }

    /// The socket.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Who answers.
    pub async fn version(&self) -> Result<VersionView> {
        self.get("/v1/version").await
    }

    /// Every environment.
    pub async fn environments(&self) -> Result<Vec<EnvironmentView>> {
        self.get("/v1/environments").await
    }

    /// Makes the record of an environment in which nothing runs yet.
    pub async fn create_environment(&self, key: &EnvKey) -> Result<EnvironmentView> {
        self.send(Method::POST, "/v1/environments", &CreateEnvironment { key: key.clone() }).await
    }

    /// Removes the record of an environment in which nothing runs any more.
    pub async fn remove_environment(&self, key: &EnvKey) -> Result<()> {
        self.request_empty(Method::DELETE, &environment(key)).await
    }

    /// Environments that belong to another Daybook.
    pub async fn other_environments(&self) -> Result<Vec<OtherEnvironmentView>> {
        self.get("/v1/other-environments").await
    }

    /// Takes over an environment that belonged to another Daybook.
    pub async fn adopt_environment(&self, key: &EnvKey) -> Result<EnvironmentView> {
        self.post(&below(key, "adopt")).await
    }

    /// What a change would do.
    pub async fn plan(&self, request: &PlanRequest) -> Result<PlanReply> {
        self.send(Method::POST, "/v1/plan", request).await
    }

    /// Begins to carry out a change.
    pub async fn run(&self, request: &RunRequest) -> Result<RunReply> {
        let (status, body) = self.request(Method::POST, "/v1/runs", transport::json(request)?).await?;
        if status == http::StatusCode::OK {
            transport::read_json(&body).map(RunReply::Nothing)
        } else {
            transport::read_json(&body).map(RunReply::Started)
        }
    }

    /// A run and how far it is.
    pub async fn run_view(&self, run: RunId) -> Result<RunView> {
        self.get(&format!("/v1/runs/{run}")).await
    }

    /// Lines that are kept, also of replicas that are gone.
    pub async fn search_logs(&self, key: &EnvKey, search: &LogSearch) -> Result<LogsFound> {
        self.get(&with_query(&below(key, "logs/search"), search)).await
    }

    /// What fires, or is about to.
    pub async fn alerts(&self, query: &IncidentsQuery) -> Result<Vec<AlertView>> {
        self.get(&with_query("/v1/alerts", query)).await
    }

    /// What rules would have done.
    pub async fn test_alerts(&self, asked: &TestAlerts) -> Result<AlertTest> {
        self.send(Method::POST, "/v1/alerts/test", asked).await
    }

    /// Silences that hold or are to hold.
    pub async fn silences(&self, query: &IncidentsQuery) -> Result<Vec<SilenceView>> {
        self.get(&with_query("/v1/silences", query)).await
    }

    /// Lets nobody be told of some alerts for a time.
    pub async fn add_silence(&self, silence: &AddSilence) -> Result<SilenceView> {
        self.send(Method::POST, "/v1/silences", silence).await
    }

    /// Ends a silence before its time.
    pub async fn end_silence(&self, id: &str) -> Result<SilenceView> {
        let (_, body) =
            self.request(Method::DELETE, &format!("/v1/silences/{}", segment(id)), bytes::Bytes::new()).await?;
        transport::read_json(&body)
    }

    /// Who is on call, and who will be.
    pub async fn on_call(&self, query: &OnCallQuery) -> Result<Vec<ScheduleView>> {
        self.get(&with_query("/v1/on-call", query)).await
    }

    /// Lets somebody take over in a schedule for a while.
    pub async fn add_override(&self, asked: &AddOverride) -> Result<OverrideView> {
        self.send(Method::POST, "/v1/overrides", asked).await
    }

    /// Lets nobody take over any more.
    pub async fn end_override(&self, id: &str) -> Result<OverrideView> {
        let (_, body) =
            self.request(Method::DELETE, &format!("/v1/overrides/{}", segment(id)), bytes::Bytes::new()).await?;
        transport::read_json(&body)
    }

    /// Maintenance windows that are open or planned.
    pub async fn maintenance(&self, query: &IncidentsQuery) -> Result<Vec<MaintenanceView>> {
        self.get(&with_query("/v1/maintenance", query)).await
    }

    /// Makes a maintenance window.
    pub async fn add_maintenance(&self, asked: &AddMaintenance) -> Result<MaintenanceView> {
        self.send(Method::POST, "/v1/maintenance", asked).await
    }

    /// Ends a maintenance window before its time.
    pub async fn end_maintenance(&self, id: &str) -> Result<MaintenanceView> {
        let (_, body) =
            self.request(Method::DELETE, &format!("/v1/maintenance/{}", segment(id)), bytes::Bytes::new()).await?;
        transport::read_json(&body)
    }

    /// Where an environment tells of its incidents.
    pub async fn channels(&self, key: &EnvKey) -> Result<Vec<ChannelView>> {
        self.get(&below(key, "channels")).await
    }

    /// Sends a test through a channel.
    pub async fn test_channel(&self, key: &EnvKey, test: &TestChannel) -> Result<ChannelTested> {
        self.send(Method::POST, &below(key, "channels/test"), test).await
    }

    /// Incidents, newest first.
    pub async fn incidents(&self, query: &IncidentsQuery) -> Result<Vec<IncidentView>> {
        self.get(&with_query("/v1/incidents", query)).await
    }

    /// One incident, by its id or the end of it.
    pub async fn incident(&self, name: &str) -> Result<IncidentView> {
        self.get(&format!("/v1/incidents/{}", segment(name))).await
    }

    /// Opens an incident that no alert told of.
    pub async fn open_incident(&self, incident: &OpenIncident) -> Result<IncidentView> {
        self.send(Method::POST, "/v1/incidents", incident).await
    }

    /// Says something about an incident.
    pub async fn mark_incident(&self, name: &str, marking: &Marking) -> Result<IncidentView> {
        self.send(Method::POST, &format!("/v1/incidents/{}", segment(name)), marking).await
    }

    /// The draft of a post-mortem, as Markdown.
    pub async fn postmortem(&self, name: &str) -> Result<String> {
        self.get(&format!("/v1/incidents/{}/postmortem", segment(name))).await
    }

    /// Requests that are known step by step, the one that was told of last first.
    pub async fn traces(&self, query: &TracesQuery) -> Result<Vec<TraceLine>> {
        self.get(&with_query("/v1/traces", query)).await
    }

    /// One request, step by step.
    pub async fn trace(&self, id: &str) -> Result<TraceView> {
        self.get(&format!("/v1/traces/{}", segment(id))).await
    }

    /// What was measured, at one time.
    pub async fn query(&self, query: &InstantQuery) -> Result<QueryAnswer> {
        self.get(&with_query("/prometheus/api/v1/query", query)).await
    }

    /// What was measured, at each step of a range.
    pub async fn query_range(&self, query: &RangeQuery) -> Result<QueryAnswer> {
        self.get(&with_query("/prometheus/api/v1/query_range", query)).await
    }

    /// What was measured over time, as SVG.
    pub async fn picture(&self, query: &PictureQuery) -> Result<String> {
        let (_, body) = self.request(Method::GET, &with_query("/v1/query.svg", query), Bytes::new()).await?;
        String::from_utf8(body.into()).map_err(|error| Error::Unreadable(error.to_string()))
    }

    /// Runs, newest first, without their steps.
    pub async fn runs(&self, query: &RunsQuery) -> Result<Vec<RunView>> {
        self.get(&with_query("/v1/runs", query)).await
    }

    /// Asks a run to stop where it is. It can be resumed or abandoned.
    pub async fn interrupt(&self, run: RunId) -> Result<RunView> {
        self.post(&format!("/v1/runs/{run}/interrupt")).await
    }

    /// Lets an interrupted run go on.
    pub async fn resume(&self, run: RunId) -> Result<RunView> {
        self.post(&format!("/v1/runs/{run}/resume")).await
    }

    /// Gives an interrupted run up, so that another change can begin.
    pub async fn abandon(&self, run: RunId) -> Result<RunView> {
        self.post(&format!("/v1/runs/{run}/abandon")).await
    }

    /// Events that are there already, oldest first.
    pub async fn events(&self, query: &EventsQuery) -> Result<Vec<EventView>> {
        self.get(&with_query("/v1/events", &EventsQuery { follow: false, ..query.clone() })).await
    }

    /// Events that are there already, then new ones as they come.
    pub async fn follow_events(&self, query: &EventsQuery) -> Result<impl Stream<Item = Result<EventView>> + use<>> {
        self.stream(&with_query("/v1/events", &EventsQuery { follow: true, ..query.clone() })).await
    }

    /// One environment as it is now.
    pub async fn status(&self, key: &EnvKey) -> Result<StatusView> {
        self.get(&below(key, "status")).await
    }

    /// Releases and failed runs, newest first.
    pub async fn history(&self, key: &EnvKey, query: &HistoryQuery) -> Result<Vec<HistoryEntry>> {
        self.get(&with_query(&below(key, "history"), query)).await
    }

    /// Lines that are there already, oldest first.
    pub async fn logs(&self, key: &EnvKey, query: &LogsQuery) -> Result<Vec<LogLineView>> {
        self.get(&with_query(&below(key, "logs"), &LogsQuery { follow: false, ..query.clone() })).await
    }

    /// Lines that are there already, then new ones as they come.
    pub async fn follow_logs(
        &self,
        key: &EnvKey,
        query: &LogsQuery,
    ) -> Result<impl Stream<Item = Result<LogLineView>> + use<>> {
        self.stream(&with_query(&below(key, "logs"), &LogsQuery { follow: true, ..query.clone() })).await
    }

    /// What replicas use now.
    pub async fn top(&self, key: &EnvKey) -> Result<TopView> {
        self.get(&below(key, "top")).await
    }

    /// What is wrong with a service, and why.
    pub async fn why(&self, key: &EnvKey, service: &ServiceName) -> Result<WhyView> {
        self.get(&below(key, &format!("why/{}", segment(service.as_str())))).await
    }

    /// Runs a command inside a replica.
    pub async fn exec(&self, key: &EnvKey, replica: &ReplicaId, request: &ExecRequest) -> Result<ExecSession> {
        let path = below(key, &format!("replicas/{}/exec", segment(&replica.to_string())));
        exec::open(self, &path, request).await
    }

    /// Starts a command in a new replica of a service.
    pub async fn start_one_off(&self, key: &EnvKey, request: &OneOffRequest) -> Result<OneOffStarted> {
        self.send(Method::POST, &below(key, "oneoff"), request).await
    }

    /// How far a one-off replica is.
    pub async fn one_off(&self, key: &EnvKey, replica: &ReplicaId) -> Result<OneOffView> {
        self.get(&one_off(key, replica)).await
    }

    /// Ends a one-off replica if it runs, and removes it.
    pub async fn remove_one_off(&self, key: &EnvKey, replica: &ReplicaId) -> Result<()> {
        self.request_empty(Method::DELETE, &one_off(key, replica)).await
    }

    /// How the migrations of a database stand.
    pub async fn database(&self, key: &EnvKey, name: &DatabaseName) -> Result<DatabaseView> {
        self.get(&database(key, name)).await
    }

    /// What would make a database faster, smaller or safer.
    pub async fn tune(&self, key: &EnvKey, name: &DatabaseName) -> Result<TuneView> {
        self.get(&format!("{}/tune", database(key, name))).await
    }

    /// Changes the history of a database, or the database by it.
    pub async fn change_history(
        &self,
        key: &EnvKey,
        name: &DatabaseName,
        change: &HistoryChange,
    ) -> Result<HistoryChanged> {
        self.send(Method::POST, &format!("{}/history", database(key, name)), change).await
    }

    /// The backups of an environment, and whether they are proven.
    pub async fn backups(&self, key: &EnvKey) -> Result<BackupsView> {
        self.get(&below(key, "backups")).await
    }

    /// Begins to make backups.
    pub async fn back_up(&self, key: &EnvKey, wanted: &BackUp) -> Result<Vec<OperationView>> {
        self.send(Method::POST, &below(key, "backups"), wanted).await
    }

    /// Begins to restore backups into scratch copies, and to look at them there.
    pub async fn drill(&self, key: &EnvKey, wanted: &RunDrill) -> Result<Vec<OperationView>> {
        self.send(Method::POST, &below(key, "backups/drills"), wanted).await
    }

    /// What a restore would do. Changes nothing.
    pub async fn plan_restore(&self, key: &EnvKey, wanted: &Restore) -> Result<RestorePlan> {
        self.send(Method::POST, &below(key, "backups/restores/plan"), wanted).await
    }

    /// Begins to replace what a database holds by a backup.
    pub async fn restore(&self, key: &EnvKey, wanted: &Restore) -> Result<OperationView> {
        self.send(Method::POST, &below(key, "backups/restores"), wanted).await
    }

    /// Begins to look for damage in the repository.
    pub async fn verify_backups(&self, key: &EnvKey, wanted: VerifyQuery) -> Result<OperationView> {
        self.send(Method::POST, &below(key, "backups/verify"), &wanted).await
    }

    /// Plans that wait for a second person, or are approved.
    pub async fn approvals(&self, key: &EnvKey) -> Result<Vec<ApprovalView>> {
        self.get(&below(key, "approvals")).await
    }

    /// Approves a plan that somebody else asked for.
    pub async fn approve(&self, key: &EnvKey, plan: &str) -> Result<ApprovalView> {
        self.send(Method::POST, &below(key, "approvals"), &Approve { plan: plan.to_owned() }).await
    }

    /// What a clone of an environment would be.
    pub async fn plan_clone(&self, key: &EnvKey, wanted: &CloneEnvironment) -> Result<ClonePlan> {
        self.send(Method::POST, &below(key, "clones/plan"), wanted).await
    }

    /// Begins to make a clone of an environment.
    pub async fn clone_environment(&self, key: &EnvKey, wanted: &CloneEnvironment) -> Result<OperationView> {
        self.send(Method::POST, &below(key, "clones"), wanted).await
    }

    /// What an upgrade of a database server would do.
    pub async fn plan_upgrade(&self, key: &EnvKey, name: &DatabaseName, wanted: &Upgrade) -> Result<UpgradePlan> {
        self.send(Method::POST, &format!("{}/upgrade/plan", database(key, name)), wanted).await
    }

    /// Begins to rehearse an upgrade of a database server on a copy.
    pub async fn rehearse_upgrade(&self, key: &EnvKey, name: &DatabaseName, wanted: &Upgrade) -> Result<OperationView> {
        self.send(Method::POST, &format!("{}/upgrade/rehearsal", database(key, name)), wanted).await
    }

    /// Begins to upgrade a database server.
    pub async fn upgrade(&self, key: &EnvKey, name: &DatabaseName, wanted: &Upgrade) -> Result<OperationView> {
        self.send(Method::POST, &format!("{}/upgrade", database(key, name)), wanted).await
    }

    /// Begins to remove the files that the servers before an upgrade have left.
    pub async fn finish_upgrade(&self, key: &EnvKey, name: &DatabaseName) -> Result<OperationView> {
        self.post(&format!("{}/upgrade/finish", database(key, name))).await
    }

    /// How far something is that was begun.
    pub async fn operation(&self, key: &EnvKey, id: BackupId) -> Result<OperationView> {
        self.get(&below(key, &format!("backups/operations/{id}"))).await
    }

    /// Names and versions of an environment's secrets.
    pub async fn secrets(&self, key: &EnvKey) -> Result<Vec<SecretView>> {
        self.get(&below(key, "secrets")).await
    }

    /// Sets a secret for the releases to come.
    pub async fn set_secret(&self, key: &EnvKey, name: &SecretName, value: &SetSecret) -> Result<SecretVersion> {
        self.send(Method::PUT, &secret(key, name), value).await
    }

    /// Removes a secret and all its versions.
    pub async fn remove_secret(&self, key: &EnvKey, name: &SecretName) -> Result<()> {
        self.request_empty(Method::DELETE, &secret(key, name)).await
    }

    /// Checks the journal's chain of hashes from its first entry.
    pub async fn verify_journal(&self) -> Result<JournalVerified> {
        self.get("/v1/journal/verify").await
    }

    /// Whether everything is here that is needed.
    pub async fn doctor(&self) -> Result<Vec<CheckView>> {
        self.get("/v1/doctor").await
    }

    /// Where environments run.
    pub async fn targets(&self) -> Result<Vec<TargetView>> {
        self.get("/v1/targets").await
    }

    /// Whether everything is at a target that is needed.
    pub async fn check_target(&self, target: &Target) -> Result<Vec<CheckView>> {
        self.send(Method::POST, "/v1/targets/check", &target).await
    }

    /// Gives a cluster a name.
    pub async fn add_target(&self, add: &AddTarget) -> Result<()> {
        self.send(Method::POST, "/v1/targets", add).await
    }

    /// Takes a cluster's name away.
    pub async fn remove_target(&self, name: &TargetName) -> Result<()> {
        self.request_empty(Method::DELETE, &format!("/v1/targets/{}", segment(name.as_str()))).await
    }

    /// Ends the server; edge and replicas go on.
    pub async fn shutdown(&self) -> Result<()> {
        self.request_empty(Method::POST, "/v1/shutdown").await
    }

    /// Starts the edge's next generation, which takes over its listeners.
    pub async fn upgrade_edge(&self) -> Result<()> {
        self.request_empty(Method::POST, "/v1/edge/upgrade").await
    }
}

fn environment(key: &EnvKey) -> String {
    format!("/v1/environments/{}/{}", segment(key.app.as_str()), segment(key.env.as_str()))
}

fn below(key: &EnvKey, rest: &str) -> String {
    format!("{}/{rest}", environment(key))
}

fn one_off(key: &EnvKey, replica: &ReplicaId) -> String {
    below(key, &format!("oneoff/{}", segment(&replica.to_string())))
}

fn database(key: &EnvKey, name: &DatabaseName) -> String {
    below(key, &format!("databases/{name}"))
}

fn secret(key: &EnvKey, name: &SecretName) -> String {
    below(key, &format!("secrets/{}", segment(name.as_str())))
}
