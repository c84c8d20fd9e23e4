//! JSON of callers, read strictly: limited in depth and size, and without duplicate keys, of which
//! two readers would take different ones.

use std::cell::Cell;
use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use crate::params::shown;

/// Deepest nesting of objects and arrays.
const DEPTH_LIMIT: usize = 16;
/// Most values and keys of one text.
const NODE_LIMIT: usize = 10_000;

/// Reads one JSON text.
///
/// # Errors
/// What is wrong and where, for the caller.
pub(super) fn parse(text: &str) -> Result<Value, String> {
    let nodes_left = Cell::new(NODE_LIMIT);
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let strict = Strict { depth_left: DEPTH_LIMIT, nodes_left: &nodes_left };
    let value = strict.deserialize(&mut deserializer).map_err(|error| error.to_string())?;
    deserializer.end().map_err(|error| error.to_string())?;
    Ok(value)
}

#[derive(Clone, Copy)]
struct Strict<'a> {
    depth_left: usize,
    nodes_left: &'a Cell<usize>,
}

impl Strict<'_> {
    fn count<E: de::Error>(self) -> Result<(), E> {
        let left = self.nodes_left.get().checked_sub(1);
        self.nodes_left.set(left.ok_or_else(|| E::custom("it has too many values"))?);
        Ok(())
    }

    fn deeper<E: de::Error>(self) -> Result<Self, E> {
        let left = self.depth_left.checked_sub(1);
        let depth_left = left.ok_or_else(|| E::custom("it is nested too deeply"))?;
        Ok(Self { depth_left, ..self })
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        self.count()?;
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(inner)? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut fields = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            self.count()?;
            if fields.contains_key(&key) {
                return Err(de::Error::custom(format!("it has the key {} twice", shown(&key))));
            }
            let value = map.next_value_seed(inner)?;
            fields.insert(key, value);
        }
        Ok(Value::Object(fields))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_bombs_are_refused_without_being_built() {
        let deep = "[".repeat(10_000) + &"]".repeat(10_000);
        let wide = format!("[{}]", vec!["1"; 20_000].join(","));
        let keys: Vec<String> = (0..6_000).map(|n| format!("\"{n}\":0")).collect();
        let many_keys = format!("{{{}}}", keys.join(","));
        for text in [deep.as_str(), &wide, &many_keys, "1e400", "NaN", "{\"a\":1,\"a\":2}", "1 2"] {
            assert!(parse(text).is_err(), "{text:.20}");
        }
        assert!(parse(&("[".repeat(16) + &"]".repeat(16))).is_ok());
        assert!(parse(&("[".repeat(17) + &"]".repeat(17))).is_err());
    }
}
