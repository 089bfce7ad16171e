//! Rows and their checksums. SQLite finds damage to the form of its file; that a number or a letter in a row is another one
//! than was written, it does not.

use std::borrow::Cow;

use sha2::{Digest, Sha256};
use sqlx::{Row, SqliteConnection, TypeInfo, ValueRef, sqlite::SqliteRow};

/// One value of a row.
pub(super) enum Value<'a> {
    Null,
    Integer(i64),
    Text(Cow<'a, str>),
    Bytes(&'a [u8]),
}

impl From<i64> for Value<'_> {
    fn from(value: i64) -> Self {
        Self::Integer(value)
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(value: &'a str) -> Self {
        Self::Text(value.into())
    }
}

impl From<String> for Value<'_> {
    fn from(value: String) -> Self {
        Self::Text(value.into())
    }
}

impl<'a, T: Into<Value<'a>>> From<Option<T>> for Value<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// Writes a row of a table by a statement that takes its values and, as the last, its checksum.
pub(super) async fn put(
    to: &mut SqliteConnection,
    table: &str,
    statement: &'static str,
    values: &[Value<'_>],
) -> sqlx::Result<()> {
    let mut query = sqlx::query(statement);
    for value in values {
        query = match value {
            Value::Null => query.bind(None::<i64>),
            Value::Integer(value) => query.bind(*value),
            Value::Text(value) => query.bind(&**value),
            Value::Bytes(value) => query.bind(*value),
        };
    }
    query.bind(sum(table, values)).execute(to).await?;
    Ok(())
}

/// Rows of a table, whole and in its order of columns, each of which is what was written.
pub(super) fn check(table: &str, rows: Vec<SqliteRow>) -> sqlx::Result<Vec<SqliteRow>> {
    for row in &rows {
        let last = row.len().saturating_sub(1);
        let values: Vec<Value<'_>> = (0..last).map(|at| value(row, at)).collect::<Result<_, _>>()?;
        if row.try_get::<i64, _>(last)? != sum(table, &values) {
            return Err(sqlx::Error::Decode(format!("a row of `{table}` is not what was written").into()));
        }
    }
    Ok(rows)
}

fn value(row: &SqliteRow, at: usize) -> sqlx::Result<Value<'_>> {
    let raw = row.try_get_raw(at)?;
    let kind = if raw.is_null() { "NULL".to_owned() } else { raw.type_info().name().to_owned() };
    match &*kind {
        "NULL" => Ok(Value::Null),
        "INTEGER" => row.try_get(at).map(Value::Integer),
        "TEXT" => row.try_get::<&str, _>(at).map(Value::from),
        "BLOB" => row.try_get(at).map(Value::Bytes),
        _ => Err(sqlx::Error::Decode(format!("a value of kind {kind} where none is written").into())),
    }
}

/// The first eight bytes of the SHA-256 of the table's name and all values, each with its kind and its length.
fn sum(table: &str, values: &[Value<'_>]) -> i64 {
    let mut hash = Sha256::new();
    let mut add = |kind: u8, bytes: &[u8]| {
        hash.update([kind]);
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    };
    add(0, table.as_bytes());
    for value in values {
        match value {
            Value::Null => add(1, b""),
            Value::Integer(value) => add(2, &value.to_le_bytes()),
            Value::Text(value) => add(3, value.as_bytes()),
            Value::Bytes(value) => add(4, value),
        }
    }
    let [a, b, c, d, e, f, g, h, ..] = <[u8; 32]>::from(hash.finalize());
    i64::from_le_bytes([a, b, c, d, e, f, g, h])
}

#[cfg(test)]
mod tests {
    use super::{Value, sum};

    #[test]
    fn the_sum_tells_tables_kinds_and_borders_apart() {
        let rows: [(&str, Vec<Value<'_>>); 8] = [
            ("a", vec![]),
            ("b", vec![]),
            ("a", vec![Value::Null]),
            ("a", vec![0.into()]),
            ("a", vec!["".into()]),
            ("a", vec![Value::Bytes(b"")]),
            ("a", vec!["x".into(), "y".into()]),
            ("a", vec!["xy".into(), "".into()]),
        ];
        let sums: std::collections::BTreeSet<_> =
            rows.iter().map(|(table, values)| sum(table, values)).collect();
        assert_eq!(sums.len(), rows.len());
    }

    #[test]
    fn the_sum_is_always_the_same() {
        // It is in every database there is: a change of it is a new step of the schema.
        let row = [Value::from("x"), Value::from(-1), Value::Null, Value::Bytes(&[0, 255])];
        assert_eq!(sum("windows", &row), 7_832_854_168_872_865_613);
    }
}
