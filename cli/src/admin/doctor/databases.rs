//! What databases say of themselves, whether their services run or not.

use std::path::Path;

use nodkey_db::Db;
use nodkey_kernel::{error::chain, time::Clock};

use super::{Check, checks};
use crate::{
    admin::backup::databases::{Database, Databases, schema},
    output::plain,
};

/// Checks each database that the file names.
pub async fn checks(file: &Path, clock: &Clock) -> anyhow::Result<Vec<Check>> {
    let mut found = Vec::new();
    for database in Databases::on_servers(file)?.all {
        let service = database.service.as_str();
        let asked = ask(&database, clock).await;
        found.extend(asked.unwrap_or_else(|e| {
            let what = format!("{}: {}", database.config.server(), plain(&chain(&e)));
            vec![Check::fail("database", service, what, "Start PostgreSQL, or check the URL, the user and its password.")]
        }));
    }
    Ok(found)
}

async fn ask(Database { service, config }: &Database, clock: &Clock) -> Result<Vec<Check>, nodkey_db::DbError> {
    let name = service.as_str();
    let db = Db::connect(config).await?;
    let mut found = vec![Check::ok("database", name, config.server())];
    let before = clock.now();
    if let Some(its) = db.now().await? {
        found.push(checks::clock(name, "the clock of the database", its, (before, clock.now())));
    }
    let known = schema(*service).map(|schema| schema.versions(db.is_postgres())).unwrap_or_default();
    let applied = db.migrations().await?;
    let beyond = |of: &[i64], other: &[i64]| of.iter().filter(|version| !other.contains(version)).copied().collect::<Vec<_>>();
    found.push(checks::schema(name, &beyond(&known, &applied), &beyond(&applied, &known)));
    db.probe().await?;
    db.close().await;
    Ok(found)
}
