//! Writes the byte form of a record: what `postcard` writes, without its steps in between.
//!
//! A record is encoded for every decision, on the single writer's thread. The format stays
//! postcard's (its specification, "wire format", version 1) and `postcard` reads it; a test holds
//! the bytes of every kind of record against those that `postcard` itself writes. Measured in
//! spec/decisions/0006.

use postcard::Error;
use serde::Serialize;
use serde::ser::{self, Error as _};

/// The end of a record that is being written.
pub(super) struct RecordWriter<'a> {
    out: &'a mut Vec<u8>,
}

/// Texts and byte strings up to here are written one byte after the other: they are most often
/// shorter than a call to copy them is worth.
const SHORT_BYTES: usize = 4;

impl<'a> RecordWriter<'a> {
    /// Writes behind what is there.
    pub(super) fn behind(out: &'a mut Vec<u8>) -> RecordWriter<'a> {
        RecordWriter { out }
    }

    #[inline]
    fn byte(&mut self, byte: u8) {
        self.out.push(byte);
    }

    /// A number in groups of seven bits, the lowest first; all but the last have the top bit set.
    #[inline]
    fn varint(&mut self, number: u64) {
        let mut rest = number;
        while rest >= 0x80 {
            let low = u8::try_from(rest & 0x7f).unwrap_or_default();
            self.byte(low | 0x80);
            rest >>= 7;
        }
        self.byte(u8::try_from(rest).unwrap_or_default());
    }

    /// The sign is the lowest bit, so that small numbers below zero are short too.
    #[inline]
    fn signed(&mut self, number: i64) {
        self.varint(((number << 1) ^ (number >> 63)).cast_unsigned());
    }

    #[inline]
    fn bytes(&mut self, bytes: &[u8]) {
        self.varint(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        if bytes.len() <= SHORT_BYTES {
            bytes.iter().for_each(|byte| self.byte(*byte));
        } else {
            self.out.extend_from_slice(bytes);
        }
    }

    /// A list says how long it is before its first element.
    #[inline]
    fn length(&mut self, length: Option<usize>) -> Result<(), Error> {
        let length = length.ok_or(Error::SerializeSeqLengthUnknown)?;
        self.varint(u64::try_from(length).unwrap_or(u64::MAX));
        Ok(())
    }
}

impl ser::Serializer for &mut RecordWriter<'_> {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = Self;
    type SerializeTuple = Self;
    type SerializeTupleStruct = Self;
    type SerializeTupleVariant = Self;
    type SerializeMap = Self;
    type SerializeStruct = Self;
    type SerializeStructVariant = Self;

    #[inline]
    fn is_human_readable(&self) -> bool {
        false
    }

    #[inline]
    fn serialize_bool(self, value: bool) -> Result<(), Error> {
        self.byte(u8::from(value));
        Ok(())
    }

    #[inline]
    fn serialize_i8(self, value: i8) -> Result<(), Error> {
        self.byte(value.cast_unsigned());
        Ok(())
    }

    #[inline]
    fn serialize_i16(self, value: i16) -> Result<(), Error> {
        self.signed(value.into());
        Ok(())
    }

    #[inline]
    fn serialize_i32(self, value: i32) -> Result<(), Error> {
        self.signed(value.into());
        Ok(())
    }

    #[inline]
    fn serialize_i64(self, value: i64) -> Result<(), Error> {
        self.signed(value);
        Ok(())
    }

    #[inline]
    fn serialize_u8(self, value: u8) -> Result<(), Error> {
        self.byte(value);
        Ok(())
    }

    #[inline]
    fn serialize_u16(self, value: u16) -> Result<(), Error> {
        self.varint(value.into());
        Ok(())
    }

    #[inline]
    fn serialize_u32(self, value: u32) -> Result<(), Error> {
        self.varint(value.into());
        Ok(())
    }

    #[inline]
    fn serialize_u64(self, value: u64) -> Result<(), Error> {
        self.varint(value);
        Ok(())
    }

    fn serialize_f32(self, _: f32) -> Result<(), Error> {
        Err(Error::custom("a record has no floating-point numbers"))
    }

    fn serialize_f64(self, _: f64) -> Result<(), Error> {
        Err(Error::custom("a record has no floating-point numbers"))
    }

    fn serialize_char(self, value: char) -> Result<(), Error> {
        self.bytes(value.encode_utf8(&mut [0; 4]).as_bytes());
        Ok(())
    }

    #[inline]
    fn serialize_str(self, value: &str) -> Result<(), Error> {
        self.bytes(value.as_bytes());
        Ok(())
    }

    #[inline]
    fn serialize_bytes(self, value: &[u8]) -> Result<(), Error> {
        self.bytes(value);
        Ok(())
    }

    #[inline]
    fn serialize_none(self) -> Result<(), Error> {
        self.byte(0);
        Ok(())
    }

    #[inline]
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Error> {
        self.byte(1);
        value.serialize(self)
    }

    #[inline]
    fn serialize_unit(self) -> Result<(), Error> {
        Ok(())
    }

    #[inline]
    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Error> {
        Ok(())
    }

    #[inline]
    fn serialize_unit_variant(
        self,
        _: &'static str,
        index: u32,
        _: &'static str,
    ) -> Result<(), Error> {
        self.varint(index.into());
        Ok(())
    }

    #[inline]
    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        value.serialize(self)
    }

    #[inline]
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        index: u32,
        _: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        self.varint(index.into());
        value.serialize(self)
    }

    #[inline]
    fn serialize_seq(self, length: Option<usize>) -> Result<Self, Error> {
        self.length(length)?;
        Ok(self)
    }

    #[inline]
    fn serialize_tuple(self, _: usize) -> Result<Self, Error> {
        Ok(self)
    }

    #[inline]
    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self, Error> {
        Ok(self)
    }

    #[inline]
    fn serialize_tuple_variant(
        self,
        _: &'static str,
        index: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self, Error> {
        self.varint(index.into());
        Ok(self)
    }

    #[inline]
    fn serialize_map(self, length: Option<usize>) -> Result<Self, Error> {
        self.length(length)?;
        Ok(self)
    }

    #[inline]
    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self, Error> {
        Ok(self)
    }

    #[inline]
    fn serialize_struct_variant(
        self,
        _: &'static str,
        index: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self, Error> {
        self.varint(index.into());
        Ok(self)
    }
}

/// What is made of several values is their bytes one after the other.
macro_rules! parts {
    ($($kind:ident: $part:ident),* $(,)?) => {$(
        impl ser::$kind for &mut RecordWriter<'_> {
            type Ok = ();
            type Error = Error;

            #[inline]
            fn $part<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
                value.serialize(&mut **self)
            }

            #[inline]
            fn end(self) -> Result<(), Error> {
                Ok(())
            }
        }
    )*};
}

parts! {
    SerializeSeq: serialize_element,
    SerializeTuple: serialize_element,
    SerializeTupleStruct: serialize_field,
    SerializeTupleVariant: serialize_field,
}

/// The same with names, which are not written.
macro_rules! named_parts {
    ($($kind:ident),*) => {$(
        impl ser::$kind for &mut RecordWriter<'_> {
            type Ok = ();
            type Error = Error;

            #[inline]
            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                _: &'static str,
                value: &T,
            ) -> Result<(), Error> {
                value.serialize(&mut **self)
            }

            #[inline]
            fn end(self) -> Result<(), Error> {
                Ok(())
            }
        }
    )*};
}

named_parts!(SerializeStruct, SerializeStructVariant);

impl ser::SerializeMap for &mut RecordWriter<'_> {
    type Ok = ();
    type Error = Error;

    #[inline]
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Error> {
        key.serialize(&mut **self)
    }

    #[inline]
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        value.serialize(&mut **self)
    }

    #[inline]
    fn end(self) -> Result<(), Error> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde::{Deserialize, Serialize};

    use super::*;

    /// Every shape that serde knows and a record may have.
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    enum Shape {
        Unit,
        Flag(bool),
        Small(i8, u8),
        Signed(i16, i32, i64),
        Unsigned { a: u16, b: u32, c: u64 },
        Text(String, char),
        Maybe(Option<Box<Shape>>),
        List(Vec<(u8, i64)>),
        Map(BTreeMap<String, u64>),
        Fixed([u8; 3], ()),
        Rest(Newtype),
    }

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct Newtype(u64);

    fn shape() -> impl Strategy<Value = Shape> {
        let flat = prop_oneof![
            Just(Shape::Unit),
            any::<bool>().prop_map(Shape::Flag),
            any::<(i8, u8)>().prop_map(|(a, b)| Shape::Small(a, b)),
            any::<(i16, i32, i64)>().prop_map(|(a, b, c)| Shape::Signed(a, b, c)),
            any::<(u16, u32, u64)>().prop_map(|(a, b, c)| Shape::Unsigned { a, b, c }),
            any::<(String, char)>().prop_map(|(a, b)| Shape::Text(a, b)),
            any::<Vec<(u8, i64)>>().prop_map(Shape::List),
            any::<BTreeMap<String, u64>>().prop_map(Shape::Map),
            any::<[u8; 3]>().prop_map(|a| Shape::Fixed(a, ())),
            any::<u64>().prop_map(|a| Shape::Rest(Newtype(a))),
        ];
        flat.prop_recursive(3, 4, 1, |inner| {
            proptest::option::of(inner).prop_map(|inner| Shape::Maybe(inner.map(Box::new)))
        })
    }

    proptest! {
        #[test]
        fn writes_what_postcard_writes(shape in shape()) {
            let mut own = Vec::new();
            shape.serialize(&mut RecordWriter::behind(&mut own)).unwrap();
            prop_assert_eq!(&own, &postcard::to_stdvec(&shape).unwrap());
            prop_assert_eq!(postcard::from_bytes::<Shape>(&own).unwrap(), shape);
        }
    }

    #[test]
    fn a_fraction_is_refused() {
        let mut out = Vec::new();
        assert!(
            1.5_f64
                .serialize(&mut RecordWriter::behind(&mut out))
                .is_err()
        );
        assert!(
            1.5_f32
                .serialize(&mut RecordWriter::behind(&mut out))
                .is_err()
        );
    }
}
