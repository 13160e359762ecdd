//! What a statement takes and a row gives, on both engines.

use nodkey_kernel::time::Timestamp;
use sqlx::{
    Arguments as _, Decode, Encode, Postgres, Row as _, Sqlite, Type, ValueRef as _,
    encode::IsNull,
    error::BoxDynError,
    postgres::{PgArgumentBuffer, PgArguments, PgTypeInfo, PgValueFormat, PgValueRef},
    sqlite::{SqliteArguments, SqliteArgumentsBuffer, SqliteTypeInfo, SqliteValueRef},
};
use uuid::Uuid;

use crate::query::Row;

/// The arguments of one statement.
pub enum Args {
    /// For PostgreSQL.
    Postgres(PgArguments),
    /// For SQLite.
    Sqlite(SqliteArguments),
}

/// A value a statement takes.
pub trait Param {
    /// Adds itself to the arguments.
    #[doc(hidden)]
    fn add(self, args: &mut Args) -> Result<(), BoxDynError>;
}

/// A value a row gives.
pub trait Column: Sized {
    /// Reads itself from a row.
    #[doc(hidden)]
    fn read(row: &Row, name: &str) -> Result<Self, sqlx::Error>;
}

macro_rules! param {
    ($($type:ty),+) => {$(
        impl Param for $type {
            fn add(self, args: &mut Args) -> Result<(), BoxDynError> {
                match args {
                    Args::Postgres(args) => args.add(self),
                    Args::Sqlite(args) => sqlx::Arguments::add(args, self),
                }
            }
        }
    )+};
}

macro_rules! column {
    ($($type:ty),+) => {$(
        impl Column for $type {
            fn read(row: &Row, name: &str) -> Result<Self, sqlx::Error> {
                match row {
                    Row::Postgres(row) => row.try_get(name),
                    Row::Sqlite(row) => row.try_get(name),
                }
            }
        }
    )+};
}

param!(i64, i32, bool, String, &str, Vec<u8>, &[u8], Uuid, Micros);
param!(Option<i64>, Option<i32>, Option<bool>, Option<String>, Option<&str>, Option<Vec<u8>>, Option<&[u8]>, Option<Uuid>, Option<Micros>);
column!(i64, i32, bool, String, Vec<u8>, Uuid, Micros);
column!(Option<i64>, Option<i32>, Option<bool>, Option<String>, Option<Vec<u8>>, Option<Uuid>, Option<Micros>);

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
    fn read(row: &Row, name: &str) -> Result<Self, sqlx::Error> {
        Micros::read(row, name).map(|micros| Self::from_micros(micros.0))
    }
}

impl Column for Option<Timestamp> {
    fn read(row: &Row, name: &str) -> Result<Self, sqlx::Error> {
        Ok(Option::<Micros>::read(row, name)?.map(|micros| Timestamp::from_micros(micros.0)))
    }
}

/// Microseconds since 1970: TIMESTAMPTZ on PostgreSQL, INTEGER on SQLite. The drivers' own text forms do not sort.
#[derive(Clone, Copy)]
pub struct Micros(i64);

/// PostgreSQL counts from 2000-01-01.
const POSTGRES_EPOCH: i64 = 946_684_800_000_000;

impl Type<Postgres> for Micros {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_name("timestamptz")
    }
}

impl Encode<'_, Postgres> for Micros {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        <i64 as Encode<'_, Postgres>>::encode_by_ref(&(self.0 - POSTGRES_EPOCH), buffer)
    }
}

impl Decode<'_, Postgres> for Micros {
    fn decode(value: PgValueRef<'_>) -> Result<Self, BoxDynError> {
        if value.format() == PgValueFormat::Text {
            return Ok(Self(Timestamp::parse_rfc3339(&value.as_str()?.replacen(' ', "T", 1))?.as_micros()));
        }
        let bytes: [u8; 8] = value.as_bytes()?.try_into()?;
        Ok(Self(i64::from_be_bytes(bytes) + POSTGRES_EPOCH))
    }
}

impl Type<Sqlite> for Micros {
    fn type_info() -> SqliteTypeInfo {
        <i64 as Type<Sqlite>>::type_info()
    }
}

impl Encode<'_, Sqlite> for Micros {
    fn encode_by_ref(&self, buffer: &mut SqliteArgumentsBuffer) -> Result<IsNull, BoxDynError> {
        <i64 as Encode<'_, Sqlite>>::encode_by_ref(&self.0, buffer)
    }
}

impl Decode<'_, Sqlite> for Micros {
    fn decode(value: SqliteValueRef<'_>) -> Result<Self, BoxDynError> {
        debug_assert!(!value.is_null());
        <i64 as Decode<'_, Sqlite>>::decode(value).map(Self)
    }
}
