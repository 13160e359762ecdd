//! Every scenario runs embedded and distributed.

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
mod bad_input;
mod broken;
mod by_hand;
mod callback;
mod conformance;
mod console;
mod counts;
mod data_dir;
mod demo;
mod disk_full;
mod ends;
mod enrol;
mod faults;
mod forged;
mod import;
mod installation;
mod key_statements;
mod keys;
mod kill;
mod master_key;
mod old_ways;
mod operator;
mod overload;
mod privacy;
mod push;
mod repeat;
mod replicas;
mod restart;
mod rpc;
mod signing;
mod tenants;
mod trucode;
mod waiting;
mod webhook;
