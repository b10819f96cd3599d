//! A programme in words: what a person reads before it goes live.

use std::fmt::Write;

use crate::domain::account::{Kyc, PurseIndex};
use crate::domain::block::{Block, Condition, Minute};
use crate::domain::decision::ResponseCodes;
use crate::domain::facts::{Device, Purpose};
use crate::domain::guessing::{GuessingAnswer, GuessingRule};
use crate::domain::money::{Amount, Currency};
use crate::domain::programme::{
    Activation, Channel, Limit, LoadRule, LoadTerms, MaximumBalance, PinOwner, PinUse, Programme,
    RefundAuthorization, Unverified, Window,
};
use crate::domain::rare_facts::LoadChannel;

/// The programme in words, with the response code of every refusal in one dialect.
pub(super) fn tell(programme: &Programme, codes: &ResponseCodes) -> String {
    let mut text = format!(
        "{} version {}: {}\n",
        programme.name, programme.version, programme.title
    );
    let lines = [cards(programme), purses(programme)]
        .into_iter()
        .flatten()
        .chain(loads(programme))
        .chain([refunds(programme), holds(programme)])
        .chain(holders(programme))
        .chain(pins(programme))
        .chain([cash(programme)])
        .chain(exchange(programme))
        .chain(programme.guessing.iter().map(guessing))
        .chain(programme.limits.iter().map(limit))
        .chain(programme.maximum_balances.iter().map(maximum))
        .chain(merchants(programme))
        .chain(programme.blocks.iter().map(|row| block(row, codes)));
    for line in lines {
        // Writing to a String does not fail.
        let _ = writeln!(text, "  {line}");
    }
    text
}

fn cards(programme: &Programme) -> Vec<String> {
    let letters = String::from_utf8_lossy(&programme.home.letters).into_owned();
    let mut lines = vec![format!(
        "days, months and expiry are counted in {}; merchants in {letters} are domestic",
        programme.calendar.zone_name()
    )];
    lines.extend(programme.bins.iter().map(|bin| {
        let check = if bin.check_digit { "a" } else { "no" };
        format!(
            "cards      {}… with {} digits and {check} check digit",
            bin.prefix, bin.pan_length
        )
    }));
    lines
}

fn purses(programme: &Programme) -> Vec<String> {
    let named = |list: &[PurseIndex]| {
        let names = list.iter().map(|index| purse(programme, Some(*index)));
        names.collect::<Vec<_>>().join(", then ")
    };
    let purses: Vec<String> = programme
        .purses
        .iter()
        .map(|purse| format!("{} ({})", purse.id, purse.currency))
        .collect();
    vec![
        format!("purses     {}", purses.join(", ")),
        format!("purchases  take {}", named(&programme.spend_order)),
    ]
}

fn purse(programme: &Programme, index: Option<PurseIndex>) -> String {
    index
        .and_then(|index| programme.purses.get(index.position()))
        .map_or("the purse of their currency".to_owned(), |purse| {
            purse.id.clone()
        })
}

fn loads(programme: &Programme) -> Vec<String> {
    let Some(rule) = &programme.load else {
        return vec!["loads      are refused".to_owned()];
    };
    let LoadRule {
        multiple_of,
        minimum,
        ..
    } = rule;
    let mut lines = vec![format!(
        "loads      go to {}, {minimum} minor units at least, in multiples of {multiple_of}",
        purse(programme, rule.purse)
    )];
    lines.extend(
        rule.channels
            .iter()
            .map(|terms| load_terms(programme, terms)),
    );
    lines
}

fn load_terms(programme: &Programme, terms: &LoadTerms) -> String {
    let way = match terms.channel {
        LoadChannel::Atm => "at machines",
        LoadChannel::Bank => "from banks",
        LoadChannel::CreditCard => "by credit card",
        LoadChannel::ShopTill => "at the till",
    };
    let mut line = format!(
        "loads      {way} go to {}, {} minor units at least, in multiples of {}",
        purse(
            programme,
            terms
                .purse
                .or(programme.load.as_ref().and_then(|rule| rule.purse))
        ),
        terms.minimum,
        terms.multiple_of,
    );
    if !terms.partners.is_empty() {
        line.push_str(&format!(", taken by {}", texts(&terms.partners)));
    }
    if !terms.issuers.is_empty() {
        line.push_str(&format!(", paid by cards of {}", texts(&terms.issuers)));
    }
    if terms.authenticated {
        line.push_str(", cardholder authenticated");
    }
    if !terms.cancellable {
        line.push_str(", not to be called off by the cardholder");
    }
    line
}

fn refunds(programme: &Programme) -> String {
    let rule = &programme.refund;
    let first = rule.refill_first.map_or(String::new(), |index| {
        format!(
            "first to {} up to what it paid, then ",
            purse(programme, Some(index))
        )
    });
    let original = if rule.needs_original {
        ", only with their purchase"
    } else {
        ""
    };
    let when = match rule.authorization {
        RefundAuthorization::Pending => "with their posting",
        RefundAuthorization::Credit => "with their authorization",
    };
    format!(
        "refunds    go {first}to {}{original}, {when}",
        purse(programme, rule.purse)
    )
}

fn holds(programme: &Programme) -> String {
    let rule = programme.hold;
    format!(
        "holds      end after {} days at home, {} days abroad",
        rule.domestic_days, rule.foreign_days
    )
}

fn holders(programme: &Programme) -> Vec<String> {
    let holder = programme.holder.map(|rule| {
        format!(
            "holders    have one account, are {} at least, and need a parent's consent below {}",
            rule.minimum_age, rule.consent_below
        )
    });
    let renewal = programme.renewal.map(|rule| {
        let whose = whose(rule.kyc);
        format!(
            "renewal    at expiry cards{whose} go on for {} months",
            rule.months
        )
    });
    let activation = match programme.activation {
        Activation::Operator => None,
        Activation::Enrolment => Some("activation is by the holder, with last digits and PIN"),
        Activation::ShopTill => Some("activation is at the till, with the face value, once"),
    };
    holder
        .into_iter()
        .chain(renewal)
        .chain(activation.map(str::to_owned))
        .collect()
}

fn pins(programme: &Programme) -> Vec<String> {
    let blocks = match programme.pin_block {
        Unverified::Refuse => "PIN        a block that nothing can verify is refused",
        Unverified::Ignore => "PIN        a block that nothing can verify is not looked at",
    };
    let tries = programme.pin.tries_max;
    let mut lines = vec![
        blocks.to_owned(),
        format!("PIN        is locked by {tries} wrong tries"),
    ];
    if programme.pin.owner == PinOwner::Account {
        lines.push("PIN        goes on with a card in place of another".to_owned());
    }
    lines.extend(programme.pin.required.iter().map(|needed| {
        match needed {
            PinUse::CashWithdrawal => "PIN        is needed for cash",
            PinUse::PhysicalPurchase => {
                "PIN        is needed with the card's chip or stripe where PINs are taken"
            }
        }
        .to_owned()
    }));
    lines
}

fn guessing(rule: &GuessingRule) -> String {
    let counts = [
        (rule.acceptor_attempts_max, "an acceptor"),
        (rule.link_attempts_max, "a link"),
    ];
    let counts: Vec<String> = counts
        .iter()
        .filter(|row| row.0 > 0)
        .map(|(count, whose)| format!("{count} of {whose}"))
        .collect();
    let follows = match rule.answer {
        GuessingAnswer::Alarm => "an alarm".to_owned(),
        GuessingAnswer::Slow => format!("an alarm, and answers {} ms later", rule.slow_ms),
        GuessingAnswer::Refuse => {
            "an alarm, and no answer that tells good numbers from others".to_owned()
        }
    };
    format!(
        "guessing   unknown or exhausted numbers in {} minutes, {}: {follows}",
        rule.window_minutes,
        counts.join(" or ")
    )
}

fn exchange(programme: &Programme) -> Vec<String> {
    let Some(rule) = &programme.exchange else {
        let line = "exchange   only as the network converts";
        return vec![line.to_owned()];
    };
    let mut lines = vec![format!(
        "exchange   a currency without a purse becomes {}; mark-up {}",
        rule.billing, rule.markup
    )];
    lines.extend(
        rule.charge_fee
            .map(|fee| format!("exchange   from one purse to another costs {fee}")),
    );
    lines
}

fn cash(programme: &Programme) -> String {
    let Some(rule) = &programme.cash else {
        return "cash       is not offered".to_owned();
    };
    let purses = rule
        .purses
        .iter()
        .map(|index| purse(programme, Some(*index)));
    let fees: Vec<String> = rule
        .fees
        .iter()
        .map(|(currency, minor)| Amount::new(*minor, *currency).to_string())
        .collect();
    let fee = match (fees.is_empty(), rule.free_per_month) {
        (true, _) => String::new(),
        (false, 0) => format!(", fee {}", fees.join(" or ")),
        (false, free) => format!(", fee {} after {free} in a month", fees.join(" or ")),
    };
    format!(
        "cash       comes from {}{}, {} minor units at least, in multiples of {}{fee}",
        purses.collect::<Vec<_>>().join(", then "),
        whose(rule.kyc),
        rule.minimum,
        rule.multiple_of,
    )
}

fn whose(kyc: Option<Kyc>) -> &'static str {
    match kyc {
        None => "",
        Some(Kyc::Verified) => " of verified holders",
        Some(Kyc::Unverified) => " of holders who are not verified",
        Some(Kyc::Bearer) => " of bearers",
    }
}

fn shadowed(shadow: bool) -> &'static str {
    if shadow {
        "  (in shadow: noted, not enforced)"
    } else {
        ""
    }
}

fn limit(limit: &Limit) -> String {
    let channel = match limit.channel {
        Channel::Purchase => "purchases",
        Channel::Load => "loads",
        Channel::LoadAtm => "loads at machines",
        Channel::LoadBank => "loads from banks",
        Channel::LoadCreditCard => "loads by credit card",
        Channel::LoadShopTill => "loads at the till",
        Channel::CashWithdrawal => "cash withdrawals",
        Channel::ECommerce => "purchases without the card",
        Channel::Transfer => "transfers to other holders",
    };
    let span = match limit.window {
        Window::Transaction => "in one transaction".to_owned(),
        Window::Day | Window::Week | Window::Month => format!("in a {}", limit.window),
        Window::Rolling { hours } => format!("in any {hours} hours"),
    };
    let amount = limit
        .amount_max
        .map(|minor| Amount::new(minor, limit.currency).to_string());
    let count = limit
        .count_max
        .map(|count| format!("{count} times in {}", limit.currency));
    let most: Vec<String> = amount.into_iter().chain(count).collect();
    format!(
        "limit      {channel}{}: {} {span}{}",
        whose(limit.kyc),
        most.join(" and "),
        shadowed(limit.shadow),
    )
}

fn maximum(row: &MaximumBalance) -> String {
    format!(
        "balance    at most {} after a load{}{}",
        Amount::new(row.amount_max, row.currency),
        whose(row.kyc),
        shadowed(row.shadow),
    )
}

fn merchants(programme: &Programme) -> Vec<String> {
    let lists = &programme.merchants;
    let rows = [
        ("refused    acceptors", texts(&lists.denied_acceptors)),
        ("refused    terminals", texts(&lists.denied_terminals)),
        ("allowed    acceptors", texts(&lists.allowed_acceptors)),
        ("allowed    terminals", texts(&lists.allowed_terminals)),
    ];
    rows.into_iter()
        .filter(|row| !row.1.is_empty())
        .map(|(what, names)| format!("{what} {names}"))
        .collect()
}

fn block(block: &Block, codes: &ResponseCodes) -> String {
    let conditions: Vec<String> = block.conditions.iter().map(condition).collect();
    format!(
        "refused    {} ({}) with {}: {}{}",
        block.id,
        block.rule,
        codes.code(block.reason),
        conditions.join(", "),
        shadowed(block.shadow),
    )
}

fn condition(condition: &Condition) -> String {
    match condition {
        Condition::Mcc(ranges) => {
            let ranges = ranges.iter().map(|range| {
                if range.first == range.last {
                    range.first.to_string()
                } else {
                    format!("{}-{}", range.first, range.last)
                }
            });
            format!("category {}", ranges.collect::<Vec<_>>().join(" "))
        }
        Condition::Purpose(list) => {
            let names: Vec<&str> = list.iter().map(|purpose| purpose_name(*purpose)).collect();
            names.join(" or ")
        }
        Condition::Initiation(initiation) => format!("{initiation:?}").to_lowercase(),
        Condition::Certainty(certainty) => format!("amount {certainty:?}").to_lowercase(),
        Condition::Device(Device::Ordinary) => "ordinary terminal".to_owned(),
        Condition::Device(Device::InFlight) => "terminal in flight".to_owned(),
        Condition::Presence(presence) => format!("card {presence:?}").to_lowercase(),
        Condition::Domestic(true) => "at home".to_owned(),
        Condition::Domestic(false) => "abroad".to_owned(),
        Condition::Country(list) => format!("merchant in {}", countries(list)),
        Condition::CountryNot(list) => format!("merchant outside {}", countries(list)),
        Condition::AcquirerCountry(list) => format!("acquirer in {}", texts(list)),
        Condition::AcquirerCountryNot(list) => format!("acquirer outside {}", texts(list)),
        Condition::Currency(list) => format!("in {}", texts::<Currency>(list)),
        Condition::CurrencyNot(list) => format!("not in {}", texts::<Currency>(list)),
        Condition::Acquirer(list) => format!("acquirer {}", texts(list)),
        Condition::Acceptor(list) => format!("acceptor {}", texts(list)),
        Condition::Terminal(list) => format!("terminal {}", texts(list)),
        Condition::Entry(list) => {
            let names: Vec<String> = list.iter().map(|it| format!("{it:?}")).collect();
            format!("entry {}", names.join(" ")).to_lowercase()
        }
        Condition::Attendance(who) => format!("terminal {who:?}").to_lowercase(),
        Condition::CashPart(true) => "with cash back".to_owned(),
        Condition::CashPart(false) => "without cash back".to_owned(),
        Condition::Hours(span) => {
            format!("from {} until {}", Minute(span.from), Minute(span.until))
        }
    }
}

fn purpose_name(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Purchase => "purchase",
        Purpose::BalanceEnquiry => "balance enquiry",
        Purpose::Refund => "refund",
        Purpose::Load => "load",
        Purpose::Activation => "activation",
        Purpose::PinChange => "PIN change",
        Purpose::CashWithdrawal => "cash withdrawal",
        Purpose::AccountFunding => "account funding",
        Purpose::QuasiCash => "quasi-cash",
        Purpose::OriginalCredit => "original credit",
        Purpose::Unnamed => "purpose that the dialect does not name",
    }
}

fn countries(list: &[[u8; 2]]) -> String {
    let letters = list.iter().map(|it| String::from_utf8_lossy(it));
    letters.collect::<Vec<_>>().join(" ")
}

fn texts<T: ToString>(list: &[T]) -> String {
    let texts: Vec<String> = list.iter().map(T::to_string).collect();
    texts.join(" ")
}
