//! The suite that every backend passes: each verb in each state, its races, and what it refuses.
//!
//! A test is an async function over `Arc<dyn Store>`, listed once in `suite!`, which makes one test
//! of it for each backend. Jobs get into their states through verbs alone.

mod accounts;
pub(in crate::store) mod bed;
mod cancels;
mod cells;
mod claims;
mod desk;
mod flow;
mod nonces;
mod pages;
mod queries;
mod races;
mod renewals;
mod submits;

use std::sync::Arc;

use super::Store;
use super::memory::MemoryStore;
use super::postgres::tests as postgres;
use super::sqlite::SqliteStore;

macro_rules! suite {
    ($($module:ident :: $test:ident,)+) => {
        mod postgres_15 {
            use super::postgres::cluster::Version::Fifteen;

            $(#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn $test() {
                let store = super::postgres::store(Fifteen, stringify!($test)).await;
                let Some(store) = store else { return };
                super::$module::$test(super::Arc::clone(&store)).await;
                store.close().await.unwrap();
            })+
        }

        mod postgres_18 {
            use super::postgres::cluster::Version::Eighteen;

            $(#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn $test() {
                let store = super::postgres::store(Eighteen, stringify!($test)).await;
                let Some(store) = store else { return };
                super::$module::$test(super::Arc::clone(&store)).await;
                store.close().await.unwrap();
            })+
        }

        mod memory {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn $test() {
                let store: super::Arc<dyn super::Store> = super::Arc::new(super::MemoryStore::new());
                super::$module::$test(store).await;
            })+
        }

        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn $test() {
                let dir = tempfile::tempdir().unwrap();
                let store = super::SqliteStore::open(&dir.path().join("haulage.db")).await.unwrap();
                let store: super::Arc<dyn super::Store> = super::Arc::new(store);
                super::$module::$test(super::Arc::clone(&store)).await;
                store.close().await.unwrap();
            })+
        }
    };
}

suite! {
    accounts::an_account_name_is_taken_once,
    accounts::a_key_belongs_to_an_existing_account_and_its_id_is_taken_once,
    accounts::disabling_is_seen_by_the_next_request,
    accounts::a_change_of_an_account_leaves_the_rest_of_it,
    cells::every_state_and_event_does_what_the_state_machine_says,
    cells::a_worker_with_an_old_token_changes_nothing,
    cells::a_lease_in_force_does_not_expire_unless_everything_does,
    cells::an_attempt_is_charged_once_and_a_rescue_apart,
    cells::expiry_goes_in_pages,
    cells::a_beat_prolongs_the_lease_and_shows_progress,
    claims::an_account_with_many_jobs_does_not_delay_anothers_first,
    claims::jobs_of_one_account_come_in_the_order_of_becoming_ready,
    claims::no_more_than_the_limit_of_one_account_runs_at_once,
    claims::free_slots_are_used_by_whoever_has_work,
    claims::turns_go_on_after_the_account_served_last,
    claims::a_claimed_job_is_whole_and_starts_anew,
    flow::slots_are_shared_by_weight_while_both_want_them,
    flow::an_account_that_holds_its_share_gets_no_more_while_another_wants,
    flow::the_last_slots_are_for_accounts_that_hold_few,
    flow::a_paused_account_starts_nothing_and_everything_else_goes_on,
    flow::urgent_jobs_go_first_and_the_others_age,
    flow::jobs_of_full_hosts_keep_their_place_and_hold_nobody_up,
    flow::a_long_line_of_a_full_host_hides_nothing_for_long,
    flow::a_long_line_that_moves_on_hides_nothing_for_long,
    flow::a_place_in_line_counts_what_goes_before_of_the_own_account,
    cancels::each_input_gets_its_verdict_in_order,
    cancels::a_url_means_every_pending_job_of_the_account_for_it,
    cancels::urls_are_told_apart_to_the_byte,
    cancels::a_foreign_job_is_unknown_and_untouched,
    submits::keys_come_in_the_order_of_the_call_and_grow,
    submits::a_repeated_session_replays_or_is_taken_until_its_window_ends,
    submits::sessions_of_two_accounts_are_apart,
    submits::the_day_quota_opens_at_midnight_utc,
    submits::only_accepted_calls_count,
    submits::the_queue_limit_counts_pending_and_waiting,
    submits::a_reference_id_is_held_until_its_job_fails_or_is_cancelled,
    submits::reasons_are_judged_in_the_documented_order,
    submits::an_unknown_account_cannot_submit,
    queries::infos_by_id_come_once_each_in_the_order_asked,
    queries::infos_by_url_are_newest_first_and_limited_in_all,
    queries::a_job_is_kept_whole,
    queries::pages_walk_all_jobs_newest_first_without_gap_or_repeat,
    queries::pages_of_some_states_hold_those_alone,
    queries::a_medium_is_found_by_key_and_by_reference_id,
    queries::an_object_without_a_sha256_is_kept_without_one,
    queries::a_failed_job_makes_no_medium,
    queries::counts_follow_the_jobs,
    queries::states_of_unknown_keys_are_left_out,
    queries::purge_forgets_failed_and_cancelled_records_alone,
    queries::a_closed_store_answers_closed,
    pages::every_filter_of_a_page_leaves_the_others_out,
    pages::a_search_without_a_hit_stops_and_goes_on,
    desk::every_attempt_is_told_with_its_ending,
    desk::a_worker_with_an_old_token_leaves_no_trace,
    desk::the_newest_attempts_are_kept,
    desk::attempts_are_forgotten_with_their_job,
    desk::tallies_count_what_happened_in_its_minute,
    desk::tallies_are_kept_for_two_days,
    desk::queues_tell_who_has_something_the_largest_first,
    desk::a_console_session_ends_by_time_by_closing_or_with_its_key,
    desk::a_key_has_so_many_sessions_and_one_more_ends_the_oldest,
    nonces::of_a_hundred_racing_takers_exactly_one_is_first,
    nonces::a_nonce_is_used_up_for_its_window_and_its_key,
    nonces::purge_forgets_expired_nonces_and_sessions,
    races::a_claim_and_a_cancel_never_both_win,
    races::another_url_and_the_deadline_never_both_win,
    renewals::another_url_takes_the_place_of_the_one_before,
    renewals::a_job_is_given_a_url_only_while_it_awaits_one,
    renewals::a_foreign_job_is_given_no_url,
    renewals::at_its_deadline_a_job_without_another_url_fails_with_the_refusal,
    renewals::a_job_that_awaits_a_url_is_counted_and_holds_its_reference,
    renewals::lapses_go_in_pages,
    races::an_expiry_and_a_finish_never_both_win,
    races::of_many_cancels_exactly_one_wins,
    races::of_many_claims_exactly_one_gets_a_job,
    races::of_many_submits_with_one_reference_id_exactly_one_is_accepted,
}
