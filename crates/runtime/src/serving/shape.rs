//! The settings of a type and the kind of each, found through the type's own `Deserialize`, so that no list of them can become outdated.

use std::{cell::Cell, marker::PhantomData};

use serde::{
    de::{DeserializeOwned, DeserializeSeed, Deserializer, Error as _, IntoDeserializer as _, MapAccess, SeqAccess, Visitor, value::Error},
    forward_to_deserialize_any,
};

/// What a setting accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Any text.
    Text,
    /// A whole number up to `most`.
    Whole {
        /// The largest accepted number.
        most: u64,
    },
    /// True or false.
    Switch,
}

/// A setting: its name (`db.url`), what it accepts, and whether it accepts a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) name: String,
    pub(crate) shape: Shape,
    pub(crate) list: bool,
}

/// Every setting of a type, in the order of its fields.
pub(crate) fn settings<T: DeserializeOwned>() -> Vec<Known> {
    let mut known = Vec::new();
    below::<T>(&mut Vec::new(), &mut known);
    known
}

fn below<T: DeserializeOwned>(path: &mut Vec<&'static str>, known: &mut Vec<Known>) {
    match at(path, PhantomData::<T>) {
        Some(Found::Fields(fields)) => {
            for field in fields {
                path.push(field);
                below::<T>(path, known);
                path.pop();
            }
        }
        Some(Found::Value { shape, list }) => known.push(Known { name: path.join("."), shape, list }),
        None => {}
    }
}

/// What a type expects at a path.
#[derive(Clone, Copy)]
enum Found {
    Fields(&'static [&'static str]),
    Value { shape: Shape, list: bool },
}

fn at<T: DeserializeOwned>(path: &[&'static str], _: PhantomData<T>) -> Option<Found> {
    let found = Cell::new(None);
    // The probe never provides a value, so this fails after recording what was expected.
    let _ = T::deserialize(Probe { path, list: false, found: &found });
    found.get()
}

/// Follows a path to its end and records what is expected there.
#[derive(Clone, Copy)]
struct Probe<'a> {
    path: &'a [&'static str],
    list: bool,
    found: &'a Cell<Option<Found>>,
}

impl Probe<'_> {
    fn value<V>(self, shape: Shape) -> Result<V, Error> {
        self.found.set(Some(Found::Value { shape, list: self.list }));
        Err(Error::custom("noted"))
    }
}

macro_rules! whole_numbers {
    ($($method:ident: $type:ty),*) => {
        $(fn $method<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
            self.value(Shape::Whole { most: <$type>::MAX.into() })
        })*
    };
}

impl<'de> Deserializer<'de> for Probe<'_> {
    type Error = Error;

    whole_numbers! { deserialize_u8: u8, deserialize_u16: u16, deserialize_u32: u32, deserialize_u64: u64 }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(Error::custom("no setting takes this"))
    }

    fn deserialize_bool<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        self.value(Shape::Switch)
    }

    fn deserialize_str<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        self.value(Shape::Text)
    }

    fn deserialize_string<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        self.value(Shape::Text)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_seq(Inside { key: None, probe: Self { list: true, ..self } })
    }

    fn deserialize_struct<V: Visitor<'de>>(self, _: &'static str, fields: &'static [&'static str], visitor: V) -> Result<V::Value, Error> {
        let Some((first, rest)) = self.path.split_first() else {
            self.found.set(Some(Found::Fields(fields)));
            return Err(Error::custom("noted"));
        };
        visitor.visit_map(Inside { key: Some(first), probe: Probe { path: rest, ..self } })
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u128 f32 f64 char bytes byte_buf unit unit_struct tuple tuple_struct map enum identifier ignored_any
    }
}

/// The one field that is visited, or the first value of a list.
struct Inside<'a> {
    key: Option<&'static str>,
    probe: Probe<'a>,
}

impl<'de> MapAccess<'de> for Inside<'_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        self.key.take().map(|key| seed.deserialize(key.into_deserializer())).transpose()
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        seed.deserialize(self.probe)
    }
}

impl<'de> SeqAccess<'de> for Inside<'_> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        seed.deserialize(self.probe).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use std::{net::SocketAddr, path::PathBuf};

    use ipnet::IpNet;
    use secrecy::SecretString;
    use serde::Deserialize;

    use super::*;

    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Inner {
        networks: Vec<IpNet>,
        ports: Option<Vec<u16>>,
        secret: Option<SecretString>,
    }

    #[derive(Deserialize)]
    #[expect(dead_code, reason = "it is never made")]
    struct Outer {
        listen: SocketAddr,
        file: Option<PathBuf>,
        #[serde(default)]
        inner: Inner,
        other: Option<Inner>,
        count: usize,
        on: bool,
    }

    #[test]
    fn every_setting_is_found_with_its_kind_however_deep_it_is() {
        let known: Vec<_> = settings::<Outer>().into_iter().map(|known| (known.name, known.shape, known.list)).collect();
        let number = |most| Shape::Whole { most };
        let expected = [
            ("listen", Shape::Text, false),
            ("file", Shape::Text, false),
            ("inner.networks", Shape::Text, true),
            ("inner.ports", number(65_535), true),
            ("inner.secret", Shape::Text, false),
            ("other.networks", Shape::Text, true),
            ("other.ports", number(65_535), true),
            ("other.secret", Shape::Text, false),
            ("count", number(u64::MAX), false),
            ("on", Shape::Switch, false),
        ];
        assert_eq!(known, expected.map(|(name, shape, list)| (name.to_owned(), shape, list)));
    }
}
