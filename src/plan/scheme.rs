//! Named schemes of several passes, which auditors ask for.
//!
//! One pass is enough by NIST SP 800-88; the others are legacy. Where a source
//! is not at hand the table follows what the common wipers do.

use Write::{Bytes, Drawn, Inverted, Random};
use thiserror::Error;

use super::passes::Pass;
use super::verify::{ReadBack, Verify};
use crate::strategy::{Choice, Content, Draw, Pattern};

/// What a scheme asks of the read-back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asks {
    /// The last pass is read back in full.
    Last,
    /// The same, and nothing less is allowed.
    Mandatory,
    Nothing,
}

/// One pass of a scheme.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Write {
    /// These bytes, repeated.
    Bytes(&'static [u8]),
    /// A keystream with a key of its own.
    Random,
    /// One of three bytes that are drawn for the run.
    Drawn(usize),
    Inverted(usize),
}

const ZEROS: Write = Bytes(&[0]);
const ONES: Write = Bytes(&[0xFF]);

/// A scheme, by its name, allows no such read-back.
#[derive(Debug, Error)]
#[error("--verify: {0} demands a full read-back of the last pass; leave it out")]
pub(crate) struct DemandsAll(&'static str);

/// A named scheme.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Scheme {
    /// As it is typed.
    pub name: &'static str,
    /// Where it comes from.
    pub source: &'static str,
    pub asks: Asks,
    passes: &'static [Write],
    // passes that are written in an order drawn for the run: from, to
    shuffled: Option<(usize, usize)>,
}

/// All of them. The passes of Gutmann's are those of "Secure Deletion of Data
/// from Magnetic and Solid-State Memory" (1996), table 1; those of dod-ece are
/// drawn as nwipe does it.
#[rustfmt::skip]
pub(crate) const SCHEMES: [Scheme; 11] = [
    scheme("nist-clear", "NIST SP 800-88, Clear", Asks::Last, &[ZEROS]),
    scheme("dod-short", "DoD 5220.22-M, 3 passes", Asks::Last, &[ZEROS, ONES, Random]),
    scheme("dod-ece", "DoD 5220.22-M (ECE), 7 passes", Asks::Last,
        &[Drawn(0), Inverted(0), Random, Drawn(1), Drawn(2), Inverted(2), Random]),
    Scheme { name: "gutmann", source: "Peter Gutmann, 1996", asks: Asks::Nothing,
        passes: &GUTMANN, shuffled: Some((4, 31)) },
    scheme("schneier", "Bruce Schneier, 1996", Asks::Nothing,
        &[ONES, ZEROS, Random, Random, Random, Random, Random]),
    scheme("vsitr", "German BSI, VSITR", Asks::Nothing,
        &[ZEROS, ONES, ZEROS, ONES, ZEROS, ONES, Bytes(&[0xAA])]),
    scheme("rcmp-ops-ii", "Canadian RCMP TSSIT OPS-II", Asks::Last,
        &[ZEROS, ONES, ZEROS, ONES, ZEROS, ONES, Random]),
    scheme("hmg-is5-baseline", "British HMG IS5, baseline", Asks::Mandatory, &[ZEROS]),
    scheme("hmg-is5-enhanced", "British HMG IS5, enhanced", Asks::Mandatory,
        &[ZEROS, ONES, Random]),
    scheme("afssi-5020", "US Air Force AFSSI-5020 (the order is disputed)", Asks::Last,
        &[ZEROS, ONES, Random]),
    scheme("nnsa", "US NNSA NAP-14.1-C", Asks::Last, &[Random, Random, ZEROS]),
];

#[rustfmt::skip]
const GUTMANN: [Write; 35] = [
    Random, Random, Random, Random,
    Bytes(&[0x55]), Bytes(&[0xAA]),
    Bytes(&[0x92, 0x49, 0x24]), Bytes(&[0x49, 0x24, 0x92]), Bytes(&[0x24, 0x92, 0x49]),
    Bytes(&[0x00]), Bytes(&[0x11]), Bytes(&[0x22]), Bytes(&[0x33]), Bytes(&[0x44]), Bytes(&[0x55]),
    Bytes(&[0x66]), Bytes(&[0x77]), Bytes(&[0x88]), Bytes(&[0x99]), Bytes(&[0xAA]), Bytes(&[0xBB]),
    Bytes(&[0xCC]), Bytes(&[0xDD]), Bytes(&[0xEE]), Bytes(&[0xFF]),
    Bytes(&[0x92, 0x49, 0x24]), Bytes(&[0x49, 0x24, 0x92]), Bytes(&[0x24, 0x92, 0x49]),
    Bytes(&[0x6D, 0xB6, 0xDB]), Bytes(&[0xB6, 0xDB, 0x6D]), Bytes(&[0xDB, 0x6D, 0xB6]),
    Random, Random, Random, Random,
];

const fn scheme(
    name: &'static str,
    source: &'static str,
    asks: Asks,
    passes: &'static [Write],
) -> Scheme {
    Scheme {
        name,
        source,
        asks,
        passes,
        shuffled: None,
    }
}

impl Scheme {
    pub(crate) fn named(name: &str) -> Option<&'static Self> {
        SCHEMES.iter().find(|scheme| scheme.name == name)
    }

    pub(crate) fn len(&self) -> usize {
        self.passes.len()
    }

    pub(crate) fn allows(&self, how: ReadBack) -> Result<(), DemandsAll> {
        let demands = self.asks == Asks::Mandatory;
        let gets = matches!(how, ReadBack::Full | ReadBack::All);
        (!demands || gets)
            .then_some(())
            .ok_or(DemandsAll(self.name))
    }

    /// Its passes for one run, none of them read back yet.
    pub(crate) fn passes<E>(&self, draw: &mut dyn Draw<E>) -> Result<Vec<Pass>, E> {
        let mut order: Vec<usize> = (0..self.passes.len()).collect();
        if let Some((from, to)) = self.shuffled {
            // Fisher and Yates; a byte is enough for the few places there are.
            for last in (from + 1..to).rev() {
                let places = last - from + 1;
                let fair = 256 / places * places;
                let place = loop {
                    let byte = usize::from(draw.byte()?);
                    if byte < fair {
                        break byte % places;
                    }
                };
                order.swap(last, from + place);
            }
        }
        let drawn = [draw.byte()?, draw.byte()?, draw.byte()?];
        order
            .into_iter()
            .map(|index| {
                let content = match self.passes[index] {
                    Bytes(bytes) => repeated(bytes),
                    Random => Choice::Random.content(None, draw)?,
                    Drawn(n) => repeated(&[drawn[n]]),
                    Inverted(n) => repeated(&[!drawn[n]]),
                };
                Ok(Pass {
                    content,
                    verify: Verify::None,
                })
            })
            .collect()
    }

    /// What it does, for people: `00, FF, random`.
    pub(crate) fn text(&self) -> String {
        if self.shuffled.is_some() {
            return "random x 4, 27 fixed patterns in random order, random x 4".into();
        }
        let names: Vec<String> = self
            .passes
            .iter()
            .map(|write| match write {
                Bytes(bytes) => hex::encode_upper(bytes),
                Random => "random".into(),
                Drawn(n) => format!("c{}", n + 1),
                Inverted(n) => format!("~c{}", n + 1),
            })
            .collect();
        let drawn = self.passes.iter().any(|write| matches!(write, Drawn(_)));
        let note = if drawn {
            "\n      (each c is a byte drawn for the run)"
        } else {
            ""
        };
        format!("{}{note}", names.join(", "))
    }
}

fn repeated(bytes: &[u8]) -> Content {
    match Pattern::new(bytes) {
        Some(pattern) if bytes != [0] => Content::Pattern { pattern },
        _ => Content::Zero,
    }
}

/// The list that `--scheme help` prints.
pub(crate) fn list() -> String {
    let mut text = String::from(
        "Schemes. One pass is enough by NIST SP 800-88; all but nist-clear are legacy,\n\
         for auditors who ask for them.\n\n",
    );
    for scheme in &SCHEMES {
        let passes = match scheme.len() {
            1 => "1 pass".to_string(),
            n => format!("{n} passes"),
        };
        let verify = match scheme.asks {
            Asks::Last => "the last pass is read back",
            Asks::Mandatory => "the last pass is read back, always",
            Asks::Nothing => "no read-back stated; wipeit does it unless --verify none",
        };
        let (name, source, what) = (scheme.name, scheme.source, scheme.text());
        text.extend([
            format!("  {name}: {source}\n"),
            format!("      {passes}: {what}\n"),
            format!("      {verify}\n"),
        ]);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategy::{KEY_BYTES, Key};

    /// Draws a known sequence of bytes, and a new key each time.
    struct Dice(u8, u8);

    impl Draw<()> for Dice {
        fn key(&mut self) -> Result<Key, ()> {
            self.0 += 1;
            Ok(Key::new([self.0; KEY_BYTES]))
        }
        fn byte(&mut self) -> Result<u8, ()> {
            self.1 = self.1.wrapping_mul(167).wrapping_add(13);
            Ok(self.1)
        }
    }

    fn drawn(name: &str, seed: u8) -> Vec<String> {
        let scheme = Scheme::named(name).unwrap();
        let passes = scheme.passes(&mut Dice(0, seed)).unwrap();
        assert_eq!(passes.len(), scheme.len());
        passes
            .into_iter()
            .map(|pass| match pass.content {
                Content::Zero => "00".into(),
                Content::Pattern { pattern } => String::from(pattern),
                Content::Random { .. } => "random".into(),
            })
            .collect()
    }

    #[test]
    fn the_passes_are_those_of_the_table() {
        assert_eq!(drawn("nist-clear", 1), ["00"]);
        assert_eq!(drawn("dod-short", 1), ["00", "ff", "random"]);
        assert_eq!(drawn("afssi-5020", 1), ["00", "ff", "random"]);
        assert_eq!(drawn("nnsa", 1), ["random", "random", "00"]);
        assert_eq!(drawn("hmg-is5-baseline", 1), ["00"]);
        assert_eq!(drawn("hmg-is5-enhanced", 1), ["00", "ff", "random"]);
        let random = "random";
        assert_eq!(
            drawn("schneier", 1),
            ["ff", "00", random, random, random, random, random]
        );
        assert_eq!(
            drawn("vsitr", 1),
            ["00", "ff", "00", "ff", "00", "ff", "aa"]
        );
        assert_eq!(
            drawn("rcmp-ops-ii", 1),
            ["00", "ff", "00", "ff", "00", "ff", random]
        );
    }

    #[test]
    fn the_bytes_of_dod_ece_are_drawn_for_the_run_and_complemented() {
        let byte = |text: &str| u8::from_str_radix(text, 16).unwrap();
        let (one, two) = (drawn("dod-ece", 1), drawn("dod-ece", 2));
        assert_ne!(one, two);
        for passes in [one, two] {
            assert_eq!(byte(&passes[0]), !byte(&passes[1]));
            assert_eq!(byte(&passes[4]), !byte(&passes[5]));
            assert_eq!((&*passes[2], &*passes[6]), ("random", "random"));
        }
    }

    #[test]
    fn gutmanns_patterns_are_all_there_in_another_order_each_time() {
        let (one, two) = (drawn("gutmann", 1), drawn("gutmann", 2));
        assert_ne!(one, two);
        let mut table: Vec<String> = "55 aa 924924 492492 249249 00 11 22 33 44 55 66 77 88 99 aa \
                                      bb cc dd ee ff 924924 492492 249249 6db6db b6db6d db6db6"
            .split(' ')
            .map(str::to_string)
            .collect();
        table.sort();
        for passes in [one, two] {
            assert!(
                passes[..4]
                    .iter()
                    .chain(&passes[31..])
                    .all(|pass| pass == "random")
            );
            let mut fixed = passes[4..31].to_vec();
            fixed.sort();
            assert_eq!(fixed, table);
        }
    }

    #[test]
    fn every_random_pass_has_its_own_key() {
        let scheme = Scheme::named("gutmann").unwrap();
        let passes = scheme.passes(&mut Dice(0, 1)).unwrap();
        let mut keys = Vec::new();
        for pass in passes {
            if let Content::Random { key, .. } = pass.content {
                assert!(!keys.contains(&key));
                keys.push(key);
            }
        }
        assert_eq!(keys.len(), 8);
    }

    #[test]
    fn the_list_names_each_with_its_passes_and_says_that_one_is_enough() {
        let text = list();
        assert!(text.contains("One pass is enough by NIST SP 800-88"));
        for scheme in &SCHEMES {
            assert!(text.contains(&format!("  {}: ", scheme.name)));
        }
        assert!(text.contains("7 passes: c1, ~c1, random, c2, c3, ~c3, random\n"));
        assert!(text.lines().all(|line| line.len() <= 80), "{text}");
    }
}
