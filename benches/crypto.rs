//! What one question to the keeper of keys costs with the keys in this process: PINs, card
//! verification values, cryptograms, message authentication codes.
//!
//! Ids are `crypto/<what>`; a code is made over a message of 200 bytes. Read a figure as the ratio
//! to `tdes_block` or `aes_block` of the same run, the encipherment of one block: the rest is how
//! many of them a question needs, and the look-up of its key by name.

use std::hint::black_box;

use cardswitch::crypto::cvv::{CvvKind, cvv};
use cardswitch::crypto::emv::{CryptogramVersion, card_key};
use cardswitch::crypto::hsm::{
    Chip, ChipAnswer, Hsm, MacOver, MacScheme, MakeArpc, PinBlock, PinMethod, PinSource, PinValue,
    VerifyArqc, VerifyCvv, VerifyPin,
};
use cardswitch::crypto::key::{AesKey, BlockKey, TdesKey};
use cardswitch::crypto::mac::Padding;
use cardswitch::crypto::pin_block::{Format, Pin, encipher, encipher_aes};
use cardswitch::crypto::pvv::pvv;
use cardswitch::crypto::software::{KeyTerms, SoftwareHsm};
use cardswitch::switch::pin_keys::random;
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, criterion_group, criterion_main};

const DIGITS: &str = "0123456789ABCDEFFEDCBA9876543210";
const PAN: &str = "4761739001010119";
const MESSAGE: [u8; 200] = [0x35; 200];

fn done<T, E: std::fmt::Display>(outcome: Result<T, E>) -> T {
    outcome.unwrap_or_else(|error| panic!("the bench cannot go on: {error}"))
}

fn hsm() -> SoftwareHsm {
    let hsm = SoftwareHsm::new(random);
    let bytes = done(base16ct::mixed::decode_vec(DIGITS));
    for (name, usage, is_aes) in [
        ("zone", "P0", false),
        ("aes-zone", "P0", true),
        ("pvv", "V2", false),
        ("cvk", "C0", false),
        ("chip", "E0", false),
        ("retail", "M3", false),
        ("cmac", "M6", false),
        ("aes-cmac", "M6", true),
    ] {
        let terms = KeyTerms {
            name: name.to_owned(),
            usage: usage.to_owned(),
            version: "01".to_owned(),
            mode: b'N',
            is_exportable: false,
        };
        done(hsm.add(terms, &bytes, is_aes));
    }
    hsm
}

fn bench(criterion: &mut Criterion) {
    let (hsm, mut group) = (hsm(), criterion.benchmark_group("crypto"));
    let (tdes, aes) = (
        done(TdesKey::from_hex(DIGITS)),
        done(AesKey::from_hex(DIGITS)),
    );
    group.bench_function("tdes_block", |bench| {
        bench.iter(|| tdes.encrypt(black_box([7; 8])));
    });
    group.bench_function("aes_block", |bench| {
        bench.iter(|| aes.encrypt(black_box([7; 16])));
    });
    pins(&mut group, &hsm, (&tdes, &aes));
    values(&mut group, &hsm, &tdes);
    chips(&mut group, &hsm, &tdes);
    codes(&mut group, &hsm);
    group.finish();
}

/// A PIN by its verification value, out of a block of format 0 (TDES) and of format 4 (AES).
fn pins(
    group: &mut BenchmarkGroup<'_, WallTime>,
    hsm: &SoftwareHsm,
    (tdes, aes): (&TdesKey, &AesKey),
) {
    let pin = done(Pin::from_digits("2580"));
    let value = pvv(tdes, 1, PAN, &pin).unwrap_or_default();
    let narrow = done(encipher(tdes, &pin, PAN)).to_vec();
    let wide = done(encipher_aes(aes, &pin, PAN, [0x5A; 8])).to_vec();
    for (id, key, format, block) in [
        ("verify_pin_tdes", "zone", Format::Iso0, narrow),
        ("verify_pin_aes", "aes-zone", Format::Iso4, wide),
    ] {
        let judge = || {
            let ask = VerifyPin {
                pin: PinSource::Block(PinBlock {
                    key,
                    format,
                    bytes: black_box(&block),
                    pan: PAN,
                }),
                method: PinMethod::Pvv {
                    key: "pvv",
                    index: 1,
                    over: PAN,
                },
                value: &PinValue::Pvv(value),
            };
            done(hsm.verify_pin(&ask))
        };
        group.bench_function(id, |bench| bench.iter(judge));
    }
}

fn values(group: &mut BenchmarkGroup<'_, WallTime>, hsm: &SoftwareHsm, key: &TdesKey) {
    let digits = cvv(key, PAN, "3112", CvvKind::Printed).unwrap_or_default();
    let value: String = digits
        .iter()
        .map(|digit| char::from(b'0' | digit))
        .collect();
    group.bench_function("verify_cvv", |bench| {
        bench.iter(|| {
            done(hsm.verify_cvv(&VerifyCvv {
                key: "cvk",
                pan: PAN,
                expiry: "3112",
                kind: CvvKind::Printed,
                value: black_box(&value),
            }))
        });
    });
}

fn chips(group: &mut BenchmarkGroup<'_, WallTime>, hsm: &SoftwareHsm, issuer: &TdesKey) {
    for (version, name, answer) in [
        (CryptogramVersion::V10, "10", ChipAnswer::Code(*b"00")),
        (
            CryptogramVersion::V18,
            "18",
            ChipAnswer::Status([0, 0x80, 0, 0], &[]),
        ),
    ] {
        let chip = Chip {
            key: "chip",
            pan: PAN,
            sequence_number: 1,
            counter: 28,
            version,
        };
        let data = [3; 37];
        let Some(card) = card_key(issuer, PAN, chip.sequence_number) else {
            continue;
        };
        let (request, _) = version.request(card, chip.counter, &data);
        group.bench_function(format!("verify_arqc_{name}"), |bench| {
            bench.iter(|| {
                done(hsm.verify_arqc(&VerifyArqc {
                    chip,
                    unpredictable: [1; 4],
                    data: black_box(&data),
                    request,
                }))
            });
        });
        group.bench_function(format!("make_arpc_{name}"), |bench| {
            bench.iter(|| {
                done(hsm.make_arpc(&MakeArpc {
                    chip,
                    unpredictable: [1; 4],
                    request: black_box(request),
                    answer,
                }))
            });
        });
    }
}

fn codes(group: &mut BenchmarkGroup<'_, WallTime>, hsm: &SoftwareHsm) {
    for (id, key, scheme) in [
        ("mac_retail", "retail", MacScheme::Retail(Padding::Zeros)),
        ("mac_cmac_tdes", "cmac", MacScheme::Cmac),
        ("mac_cmac_aes", "aes-cmac", MacScheme::Cmac),
    ] {
        let make = || {
            done(hsm.make_mac(&MacOver {
                key,
                scheme,
                message: black_box(&MESSAGE),
            }))
        };
        group.bench_function(id, |bench| bench.iter(make));
    }
}

criterion_group!(benches, bench);
criterion_main!(benches);
