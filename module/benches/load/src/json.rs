//! JSON as applications send it: records of one form with varied contents.

use std::fmt::Write;

const NAMES: [&str; 16] = [
    "Adler",
    "Bergmann",
    "Castillo",
    "Dubois",
    "Eriksen",
    "Fontana",
    "Grau",
    "Haddad",
    "Ivanova",
    "Jensen",
    "Kowalski",
    "Lindqvist",
    "Moreau",
    "Nakamura",
    "Okafor",
    "Petrov",
];
const STATES: [&str; 5] = ["open", "paid", "packed", "shipped", "returned"];
const WORDS: [&str; 24] = [
    "the",
    "parcel",
    "was",
    "left",
    "with",
    "a",
    "neighbour",
    "please",
    "call",
    "before",
    "delivery",
    "customer",
    "asked",
    "for",
    "another",
    "colour",
    "invoice",
    "follows",
    "by",
    "mail",
    "fragile",
    "handle",
    "carefully",
    "refund",
];

/// The `number`-th text of `size` bytes, always the same one: a list of orders with a note behind
/// them that fills it up. If `size` is too small for that, it is cut off.
#[must_use]
pub fn text(number: usize, size: usize) -> Vec<u8> {
    let mut dice = Dice::new(number);
    let mut text = format!("{{\"type\":\"orders\",\"sequence\":{number},\"orders\":[");
    loop {
        let order = order(&mut dice);
        if text.len() + order.len() + END.len() > size {
            break;
        }
        text.push_str(&order);
        text.push(',');
    }
    if text.ends_with(',') {
        text.pop();
    }
    text.push_str("],\"note\":\"");
    while text.len() < size {
        text.push_str(dice.one_of(&WORDS));
        text.push(' ');
    }
    text.truncate(size.saturating_sub(2));
    text.push_str("\"}");
    text.truncate(size);
    text.into_bytes()
}

/// What stands behind the orders, at least.
const END: &str = ",],\"note\":\"\"}";

fn order(dice: &mut Dice) -> String {
    let mut order = String::new();
    let (id, other) = (dice.roll(u32::MAX), dice.roll(u32::MAX));
    let (month, day) = (1 + dice.roll(12), 1 + dice.roll(28));
    let (hour, minute, second) = (dice.roll(24), dice.roll(60), dice.roll(60));
    let (euros, cents) = (1 + dice.roll(900), dice.roll(100));
    // Writing to a string never fails.
    let _ = write!(
        order,
        "{{\"id\":\"{id:08x}-{other:08x}\",\"customer\":\"{}\",\"state\":\"{}\",\
         \"created\":\"2026-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z\",\
         \"total\":{euros}.{cents:02},\"items\":{},\"express\":{}}}",
        dice.one_of(&NAMES),
        dice.one_of(&STATES),
        1 + dice.roll(9),
        dice.roll(4) == 0,
    );
    order
}

/// Marsaglia's xorshift: numbers that look random and are the same in every run.
struct Dice(u64);

impl Dice {
    fn new(number: usize) -> Self {
        Self((number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// A number below `sides`.
    fn roll(&mut self, sides: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        // The remainder is less than `sides`, a u32.
        u32::try_from((self.0 >> 32) % u64::from(sides)).unwrap_or_default()
    }

    fn one_of(&mut self, choices: &[&'static str]) -> &'static str {
        let sides = u32::try_from(choices.len()).unwrap_or(u32::MAX);
        choices[self.roll(sides) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::text;

    #[test]
    fn texts_have_the_length_asked_for() {
        for size in [1, 60, 300, 1024, 5000] {
            assert_eq!(text(3, size).len(), size);
        }
    }

    #[test]
    fn texts_are_whole_objects_that_differ_and_never_change() {
        let first = String::from_utf8(text(0, 1024)).unwrap();
        assert!(first.starts_with("{\"type\":\"orders\",\"sequence\":0,\"orders\":[{\"id\":\""));
        assert!(first.ends_with("\"}"));
        assert_eq!(first.matches("\"id\":").count(), 7, "{first}");
        for (open, close) in [('{', '}'), ('[', ']')] {
            assert_eq!(first.matches(open).count(), first.matches(close).count());
        }
        assert_eq!(first.into_bytes(), text(0, 1024));
        assert_ne!(text(1, 1024), text(2, 1024));
    }
}
