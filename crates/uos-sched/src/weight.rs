//! How much of a CPU a task is owed beside others, and the scale of priorities that stands for it.

use crate::SchedError;
use std::num::NonZeroU32;

/// A share relative to the others': twice the weight, twice the time. 1 to 2^20, never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Weight(NonZeroU32);

/// 0 to 255, higher is more. 128 is normal, and every eight steps are a factor of 1.25.
///
/// That is the ratio of one nice step, so the two scales measure the same thing at different fineness.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Priority(pub u8);

impl Weight {
    /// The least there is.
    pub const MIN: Weight = Weight(NonZeroU32::MIN);
    /// The weight of a task nobody said anything about.
    pub const DEFAULT: Weight = Weight(NonZeroU32::new(1024).expect("not zero"));
    /// The most there is: 2^20, a thousand times the default.
    pub const MAX: Weight = Weight(NonZeroU32::new(1 << 20).expect("not zero"));

    /// A weight from outside, checked once.
    pub fn new(weight: u32) -> Result<Weight, SchedError> {
        let refused = SchedError::BadWeight { asked: weight, max: Self::MAX.get() };
        NonZeroU32::new(weight).map(Weight).filter(|&weight| weight <= Self::MAX).ok_or(refused)
    }

    /// The number.
    pub const fn get(self) -> u32 {
        self.0.get()
    }
}

impl Default for Weight {
    fn default() -> Weight {
        Weight::DEFAULT
    }
}

impl Priority {
    /// The priority of a task nobody said anything about.
    pub const DEFAULT: Priority = Priority(128);

    /// Its weight: 1024 × 1.25^((priority − 128) / 8), to the nearest integer.
    pub fn weight(self) -> Weight {
        Weight(NonZeroU32::new(WEIGHTS[usize::from(self.0)]).expect("no entry of the table is zero"))
    }

    /// The nice value nearest to it: 0 for 128, one less for every eight steps up, within −20 to 19.
    pub fn nice(self) -> i32 {
        // Halves round away from 0 on both sides, so that 132 and 124 are each other's mirror.
        let steps = i32::from(self.0) - 128;
        let nearest = (steps.abs() + 4) / 8 * steps.signum();
        (-nearest).clamp(-20, 19)
    }
}

impl Default for Priority {
    fn default() -> Priority {
        Priority::DEFAULT
    }
}

impl From<Priority> for Weight {
    fn from(priority: Priority) -> Weight {
        priority.weight()
    }
}

/// A table, since the eighth root of 1.25 is no integer and floating point is not the same everywhere.
#[rustfmt::skip]
const WEIGHTS: [u32; 256] = [
    29, 30, 30, 31, 32, 33, 34, 35,
    36, 37, 38, 39, 40, 41, 43, 44,
    45, 46, 48, 49, 50, 52, 53, 55,
    56, 58, 60, 61, 63, 65, 67, 68,
    70, 72, 74, 77, 79, 81, 83, 86,
    88, 90, 93, 96, 98, 101, 104, 107,
    110, 113, 116, 120, 123, 126, 130, 134,
    137, 141, 145, 149, 154, 158, 162, 167,
    172, 177, 182, 187, 192, 198, 203, 209,
    215, 221, 227, 233, 240, 247, 254, 261,
    268, 276, 284, 292, 300, 309, 317, 326,
    336, 345, 355, 365, 375, 386, 397, 408,
    419, 431, 443, 456, 469, 482, 496, 510,
    524, 539, 554, 570, 586, 603, 620, 637,
    655, 674, 693, 713, 733, 753, 775, 797,
    819, 842, 866, 891, 916, 942, 968, 996,
    1024, 1053, 1083, 1113, 1145, 1177, 1211, 1245,
    1280, 1316, 1353, 1392, 1431, 1472, 1513, 1556,
    1600, 1645, 1692, 1740, 1789, 1839, 1891, 1945,
    2000, 2057, 2115, 2175, 2236, 2299, 2364, 2431,
    2500, 2571, 2643, 2718, 2795, 2874, 2955, 3039,
    3125, 3213, 3304, 3398, 3494, 3593, 3694, 3799,
    3906, 4017, 4130, 4247, 4367, 4491, 4618, 4748,
    4883, 5021, 5163, 5309, 5459, 5614, 5772, 5936,
    6104, 6276, 6454, 6636, 6824, 7017, 7215, 7420,
    7629, 7845, 8067, 8295, 8530, 8771, 9019, 9274,
    9537, 9806, 10084, 10369, 10662, 10964, 11274, 11593,
    11921, 12258, 12605, 12961, 13328, 13705, 14093, 14491,
    14901, 15323, 15756, 16202, 16660, 17131, 17616, 18114,
    18626, 19153, 19695, 20252, 20825, 21414, 22020, 22643,
    23283, 23942, 24619, 25315, 26031, 26768, 27525, 28303,
    29104, 29927, 30774, 31644, 32539, 33459, 34406, 35379,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eight_steps_are_a_quarter_more() {
        let weight = |priority| Priority(priority).weight().get();
        assert_eq!((weight(128), weight(136), weight(120)), (1024, 1280, 819));
        assert_eq!((weight(0), weight(255)), (29, 35_379));
        for priority in 0..=247 {
            let (low, high) = (i64::from(weight(priority)), i64::from(weight(priority + 8)));
            // Both are rounded by half a unit at most, and the lower one's error counts 1.25 fold.
            assert!((high * 4 - low * 5).abs() <= 5, "{priority}: {low} and {high}");
        }
        assert!((1..=255).all(|p| weight(p) >= weight(p - 1)));
    }

    #[test]
    fn nice_is_the_same_scale_the_other_way_round() {
        let nice = |priority| Priority(priority).nice();
        assert_eq!((nice(128), nice(136), nice(120)), (0, -1, 1));
        assert_eq!((nice(131), nice(132), nice(125), nice(124)), (0, -1, 0, 1));
        assert_eq!((nice(0), nice(255)), (16, -16));
    }

    #[test]
    fn weight_edges() {
        assert_eq!(Weight::new(0), Err(SchedError::BadWeight { asked: 0, max: 1 << 20 }));
        assert_eq!(Weight::new(1), Ok(Weight::MIN));
        assert_eq!(Weight::new(1 << 20), Ok(Weight::MAX));
        assert!(Weight::new((1 << 20) + 1).is_err());
    }
}
