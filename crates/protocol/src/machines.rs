//! Machines by the address of their network card (MAC). It tells honest machines apart and proves nothing: anybody can take another.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Bytes of such an address.
const BYTES: usize = 6;

/// The address of a network card.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mac(pub [u8; BYTES]);

/// One card, or all whose address begins alike: those of a maker share the first 24 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Machines {
    first: Mac,
    bits: u8,
}

impl Machines {
    /// How many bits of the address are told; 48 is one card.
    pub fn bits(&self) -> u8 {
        self.bits
    }

    /// The lowest of the addresses.
    pub(crate) fn first(&self) -> Mac {
        self.first
    }

    /// Whether a card is one of them.
    pub fn contains(&self, mac: Mac) -> bool {
        (mac.number() ^ self.first.number()) >> (48 - self.bits) == 0
    }
}

impl Mac {
    pub(crate) fn number(self) -> u64 {
        self.0.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
    }
}

impl FromStr for Mac {
    type Err = ();

    /// `52:54:00:12:34:56`, or with dashes.
    fn from_str(text: &str) -> Result<Self, ()> {
        let separator = if text.contains('-') { '-' } else { ':' };
        let mut bytes = [0; BYTES];
        let mut parts = text.split(separator);
        for byte in &mut bytes {
            let part = parts.next().filter(|part| part.len() == 2).ok_or(())?;
            if !part.bytes().all(|digit| digit.is_ascii_hexdigit()) {
                return Err(());
            }
            *byte = u8::from_str_radix(part, 16).map_err(|_| ())?;
        }
        if parts.next().is_some() { Err(()) } else { Ok(Self(bytes)) }
    }
}

impl FromStr for Machines {
    type Err = ();

    /// Also `52:54:00:00:00:00/24`, where nothing may stand behind these bits.
    fn from_str(text: &str) -> Result<Self, ()> {
        let (mac, bits) = text.split_once('/').unwrap_or((text, "48"));
        let (first, bits): (Mac, u8) = (mac.trim().parse()?, bits.trim().parse().map_err(|_| ())?);
        let is_whole = (1..=48).contains(&bits) && first.number() & ((1 << (48 - bits)) - 1) == 0;
        if is_whole { Ok(Self { first, bits }) } else { Err(()) }
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, last] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{last:02x}")
    }
}

impl fmt::Display for Machines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.bits == 48 { self.first.fmt(f) } else { write!(f, "{}/{}", self.first, self.bits) }
    }
}

impl Serialize for Machines {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Machines {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|()| de::Error::custom(format_args!("'{text}' is no address of a network card")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_card_and_those_of_a_maker() {
        for (text, shown, inside, outside) in [
            ("52:54:00:12:34:56", "52:54:00:12:34:56", "52:54:00:12:34:56", "52:54:00:12:34:57"),
            ("0A-1B-2C-3D-4E-5F", "0a:1b:2c:3d:4e:5f", "0a:1b:2c:3d:4e:5f", "0a:1b:2c:3d:4e:5e"),
            ("52:54:00:00:00:00/24", "52:54:00:00:00:00/24", "52:54:00:ff:ff:ff", "52:54:01:00:00:00"),
            ("80:00:00:00:00:00/1", "80:00:00:00:00:00/1", "ff:ff:ff:ff:ff:ff", "7f:ff:ff:ff:ff:ff"),
        ] {
            let machines: Machines = text.parse().unwrap();
            assert_eq!((machines.to_string().as_str(), shown.parse()), (shown, Ok(machines)));
            assert!(machines.contains(inside.parse().unwrap()) && !machines.contains(outside.parse().unwrap()));
        }
        for text in [
            "",
            "52:54:00",
            "52:54:00:12:34:56:78",
            "52:54:00:12:34:5",
            "52:54:00:12:34:5g",
            "52:54-00:12-34:56",
            "+2:54:00:12:34:56",
            "52:54:00:12:34:56/24",
            "52:54:00:00:00:00/0",
            "52:54:00:00:00:00/49",
            "52:54:00:00:00:00/",
        ] {
            assert!(text.parse::<Machines>().is_err(), "{text}");
        }
    }
}
