//! Plans as their text: what people read, and every step under it.

mod common;

use common::{Planner, converged, db, release, route, running, spec, web, worker};
use daybook_decide::routes::{backend, with_warm};
use daybook_model::spec::{Artifact, Condition, Dependency, EnvValue};
use daybook_model::status_page::{PageComponent, StatusPage};
use daybook_model::{Observed, ReplicaState, RunKind, Service};
use insta::assert_snapshot;

#[test]
fn a_first_deployment_starts_dependencies_first() {
    let mut site = web("1");
    site.scale.min = 2;
    site.depends_on = vec![Dependency { service: "db".parse().unwrap(), condition: Condition::Healthy }];
    site.release_hook = Some(vec!["bin/migrate".to_owned()]);
    let spec = spec([site, db("16"), worker("1")]);
    assert_snapshot!(Planner::first().show(&spec, &Observed::nothing(spec.key.clone())));
}

#[test]
fn what_is_as_it_should_be_needs_no_plan() {
    let spec = spec([web("1"), db("16"), worker("1")]);
    let (plan, problems) = Planner::after(&spec).plan(&spec, &converged(&spec));
    assert!(plan.is_empty(), "{plan:?}");
    assert!(problems.is_empty());
}

#[test]
fn r01_a_new_version_serves_before_the_old_one_goes() {
    let before = spec([web("1")]);
    let mut after = web("2");
    after.container.environment.insert("LOG_LEVEL".to_owned(), EnvValue::Text("debug".to_owned()));
    after.container.environment.insert("API_TOKEN".to_owned(), EnvValue::Text("canary-secret".to_owned()));
    let text = Planner::after(&before).show(&spec([after]), &converged(&before));
    assert!(!text.contains("canary-secret"), "r31: a plan shows no secret");
    assert_snapshot!(text);
}

#[test]
fn a_canary_gets_its_share_first() {
    let mut old = web("1");
    old.scale.min = 3;
    let before = spec([old]);
    let mut new = web("2");
    new.scale.min = 3;
    new.rollout.canary_percent = Some(10);
    assert_snapshot!(Planner::after(&before).show(&spec([new]), &converged(&before)));
}

#[test]
fn r08_a_single_writer_and_a_worker_end_before_their_successors_start() {
    let before = spec([db("15"), worker("1")]);
    assert_snapshot!(Planner::after(&before).show(&spec([db("16"), worker("2")]), &converged(&before)));
}

#[test]
fn r04_a_worker_is_not_stopped_for_a_version_that_cannot_serve() {
    let before = spec([web("1"), worker("1")]);
    assert_snapshot!(Planner::after(&before).show(&spec([web("2"), worker("2")]), &converged(&before)));
}

#[test]
fn r16_a_removed_service_keeps_its_volume() {
    let before = spec([web("1"), db("16")]);
    assert_snapshot!(Planner::after(&before).show(&spec([web("1")]), &converged(&before)));
}

#[test]
fn a_lost_replica_is_replaced_and_nothing_else_is_touched() {
    let mut wanted = web("1");
    wanted.scale.min = 2;
    let spec = spec([wanted, worker("1")]);
    let mut seen = converged(&spec);
    seen.replicas.retain(|replica| replica.id.to_string() != "web.2");
    let planner = Planner { purpose: RunKind::Heal, ..Planner::after(&spec) };
    assert_snapshot!(planner.show(&spec, &seen));
}

#[test]
fn r05_going_back_uses_the_warm_replicas_at_once() {
    let (before, after) = (spec([web("1")]), spec([web("2")]));
    let mut seen = converged(&before);
    let old = before.services.values().next().unwrap();
    let new = after.services.values().next().unwrap();
    let ids = ["web.1".parse().unwrap(), "web.2".parse().unwrap()];
    seen.replicas.push(running(new, &ids[1]));
    route(&mut seen, old, &with_warm(&ids[1..], &ids[..1]));
    let planner = Planner { recovery: true, ..Planner::after(&before) };
    let text = planner.show(&before, &seen);
    assert!(!text.contains("wait until"), "nothing is waited for: {text}");
    assert_snapshot!(text);
}

#[test]
fn fewer_replicas_drain_the_surplus() {
    let mut old = web("1");
    old.scale.min = 3;
    let before = spec([old]);
    assert_snapshot!(Planner::after(&before).show(&spec([web("1")]), &converged(&before)));
}

#[test]
fn a_digest_that_nobody_tells_is_shown_as_known_later() {
    let unknown = |mut service: daybook_model::Service| {
        if let daybook_model::spec::Artifact::Image { digest, .. } = &mut service.artifact {
            *digest = None;
        }
        service
    };
    let before = spec([web("1")]);
    let mut twin = worker("1");
    twin.name = "twin".parse().unwrap();
    let after = spec([unknown(web("2")), unknown(worker("1")), unknown(twin)]);
    let (plan, problems) = Planner::after(&before).plan(&after, &converged(&before));
    assert_eq!(plan.id, Planner::after(&before).plan(&after, &converged(&before)).0.id, "same inputs, same plan");
    assert!(problems.iter().all(daybook_decide::Problem::is_open) && problems.len() == 3, "{problems:?}");
    let prepared = plan.steps.iter().filter(|step| matches!(step.action, daybook_model::Action::Prepare { .. }));
    assert_eq!(prepared.count(), 2, "one image for two services is one pull");
    assert_snapshot!(Planner::after(&before).show(&after, &converged(&before)));
}

#[test]
fn an_image_needs_a_runtime_that_runs_images() {
    let spec = spec([web("1")]);
    let planner = Planner { images: false, ..Planner::first() };
    let (_, problems) = planner.plan(&spec, &Observed::nothing(spec.key.clone()));
    assert_eq!(problems.iter().map(|problem| problem.code.as_str()).collect::<Vec<_>>(), ["P0102"]);
}

#[test]
fn a_change_of_settings_alone_touches_no_replica() {
    let before = spec([worker("1")]);
    let mut after = worker("1");
    after.rollout.ready_ms = 7_000;
    let (plan, _) = Planner::after(&before).plan(&spec([after]), &converged(&before));
    assert!(plan.steps.is_empty());
    assert!(!plan.is_empty(), "it is a new release all the same");
}

#[test]
fn a_stopped_replica_of_the_wanted_configuration_is_started_again() {
    let spec = spec([worker("1")]);
    let mut seen = converged(&spec);
    seen.replicas[0].state = ReplicaState::Exited;
    assert_snapshot!(Planner::after(&spec).show(&spec, &seen));
}

#[test]
fn same_inputs_same_plan() {
    let before = spec([web("1"), db("15"), worker("1")]);
    let after = spec([web("2"), db("16"), worker("2")]);
    let planner = Planner { current: Some(release(41, &before)), ..Planner::first() };
    let seen = converged(&before);
    assert_eq!(planner.plan(&after, &seen).0.id, planner.plan(&after, &seen).0.id);
}

#[test]
fn a_replica_that_came_back_at_another_address_is_routed_again() {
    let spec = spec([web("1")]);
    let mut seen = converged(&spec);
    let Some(daybook_model::route::Target::Endpoints(endpoints)) =
        seen.routes.backends.values_mut().next().map(|backend| &mut backend.target)
    else {
        panic!("web has endpoints")
    };
    endpoints[0].ports.insert(8080, "172.20.0.9:8080".parse().unwrap());
    let planner = Planner { purpose: RunKind::Heal, ..Planner::after(&spec) };
    let (plan, _) = planner.plan(&spec, &seen);
    assert_eq!(
        plan.steps.iter().map(daybook_decide::text::step).collect::<Vec<_>>(),
        ["send requests for web to 1 replica"]
    );
}

/// The steps in words.
fn steps(planner: &Planner, spec: &daybook_model::Spec, seen: &Observed) -> Vec<String> {
    planner.plan(spec, seen).0.steps.iter().map(daybook_decide::text::step).collect()
}

const AT_ONCE: [&str; 4] =
    ["start web.1", "wait until web.1 answers", "wait until web.1 is ready", "send requests for web to 1 replica"];

#[test]
fn where_nothing_serves_the_first_answer_is_enough_for_requests_and_not_for_the_release() {
    let spec = spec([web("1")]);
    let mut seen = Observed::nothing(spec.key.clone());
    seen.artifacts = converged(&spec).artifacts;
    let planner = Planner::first();
    assert_eq!(steps(&planner, &spec, &seen), AT_ONCE);
    let (plan, _) = planner.plan(&spec, &seen);
    assert_eq!(plan.steps[3].needs, [plan.steps[1].id], "requests wait for the answer alone");
}

#[test]
fn where_another_service_answers_for_the_same_domain_readiness_is_waited_for() {
    let mut other = web("1");
    other.name = "site".parse().unwrap();
    let before = spec([other]);
    let after = steps(&Planner::after(&before), &spec([web("2")]), &converged(&before));
    assert!(!after.contains(&"wait until web.1 answers".to_owned()), "{after:?}");
}

#[test]
fn where_requests_are_held_readiness_is_waited_for() {
    let spec = spec([web("1")]);
    let mut seen = converged(&spec);
    seen.replicas.clear();
    let planner = Planner { purpose: RunKind::Heal, ..Planner::after(&spec) };
    assert!(steps(&planner, &spec, &seen).contains(&"wait until web.1 answers".to_owned()), "all are lost");
    for backend in seen.routes.backends.values_mut() {
        backend.hold_ms = Some(1_000);
    }
    assert!(!steps(&planner, &spec, &seen).contains(&"wait until web.1 answers".to_owned()));
}

mod moves {
    use daybook_decide::plan::{hindrances, left};
    use daybook_model::observed::Away;
    use daybook_model::{Spec, Target};

    use super::*;

    fn cluster() -> Target {
        "kubernetes://prod".parse().expect("a valid target")
    }

    /// What is seen at an empty target while the old one serves `spec`.
    fn seen_from(spec: &Spec, shares_entrance: bool) -> Observed {
        let there = converged(spec);
        let mut seen = Observed::nothing(spec.key.clone());
        if shares_entrance {
            seen.routes = there.routes;
        }
        let away = Away { target: Target::Docker, shares_entrance, replicas: there.replicas, volumes: there.volumes };
        seen.away = Some(away);
        seen
    }

    fn moved(spec: &Spec) -> Spec {
        Spec { target: Some(cluster()), ..spec.clone() }
    }

    fn planner(spec: &Spec) -> Planner {
        Planner { purpose: RunKind::Move, ..Planner::after(spec) }
    }

    #[test]
    fn r01_everything_serves_at_the_new_target_before_anything_goes_at_the_old_one() {
        let mut site = web("1");
        site.depends_on = vec![Dependency { service: "api".parse().unwrap(), condition: Condition::Healthy }];
        let mut api = web("1");
        api.name = "api".parse().unwrap();
        api.routes.clear();
        let spec = spec([site, api, worker("1")]);
        assert_snapshot!(planner(&spec).show(&moved(&spec), &seen_from(&spec, true)));
    }

    #[test]
    fn where_clients_come_in_at_both_targets_the_old_one_serves_on_until_it_is_left() {
        let spec = spec([web("1"), worker("1")]);
        let mut both = moved(&spec);
        both.leaving = Some(Target::Docker);
        assert_snapshot!("moving", planner(&spec).show(&both, &seen_from(&spec, false)));
        let mut there = converged(&moved(&spec));
        there.away = seen_from(&spec, false).away;
        let finished = Planner { purpose: RunKind::Move, ..Planner::after(&both) };
        assert_snapshot!("finishing", finished.show(&moved(&spec), &there));
    }

    #[test]
    fn r04_a_move_that_fails_sends_everything_back() {
        let spec = spec([web("1"), worker("1")]);
        let mut seen = converged(&spec);
        let mut begun = converged(&moved(&spec));
        begun.replicas.iter_mut().for_each(|replica| replica.id.ordinal += 10);
        // The worker had ended for its successor, and requests went to the new target.
        seen.replicas.retain(|replica| replica.id.service.as_str() != "worker");
        seen.routes = Default::default();
        let shares = with_warm(&["web.11".parse().unwrap()], &[]);
        route(&mut seen, &web("1"), &shares);
        seen.away = Some(Away {
            target: cluster(),
            shares_entrance: true,
            replicas: begun.replicas,
            volumes: Default::default(),
        });
        let back = Planner { purpose: RunKind::Move, recovery: true, ..Planner::after(&spec) };
        assert_snapshot!(back.show(&spec, &seen));
    }

    #[test]
    fn a_target_is_left_once_nothing_names_it() {
        let home = Target::Docker;
        let spec = spec([web("1")]);
        assert_eq!(left(&spec, [&spec], &home), None);
        assert_eq!(left(&moved(&spec), [&spec, &moved(&spec)], &home), Some(Target::Docker));
        assert_eq!(left(&spec, [&spec, &moved(&spec)], &home), Some(cluster()), "a move that failed");
        let both = Spec { leaving: Some(Target::Docker), ..moved(&spec) };
        assert_eq!(left(&moved(&spec), [&both, &moved(&spec)], &home), Some(Target::Docker), "it is finished");
    }

    #[test]
    fn data_and_what_must_not_run_twice_stand_in_the_way() {
        let mut single = web("1");
        single.rollout.order = daybook_model::spec::RolloutOrder::StopFirst;
        let spec = spec([single, db("16")]);
        let told = |shares: bool, empty: bool| -> Vec<String> {
            let found = hindrances(&spec, &moved(&spec), shares, empty);
            found.into_iter().map(|problem| format!("{} {}", problem.code, problem.message)).collect()
        };
        let data = "P0106 volume `data` of `db` holds data, and a move does not carry data along";
        let twice = "P0107 `web` must not run twice, and clients come in at both targets for a while";
        assert_eq!(told(true, false), [data]);
        assert_eq!(told(false, false), [data, twice]);
        assert_eq!(told(false, true), [twice]);
        assert_eq!(told(true, true), [""; 0]);
    }
}

mod charts {
    use daybook_model::fingerprint::Fingerprint;
    use daybook_model::observed::{ChartState, SeenChart};
    use daybook_model::spec::{Artifact, Chart, ChartObjects, Condition, Dependency};
    use daybook_model::{Observed, Service, Spec};

    use super::common::{Planner, spec, worker};
    use daybook_model::Digest;

    fn cache(version: &str, values: serde_json::Value) -> Service {
        let objects = [
            ("Deployment cache".to_owned(), Digest::of_json(&(version, &values))),
            ("Service cache".to_owned(), Digest::of(b"service")),
        ];
        let chart = Chart {
            reference: "oci://charts.example.com/cache".to_owned(),
            repository: None,
            version: Some("^1".to_owned()),
            values,
            digest: Some(Digest::of(version.as_bytes())),
            made: Some(ChartObjects { version: version.to_owned(), objects: objects.into() }),
        };
        let mut cache = Service::new("cache".parse().expect("a valid name"), Artifact::Chart(Box::new(chart)));
        cache.line = Some(2);
        cache
    }

    fn values() -> serde_json::Value {
        serde_json::json!({"auth": {"password": "pearl"}, "nodes": [1], "size": "small"})
    }

    fn seen(spec: &Spec, state: ChartState) -> Observed {
        let mut seen = super::common::converged(spec);
        let charts = spec.services.values().filter(|service| service.artifact.chart().is_some());
        seen.charts = charts
            .map(|service| {
                let fingerprint = Fingerprint::of(service);
                (service.name.clone(), SeenChart { fingerprint, revision: 3, state })
            })
            .collect();
        seen
    }

    #[test]
    fn a_new_chart_is_fetched_and_released_before_what_waits_for_it() {
        let mut worker = worker("1");
        worker.depends_on = vec![Dependency { service: "cache".parse().unwrap(), condition: Condition::Healthy }];
        let spec = spec([cache("1.2.0", values()), worker]);
        insta::assert_snapshot!(Planner::first().show(&spec, &Observed::nothing(spec.key.clone())));
    }

    #[test]
    fn what_a_chart_changes_is_told_without_what_is_secret() {
        let before = spec([cache("1.2.0", values())]);
        let after = serde_json::json!({"auth": {"password": "ruby"}, "nodes": [1, 2], "replicas": 3});
        let after = spec([cache("1.3.0", after)]);
        let shown = Planner::after(&before).show(&after, &seen(&before, ChartState::Released));
        assert!(!shown.contains("pearl") && !shown.contains("ruby"), "{shown}");
        insta::assert_snapshot!(shown);
    }

    #[test]
    fn a_chart_that_is_as_it_should_be_is_left_alone_and_one_that_is_not_is_released_again() {
        let spec = spec([cache("1.2.0", values())]);
        let planner = Planner::after(&spec);
        assert!(planner.plan(&spec, &seen(&spec, ChartState::Released)).0.steps.is_empty());
        let whys: Vec<_> = [ChartState::Failed, ChartState::Pending]
            .iter()
            .map(|state| planner.plan(&spec, &seen(&spec, *state)).0.steps[0].cause.why.to_string())
            .collect();
        assert_eq!(whys, ["its last release failed", "its last release did not come to its end"]);
    }

    #[test]
    fn a_chart_that_the_manifest_no_longer_has_is_taken_away_after_what_used_it() {
        let before = spec([cache("1.2.0", values()), worker("1")]);
        let after = spec([worker("2")]);
        insta::assert_snapshot!(Planner::after(&before).show(&after, &seen(&before, ChartState::Released)));
    }

    #[test]
    fn r16_a_claim_that_helm_would_remove_is_named_first() {
        let with = |claim: &str| {
            let mut cache = cache("1.2.0", values());
            if let Artifact::Chart(chart) = &mut cache.artifact {
                let objects = &mut chart.made.as_mut().unwrap().objects;
                objects.insert(format!("PersistentVolumeClaim {claim}"), Digest::of(b"claim"));
            }
            spec([cache])
        };
        let (before, kept) = (with("cache"), with("cache (kept)"));
        let codes = |before: &Spec, after: &Spec| -> Vec<String> {
            let (_, found) = Planner::after(before).plan(after, &seen(before, ChartState::Released));
            found.into_iter().map(|found| found.code).collect()
        };
        assert_eq!(codes(&before, &spec([])), ["P0111"]);
        assert_eq!(codes(&before, &spec([cache("1.3.0", values())])), ["P0111"]);
        assert_eq!(codes(&before, &before), [""; 0]);
        assert_eq!(codes(&kept, &spec([])), [""; 0]);
        let gone = Observed::nothing(before.key.clone());
        assert_eq!(Planner::after(&before).plan(&spec([]), &gone).1, [], "somebody has removed the release");
    }

    #[test]
    fn charts_need_a_cluster_cannot_be_stopped_and_do_not_move() {
        let mut stopped = cache("1.2.0", values());
        let running = spec([stopped.clone()]);
        stopped.stopped = true;
        let codes = |planner: &Planner, spec: &Spec| -> Vec<String> {
            planner.plan(spec, &Observed::nothing(spec.key.clone())).1.into_iter().map(|found| found.code).collect()
        };
        assert_eq!(codes(&Planner { images: false, ..Planner::first() }, &running), ["P0108"]);
        assert_eq!(codes(&Planner::first(), &spec([stopped])), ["P0109"]);
        let found = daybook_decide::plan::hindrances(&running, &running, true, false);
        assert_eq!(found.iter().map(|found| found.code.as_str()).collect::<Vec<_>>(), ["P0110"]);
    }
}

#[test]
fn a_status_page_is_served_and_its_settings_are_what_changes() {
    let page = |title: &str| {
        let components = vec![PageComponent { name: "Checkout".to_owned(), services: ["web".parse().unwrap()].into() }];
        let page = StatusPage { title: title.to_owned(), components, zone: "UTC".to_owned() };
        Service::new("status".parse().unwrap(), Artifact::StatusPage(Box::new(page)))
    };
    let before = spec([web("1"), page("Shop")]);
    let mut seen = converged(&spec([web("1")]));
    let text = Planner::after(&spec([web("1")])).show(&before, &seen);
    assert!(text.contains("new status page; Shop: Checkout"), "{text}");
    let served = backend(&page("Shop"), Vec::new(), None, Some("/state/status-pages/shop/production/status"));
    seen.routes.backends.insert("status".parse().unwrap(), served);
    assert!(Planner::after(&before).plan(&before, &seen).0.is_empty());
    let text = Planner::after(&before).show(&spec([web("1"), page("Boutique")]), &seen);
    assert!(text.contains("title Shop → Boutique"), "{text}");
}
