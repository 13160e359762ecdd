//! Values sealed under a master key, in any table: finding those under a former key, and replacing them.

use uuid::Uuid;

use crate::{Db, DbError, Row, Tx};

/// A column of sealed values.
#[derive(Clone, Copy, Debug)]
pub struct SealedColumn {
    /// The table.
    pub table: &'static str,
    /// The column; NULL where there is no value.
    pub column: &'static str,
    /// The table's primary key.
    pub key: &'static [KeyColumn],
    /// The context that a value is sealed for, built from the values of its row's key as text.
    pub context: fn(&[String]) -> String,
}

/// A column of a primary key.
#[derive(Clone, Copy, Debug)]
pub enum KeyColumn {
    /// A UUID column.
    Uuid(&'static str),
    /// A text column.
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

/// A sealed value and the key of its row.
#[derive(Clone, Debug)]
pub struct Sealed {
    /// The row's key.
    pub key: Vec<Key>,
    /// The value.
    pub value: Vec<u8>,
}

impl Sealed {
    /// The context it is sealed for.
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
    /// Counts the values that do not begin with the 12 bytes of `prefix`. Scans every row.
    pub async fn count(&self, db: &Db, prefix: &[u8]) -> Result<u64, DbError> {
        let query = db.query("SELECT COUNT(*) AS n FROM ").push(self.table).push(" WHERE substr(").push(self.column).push(", 1, 12) <> ");
        let n: i64 = query.push_bind(prefix).fetch_one().await?.get("n")?;
        Ok(n.unsigned_abs())
    }

    /// Returns the first values in key order.
    pub async fn first(&self, db: &Db, limit: i64) -> Result<Vec<Sealed>, DbError> {
        let query = self.select(db).push(" WHERE ").push(self.column).push(" IS NOT NULL");
        self.fetch(query, limit).await
    }

    /// Returns the first values after `seen`, in key order, that do not begin with the 12 bytes of `prefix`.
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

    /// Fetches the results of a statement of [`Self::select`], in key order.
    async fn fetch(&self, query: crate::Query<'_>, limit: i64) -> Result<Vec<Sealed>, DbError> {
        let query = self.names(query.push(" ORDER BY ")).push(" LIMIT ").push_bind(limit);
        let read = |row: &Row| {
            let key = self.key.iter().map(|column| column.read(row)).collect::<Result<_, _>>()?;
            Ok(Sealed { key, value: row.get(self.column)? })
        };
        query.fetch_all().await?.iter().map(read).collect()
    }

    /// Replaces a value; false when the old value is no longer there.
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

/// Responses stored for repeated requests, which every service has.
pub const ANSWERS: SealedColumn = SealedColumn {
    table: "idempotency",
    column: "response",
    key: &[KeyColumn::Uuid("relying_party_id"), KeyColumn::Text("operation"), KeyColumn::Text("request_id")],
    context: |key| format!("idempotency/{}", key.join("/")),
};
