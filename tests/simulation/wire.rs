//! The acquirers' own codec: messages and answers as bytes, made and read by hand, so that the
//! switch is not only held against itself.

use cardswitch::crypto::key::TdesKey;
use cardswitch::crypto::pin_block::{Pin, encipher};
use cardswitch::crypto::pvv::pvv;
use cardswitch::domain::card::PinReference;
use cardswitch::domain::pan::Pan;

use crate::ask::{Ask, GivenPin, Money, Told, What};

/// Cards there can be; the last is never opened.
pub(crate) const CARDS_MAX: u32 = 33;
/// The key file of the simulated switch: public test keys.
pub(crate) const PIN_KEYS: &str = include_str!("../../fixtures/demo-pin-keys.toml");
const ZONE_KEY: &str = "0123456789ABCDEFFEDCBA9876543210";
const VERIFICATION_KEY: &str = "89ABCDEF0123456776543210FEDCBA98";

/// A card as its holder and every terminal know it.
pub(crate) struct Plastic {
    pub(crate) number: String,
    right_block: String,
    wrong_block: String,
    pub(crate) reference: PinReference,
}

impl Plastic {
    /// The card with this number in the row of them.
    pub(crate) fn make(row: u32) -> Plastic {
        let front = format!("476173{:09}", 500_000 + row);
        let number = format!("{front}{}", check_digit(&front));
        let zone = TdesKey::from_hex(ZONE_KEY).unwrap();
        let block = |pin: &str| {
            let pin = Pin::from_digits(pin).unwrap();
            let block = encipher(&zone, &pin, &number).unwrap();
            block.iter().map(|byte| format!("{byte:02X}")).collect()
        };
        let key = TdesKey::from_hex(VERIFICATION_KEY).unwrap();
        let pin = Pin::from_digits("2580").unwrap();
        Plastic {
            right_block: block("2580"),
            wrong_block: block("2581"),
            reference: PinReference {
                key_index: 1,
                value: pvv(&key, 1, &number, &pin).unwrap(),
            },
            number,
        }
    }

    pub(crate) fn pan(&self) -> Pan {
        Pan::parse(&self.number).unwrap()
    }
}

fn check_digit(front: &str) -> u32 {
    let digits = front.bytes().rev().map(|digit| u32::from(digit - b'0'));
    let sum: u32 = digits
        .zip([true, false].into_iter().cycle())
        .map(|(digit, doubled)| match (doubled, digit * 2) {
            (false, _) => digit,
            (true, twice) => twice / 10 + twice % 10,
        })
        .sum();
    (10 - sum % 10) % 10
}

/// Writes a message with its two bytes of length.
pub(crate) fn write(ask: &Ask, card: &Plastic, is_repeat: bool, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&[0, 0]);
    digits(out, u64::from(ask.kind.mti() + u16::from(is_repeat)), 4);
    let special = [
        (ask.pin.is_some(), 52),
        (ask.takes_part, 60),
        (ask.original.is_some(), 90),
        (ask.remaining.is_some(), 95),
    ];
    let always = [2, 3, 4, 7, 11, 32, 41, 42, 49];
    let mut bits = always.iter().fold(0, |bits, element| bits | bit(*element));
    for (is_there, element) in special {
        bits |= if is_there { bit(element) } else { 0 };
    }
    if bits & u128::from(u64::MAX) == 0 {
        hexadecimal(out, (bits >> 64) as u64);
    } else {
        hexadecimal(out, (bits >> 64) as u64 | 1 << 63);
        hexadecimal(out, bits as u64);
    }
    out.extend_from_slice(b"16");
    out.extend_from_slice(card.number.as_bytes());
    out.extend_from_slice(match ask.what {
        What::Purchase => b"000000",
        What::Refund => b"200000",
        What::Load => b"210000",
        What::Enquiry => b"310000",
    });
    digits(out, ask.minor.unsigned_abs(), 12);
    digits(out, u64::from(ask.name.transmitted), 10);
    digits(out, u64::from(ask.name.stan), 6);
    out.extend_from_slice(b"06");
    digits(out, u64::from(400_000 + ask.name.acquirer), 6);
    out.extend_from_slice(b"TERM");
    digits(out, u64::from(ask.terminal), 4);
    out.extend_from_slice(b"STORE-OF-ACQ");
    digits(out, u64::from(ask.name.acquirer), 3);
    out.extend_from_slice(match ask.currency {
        Money::Yen => b"392",
        Money::Dollar => b"840",
    });
    match ask.pin {
        Some(GivenPin::Right) => out.extend_from_slice(card.right_block.as_bytes()),
        Some(GivenPin::Wrong) => out.extend_from_slice(card.wrong_block.as_bytes()),
        None => {}
    }
    if ask.takes_part {
        out.extend_from_slice(b"012000000000001");
    }
    if let Some(original) = ask.original {
        out.extend_from_slice(b"0000");
        digits(out, u64::from(original.stan), 6);
        digits(out, u64::from(original.transmitted), 10);
        digits(out, u64::from(400_000 + original.acquirer), 11);
        digits(out, 0, 11);
    }
    if let Some(remaining) = ask.remaining {
        digits(out, remaining.unsigned_abs(), 12);
        out.extend_from_slice(&[b'0'; 30]);
    }
    let length = u16::try_from(out.len() - start - 2).unwrap().to_be_bytes();
    out[start..start + 2].copy_from_slice(&length);
}

fn digits(out: &mut Vec<u8>, mut number: u64, width: usize) {
    let start = out.len();
    out.resize(start + width, b'0');
    for place in out[start..].iter_mut().rev() {
        *place += u8::try_from(number % 10).unwrap();
        number /= 10;
    }
    assert_eq!(number, 0, "a number too wide for its element");
}

/// The bit of an element in both bitmaps together.
fn bit(element: u32) -> u128 {
    1 << (128 - element)
}

fn hexadecimal(out: &mut Vec<u8>, bits: u64) {
    for byte in bits.to_be_bytes() {
        for half in [byte >> 4, byte & 15] {
            out.push(half + if half < 10 { b'0' } else { b'A' - 10 });
        }
    }
}

/// Reads an answer with its length in front; `None`: it is not one to this message.
pub(crate) fn read(answer: &[u8], ask: &Ask) -> Option<Told> {
    let mut rest = answer.get(2..)?;
    let length = u16::from_be_bytes(answer.get(..2)?.try_into().ok()?);
    (usize::from(length) == rest.len()).then_some(())?;
    let mut take = |count: usize| {
        let (taken, left) = rest.split_at_checked(count)?;
        rest = left;
        Some(taken)
    };
    let mti = ask.kind.mti() / 10 * 10 + 10;
    (number(take(4)?)? == u64::from(mti)).then_some(())?;
    let mut bits = u128::from(hexadecimal_of(take(16)?)?) << 64;
    if bits >> 127 == 1 {
        bits |= u128::from(hexadecimal_of(take(16)?)?);
    }
    let mut told = Told {
        code: *b"??",
        minor: -1,
        has_approval: false,
        available: None,
    };
    bits &= !bit(1);
    while bits != 0 {
        let element = bits.leading_zeros() + 1;
        bits &= !bit(element);
        let width = match element {
            2 | 32 | 33 => usize::try_from(number(take(2)?)?).ok()?,
            54 => usize::try_from(number(take(3)?)?).ok()?,
            3 | 11 | 12 | 38 => 6,
            4 | 37 => 12,
            7 => 10,
            13 => 4,
            39 => 2,
            41 => 8,
            42 => 15,
            49 => 3,
            90 | 95 => 42,
            _ => return None,
        };
        let content = take(width)?;
        match element {
            4 => told.minor = i64::try_from(number(content)?).ok()?,
            7 => (number(content)? == u64::from(ask.name.transmitted)).then_some(())?,
            11 => (number(content)? == u64::from(ask.name.stan)).then_some(())?,
            38 => told.has_approval = true,
            39 => told.code = content.try_into().ok()?,
            54 if told.code == *b"00" => told.available = Some(available(content)?),
            _ => {}
        }
    }
    rest.is_empty().then_some(told)
}

/// Yen and dollars of the groups of DE 54.
fn available(text: &[u8]) -> Option<(i64, i64)> {
    let mut sums = (None, None);
    for group in text.chunks(20) {
        let minor = i64::try_from(number(group.get(8..20)?)?).ok()?;
        let signed = match group.get(7)? {
            b'D' => -minor,
            _ => minor,
        };
        match group.get(4..7)? {
            b"392" => sums.0 = Some(signed),
            b"840" => sums.1 = Some(signed),
            _ => return None,
        }
    }
    Some((sums.0?, sums.1?))
}

fn number(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0_u64, |number, digit| {
        digit
            .is_ascii_digit()
            .then(|| number * 10 + u64::from(digit - b'0'))
    })
}

fn hexadecimal_of(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0_u64, |number, digit| {
        let half = match digit {
            b'0'..=b'9' => digit - b'0',
            b'A'..=b'F' => digit - b'A' + 10,
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u64::from(half))
    })
}
