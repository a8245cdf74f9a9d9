//! What every [`daybook_runtime::Runtime`] must do, whatever it runs replicas with.
//!
//! The suite is in `suite` (for each runtime) and `programs` (for those that run real programs); a
//! runtime plugs in with a [`subject::Subject`] and one macro. What only one runtime promises is in its
//! own file.

#![allow(clippy::unwrap_used, reason = "all of this is a test, though not every function is marked as one")]

#[cfg(feature = "docker-tests")]
mod docker;
#[cfg(feature = "cluster-tests")]
mod kubernetes;
mod process;
mod process_only;
mod programs;
mod simulated;
mod subject;
mod suite;

/// Makes a test of each function: `contract!(suite, open_subject, [name, …])`.
macro_rules! contract {
    ($module:ident, $open:path, [$($name:ident),* $(,)?]) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                let subject = $open().await;
                $crate::$module::$name(&subject).await;
                $crate::subject::Subject::clean(&subject).await;
            }
        )*
    };
}

/// The list for every runtime.
macro_rules! contract_of_every_runtime {
    ($open:path) => {
        $crate::contract!(
            suite,
            $open,
            [
                a_replica_lives_from_start_to_remove,
                r08_started_twice_it_runs_once,
                another_configuration_of_the_same_replica_is_a_conflict,
                what_is_not_there_is_fine_to_stop_and_remove,
                a_running_replica_is_not_removed,
                r14_a_new_server_sees_what_runs,
                an_environment_is_known_as_long_as_something_of_it_is_there,
                volumes_and_networks_are_made_and_removed_once,
                a_volume_is_in_a_directory_or_what_it_holds_is_carried,
                hooks_are_apart_from_the_replicas_of_a_service,
                an_ended_replica_can_be_started_again,
                a_service_keeps_its_address,
            ]
        );
    };
}

/// The list for runtimes that run real programs.
macro_rules! contract_of_real_runtimes {
    ($open:path) => {
        $crate::contract!(
            programs,
            $open,
            [
                r07_a_crash_is_restarted_and_counted,
                r07_running_out_of_memory_is_told,
                a_task_ends_once_and_its_code_is_kept,
                logs_have_both_streams_a_tail_and_a_beginning,
                logs_are_followed_to_the_end,
                a_volume_outlives_its_replicas,
                a_replica_that_does_not_end_is_killed_after_the_grace,
                r02_nothing_of_a_stopped_replica_is_left,
                checks_are_answered,
                a_replica_has_its_environment_and_files,
                r31_no_secret_is_seen,
                a_command_runs_beside_a_replica,
                a_build_is_told_by_what_it_holds,
                usage_is_measured,
            ]
        );
    };
}

pub(crate) use {contract, contract_of_every_runtime, contract_of_real_runtimes};
