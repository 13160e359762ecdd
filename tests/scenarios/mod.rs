//! Scenarios in a `scenarios!` list run embedded and distributed. The others have a world of their own, because they configure or break it
//! in their own way.

/// Makes two tests of each scenario.
macro_rules! scenarios {
    ($($name:ident),+ $(,)?) => {
        mod embedded {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(&crate::world::World::embedded().await).await;
            })+
        }
        mod distributed {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(&crate::world::World::distributed()).await;
            })+
        }
    };
}

mod access;
mod answer;
mod app_links;
mod audit;
mod bad_input;
mod bearer;
mod broken;
mod by_hand;
mod callback;
mod confirmations;
mod conformance;
mod console;
mod counts;
mod custom_fields;
mod data_dir;
mod demo;
mod develop;
mod disk_full;
mod doctor;
mod documents;
mod doors;
mod drill;
mod ends;
mod enrol;
mod factors;
mod faults;
mod flood;
mod forged;
mod frozen;
mod health;
mod import;
mod installation;
mod key_statements;
mod keys;
mod kill;
mod letters;
mod login;
mod lost_wakes;
mod master_key;
mod metrics;
mod moving;
mod notices;
mod numbers;
mod old_ways;
mod one_address;
mod operator;
mod operator_sessions;
mod overload;
mod phones_word;
mod privacy;
mod prompts;
mod proofs;
mod push;
mod races;
mod refused;
mod repeat;
mod replicas;
mod requests;
mod restart;
mod rpc;
mod signing;
mod streams;
mod strict;
mod stuck;
mod telemetry;
mod tenants;
mod texts;
mod transfer;
mod trucode;
mod upgrade;
mod waiting;
mod webhook;
