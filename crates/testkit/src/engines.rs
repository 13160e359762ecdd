//! One test, both engines.

/// Makes two tests of each function, one on SQLite and one on PostgreSQL, with a database of its own. `$setup` makes of the
/// [`TestDatabase`](crate::TestDatabase) what the functions are given.
#[macro_export]
macro_rules! on_both_engines {
    ($setup:expr => $($name:ident,)+) => {
        mod sqlite {
            use super::*;
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    let database = $crate::TestDatabase::sqlite();
                    super::$name(($setup)(&database).await).await;
                }
            )+
        }
        mod postgres {
            use super::*;
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    let database = $crate::TestDatabase::postgres().await;
                    super::$name(($setup)(&database).await).await;
                }
            )+
        }
    };
}
