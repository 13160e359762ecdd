//! Arguments of statements and columns of rows, on both engines.

use std::{error::Error, fmt};

use nodkey_kernel::time::Timestamp;
use rusqlite::types::Value;
use sqlx::{
    Arguments as _, Decode, Encode, Postgres, Row as _, Type,
    encode::IsNull,
    error::BoxDynError,
    postgres::{PgArgumentBuffer, PgArguments, PgRow, PgTypeInfo, PgValueFormat, PgValueRef},
};
use uuid::Uuid;

use crate::{error::DbError, sqlite::SqliteRow};

/// The arguments of one statement.
#[derive(Clone, Debug)]
pub enum Args {
    /// For PostgreSQL.
    Postgres(PgArguments),
    /// For SQLite.
    Sqlite(Vec<Value>),
}

/// A value that a statement accepts as an argument.
pub trait Param {
    /// Adds itself to the arguments.
    #[doc(hidden)]
    fn add(self, args: &mut Args) -> Result<(), BoxDynError>;
}

/// A value that can be read from a row.
pub trait Column: Sized {
    /// Reads itself from a row.
    #[doc(hidden)]
    fn read(row: &Row, name: &str) -> Result<Self, BoxDynError>;
}

/// A row of either engine.
#[derive(Debug)]
pub enum Row {
    /// A row from PostgreSQL.
    Postgres(PgRow),
    /// A row from SQLite.
    Sqlite(SqliteRow),
}

impl Row {
    /// Reads a column by name.
    pub fn get<T: Column>(&self, column: &'static str) -> Result<T, DbError> {
        T::read(self, column).map_err(|source| DbError::Corrupt { column, source })
    }

    /// The row together with its table and key, so that an error names the row that cannot be read.
    pub fn of(&self, table: &'static str, key: impl fmt::Display) -> Record<'_> {
        Record { row: self, table, key: key.to_string() }
    }
}

/// A row whose table and key are known.
#[derive(Debug)]
pub struct Record<'a> {
    row: &'a Row,
    table: &'static str,
    key: String,
}

impl Record<'_> {
    /// Reads a column by name; [`DbError::Inconsistent`] when it has another type.
    pub fn get<T: Column>(&self, column: &'static str) -> Result<T, DbError> {
        T::read(self.row, column).map_err(|source| self.inconsistent(column, source))
    }

    /// Reads a column and converts it; [`DbError::Inconsistent`] when it holds a value that is never written.
    pub fn convert<C: Column, T, E>(&self, column: &'static str, convert: impl FnOnce(C) -> Result<T, E>) -> Result<T, DbError>
    where
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        convert(self.get(column)?).map_err(|source| self.inconsistent(column, source))
    }

    /// The error for a column that contradicts another, or holds a value that is never written.
    pub fn inconsistent(&self, column: &'static str, source: impl Into<Box<dyn Error + Send + Sync>>) -> DbError {
        DbError::Inconsistent { table: self.table, column, row: self.key.clone(), source: source.into() }
    }
}

/// A type that can be read from a SQLite value.
trait FromValue: Sized {
    fn from_value(value: &Value) -> Option<Self>;
}

/// Implements a type for PostgreSQL's driver and SQLite's storage classes.
macro_rules! types {
    ($($type:ty: $to:expr, $from:pat => $got:expr;)+) => {$(
        impl Param for $type {
            fn add(self, args: &mut Args) -> Result<(), BoxDynError> {
                match args {
                    Args::Postgres(args) => args.add(self),
                    Args::Sqlite(args) => {
                        args.push($to(self));
                        Ok(())
                    }
                }
            }
        }

        impl Param for Option<$type> {
            fn add(self, args: &mut Args) -> Result<(), BoxDynError> {
                match args {
                    Args::Postgres(args) => args.add(self),
                    Args::Sqlite(args) => {
                        args.push(self.map_or(Value::Null, $to));
                        Ok(())
                    }
                }
            }
        }

        impl FromValue for $type {
            fn from_value(value: &Value) -> Option<Self> {
                match value {
                    $from => $got,
                    _ => None,
                }
            }
        }

        impl Column for $type {
            fn read(row: &Row, name: &str) -> Result<Self, BoxDynError> {
                match row {
                    Row::Postgres(row) => Ok(row.try_get(name)?),
                    Row::Sqlite(row) => {
                        let value = row.value(name)?;
                        Self::from_value(value).ok_or_else(|| unexpected(value))
                    }
                }
            }
        }

        impl Column for Option<$type> {
            fn read(row: &Row, name: &str) -> Result<Self, BoxDynError> {
                match row {
                    Row::Postgres(row) => Ok(row.try_get(name)?),
                    Row::Sqlite(row) => match row.value(name)? {
                        Value::Null => Ok(None),
                        value => <$type>::from_value(value).map(Some).ok_or_else(|| unexpected(value)),
                    },
                }
            }
        }
    )+};
}

types! {
    i64: Value::Integer, Value::Integer(n) => Some(*n);
    i32: |n: i32| Value::Integer(n.into()), Value::Integer(n) => i32::try_from(*n).ok();
    bool: |b: bool| Value::Integer(b.into()), Value::Integer(n @ (0 | 1)) => Some(*n == 1);
    String: Value::Text, Value::Text(text) => Some(text.clone());
    Vec<u8>: Value::Blob, Value::Blob(bytes) => Some(bytes.clone());
    Uuid: |id: Uuid| Value::Blob(id.as_bytes().to_vec()), Value::Blob(bytes) => Uuid::from_slice(bytes).ok();
    Micros: |at: Micros| Value::Integer(at.0), Value::Integer(n) => Some(Micros(*n));
}

/// Implements the borrowed form of a type above.
macro_rules! borrowed {
    ($($type:ty: $to:expr;)+) => {$(
        impl Param for $type {
            fn add(self, args: &mut Args) -> Result<(), BoxDynError> {
                match args {
                    Args::Postgres(args) => args.add(self),
                    Args::Sqlite(args) => {
                        args.push($to(self));
                        Ok(())
                    }
                }
            }
        }

        impl Param for Option<$type> {
            fn add(self, args: &mut Args) -> Result<(), BoxDynError> {
                match args {
                    Args::Postgres(args) => args.add(self),
                    Args::Sqlite(args) => {
                        args.push(self.map_or(Value::Null, $to));
                        Ok(())
                    }
                }
            }
        }
    )+};
}

borrowed! {
    &str: |text: &str| Value::Text(text.to_owned());
    &[u8]: |bytes: &[u8]| Value::Blob(bytes.to_vec());
}

fn unexpected(value: &Value) -> BoxDynError {
    format!("its value has a type that is not allowed: {}", value.data_type()).into()
}

impl Param for Timestamp {
    fn add(self, args: &mut Args) -> Result<(), BoxDynError> {
        Micros(self.as_micros()).add(args)
    }
}

impl Param for Option<Timestamp> {
    fn add(self, args: &mut Args) -> Result<(), BoxDynError> {
        self.map(|at| Micros(at.as_micros())).add(args)
    }
}

impl Column for Timestamp {
    fn read(row: &Row, name: &str) -> Result<Self, BoxDynError> {
        Micros::read(row, name).map(|micros| Self::from_micros(micros.0))
    }
}

impl Column for Option<Timestamp> {
    fn read(row: &Row, name: &str) -> Result<Self, BoxDynError> {
        Ok(Option::<Micros>::read(row, name)?.map(|micros| Timestamp::from_micros(micros.0)))
    }
}

/// Microseconds since 1970: TIMESTAMPTZ on PostgreSQL, INTEGER on SQLite. The drivers' own text formats do not sort.
#[derive(Clone, Copy)]
pub struct Micros(pub(crate) i64);

/// PostgreSQL counts from 2000-01-01.
const POSTGRES_EPOCH: i64 = 946_684_800_000_000;

impl Type<Postgres> for Micros {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_name("timestamptz")
    }
}

impl Encode<'_, Postgres> for Micros {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        // PostgreSQL reserves the smallest and the largest number for -infinity and infinity.
        let micros = self.0.checked_sub(POSTGRES_EPOCH).ok_or("a moment out of range")?;
        <i64 as Encode<'_, Postgres>>::encode_by_ref(&micros, buffer)
    }
}

impl Decode<'_, Postgres> for Micros {
    fn decode(value: PgValueRef<'_>) -> Result<Self, BoxDynError> {
        if value.format() == PgValueFormat::Text {
            return Ok(Self(Timestamp::parse_rfc3339(&value.as_str()?.replacen(' ', "T", 1))?.as_micros()));
        }
        let bytes: [u8; 8] = value.as_bytes()?.try_into()?;
        Ok(Self(i64::from_be_bytes(bytes).checked_add(POSTGRES_EPOCH).ok_or("a moment out of range")?))
    }
}
