//! What serde's derived readers let pass and clients don't mean: lists in the place of objects, and JSON without a floor.

use serde::{Deserialize, Deserializer, de::Visitor, forward_to_deserialize_any};

/// Reads an object and nothing else. A derived reader alone also takes a list of the fields in their order, so that
/// `[1,2]` would be a position.
pub(crate) struct ObjectOnly<D>(pub(crate) D);

impl<'de, D: Deserializer<'de>> Deserializer<'de> for ObjectOnly<D> {
    type Error = D::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_map(visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

/// A field that is an object.
pub(super) fn object<'de, D: Deserializer<'de>, T: Deserialize<'de>>(input: D) -> Result<T, D::Error> {
    T::deserialize(ObjectOnly(input))
}

/// A field that is an object or null.
pub(super) fn object_or_null<'de, D, T>(input: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    struct Maybe<T>(T);

    impl<'de, T: Deserialize<'de>> Deserialize<'de> for Maybe<T> {
        fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
            object(input).map(Self)
        }
    }

    Ok(Option::<Maybe<T>>::deserialize(input)?.map(|Maybe(value)| value))
}

/// How many lists and objects of a JSON text are within each other at most. Nothing is built of it, so it takes no stack.
pub(super) fn depth(json: &str) -> usize {
    let (mut deepest, mut here) = (0_usize, 0_usize);
    let (mut in_text, mut escaped) = (false, false);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = in_text,
            b'"' => in_text = !in_text,
            _ if in_text => {}
            b'[' | b'{' => {
                here += 1;
                deepest = deepest.max(here);
            }
            b']' | b'}' => here = here.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::depth;

    #[test]
    fn only_brackets_outside_of_text_are_levels() {
        for (json, levels) in [
            ("1", 0),
            ("[]", 1),
            ("[[],[[]],{}]", 3),
            (r#"{"a":{"[[[[":"]]]]{{{{"}}"#, 2),
            (r#"["\"[[[","\\",[]]"#, 2),
        ] {
            assert_eq!(depth(json), levels, "{json}");
        }
        assert_eq!(depth(&"[".repeat(200_000)), 200_000);
    }
}
