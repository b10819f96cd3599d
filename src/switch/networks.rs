//! Address lists: from which networks a door is opened at all.

use std::net::IpAddr;
use std::str::FromStr;

/// A network of addresses such as `10.20.0.0/16`, or one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    /// Its bits; those beyond the prefix are zero.
    bits: u128,
    /// How many of the leading bits count.
    prefix: u32,
    is_v4: bool,
}

/// The bits of an address from the left, and whether it is one of IPv4. An IPv4 address written as
/// IPv6 is that IPv4 address.
fn bits_of(address: IpAddr) -> (u128, bool) {
    match address.to_canonical() {
        IpAddr::V4(v4) => (u128::from(v4.to_bits()) << 96, true),
        IpAddr::V6(v6) => (v6.to_bits(), false),
    }
}

/// The leading bits that a prefix counts.
fn mask_of(prefix: u32) -> u128 {
    u128::MAX
        .checked_shl(128_u32.saturating_sub(prefix))
        .unwrap_or(0)
}

impl Network {
    /// Whether an address belongs to it.
    pub fn has(&self, address: IpAddr) -> bool {
        let (bits, is_v4) = bits_of(address);
        is_v4 == self.is_v4 && bits & mask_of(self.prefix) == self.bits
    }
}

/// A text that is no network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a network such as 10.20.0.0/16, without bits behind its prefix, or an address")]
pub struct NoNetwork;

impl FromStr for Network {
    type Err = NoNetwork;

    /// Parses `10.20.0.0/16`, `fd00::/8` or an address. Bits behind the prefix are a mistake:
    /// whoever wrote `10.20.1.7/16` meant something else than it says.
    fn from_str(text: &str) -> Result<Network, NoNetwork> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| NoNetwork)?;
        let (bits, is_v4) = bits_of(address);
        let longest = if is_v4 { 32 } else { 128 };
        let prefix = match prefix {
            None => longest,
            Some(digits) if address.is_ipv4() == is_v4 => {
                digits.parse::<u32>().map_err(|_| NoNetwork)?
            }
            // A prefix of 96 and more of an IPv4 address written as IPv6: say it as IPv4.
            Some(_) => return Err(NoNetwork),
        };
        if prefix > longest || bits & !mask_of(prefix) != 0 {
            return Err(NoNetwork);
        }
        Ok(Network {
            bits,
            prefix,
            is_v4,
        })
    }
}

/// From where connections are taken; without one, from everywhere.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AllowList(Option<Vec<Network>>);

impl AllowList {
    /// Only from these.
    pub fn only(networks: Vec<Network>) -> AllowList {
        AllowList(Some(networks))
    }

    /// Whether connections from an address are taken.
    pub fn has(&self, address: IpAddr) -> bool {
        let Some(networks) = &self.0 else {
            return true;
        };
        networks.iter().any(|network| network.has(address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_has_its_addresses_and_no_other() {
        for (network, inside, outside) in [
            ("10.20.0.0/16", "10.20.255.255", "10.21.0.0"),
            ("10.20.0.0/16", "::ffff:10.20.3.4", "::10.20.3.4"),
            ("127.0.0.1", "127.0.0.1", "127.0.0.2"),
            ("::ffff:127.0.0.1", "127.0.0.1", "::1"),
            ("0.0.0.0/0", "203.0.113.9", "::1"),
            ("fd00::/8", "fdff::1", "fe00::1"),
            ("::/0", "::1", "1.2.3.4"),
            ("192.0.2.129/32", "192.0.2.129", "192.0.2.128"),
            ("192.0.2.128/25", "192.0.2.255", "192.0.2.127"),
        ] {
            let allowed = AllowList::only(vec![network.parse().unwrap()]);
            assert!(allowed.has(inside.parse().unwrap()), "{network} {inside}");
            assert!(
                !allowed.has(outside.parse().unwrap()),
                "{network} {outside}"
            );
        }
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in [
            "",
            "localhost",
            "10.0.0.0/33",
            "10.20.1.7/16",
            "::/129",
            "10.0.0.0/",
            "10.0.0.0/-1",
            "10.0.0.0/8/8",
            "::ffff:10.0.0.0/104",
        ] {
            assert_eq!(text.parse::<Network>(), Err(NoNetwork), "{text}");
        }
    }

    #[test]
    fn without_a_list_everybody_may_come_and_with_an_empty_one_nobody() {
        let address = "203.0.113.9".parse().unwrap();
        assert!(AllowList::default().has(address));
        assert!(!AllowList::only(Vec::new()).has(address));
    }
}
