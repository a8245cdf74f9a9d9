//! Every wire type has a schema whose fields are those that travel.

use daybook_api::run::{Outcome, VerdictView};
use daybook_model::event::Failure;
use daybook_model::{Digest, EnvKey, Plan, PlanId, ReleaseNumber, Verdict};
use utoipa::OpenApi;

#[derive(OpenApi)]
#[openapi(components(schemas(
    daybook_api::ErrorBody,
    daybook_api::change::Change,
    daybook_api::doctor::CheckView,
    daybook_api::environment::CreateEnvironment,
    daybook_api::environment::EnvironmentView,
    daybook_api::event::EventView,
    daybook_api::exec::ExecRequest,
    daybook_api::history::HistoryEntry,
    daybook_api::journal::JournalVerified,
    daybook_api::logs::LogLineView,
    daybook_api::oneoff::OneOffRequest,
    daybook_api::plan::PlanReply,
    daybook_api::run::RunView,
    daybook_api::secret::SetSecret,
    daybook_api::status::StatusView,
    daybook_api::top::TopView,
    daybook_api::version::VersionView,
    daybook_api::why::WhyView,
)))]
struct Document;

#[test]
fn names_ids_and_times_are_strings_in_the_schemas() {
    let document = serde_json::to_value(Document::openapi()).unwrap();
    let type_of =
        |schema: &str, field: &str| document["components"]["schemas"][schema]["properties"][field]["type"].clone();
    for (schema, field) in [("RunView", "id"), ("RunView", "key"), ("EventView", "at"), ("ReplicaView", "id")] {
        assert_eq!(type_of(schema, field), "string", "{schema}.{field}");
    }
    assert_eq!(type_of("RunView", "to"), "integer");
}

#[test]
fn a_plan_and_a_verdict_convert_from_the_model() {
    let key: EnvKey = "shop/production".parse().unwrap();
    let id = PlanId(Digest::of(b"plan"));
    let plan = Plan { id, parent: None, key, from: None, to: ReleaseNumber(1), steps: Vec::new(), changes: Vec::new() };
    let reply = daybook_api::plan::PlanReply::of(&plan, "nothing".to_owned(), "basis".to_owned(), Vec::new());
    assert!(reply.empty && !reply.destructive);
    assert_eq!(reply.plan_id, plan.id.0.to_string());

    let failure = Failure { why: "exit code 1".to_owned(), ..Failure::default() };
    let view = VerdictView::from(&Verdict::SwappedBack(failure));
    assert_eq!(view.outcome, Outcome::SwappedBack);
    assert_eq!(view.failure.unwrap().why, "exit code 1");
}
