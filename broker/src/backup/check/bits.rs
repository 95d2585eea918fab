//! A set of numbers, a bit each, in pages, so that a gap costs nothing.

use std::collections::BTreeMap;

const PAGE_BITS: u64 = 4096;

/// See the module's text.
#[derive(Default)]
pub(super) struct Bits(BTreeMap<u64, Box<[u64; (PAGE_BITS / 64) as usize]>>);

impl Bits {
    fn place(number: u64) -> (u64, usize, u64) {
        (number / PAGE_BITS, (number % PAGE_BITS / 64) as usize, 1 << (number % 64))
    }

    /// Puts a number in; whether it was new.
    pub(super) fn insert(&mut self, number: u64) -> bool {
        let (page, word, bit) = Self::place(number);
        let word = &mut self.0.entry(page).or_insert_with(|| Box::new([0; (PAGE_BITS / 64) as usize]))[word];
        let new = *word & bit == 0;
        *word |= bit;
        new
    }

    /// Whether the number is in it.
    pub(super) fn has(&self, number: u64) -> bool {
        let (page, word, bit) = Self::place(number);
        self.0.get(&page).is_some_and(|words| words[word] & bit != 0)
    }
}
