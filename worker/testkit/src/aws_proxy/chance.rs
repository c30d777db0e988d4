//! Chance that is the same in every run.

/// A row of throws, each of which hits with the same chance.
#[derive(Debug, Clone)]
pub(super) struct Chance {
    share: f64,
    state: u64,
}

impl Chance {
    pub(super) fn new(share: f64, seed: u64) -> Self {
        Self { share, state: seed }
    }

    /// The next throw.
    pub(super) fn hits(&mut self) -> bool {
        self.next() < self.share
    }

    /// A row of its own, begun by the next throw of this one.
    pub(super) fn fork(&mut self) -> Self {
        self.hits();
        self.clone()
    }

    /// The next number of `SplitMix64`, from 0 up to 1.
    fn next(&mut self) -> f64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let bits = u32::try_from((mixed ^ (mixed >> 31)) >> 32).unwrap_or(u32::MAX);
        f64::from(bits) / (f64::from(u32::MAX) + 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::Chance;

    #[test]
    fn three_in_ten_hit_and_the_same_in_every_run() {
        let throw = || {
            let mut chance = Chance::new(0.3, 7);
            (0..10_000).map(|_| chance.hits()).collect::<Vec<_>>()
        };
        let hits = throw().into_iter().filter(|hit| *hit).count();
        assert!((2800..3200).contains(&hits), "{hits}");
        assert_eq!(throw(), throw());
    }
}
