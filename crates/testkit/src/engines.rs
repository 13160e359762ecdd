//! One test for both engines.

/// Makes two tests of each function, one on SQLite and one on PostgreSQL, each with its own database. `$setup` turns the
/// [`TestDatabase`](crate::TestDatabase) into the argument of the functions.
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
