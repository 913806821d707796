//! Where a task was submitted, in three bytes: every pending task says so, and a pointer would take the room that its
//! value or its callbacks need.
//!
//! A program has some thousands of call sites at most, and each gets a number at its first submit. A thread keeps the
//! numbers of those that it has used lately, so that a submit costs a look at its own memory.

use std::cell::Cell;
use std::collections::HashMap;
use std::fmt;
use std::panic::Location;
use std::sync::{PoisonError, RwLock};

/// Where a task was submitted, if that is known.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct CallSite([u8; 3]);

/// All call sites that were ever asked for. The standard library's lock, for loom's cannot be in a static, and nobody
/// waits for anything while he has it.
static KNOWN: RwLock<Option<Known>> = RwLock::new(None);

#[derive(Default)]
struct Known {
    numbers: HashMap<usize, CallSite>,
    /// That of number `n` is at `n - 1`.
    locations: Vec<&'static Location<'static>>,
}

/// How many call sites a thread keeps at hand.
const RECENT: usize = 16;

thread_local! {
    /// By the lowest bits of the address that differ, the last one with these.
    static RECENTLY: [Cell<(usize, CallSite)>; RECENT] =
        const { [const { Cell::new((0, CallSite::UNKNOWN)) }; RECENT] };
}

impl CallSite {
    /// Not known.
    pub const UNKNOWN: Self = Self([0; 3]);

    /// Of this place in a source.
    ///
    /// ```
    /// use manyhands::nested::CallSite;
    /// use std::panic::Location;
    ///
    /// let here = Location::caller();
    /// assert_eq!(CallSite::of(here).location(), Some(here));
    /// assert_eq!(CallSite::UNKNOWN.location(), None);
    /// ```
    #[inline]
    pub fn of(location: &'static Location<'static>) -> Self {
        let address = std::ptr::from_ref(location).addr();
        RECENTLY.with(|recently| {
            let at_hand = &recently[address / size_of::<Location<'_>>() % RECENT];
            let (of, site) = at_hand.get();
            if of == address {
                return site;
            }
            let site = number(address, location);
            at_hand.set((address, site));
            site
        })
    }

    /// The place in a source.
    pub fn location(self) -> Option<&'static Location<'static>> {
        let index = self.number().checked_sub(1)?;
        let known = KNOWN.read().unwrap_or_else(PoisonError::into_inner);
        known.as_ref()?.locations.get(index).copied()
    }

    fn number(self) -> usize {
        let [low, middle, high] = self.0;
        usize::from(low) | usize::from(middle) << 8 | usize::from(high) << 16
    }
}

/// `UNKNOWN` for one more than three bytes can number.
#[cold]
fn number(address: usize, location: &'static Location<'static>) -> CallSite {
    let mut known = KNOWN.write().unwrap_or_else(PoisonError::into_inner);
    let Known { numbers, locations } = known.get_or_insert_default();
    *numbers.entry(address).or_insert_with(|| match (locations.len() + 1).to_le_bytes() {
        [low, middle, high, 0, ..] => {
            locations.push(location);
            CallSite([low, middle, high])
        }
        _ => CallSite::UNKNOWN,
    })
}

impl fmt::Debug for CallSite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.location() {
            Some(location) => write!(f, "{location}"),
            None => f.write_str("unknown"),
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::CallSite;
    use std::panic::Location;
    use std::thread;

    /// As many different ones as a test needs.
    fn leaked(count: usize) -> Vec<&'static Location<'static>> {
        (0..count).map(|_| &*Box::leak(Box::new(*Location::caller()))).collect()
    }

    #[test]
    fn each_is_told_from_the_others_by_all_threads() {
        let locations = leaked(500);
        let ask = || locations.iter().map(|location| CallSite::of(location)).collect::<Vec<_>>();
        let [here, there] = thread::scope(|scope| {
            let there = scope.spawn(ask);
            [ask(), there.join().unwrap()]
        });
        assert_eq!(here, there);
        for (site, location) in here.iter().zip(&locations) {
            assert!(std::ptr::eq(site.location().unwrap(), *location));
        }
    }

    #[test]
    fn one_that_is_not_known_is_nowhere() {
        assert_eq!(
            (CallSite::UNKNOWN, None),
            (CallSite::default(), CallSite::default().location())
        );
        assert_eq!(format!("{:?}", CallSite::UNKNOWN), "unknown");
    }
}
