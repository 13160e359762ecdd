//! How each engine would run the statements of a store: none may scan a table that grows.
//!
//! PostgreSQL reports the statements that a connection keeps prepared, so a test that runs every function of a store over one connection
//! finds them all. They are planned with generic plans, as PostgreSQL does after the fifth execution, whatever the arguments. Both engines
//! use the same text, so SQLite is checked with the same statements.

use std::{collections::BTreeSet, fmt, fs, path::Path};

use nodkey_db::Db;

/// A prepared statement.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Statement {
    /// The text.
    pub text: String,
    types: Vec<String>,
}

/// A statement and its plan.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The text of the statement.
    pub statement: String,
    /// The lines of the plan.
    pub lines: Vec<String>,
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n{}", self.statement, self.lines.join("\n"))
    }
}

impl Plan {
    /// Whether any line of the plan contains `what`.
    #[must_use]
    pub fn says(&self, what: &str) -> bool {
        self.lines.iter().any(|line| line.contains(what))
    }

    /// The columns that PostgreSQL looks up in indexes.
    fn looked_for(&self) -> BTreeSet<&str> {
        let conditions = self.lines.iter().filter_map(|line| Some(line.split_once("Index Cond: ")?.1));
        let equal = conditions.flat_map(|condition| condition.split(" = ").collect::<Vec<_>>().into_iter().rev().skip(1));
        equal.filter_map(|before| Some(before.rsplit_once('(')?.1)).filter(|column| words(column).eq([*column])).collect()
    }

    /// Returns the line that scans one of these tables, or one of their indexes, as a whole.
    #[must_use]
    pub fn looks_through(&self, tables: &[&str]) -> Option<&str> {
        let of_postgres = |(index, line): (usize, &String)| {
            let bounded = self.lines.get(index + 1).is_some_and(|next| next.trim().starts_with("Index Cond:"));
            let scans = line.contains("Seq Scan on ") || (line.contains("Index") && line.contains(" Scan ") && !bounded);
            scans && tables.iter().any(|table| words(line).any(|word| word == *table || word.starts_with(&format!("{table}_"))))
        };
        // `SCAN table`, `SCAN alias USING INDEX index`; a search says SEARCH.
        let of_sqlite = |line: &String| line.starts_with("SCAN ") && words(line).nth(1).is_some_and(|word| tables.contains(&word));
        self.lines.iter().enumerate().find(|(index, line)| of_postgres((*index, line)) || of_sqlite(line)).map(|(_, line)| line.as_str())
    }
}

/// Numbers of rows in small tables.
const SMALL: [u64; 4] = [0, 10, 30, 100];

/// Plans statements on PostgreSQL while tables are empty, small, and full, and returns all the plans. A plan is kept, so it must be good
/// for full tables whenever it was made. Nothing analyzes the tables in between, since new statistics lead to new plans.
///
/// # Panics
/// If a statement on small tables does not look up in an index everything that it looks up on full ones.
pub async fn at_every_size(db: &Db, tables: &[&str], statements: &BTreeSet<Statement>, many: u64, insert: impl AsyncFn(u64)) -> Vec<Plan> {
    for table in tables {
        run(db, format!("ALTER TABLE {table} SET (autovacuum_enabled = false)").leak()).await;
    }
    let truncate: &'static str = format!("TRUNCATE {} CASCADE", tables.join(", ")).leak();
    let mut small = Vec::new();
    for count in SMALL {
        run(db, truncate).await;
        insert(count).await;
        small.extend(of_postgres(db, statements).await);
    }
    run(db, truncate).await;
    insert(many).await;
    analyze(db).await;
    let full = of_postgres(db, statements).await;
    let astray = small.iter().zip(full.iter().cycle()).filter(|(small, full)| !small.looked_for().is_superset(&full.looked_for()));
    let astray: Vec<_> = astray.map(|(small, full)| format!("{small}\nand on full tables\n{}", full.lines.join("\n"))).collect();
    assert!(astray.is_empty(), "{} plans go astray\n{}", astray.len(), astray.join("\n\n"));
    small.into_iter().chain(full).collect()
}

fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|word| !word.is_empty())
}

/// Adds the statements on these tables that the one connection of a PostgreSQL database keeps prepared. It keeps about a hundred: call this
/// in between.
///
/// # Panics
/// If the database does not answer.
pub async fn collect(db: &Db, tables: &[&str], statements: &mut BTreeSet<Statement>) {
    let sql = "SELECT statement, array_to_string(parameter_types, '/') AS types FROM pg_prepared_statements WHERE NOT from_sql";
    for row in run(db, sql).await {
        let (text, types): (String, String) = (row.get("statement").expect("a text"), row.get("types").expect("a text"));
        let planned = ["SELECT", "INSERT", "UPDATE", "DELETE", "WITH"].iter().any(|verb| text.starts_with(verb));
        if planned && words(&text).any(|word| tables.contains(&word)) {
            let types = types.split('/').filter(|t| !t.is_empty()).map(ToOwned::to_owned).collect();
            statements.insert(Statement { text, types });
        }
    }
}

/// Runs ANALYZE on PostgreSQL.
///
/// # Panics
/// If the database does not answer.
pub async fn analyze(db: &Db) {
    run(db, "ANALYZE").await;
}

/// Plans statements on PostgreSQL.
///
/// # Panics
/// If the database does not answer, or has more than one connection.
pub async fn of_postgres(db: &Db, statements: &BTreeSet<Statement>) -> Vec<Plan> {
    run(db, "SET plan_cache_mode = force_generic_plan").await;
    let mut plans = Vec::new();
    for Statement { text, types } in statements {
        let list = |items: &[String]| if items.is_empty() { String::new() } else { format!("({})", items.join(", ")) };
        run(db, format!("PREPARE planned {} AS {text}", list(types)).leak()).await;
        let nulls = vec!["NULL".to_owned(); types.len()];
        let lines = run(db, format!("EXPLAIN (COSTS OFF) EXECUTE planned {}", list(&nulls)).leak()).await;
        run(db, "DEALLOCATE planned").await;
        let lines = lines.iter().map(|row| row.get("QUERY PLAN").expect("a line")).collect();
        plans.push(Plan { statement: text.clone(), lines });
    }
    plans
}

/// Plans the same statements on SQLite.
///
/// # Panics
/// If the database does not answer.
pub async fn of_sqlite(db: &Db, statements: &BTreeSet<Statement>) -> Vec<Plan> {
    let mut plans = Vec::new();
    for Statement { text, types } in statements {
        let query = db.execute(format!("EXPLAIN QUERY PLAN {text}").leak());
        let rows = types.iter().fold(query, |query, _| query.bind(None::<String>)).fetch_all().await;
        let rows = rows.expect("SQLite takes the statements of PostgreSQL");
        let lines = rows.iter().map(|row| row.get("detail").expect("a line")).collect();
        plans.push(Plan { statement: text.clone(), lines });
    }
    plans
}

async fn run(db: &Db, sql: &'static str) -> Vec<nodkey_db::Row> {
    db.query(sql).fetch_all().await.unwrap_or_else(|e| panic!("{sql}: {e:?}"))
}

/// Returns the names of the public functions below `folder` that run statements.
///
/// # Panics
/// If the folder is missing.
#[must_use]
pub fn functions(folder: &Path) -> Vec<String> {
    let mut names = Vec::new();
    let mut visit = |text: &str| {
        let public = text.lines().filter_map(|line| line.strip_prefix("pub async fn "));
        names.extend(public.filter_map(|line| Some(line.split_once(['(', '<'])?.0.to_owned())));
    };
    if folder.is_file() {
        visit(&fs::read_to_string(folder).expect("a source file"));
    } else {
        for entry in fs::read_dir(folder).expect("a folder of source files") {
            let path = entry.expect("an entry").path();
            if path.extension().is_some_and(|extension| extension == "rs") {
                visit(&fs::read_to_string(path).expect("a source file"));
            }
        }
    }
    names
}
