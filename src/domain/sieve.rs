//! What of a programme may concern a message at all, worked out when the programme is read: a
//! decision then looks at a few blocks and limits, not at every one.

use super::account::Kyc;
use super::block::{Block, Condition, Scene};
use super::facts::{Certainty, Device, Initiation, Presence, Purpose};
use super::programme::{Channel, Limit};

/// Which blocks and limits may concern a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sieve {
    /// For each trait, which blocks let it pass: a bit for each, in the order of the blocks, 64 a
    /// row.
    blocks: Vec<[u64; TRAITS]>,
    /// Positions of the limits that are enforced, by channel and by how well the holder is known.
    limits: Vec<Vec<u16>>,
}

impl Sieve {
    /// The sieve of these blocks and limits.
    pub fn of(blocks: &[Block], limits: &[Limit]) -> Sieve {
        let rows = CHANNELS.iter().flat_map(|channel| {
            let concerned = |kyc: Kyc| {
                let rows = (0_u16..).zip(limits);
                rows.filter(|(_, limit)| {
                    let theirs = limit.kyc.is_none_or(|wanted| wanted == kyc);
                    !limit.shadow && theirs && limit.channel.covers(*channel)
                })
                .map(|(position, _)| position)
                .collect()
            };
            [Kyc::Verified, Kyc::Unverified, Kyc::Bearer].map(concerned)
        });
        Sieve {
            blocks: blocks.chunks(BLOCKS_A_ROW).map(passed_by).collect(),
            limits: rows.collect(),
        }
    }

    /// The limits that count a message through this channel, enforced for such holders, in order;
    /// `all` are those that the sieve was made of.
    pub fn limits<'a>(
        &'a self,
        all: &'a [Limit],
        channel: Channel,
        kyc: Kyc,
    ) -> impl Iterator<Item = &'a Limit> {
        let row = place(channel).saturating_mul(3).saturating_add(match kyc {
            Kyc::Verified => 0,
            Kyc::Unverified => 1,
            Kyc::Bearer => 2,
        });
        let positions = self.limits.get(row).map_or(&[][..], Vec::as_slice);
        positions
            .iter()
            .filter_map(|position| all.get(usize::from(*position)))
    }

    /// The blocks that may match, in order; `all` are those that the sieve was made of. Those by
    /// category are among them only for a message that is `in_category`.
    pub fn blocks<'a>(
        &'a self,
        all: &'a [Block],
        scene: &Scene<'_>,
        in_category: bool,
    ) -> impl Iterator<Item = &'a Block> {
        let traits = traits_of(scene, in_category);
        let rows = self.blocks.iter().zip(all.chunks(BLOCKS_A_ROW));
        rows.flat_map(move |(row, blocks)| {
            let passed = ones(u64::from(traits)).fold(u64::MAX, |passed, place| {
                passed & row.get(place).copied().unwrap_or_default()
            });
            ones(passed).filter_map(|place| blocks.get(place))
        })
    }
}

/// As many as the bits of a trait word.
const TRAITS: usize = 32;
const BLOCKS_A_ROW: usize = 64;

/// Which of up to 64 blocks let each trait pass.
fn passed_by(blocks: &[Block]) -> [u64; TRAITS] {
    let mut row = [0; TRAITS];
    for (place, block) in blocks.iter().enumerate() {
        for passed in ones(u64::from(traits_of_block(block))) {
            if let Some(blocks) = row.get_mut(passed) {
                *blocks |= 1 << place;
            }
        }
    }
    row
}

/// The places of the bits that are set, lowest first.
fn ones(mut word: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let place = usize::try_from(word.trailing_zeros()).ok()?;
        if word == 0 {
            return None;
        }
        word &= word.wrapping_sub(1);
        Some(place)
    })
}

/// Every channel, each at its [`place`].
const CHANNELS: [Channel; 9] = [
    Channel::Purchase,
    Channel::Load,
    Channel::ECommerce,
    Channel::CashWithdrawal,
    Channel::LoadAtm,
    Channel::LoadBank,
    Channel::LoadCreditCard,
    Channel::LoadShopTill,
    Channel::Transfer,
];

fn place(channel: Channel) -> usize {
    match channel {
        Channel::Purchase => 0,
        Channel::Load => 1,
        Channel::ECommerce => 2,
        Channel::CashWithdrawal => 3,
        Channel::LoadAtm => 4,
        Channel::LoadBank => 5,
        Channel::LoadCreditCard => 6,
        Channel::LoadShopTill => 7,
        Channel::Transfer => 8,
    }
}

// A message has one trait of each group. A block lets pass all traits of a group that it says
// nothing about.
const INITIATIONS: u32 = 0x7;
const CERTAINTIES: u32 = 0x3 << 3;
const DEVICES: u32 = 0x3 << 5;
const PRESENCES: u32 = 0x7 << 7;
const ABROAD: u32 = 1 << 10;
const AT_HOME: u32 = 1 << 11;
const IN_NO_CATEGORY: u32 = 1 << 12;
const PURPOSES: u32 = 0xffff << 16;

fn traits_of(scene: &Scene<'_>, in_category: bool) -> u32 {
    let facts = scene.facts;
    let place = match facts.origin.is_domestic(scene.home) {
        true => AT_HOME,
        false => ABROAD,
    };
    let category = if in_category { 0 } else { IN_NO_CATEGORY };
    purpose_trait(facts.purpose)
        | initiation_trait(facts.initiation)
        | certainty_trait(facts.certainty)
        | device_trait(facts.device)
        | presence_trait(facts.presence)
        | place
        | category
}

fn traits_of_block(block: &Block) -> u32 {
    let narrowed = |passed: u32, condition: &Condition| match condition {
        Condition::Purpose(list) => {
            let listed = list.iter().fold(0, |sum, it| sum | purpose_trait(*it));
            passed & (!PURPOSES | listed)
        }
        Condition::Initiation(wanted) => passed & (!INITIATIONS | initiation_trait(*wanted)),
        Condition::Certainty(wanted) => passed & (!CERTAINTIES | certainty_trait(*wanted)),
        Condition::Device(wanted) => passed & (!DEVICES | device_trait(*wanted)),
        Condition::Presence(wanted) => passed & (!PRESENCES | presence_trait(*wanted)),
        Condition::Domestic(true) => passed & !ABROAD,
        Condition::Domestic(false) => passed & !AT_HOME,
        Condition::Mcc(_) => passed & !IN_NO_CATEGORY,
        Condition::Country(_)
        | Condition::CountryNot(_)
        | Condition::AcquirerCountry(_)
        | Condition::AcquirerCountryNot(_)
        | Condition::Currency(_)
        | Condition::CurrencyNot(_)
        | Condition::Acquirer(_)
        | Condition::Acceptor(_)
        | Condition::Terminal(_)
        | Condition::Entry(_)
        | Condition::Attendance(_)
        | Condition::CashPart(_)
        | Condition::Hours(_) => passed,
    };
    block.conditions.iter().fold(u32::MAX, narrowed)
}

fn purpose_trait(purpose: Purpose) -> u32 {
    1 << match purpose {
        Purpose::Purchase => 16,
        Purpose::BalanceEnquiry => 17,
        Purpose::Refund => 18,
        Purpose::Load => 19,
        Purpose::CashWithdrawal => 20,
        Purpose::AccountFunding => 21,
        Purpose::QuasiCash => 22,
        Purpose::Unnamed => 23,
        Purpose::OriginalCredit => 24,
        Purpose::Activation => 25,
        Purpose::PinChange => 26,
    }
}

fn initiation_trait(initiation: Initiation) -> u32 {
    1 << match initiation {
        Initiation::Cardholder => 0,
        Initiation::Recurring => 1,
        Initiation::Instalment => 2,
    }
}

fn certainty_trait(certainty: Certainty) -> u32 {
    1 << match certainty {
        Certainty::Final => 3,
        Certainty::Estimated => 4,
    }
}

fn device_trait(device: Device) -> u32 {
    1 << match device {
        Device::Ordinary => 5,
        Device::InFlight => 6,
    }
}

fn presence_trait(presence: Presence) -> u32 {
    1 << match presence {
        Presence::Unsaid => 7,
        Presence::Present => 8,
        Presence::Absent => 9,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::facts::{Facts, MessageKind, Trace};
    use crate::domain::merchant::Mcc;
    use crate::domain::money::{Amount, Currency};
    use crate::domain::pan::CardToken;
    use crate::domain::programme::Programme;
    use crate::domain::programme_file;
    use crate::domain::time::UnixMs;

    fn shipped() -> Vec<Programme> {
        let texts = [
            include_str!("../../spec/programme/prepaid-jp.toml"),
            include_str!("../../spec/programme/gift-code.toml"),
            include_str!("../../spec/programme/travel.toml"),
        ];
        let read = texts.map(|text| programme_file::parse("shipped.toml", text).unwrap());
        read.into_iter().collect()
    }

    /// Messages with every trait alone and some together.
    fn messages() -> Vec<Facts> {
        let trace = Trace {
            originator: 1,
            transmitted: 1,
            stan: 1,
        };
        let amount = Amount::new(1, Currency::JPY);
        let mut messages = Vec::new();
        let purposes = [
            Purpose::Purchase,
            Purpose::CashWithdrawal,
            Purpose::QuasiCash,
            Purpose::Activation,
        ];
        let initiations = [
            Initiation::Cardholder,
            Initiation::Recurring,
            Initiation::Instalment,
        ];
        let certainties = [Certainty::Final, Certainty::Estimated];
        let presences = [Presence::Unsaid, Presence::Present, Presence::Absent];
        for purpose in purposes {
            for initiation in initiations {
                for certainty in certainties {
                    for presence in presences {
                        for (device, mcc, country) in [
                            (Device::Ordinary, 5_411, *b"JP"),
                            (Device::InFlight, 5_541, *b"US"),
                            (Device::Ordinary, 7_011, *b"JP"),
                            (Device::Ordinary, 4_900, *b"JP"),
                        ] {
                            let kind = MessageKind::Authorization;
                            let card = CardToken([1; 16]);
                            let mut facts =
                                Facts::beside_the_wire(kind, purpose, trace, card, amount);
                            facts.initiation = initiation;
                            facts.certainty = certainty;
                            facts.presence = presence;
                            facts.device = device;
                            facts.mcc = Some(Mcc(mcc));
                            facts.origin.merchant_country = Some(country);
                            messages.push(facts);
                        }
                    }
                }
            }
        }
        messages
    }

    #[test]
    fn no_block_that_matches_falls_through() {
        let mut matched = 0;
        for programme in shipped() {
            for facts in messages() {
                let scene = Scene {
                    facts: &facts,
                    home: programme.home,
                    calendar: &programme.calendar,
                    at: UnixMs(0),
                };
                let in_category = programme.blocked_categories.has(facts.mcc);
                let all = programme.blocks.iter();
                let all: Vec<&Block> = all.filter(|block| block.matches(&scene)).collect();
                let sieve = Sieve::of(&programme.blocks, &programme.limits);
                let kept = sieve.blocks(&programme.blocks, &scene, in_category);
                let kept: Vec<&Block> = kept.filter(|block| block.matches(&scene)).collect();
                assert_eq!(kept, all, "{facts:?}");
                matched += kept.len();
            }
        }
        assert!(matched > 100, "{matched}");
    }

    #[test]
    fn every_limit_that_is_enforced_is_found_for_its_channels_and_holders() {
        for programme in shipped() {
            let sieve = Sieve::of(&programme.blocks, &programme.limits);
            for channel in CHANNELS {
                for kyc in [Kyc::Verified, Kyc::Unverified, Kyc::Bearer] {
                    let all = programme.limits.iter().filter(|limit| {
                        let theirs = limit.kyc.is_none_or(|wanted| wanted == kyc);
                        limit.channel.covers(channel) && theirs && !limit.shadow
                    });
                    let kept = sieve.limits(&programme.limits, channel, kyc);
                    assert!(kept.eq(all), "{channel:?} {kyc:?}");
                }
            }
        }
    }
}
