//! Who sits at the table of the model: holders of every programme, with a card each.

use cardswitch::domain::account::Kyc;
use cardswitch::domain::card::{CardStatus, ExpiryMonth};
use cardswitch::domain::money::Currency;

use crate::decisions_notation::token;
use crate::model_books::{HeldCard, Holder, Product};

/// Holders with a card each.
pub(crate) fn holders() -> Vec<(Holder, HeldCard)> {
    let yen = |minors: &[i64]| minors.iter().map(|it| (Currency::JPY, *it)).collect();
    let letters = ["JPY", "USD", "EUR", "GBP", "AUD"];
    let travel = |minors: [i64; 5]| {
        let row = |(letters, minor)| (Currency::from_alpha(letters).unwrap(), minor);
        letters.into_iter().zip(minors).map(row).collect()
    };
    let (verified, active) = (Kyc::Verified, CardStatus::Active);
    let (prepaid, gift) = (Product::Prepaid, Product::GiftCode);
    let on_the_road = Product::Travel;
    let unverified = Kyc::Unverified;
    [
        (
            "A",
            prepaid,
            verified,
            active,
            3112,
            yen(&[2_500_000, 9_000]),
        ),
        ("B", prepaid, unverified, active, 3112, yen(&[60_000, 900])),
        ("C", prepaid, verified, active, 2704, yen(&[9_000, 9_000])),
        ("D", gift, Kyc::Bearer, active, 0, yen(&[300_000])),
        (
            "E",
            on_the_road,
            verified,
            active,
            3112,
            travel([5_000, 80_000, 0, 70, 0]),
        ),
        (
            "F",
            prepaid,
            verified,
            CardStatus::Lost,
            3112,
            yen(&[5_000, 5_000]),
        ),
        (
            "G",
            prepaid,
            verified,
            CardStatus::Closed,
            3112,
            yen(&[5_000, 0]),
        ),
        (
            "H",
            gift,
            Kyc::Bearer,
            CardStatus::NotActivated,
            0,
            yen(&[5_000]),
        ),
        (
            "I",
            on_the_road,
            verified,
            active,
            3112,
            travel([90_000, 3_000, 7_000, 500, 900]),
        ),
        (
            "J",
            on_the_road,
            verified,
            CardStatus::NotActivated,
            3112,
            travel([60_000, 9_000, 0, 0, 0]),
        ),
    ]
    .into_iter()
    .enumerate()
    .map(|(number, (name, product, kyc, status, yymm, purses))| {
        let holder = Holder {
            product,
            kyc,
            purses,
        };
        let card = HeldCard {
            holder: number,
            token: token(name),
            status,
            expiry: ExpiryMonth::from_yymm(yymm),
            wrong_tries: 0,
            pin: None,
            is_erased: false,
        };
        (holder, card)
    })
    .collect()
}
