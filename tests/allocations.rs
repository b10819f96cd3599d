//! The codec allocates nothing per element: counted, in a binary of its own because the counter
//! replaces the allocator.
#![expect(clippy::unwrap_used, reason = "a test says why it failed")]

use std::hint::black_box;

use allocation_counter::measure;
use bytes::{Bytes, BytesMut};
use cardswitch::iso8583::{MessageSpec, MessageWriter, Mti, decode};

#[test]
fn decoding_up_to_thirty_two_elements_allocates_nothing() {
    for name in ["iso87-ascii", "iso87-binary"] {
        let spec = MessageSpec::builtin(name).unwrap();
        for count in [1, 14, 20, 32] {
            let frame = message(spec, count);
            // The first message with a set of elements has it compiled.
            decode(spec, frame.clone()).unwrap();
            let counted = measure(|| {
                let message = decode(spec, frame.clone()).unwrap();
                for number in message.elements() {
                    black_box((message.number(number), message.digits(number)));
                    black_box((message.wire(number), message.raw(number)));
                }
                black_box(message.clone());
            });
            assert_eq!(counted.count_total, 0, "{name}, {count} elements");
        }
    }
}

#[test]
fn decoding_every_element_allocates_one_table() {
    for name in ["iso87-ascii", "iso87-binary"] {
        let spec = MessageSpec::builtin(name).unwrap();
        let frame = message(spec, 127);
        decode(spec, frame.clone()).unwrap();
        let counted = measure(|| drop(black_box(decode(spec, frame.clone()).unwrap())));
        assert_eq!(counted.count_total, 1, "{name}");
    }
}

#[test]
fn writing_into_a_large_enough_buffer_allocates_nothing() {
    for name in ["iso87-ascii", "iso87-binary"] {
        let spec = MessageSpec::builtin(name).unwrap();
        let request = decode(spec, message(spec, 127)).unwrap();
        let mut out = BytesMut::with_capacity(16_384);
        let counted = measure(|| {
            let mut writer = MessageWriter::begin(spec, Mti::new(110), &mut out);
            for number in [2, 3, 4, 7, 11] {
                writer.copy(&request, number).unwrap();
            }
            writer.number(32, 499_999).unwrap().text(39, "00").unwrap();
            writer
                .binary(52, &[0; 8])
                .unwrap()
                .text(90, "0100")
                .unwrap();
            writer.finish().unwrap();
        });
        assert_eq!(counted.count_total, 0, "{name}");
    }
}

/// A message of the first so many elements.
fn message(spec: &MessageSpec, count: usize) -> Bytes {
    let mut out = BytesMut::new();
    let mut writer = MessageWriter::begin(spec, Mti::new(100), &mut out);
    for element in &spec.elements()[..count] {
        let size = usize::from(element.length_max());
        match element.class().name() {
            "b" => writer.binary(element.number(), &[0; 999][..size]).unwrap(),
            "x+n" => writer.text(element.number(), "C1").unwrap(),
            _ => writer.text(element.number(), "1").unwrap(),
        };
    }
    writer.finish().unwrap();
    out.freeze()
}
