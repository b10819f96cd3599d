//! What is measured in this process: the switch's codec, and the field walk written by hand.

use std::hint::black_box;

use bytes::{Bytes, BytesMut};
use cardswitch::iso8583::{Message, MessageSpec, MessageWriter, Mti, decode};

use crate::hand;

/// One way of doing one task once over all messages.
pub(crate) type Round<'a> = Box<dyn FnMut() + 'a>;

/// The response to one request.
pub(crate) type Respond<'a> = Box<dyn Fn(&Bytes) -> Vec<u8> + 'a>;

/// A way of doing the three tasks.
pub(crate) struct Contender<'a> {
    /// Its name in the table.
    pub(crate) name: &'static str,
    /// The response to one request, to be compared.
    pub(crate) response: Respond<'a>,
    /// Decode, encode, and decode, read six numbers and respond.
    pub(crate) rounds: [Round<'a>; 3],
}

/// The switch's codec.
pub(crate) fn cardswitch<'a>(spec: &'a MessageSpec, frames: &'a [Bytes]) -> Contender<'a> {
    let requests: Vec<Message> = frames.iter().map(|frame| whole(spec, frame)).collect();
    let (mut encoded, mut answered) = (buffer(), buffer());
    Contender {
        name: "cardswitch",
        response: Box::new(|frame| {
            let mut out = buffer();
            respond(spec, &whole(spec, frame), &mut out);
            out.to_vec()
        }),
        rounds: [
            Box::new(move || {
                for frame in frames {
                    black_box(&decode(spec, frame.clone())).as_ref().unwrap();
                }
            }),
            Box::new(move || {
                for request in &requests {
                    encoded.clear();
                    respond(spec, request, &mut encoded);
                    black_box(&encoded);
                }
            }),
            Box::new(move || {
                for frame in frames {
                    answered.clear();
                    let decoded = decode(spec, frame.clone());
                    let request = decoded.as_ref().unwrap();
                    let sum = NUMBERS.into_iter().fold(0_u64, |sum, element| {
                        sum.wrapping_add(request.number(element).unwrap())
                    });
                    black_box(sum);
                    respond(spec, request, &mut answered);
                    black_box(&answered);
                }
            }),
        ],
    }
}

fn whole(spec: &MessageSpec, frame: &Bytes) -> Message {
    decode(spec, frame.clone()).unwrap()
}

fn respond(spec: &MessageSpec, request: &Message, out: &mut BytesMut) {
    let mut writer = MessageWriter::begin(spec, ANSWER, out);
    writer
        .copy_all(request, &[2, 3, 4, 7, 11, 12, 13, 32, 37])
        .unwrap();
    writer.text(38, "A1B2C3").unwrap().text(39, "00").unwrap();
    writer.copy_all(request, &[41, 42, 49]).unwrap();
    writer.finish().unwrap();
}

/// The three functions of the walk by hand for one way of writing messages.
#[derive(Clone, Copy)]
pub(crate) struct ByHand {
    /// Walks over a message.
    pub(crate) walk: for<'a> fn(&'a [u8]) -> Option<hand::Walked<'a>>,
    /// Sums six numbers.
    pub(crate) numbers: fn(&hand::Walked<'_>) -> u64,
    /// Writes the response.
    pub(crate) respond: fn(&hand::Walked<'_>, &mut BytesMut),
}

/// The field walk written by hand.
pub(crate) fn by_hand(hand: ByHand, frames: &[Bytes]) -> Contender<'_> {
    let walked: Vec<_> = frames
        .iter()
        .map(|frame| (hand.walk)(frame).unwrap())
        .collect();
    let (mut encoded, mut answered) = (buffer(), buffer());
    Contender {
        name: "by hand",
        response: Box::new(move |frame| {
            let mut out = buffer();
            (hand.respond)(&(hand.walk)(frame).unwrap(), &mut out);
            out.to_vec()
        }),
        rounds: [
            Box::new(move || {
                for frame in frames {
                    black_box((hand.walk)(frame).unwrap());
                }
            }),
            Box::new(move || {
                for walked in &walked {
                    encoded.clear();
                    (hand.respond)(walked, &mut encoded);
                    black_box(&encoded);
                }
            }),
            Box::new(move || {
                for frame in frames {
                    answered.clear();
                    let walked = (hand.walk)(frame).unwrap();
                    black_box((hand.numbers)(&walked));
                    (hand.respond)(&walked, &mut answered);
                    black_box(&answered);
                }
            }),
        ],
    }
}

fn buffer() -> BytesMut {
    BytesMut::with_capacity(4_096)
}

const NUMBERS: [u8; 6] = [3, 4, 11, 18, 22, 32];
const ANSWER: Mti = Mti::new(110);
