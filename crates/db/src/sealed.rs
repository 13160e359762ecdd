//! Values that are sealed under a master key, wherever they are: to find those under a former one, and to replace them.

use uuid::Uuid;

use crate::{Db, DbError, Row, Tx};

/// A column of sealed values.
#[derive(Clone, Copy, Debug)]
pub struct SealedColumn {
    /// The table.
    pub table: &'static str,
    /// The column; NULL where there is nothing.
    pub column: &'static str,
    /// The table's primary key.
    pub key: &'static [KeyColumn],
    /// What a value is sealed for, by the texts of its row's key.
    pub context: fn(&[String]) -> String,
}

/// A column of a primary key.
#[derive(Clone, Copy, Debug)]
pub enum KeyColumn {
    /// Of a UUID.
    Uuid(&'static str),
    /// Of text.
    Text(&'static str),
}

/// A value of a row's key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Key {
    /// A UUID.
    Uuid(Uuid),
    /// Text.
    Text(String),
}

/// A sealed value, and whose it is.
#[derive(Clone, Debug)]
pub struct Sealed {
    /// The row's key.
    pub key: Vec<Key>,
    /// The value.
    pub value: Vec<u8>,
}

impl Sealed {
    /// What it is sealed for.
    #[must_use]
    pub fn context(&self, column: &SealedColumn) -> String {
        let texts: Vec<_> = self.key.iter().map(Key::to_string).collect();
        (column.context)(&texts)
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Uuid(uuid) => uuid.fmt(f),
            Self::Text(text) => text.fmt(f),
        }
    }
}

impl KeyColumn {
    const fn name(self) -> &'static str {
        match self {
            Self::Uuid(name) | Self::Text(name) => name,
        }
    }

    fn read(self, row: &Row) -> Result<Key, DbError> {
        match self {
            Self::Uuid(name) => row.get(name).map(Key::Uuid),
            Self::Text(name) => row.get(name).map(Key::Text),
        }
    }
}

impl SealedColumn {
    /// How many values do not begin with the 12 bytes of `prefix`. It looks at every row.
    pub async fn count(&self, db: &Db, prefix: &[u8]) -> Result<u64, DbError> {
        let query = db.query("SELECT COUNT(*) AS n FROM ").push(self.table).push(" WHERE substr(").push(self.column).push(", 1, 12) <> ");
        let n: i64 = query.push_bind(prefix).fetch_one().await?.get("n")?;
        Ok(n.unsigned_abs())
    }

    /// The first values, in the order of the key.
    pub async fn first(&self, db: &Db, limit: i64) -> Result<Vec<Sealed>, DbError> {
        let query = self.select(db).push(" WHERE ").push(self.column).push(" IS NOT NULL");
        self.fetch(query, limit).await
    }

    /// The first values that do not begin with the 12 bytes of `prefix`, in the order of the key, behind one that was seen.
    pub async fn behind(&self, db: &Db, prefix: &[u8], seen: Option<&[Key]>, limit: i64) -> Result<Vec<Sealed>, DbError> {
        let mut query = self.select(db).push(" WHERE substr(").push(self.column).push(", 1, 12) <> ").push_bind(prefix);
        if let Some(seen) = seen {
            query = self.names(query.push(" AND (")).push(") > (");
            for (at, key) in seen.iter().enumerate() {
                query = if at == 0 { query } else { query.push(", ") };
                query = match key {
                    Key::Uuid(uuid) => query.push_bind(*uuid),
                    Key::Text(text) => query.push_bind(text.as_str()),
                };
            }
            query = query.push(")");
        }
        self.fetch(query, limit).await
    }

    fn select<'a>(&self, db: &'a Db) -> crate::Query<'a> {
        let mut query = db.query("SELECT ");
        for column in self.key {
            query = query.push(column.name()).push(", ");
        }
        query.push(self.column).push(" FROM ").push(self.table)
    }

    /// Fetches what a statement of [`Self::select`] finds, in the order of the key.
    async fn fetch(&self, query: crate::Query<'_>, limit: i64) -> Result<Vec<Sealed>, DbError> {
        let query = self.names(query.push(" ORDER BY ")).push(" LIMIT ").push_bind(limit);
        let read = |row: &Row| {
            let key = self.key.iter().map(|column| column.read(row)).collect::<Result<_, _>>()?;
            Ok(Sealed { key, value: row.get(self.column)? })
        };
        query.fetch_all().await?.iter().map(read).collect()
    }

    /// Puts a value in the place of another; false when that is not there any more.
    pub async fn replace(&self, tx: &mut Tx, sealed: &Sealed, anew: &[u8]) -> Result<bool, DbError> {
        let mut query = tx.query("UPDATE ").push(self.table).push(" SET ").push(self.column).push(" = ").push_bind(anew).push(" WHERE ");
        for (column, key) in self.key.iter().zip(&sealed.key) {
            query = query.push(column.name()).push(" = ");
            query = match key {
                Key::Uuid(uuid) => query.push_bind(*uuid),
                Key::Text(text) => query.push_bind(text.as_str()),
            };
            query = query.push(" AND ");
        }
        Ok(query.push(self.column).push(" = ").push_bind(sealed.value.as_slice()).execute().await? == 1)
    }

    fn names<'a>(&self, mut query: crate::Query<'a>) -> crate::Query<'a> {
        for (at, column) in self.key.iter().enumerate() {
            query = if at == 0 { query } else { query.push(", ") };
            query = query.push(column.name());
        }
        query
    }
}

/// Answers kept for repeated requests: every service has them.
pub const ANSWERS: SealedColumn = SealedColumn {
    table: "idempotency",
    column: "response",
    key: &[KeyColumn::Uuid("relying_party_id"), KeyColumn::Text("operation"), KeyColumn::Text("request_id")],
    context: |key| format!("idempotency/{}", key.join("/")),
};
